"""The end of a conversation: what came whole is not lost, and nothing is kept of it."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from cexnet.http.connector import ConnectionOptions
from cexnet.http.conversation import Conversation
from cexnet.http.endpoint import WireRequest
from cexnet.http.faults import TransportFault
from cexnet.http.secrecy import sealed
from cexnet.http.session import HttpSession, Try
from tests.http.leaks import until
from tests.http.peer import Peer, Step, drop, hang, head, reply, reset
from tests.websocket.certificates import self_signed


def large_and_gone(
    answer: bytes, tls: ssl.SSLContext, before: int, whole: threading.Event
) -> Callable[[socket.socket], None]:
    """One TLS connection, in a thread of its own: ``answer`` with a FIN right behind it.

    The large answers ``before`` have the kernel take so much at once.
    """
    large = head(200, {"Content-Length": "4000000"}) + bytes(4_000_000)

    def serve(listener: socket.socket) -> None:
        with suppress(OSError), listener, tls.wrap_socket(listener.accept()[0], server_side=True) as peer:
            for _ in range(before):
                peer.recv(65_536)
                peer.sendall(large)
            peer.recv(65_536)
            peer.sendall(answer)
            socket.socket.shutdown(peer, socket.SHUT_WR)
            whole.set()
            peer.recv(65_536)

    return serve


@pytest.mark.parametrize("framing", ["chunked", "until close", "length"])
async def test_an_answer_over_tls_is_read_whole_before_the_end_of_its_connection(framing: str) -> None:
    """A transport that cannot get rid of all that it holds forgets the rest when the FIN comes."""
    server, client = self_signed("localhost")
    body = b" " * 199_980 + b'{"serverTime": 1234}'
    fields = {"Connection": "close"}
    sent = body
    if framing == "chunked":
        fields["Transfer-Encoding"] = "chunked"
        pieces = [body[at : at + 4000] for at in range(0, len(body), 4000)]
        sent = b"".join(b"fa0\r\n" + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    elif framing == "length":
        fields["Content-Length"] = str(len(body))
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://localhost:{listener.getsockname()[1]}"
    whole = threading.Event()
    serve = large_and_gone(head(200, fields) + sent, server, 12, whole)
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()
    loop = asyncio.get_running_loop()
    session = HttpSession(url, options=ConnectionOptions(ssl_context=client))
    wire = WireRequest("GET", "/")
    for _ in range(12):
        await session.send(wire, loop.time() + 30, Try())
    answer = asyncio.create_task(session.send(wire, loop.time() + 30, Try()))
    await asyncio.sleep(0)  # it is sent now
    whole.wait(1.0)  # a busy loop: answer and FIN are there when it turns next
    assert (await answer).body == body
    await session.close()
    await asyncio.to_thread(thread.join)


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize(
    "step",
    [reply({}), reply({}, headers={"Connection": "close"}), drop(), reset(), hang()],
    ids=["closed by us", "given up", "dropped", "reset", "too late"],
)
async def test_a_connection_that_ended_needs_no_garbage_collector(step: Step, tls: bool) -> None:
    """Trading engines switch it off; with TLS a cycle would keep 300 kB for each connection."""
    server, client = self_signed("localhost")
    gc.collect()
    gc.disable()
    try:
        async with Peer(step, tls=server if tls else None) as peer:
            session = HttpSession(
                peer.url, options=ConnectionOptions(ssl_context=client) if tls else ConnectionOptions()
            )
            loop = asyncio.get_running_loop()
            with suppress(TransportFault):
                await sealed(session.send(WireRequest("GET", "/"), loop.time() + 0.2, Try()))
            await session.close()
        await until(lambda: conversations() == [], "nothing holds the conversation")
    finally:
        gc.enable()


def conversations() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, Conversation)]


async def test_an_idle_connection_keeps_nothing_of_its_last_answer() -> None:
    """It may be idle for long; the answer may be large, or hold a listen key."""
    async with Peer(reply({"listenKey": "x" * 2**20})) as peer:
        session = HttpSession(peer.url)
        loop = asyncio.get_running_loop()
        answer = await session.send(WireRequest("GET", "/"), loop.time() + 30, Try())
        assert len(answer.body) > 2**20
        idle = [each.response for each in gc.get_objects() if isinstance(each, Conversation)]
        assert [(len(each.body), len(each.headers)) for each in idle] == [(0, 0)]
        assert idle[0].buffer_bytes <= 64 * 1024
        await session.close()
