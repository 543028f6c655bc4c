"""TLS and proxies: verified by default, tunnelled, and told apart when they fail."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cexnet.websocket.connect import connect
from cexnet_core.errors import ConfigurationError, ConnectError, DeadlineExceeded
from cexnet_core.messages import PyMessageSink
from tests.websocket.certificates import self_signed
from tests.websocket.conftest import Inbox
from tests.websocket.peer import CLOSE, TEXT, Peer, close_frame, frame
from tests.websocket.proxies import http_proxy, socks5_proxy

SINK = PyMessageSink(lambda payload, is_text, receive_ts_ns: None)
SERVER, CLIENT = self_signed("localhost")


@pytest.fixture
async def secure() -> AsyncIterator[Peer]:
    async with Peer(SERVER) as listening:
        yield listening


async def talk(peer: Peer, **arguments: Any) -> None:
    """Connect, exchange a message each way, lose TCP inside a frame or close."""
    inbox = Inbox()
    attempt = asyncio.create_task(connect(peer.url, PyMessageSink(inbox), **arguments))
    other = await peer.accept()
    await other.upgrade(frame(TEXT, b"with the 101"))
    client = await attempt
    await other.write(frame(TEXT, b"x" * 200_000))
    assert await inbox.take() == b"with the 101"
    assert await inbox.take() == b"x" * 200_000
    client.send_text("y" * 200_000)
    assert (await other.read_frame()).payload == b"y" * 200_000
    closing = asyncio.create_task(client.close())
    assert (await other.read_frame()).opcode == CLOSE
    await other.write(close_frame(1000))
    assert (await closing).was_clean
    assert client.remote_address[1] > 0


async def test_over_tls(secure: Peer) -> None:
    await talk(secure, ssl_context=CLIENT)


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_loss_inside_a_frame_over_tls(secure: Peer, how: str) -> None:
    attempt = asyncio.create_task(connect(secure.url, SINK, ssl_context=CLIENT))
    other = await secure.accept()
    await other.upgrade(frame(0x9) + frame(TEXT, b"torn")[:3])
    client = await attempt
    await other.read_frame()
    await getattr(other, how)()
    info = await client.wait_closed()
    assert (info.code, info.unfinished) == (1006, True)


async def test_untrusted_certificates_are_refused_by_default(secure: Peer) -> None:
    with pytest.raises(ConnectError, match=r"certificate of wss://localhost.* is not trusted"):
        await connect(secure.url, SINK)


async def test_certificate_of_another_host(secure: Peer) -> None:
    with pytest.raises(ConnectError, match=r"not trusted.*check the host name"):
        await connect(secure.url.replace("localhost", "127.0.0.1"), SINK, ssl_context=CLIENT)


async def test_tls_against_a_plain_port(peer: Peer) -> None:
    attempt = asyncio.create_task(connect(peer.url.replace("ws://", "wss://"), SINK))
    other = await peer.accept()
    await other.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(ConnectError, match="is it a wss:// port"):
        await attempt


async def test_peer_that_hangs_up_during_tls(peer: Peer) -> None:
    attempt = asyncio.create_task(connect(peer.url.replace("ws://", "wss://"), SINK))
    other = await peer.accept()
    await other.reader.readexactly(1)
    await other.reset()
    with pytest.raises(ConnectError):
        await attempt


async def test_context_without_tls_is_a_mistake(peer: Peer) -> None:
    with pytest.raises(ConfigurationError, match="has no TLS: use wss"):
        await connect(peer.url, SINK, ssl_context=ssl.create_default_context())


async def test_through_an_http_proxy(peer: Peer) -> None:
    async with http_proxy() as (proxy, seen):
        await talk(peer, proxy=proxy)
    assert seen[0].startswith(f"CONNECT 127.0.0.1:{peer.port} HTTP/1.1\r\n")


async def test_tls_through_an_http_proxy(secure: Peer) -> None:
    async with http_proxy() as (proxy, seen):
        await talk(secure, proxy=proxy.replace("//", "//user:pass@"), ssl_context=CLIENT)
    assert "Proxy-Authorization: Basic dXNlcjpwYXNz" in seen[0]


async def test_through_a_socks_proxy(peer: Peer) -> None:
    async with socks5_proxy() as (proxy, seen):
        await talk(peer, proxy=proxy)
    assert seen == [f"127.0.0.1:{peer.port}"]


async def test_tls_through_a_socks_proxy(secure: Peer) -> None:
    async with socks5_proxy() as (proxy, _):
        await talk(secure, proxy=proxy, ssl_context=CLIENT)


async def test_http_proxy_that_refuses(peer: Peer) -> None:
    async with http_proxy(407) as (proxy, _):
        with pytest.raises(ConnectError, match=r"did not connect us to ws://.*407") as caught:
            await connect(peer.url, SINK, proxy=proxy.replace("//", "//user:secret@"))
    assert "secret" not in str(caught.value)


async def test_socks_proxy_that_refuses(peer: Peer) -> None:
    async with socks5_proxy(2) as (proxy, _):
        with pytest.raises(ConnectError, match="did not connect us"):
            await connect(peer.url, SINK, proxy=proxy)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_proxy_that_is_not_there(peer: Peer, scheme: str) -> None:
    async with Peer() as gone:
        proxy = f"{scheme}://127.0.0.1:{gone.port}"
    with pytest.raises(ConnectError, match=r"nothing listens at 127.0.0.1.*the proxy for ws://"):
        await connect(peer.url, SINK, proxy=proxy)


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_deadline_covers_a_silent_proxy(peer: Peer, scheme: str) -> None:
    """The peer plays a proxy that never answers."""
    proxy = f"{scheme}://127.0.0.1:{peer.port}"
    with pytest.raises(DeadlineExceeded):
        await connect("ws://example.com/", SINK, proxy=proxy, deadline_s=0.05)
    await (await peer.accept()).read_to_end()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_cancel_in_the_proxy(peer: Peer, scheme: str) -> None:
    proxy = f"{scheme}://127.0.0.1:{peer.port}"
    attempt = asyncio.create_task(connect("ws://example.com/", SINK, proxy=proxy))
    other = await peer.accept()
    await other.reader.readexactly(1)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await other.read_to_end()
