"""Ways to a peer: more proxies, client certificates, IPv6, several addresses, our own address."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from cexnet.websocket import dial
from cexnet.websocket.connect import connect
from cexnet_core.errors import ConnectError, DeadlineExceeded
from cexnet_core.messages import PyMessageSink
from tests.websocket.certificates import identity, self_signed
from tests.websocket.conftest import Join
from tests.websocket.peer import Peer
from tests.websocket.proxies import http_proxy, socks4_proxy, socks5_proxy
from tests.websocket.test_connect_tls import CLIENT, SERVER, talk

SINK = PyMessageSink(lambda payload, is_text, receive_ts_ns: None)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


# Proxies


async def test_through_an_https_proxy(peer: Peer) -> None:
    async with http_proxy(tls=SERVER) as (proxy, seen):
        await talk(peer, proxy=proxy, proxy_ssl_context=CLIENT)
    assert seen[0].startswith(f"CONNECT 127.0.0.1:{peer.port} HTTP/1.1\r\n")


async def test_tls_inside_the_tls_of_a_proxy() -> None:
    server, client = self_signed("localhost")
    async with Peer(server) as peer, http_proxy(tls=SERVER) as (proxy, _):
        await talk(peer, proxy=proxy, proxy_ssl_context=CLIENT, ssl_context=client)


async def test_proxy_that_we_do_not_trust(peer: Peer) -> None:
    async with http_proxy(tls=SERVER) as (proxy, seen):
        with pytest.raises(ConnectError, match="not trusted"):
            await connect(peer.url, SINK, proxy=proxy)
    assert seen == []


async def test_certificate_behind_an_https_proxy_is_verified() -> None:
    server, _ = self_signed("localhost")
    async with Peer(server) as peer, http_proxy(tls=SERVER) as (proxy, _):
        with pytest.raises(ConnectError, match="not trusted"):
            await connect(peer.url, SINK, proxy=proxy, proxy_ssl_context=CLIENT)


async def test_through_a_socks4_proxy(peer: Peer) -> None:
    async with socks4_proxy() as (proxy, seen):
        await talk(peer, proxy=proxy)
    assert seen == [f"127.0.0.1:{peer.port}"]


async def test_tls_through_a_socks4_proxy() -> None:
    async with Peer(SERVER) as peer, socks4_proxy() as (proxy, _):
        await talk(peer, proxy=proxy, ssl_context=CLIENT)


async def test_socks4_proxy_that_refuses(peer: Peer) -> None:
    async with socks4_proxy(0x5B) as (proxy, _):
        with pytest.raises(ConnectError, match="did not connect us"):
            await connect(peer.url, SINK, proxy=proxy)


async def test_login_at_a_socks_proxy(peer: Peer) -> None:
    async with socks5_proxy(login=b"desk:s:e%cret") as (proxy, seen):
        await talk(peer, proxy=proxy.replace("//", "//desk:s%3Ae%25cret@"))
        assert len(seen) == 1
        with pytest.raises(ConnectError, match="did not connect us") as caught:
            await connect(peer.url, SINK, proxy=proxy.replace("//", "//desk:wrongsecret@"))
    assert "secret" not in str(caught.value)


# TLS


async def test_peer_that_hangs_up_without_a_word_during_tls(peer: Peer) -> None:
    attempt = asyncio.create_task(connect(peer.url.replace("ws://", "wss://"), SINK))
    other = await peer.accept()
    await other.reader.readexactly(100)
    await other.close()
    with pytest.raises(ConnectError, match=r"cannot connect to 127.0.0.1:\d+: \S+"):
        await attempt


async def test_client_certificate() -> None:
    ours = identity("desk")
    server, client = self_signed("localhost", trusted_client=ours)
    ours.load_into(client)
    async with Peer(server) as peer:
        await talk(peer, ssl_context=client)


@pytest.mark.parametrize("shown", [None, "another desk"])
async def test_client_certificate_that_is_missing_or_wrong(shown: str | None) -> None:
    server, client = self_signed("localhost", trusted_client=identity("desk"))
    if shown:
        identity(shown).load_into(client)
    async with Peer(server) as peer:
        with pytest.raises(ConnectError, match=r"localhost:\d+ (refused our TLS|closed the connection)"):
            await connect(peer.url, SINK, ssl_context=client)


async def test_authority_of_our_own_is_trusted_next_to_nothing_else() -> None:
    """``CLIENT`` trusts one certificate only; a second server with its own is refused."""
    other_server, _ = self_signed("localhost")
    async with Peer(SERVER) as peer, Peer(other_server) as other:
        await talk(peer, ssl_context=CLIENT)
        with pytest.raises(ConnectError, match="not trusted"):
            await connect(other.url, SINK, ssl_context=CLIENT)


# Addresses


@needs_ipv6
async def test_ipv6() -> None:
    async with Peer(host="::1") as peer:
        attempt = asyncio.create_task(connect(peer.url, SINK, local_address=("::1", 0)))
        other = await peer.accept()
        await other.upgrade()
        client = await attempt
        assert other.headers["host"] == f"[::1]:{peer.port}"
        assert client.remote_address == ("::1", peer.port)
        assert client.local_address[0] == "::1"
        client.abort()
        await client.wait_closed()


async def test_source_address_and_port(join: Join) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    joined = await join(local_address=("127.0.0.1", port))
    assert joined.peer.writer.get_extra_info("peername") == ("127.0.0.1", port)


async def test_source_address_that_is_not_ours(peer: Peer) -> None:
    # 192.0.2.0/24 is for documentation only (RFC 5737).
    with pytest.raises(ConnectError, match=r"cannot connect to 127\.0\.0\.1"):
        await connect(peer.url, SINK, local_address=("192.0.2.1", 0))


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``resolves(addresses)``: from now on every name has these, in this order."""

    def to(*hosts: str) -> None:
        async def addresses(host: str, port: int) -> list[Any]:
            return [
                info for each in hosts for info in socket.getaddrinfo(each, port, type=socket.SOCK_STREAM)
            ]

        monkeypatch.setattr(dial, "_addresses", addresses)

    return to


