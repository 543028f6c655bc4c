"""Connections that a peer would hold on to: they end with the request, or with the manager."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from cexnet import OutcomeUnknown, RestManager
from cexnet.exchanges.binance_rest import rest_strategies
from cexnet.http.connector import ConnectionOptions
from tests.http.leaks import sockets, until
from tests.websocket.certificates import self_signed

LONG = bytes(20_000_000)  # more than the kernel takes from a sender whom nobody reads


class Deaf:
    """A server that reads nothing from where a request begins until ``listen`` is set; then it counts."""

    def __init__(self) -> None:
        self.listen = asyncio.Event()
        self.accepted = 0
        self.asked = 0
        self.received = 0
        self.ended = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            self.asked += len(await reader.read(1))
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await self.listen.wait()
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            while chunk := await reader.read(65_536):
                self.received += len(chunk)
        except OSError:
            pass  # reset: it is an end as well
        finally:
            self.ended += 1
            writer.transport.abort()


@asynccontextmanager
async def deaf(tls: ssl.SSLContext | None) -> AsyncIterator[Deaf]:
    peer = Deaf()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()
    peer.url = f"{'https' if tls else 'http'}://{'localhost' if tls else host}:{port}"
    try:
        yield peer
    finally:
        peer.listen.set()
        server.close()
        await until(lambda: peer.ended == peer.accepted, "the server is done")


def client(peer: Deaf, trust: ssl.SSLContext | None) -> RestManager:
    return RestManager(rest_strategies(), base_url=peer.url, options=ConnectionOptions(ssl_context=trust))


End = Callable[[RestManager, asyncio.Task[object]], Awaitable[None]]


async def ends_by_deadline(rest: RestManager, request: asyncio.Task[object]) -> None:
    with pytest.raises(OutcomeUnknown):
        await request


async def ends_by_close(rest: RestManager, request: asyncio.Task[object]) -> None:
    await rest.close()
    with pytest.raises(OutcomeUnknown):
        await asyncio.wait_for(request, 5)


async def ends_by_cancellation(rest: RestManager, request: asyncio.Task[object]) -> None:
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("body", [b"short", LONG], ids=["short", "long"])
@pytest.mark.parametrize("end", [ends_by_deadline, ends_by_close, ends_by_cancellation])
async def test_a_request_that_was_given_up_leaves_no_socket_and_sends_no_more(
    end: End, body: bytes, tls: bool
) -> None:
    server, trust = self_signed("localhost") if tls else (None, None)
    async with deaf(server) as peer:
        held = sockets()
        rest = client(peer, trust)
        deadline_s = 0.5 if end is ends_by_deadline else 60.0
        request = asyncio.create_task(
            rest.post("/api/v3/other", body=body, idempotent=False, deadline_s=deadline_s)
        )
        await until(lambda: peer.asked, "it is on its way")
        await end(rest, request)
        await until(lambda: sockets() <= held + 1, "only the server's is left")
        await rest.close()
        peer.listen.set()
        await until(lambda: peer.ended, "the server knows")
        if body is LONG:
            assert peer.received < len(LONG), "what was given up was sent all the same"
