"""Against a server that is not ours: the ``websockets`` library."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed as WebsocketsClosed

from cexnet.websocket.connect import connect
from cexnet_core.messages import PyMessageSink
from tests.websocket.conftest import Inbox

SIZES = [0, 1, 125, 126, 127, 1000, 65535, 65536, 65537, 200_000]


@contextlib.asynccontextmanager
async def server(handler: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, max_size=None) as serving:
        port = next(iter(serving.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/echo"


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def test_echo_of_every_size() -> None:
    inbox = Inbox()
    async with server(echo) as url, await connect(url, PyMessageSink(inbox)) as client:
        for size in SIZES:
            client.send_binary(bytes(i % 251 for i in range(size)))
            assert await inbox.take() == bytes(i % 251 for i in range(size))
            client.send_text("\u20ac" * size)
            assert (await inbox.take()).decode() == "\u20ac" * size
        assert [is_text for _, is_text in inbox.messages] == [False, True] * len(SIZES)
    assert (await client.wait_closed()).was_clean


async def test_messages_that_the_server_fragments() -> None:
    async def fragments(connection: ServerConnection) -> None:
        text = "a\u00fc\u20ac\U0001f600" * 50
        await connection.send([text[i : i + 7] for i in range(0, len(text), 7)])
        await connection.send([b"", b"x" * 100_000, b"", b"y"])
        await connection.wait_closed()

    inbox = Inbox()
    async with server(fragments) as url, await connect(url, PyMessageSink(inbox)):
        assert (await inbox.take()).decode() == "a\u00fc\u20ac\U0001f600" * 50
        assert await inbox.take() == b"x" * 100_000 + b"y"


async def test_pings_both_ways() -> None:
    answered = asyncio.Event()

    async def pinging(connection: ServerConnection) -> None:
        await (await connection.ping(b"hello"))
        answered.set()
        await connection.wait_closed()

    async with server(pinging) as url, await connect(url, PyMessageSink(Inbox())) as client:
        async with asyncio.timeout(20):
            await answered.wait()
            assert await client.ping() > 0


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "roll"), (4000, "\u20ac" * 41)])
async def test_their_close(code: int, reason: str) -> None:
    async def closing(connection: ServerConnection) -> None:
        await connection.close(code, reason)

    async with server(closing) as url:
        client = await connect(url, PyMessageSink(Inbox()))
        info = await client.wait_closed()
    assert (info.code, info.reason, info.was_clean) == (code, reason, True)


async def test_our_close_is_what_they_see() -> None:
    seen: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    async def watching(connection: ServerConnection) -> None:
        with pytest.raises(WebsocketsClosed) as caught:
            await connection.recv()
        assert caught.value.rcvd is not None
        seen.set_result((caught.value.rcvd.code, caught.value.rcvd.reason))

    async with server(watching) as url:
        client = await connect(url, PyMessageSink(Inbox()))
        assert (await client.close(4001, "done")).was_clean
        assert await seen == (4001, "done")