@contextlib.contextmanager
def mute(host: str, port: int) -> Iterator[None]:
    """A port at which connections neither open nor fail: its queue is full."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket(socket.AF_INET6))
        full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        full.bind((host, port))
        full.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket(socket.AF_INET6))
            filler.setblocking(False)
            filler.connect_ex((host, port))
        yield


async def reach(peer: Peer, **arguments: Any) -> tuple[str, int]:
    """The address at which the name ``exchange.example`` was reached."""
    url = f"ws://exchange.example:{peer.port}/"
    attempt = asyncio.create_task(connect(url, SINK, **arguments))
    await (await peer.accept()).upgrade()
    client = await attempt
    client.abort()
    await client.wait_closed()
    return client.remote_address


@needs_ipv6
@pytest.mark.parametrize("delay_s", [0.25, None])
async def test_next_address_after_one_that_refuses(peer: Peer, resolves: Any, delay_s: float | None) -> None:
    resolves("::1", "127.0.0.1")
    assert await reach(peer, happy_eyeballs_delay_s=delay_s) == ("127.0.0.1", peer.port)


@needs_ipv6
async def test_address_that_answers_overtakes_one_that_does_not(peer: Peer, resolves: Any) -> None:
    resolves("::1", "127.0.0.1")
    with mute("::1", peer.port):
        assert await reach(peer, happy_eyeballs_delay_s=0.01) == ("127.0.0.1", peer.port)


@needs_ipv6
async def test_without_a_race_a_mute_address_takes_the_whole_deadline(peer: Peer, resolves: Any) -> None:
    resolves("::1", "127.0.0.1")
    with mute("::1", peer.port), pytest.raises(DeadlineExceeded, match="in DNS, TCP or TLS"):
        await connect(
            f"ws://exchange.example:{peer.port}/", SINK, happy_eyeballs_delay_s=None, deadline_s=0.1
        )


@needs_ipv6
async def test_every_address_refuses(resolves: Any) -> None:
    resolves("::1", "127.0.0.1")
    async with Peer() as gone:
        port = gone.port
    with pytest.raises(ConnectError, match=rf"exchange\.example:{port}"):
        await connect(f"ws://exchange.example:{port}/", SINK)
