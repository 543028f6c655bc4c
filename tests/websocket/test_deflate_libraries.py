"""permessage-deflate against two servers that are not ours: ``websockets`` and aiohttp."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from websockets.asyncio.server import ServerConnection, serve
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from cexnet.websocket.connect import connect
from cexnet.websocket.deflate import DeflateOffer
from cexnet_core.messages import PyMessageSink
from tests.websocket.conftest import Inbox

TEXTS = [
    "",
    "a",
    "",
    '{"e":"trade","p":"1.5"}' * 20,
    '{"e":"trade","p":"1.5"}' * 20,
    "",
    "\u20ac\U0001f600" * 40_000,
    "end",
]


@contextlib.asynccontextmanager
async def websockets_echo(**factory: Any) -> AsyncIterator[str]:
    """Echoes; a text beginning with "{" in fragments of 7 characters."""

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            if isinstance(message, str) and message.startswith("{"):
                await connection.send([message[i : i + 7] for i in range(0, len(message), 7)])
            else:
                await connection.send(message)

    extension = ServerPerMessageDeflateFactory(**factory)
    async with serve(
        echo, "127.0.0.1", 0, compression=None, extensions=[extension], max_size=None
    ) as serving:
        yield f"ws://127.0.0.1:{next(iter(serving.sockets)).getsockname()[1]}/"


@contextlib.asynccontextmanager
async def aiohttp_echo() -> AsyncIterator[str]:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=True, max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        return socket

    application = web.Application()
    application.router.add_get("/", echo)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def echoed(server: AbstractAsyncContextManager[str], offer: DeflateOffer) -> dict[str, str]:
    """Every text and its bytes there and back; the parameters that the server granted."""
    inbox = Inbox()
    async with server as url, await connect(url, PyMessageSink(inbox), deflate=offer) as client:
        for text in TEXTS:
            client.send_text(text)
            assert (await inbox.take()).decode() == text
            client.send_binary(text.encode())
            assert await inbox.take() == text.encode()
        granted = client.response_headers["sec-websocket-extensions"]
        name, *parameters = granted.split("; ")
        assert name == "permessage-deflate"
    assert (await client.wait_closed()).was_clean
    assert [is_text for _, is_text in inbox.messages] == [True, False] * len(TEXTS)
    return {key: value for key, _, value in (each.partition("=") for each in parameters)}


OFFERS = {
    "plain": DeflateOffer(),
    "compressing": DeflateOffer(compress_from_bytes=0),
    "compressing from 100 bytes on": DeflateOffer(compress_from_bytes=100),
    "no contexts": DeflateOffer(True, True, compress_from_bytes=0),
    "small windows": DeflateOffer(False, False, 9, 9, compress_from_bytes=0),
    "small windows, no contexts": DeflateOffer(True, True, 10, 12, compress_from_bytes=0),
}


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
async def test_our_offers_to_websockets(offer: DeflateOffer) -> None:
    granted = await echoed(websockets_echo(), offer)
    assert ("server_no_context_takeover" in granted) == offer.server_no_context_takeover
    assert granted.get("server_max_window_bits", "15") == str(offer.server_max_window_bits or 15)


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS)
async def test_our_offers_to_aiohttp(offer: DeflateOffer) -> None:
    granted = await echoed(aiohttp_echo(), offer)
    assert ("server_no_context_takeover" in granted) == offer.server_no_context_takeover


@pytest.mark.parametrize("bits", range(9, 16))
async def test_windows_that_the_server_wants(bits: int) -> None:
    server = websockets_echo(server_max_window_bits=bits, client_max_window_bits=bits)
    granted = await echoed(server, DeflateOffer(compress_from_bytes=0))
    assert granted["server_max_window_bits"] == granted["client_max_window_bits"] == str(bits)


async def test_contexts_that_the_server_forbids() -> None:
    server = websockets_echo(server_no_context_takeover=True, client_no_context_takeover=True)
    granted = await echoed(server, DeflateOffer(compress_from_bytes=0))
    assert {"server_no_context_takeover", "client_no_context_takeover"} <= granted.keys()
