"""What goes over the wire to the byte, and what may come back between and around answers."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from yarl import URL

from cexnet.http.connector import ConnectionOptions
from cexnet.http.endpoint import WireRequest
from cexnet.http.manager import RestManager
from cexnet.http.request_head import RequestWriter
from cexnet.http.retry import FullJitterRetry
from cexnet_core.errors import (
    ConfigurationError,
    ExchangeUnavailable,
    OutcomeUnknown,
    RequestNotSent,
)
from tests.http.accounts import LIMIT_BUY
from tests.http.client import PLACED, TIME, manager, strategies
from tests.http.leaks import sockets, until
from tests.http.peer import Peer, Seen, drop, hang, head, raw, reply
from tests.websocket.certificates import self_signed

ORIGIN = URL("https://api.example")


def written(wire: WireRequest, origin: URL = ORIGIN, proxy: URL | None = None) -> tuple[str, dict[str, str]]:
    """The request line, and the headers, of which none may stand twice."""
    first, *lines = (
        RequestWriter(origin, "desk", proxy).write(wire).decode().split("\r\n\r\n")[0].split("\r\n")
    )
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    return first, headers


def test_a_request_is_one_head_and_its_body() -> None:
    wire = WireRequest("POST", "/api/v3/order?a=%20b", {"X-MBX-APIKEY": "k"}, b'{"a":1}')
    assert RequestWriter(ORIGIN, "desk", None).write(wire) == (
        b"POST /api/v3/order?a=%20b HTTP/1.1\r\nHost: api.example\r\nUser-Agent: desk\r\n"
        b"Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nX-MBX-APIKEY: k\r\n"
        b'Content-Length: 7\r\n\r\n{"a":1}'
    )


@pytest.mark.parametrize("method, length", [("GET", None), ("POST", "0"), ("PUT", "0"), ("DELETE", "0")])
def test_a_request_without_a_body_says_so_where_one_is_expected(method: str, length: str | None) -> None:
    assert written(WireRequest(method, "/"))[1].get("Content-Length") == length


def test_the_host_names_a_port_of_its_own_and_an_address_in_brackets() -> None:
    for origin, host in (
        ("https://h:443", "h"),
        ("http://h:443", "h:443"),
        ("https://h:8443", "h:8443"),
        ("http://[::1]:80", "[::1]"),
        ("http://[::1]:81", "[::1]:81"),
    ):
        assert written(WireRequest("GET", "/"), URL(origin))[1]["Host"] == host


def test_a_header_of_the_exchange_replaces_ours() -> None:
    wire = WireRequest("GET", "/", {"accept": "text/plain", "User-Agent": "theirs"})
    headers = written(wire)[1]
    assert (headers["accept"], headers["User-Agent"]) == ("text/plain", "theirs")
    assert "Accept" not in headers


@pytest.mark.parametrize(
    "wire",
    [
        WireRequest("GET", "/a b"),
        WireRequest("GET", "/a\r\nX: y"),
        WireRequest("GET", "/ä"),
        WireRequest("GET /x HTTP/1.1\r\nA:", "/"),
        WireRequest("G ET", "/"),
        WireRequest("GET", "/", {"X-KEY": "s3cret\n"}),
        WireRequest("GET", "/", {"X-KEY": "s3cret\r\nHost: elsewhere"}),
        WireRequest("GET", "/", {"X\r\nY": "z"}),
    ],
    ids=repr,
)
def test_nothing_can_end_its_line(wire: WireRequest) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RequestWriter(ORIGIN, "desk", None).write(wire)
    assert "s3cret" not in str(caught.value)


async def test_a_path_that_cannot_be_sent_is_refused_before_anything_is() -> None:
    async with Peer(reply({})) as peer, manager(peer) as rest:
        with pytest.raises(ConfigurationError, match="percent-encoded"):
            await rest.get("/api/v3/order status")
        assert peer.connections == 0
        assert all(not budget.under_way for budget in rest.limits().budgets)


async def test_plain_http_through_a_proxy_names_the_whole_address_and_logs_in() -> None:
    async with Peer(reply(TIME)) as proxy:
        options = ConnectionOptions(proxy=proxy.url.replace("//", "//desk:s3cret%21@"))
        base = "http://exchange.invalid:8080"
        async with RestManager(strategies(), base_url=base, options=options) as rest:
            assert await rest.server_time_ms() == TIME["serverTime"]
            assert await rest.server_time_ms() == TIME["serverTime"]
            assert rest.session.usage.sockets == 1
    seen = proxy.seen[1]
    assert seen.target == f"{base}/api/v3/time"
    assert seen.headers["host"] == "exchange.invalid:8080"
    assert seen.headers["proxy-authorization"] == "Basic " + b64encode(b"desk:s3cret!").decode()


async def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    answer = head(200, {"Content-Length": "20"}) + b'{"serverTime": 1234}'
    async with Peer(raw(interim + answer)) as peer, manager(peer) as rest:
        assert await rest.server_time_ms() == 1234
        assert await rest.server_time_ms() == 1234
        assert peer.connections == 1


async def test_interim_answers_alone_are_no_answer() -> None:
    async with Peer(hang(b"HTTP/1.1 100 Continue\r\n\r\n")) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown):
            await rest.place_order(LIMIT_BUY, deadline_s=0.2)


@pytest.mark.parametrize("method, status", [("HEAD", 200), ("GET", 204), ("GET", 304)])
async def test_answers_without_a_body_leave_the_connection_usable(method: str, status: int) -> None:
    # The length is that of the body which a GET would have brought.
    fields = {"Content-Length": "20"} if method == "HEAD" else {}
    bare = raw(head(status, fields))
    async with Peer(bare, reply(TIME)) as peer, manager(peer) as rest:
        # An empty text is no JSON: the exchange said nothing of use, and said all of it.
        with pytest.raises(Exception, match=r"cannot be read|may not have been executed"):
            await rest.request(method, "/api/v3/ping", idempotent=False)
        assert await rest.server_time_ms() == TIME["serverTime"]
        assert peer.connections == 1


async def test_a_body_that_ends_with_its_connection_is_whole() -> None:
    body = b'{"serverTime": 1234}'
    async with Peer(raw(head(200, {}) + body, close=True)) as peer, manager(peer) as rest:
        assert await rest.server_time_ms() == 1234
        assert await rest.server_time_ms() == 1234
        assert peer.connections == 2


async def test_a_connection_that_the_server_gives_up_is_not_used_again() -> None:
    async with Peer(reply(TIME, headers={"Connection": "close"})) as peer, manager(peer) as rest:
        await rest.server_time_ms()
        await rest.server_time_ms()
        assert peer.connections == 2


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_what_follows_an_answer_ends_the_connection_and_not_the_order(tls: bool) -> None:
    server, client = self_signed("localhost")
    body = json.dumps(PLACED).encode()

    async def too_much(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, {"Content-Length": str(len(body))}) + body[:-1])
        for _ in range(50):
            await asyncio.sleep(0)  # this much is read, and the rest waited for
        writer.write(body[-1:] + b"what?\r\n\r\n")

    async with Peer(too_much, reply(PLACED), tls=server if tls else None) as peer:
        options = ConnectionOptions(ssl_context=client) if tls else None
        async with manager(peer, options=options) as rest:
            assert (await rest.place_order(LIMIT_BUY)).order_id == "7"
            assert (await rest.place_order(LIMIT_BUY)).order_id == "7"
            assert peer.connections == 2


async def test_switching_protocols_answers_nothing() -> None:
    switch = raw(head(101, {"Upgrade": "x", "Connection": "upgrade"}))
    async with Peer(switch, reply(PLACED)) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown):
            await rest.place_order(LIMIT_BUY)
        assert (await rest.place_order(LIMIT_BUY)).order_id == "7"
        assert peer.connections == 2


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_an_answer_before_all_of_a_long_request_left_ends_the_connection(tls: bool) -> None:
    """Else what is left of the body would be taken for the next request, or hold it up."""
    server_tls, client_tls = self_signed("localhost")
    refused = asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        while line := await reader.readline():
            if line == b"\r\n":
                length = 0 if len(accepted) > 1 else 2
                body = b"{}" if length else b'{"serverTime": 5}'
                writer.write(head(413 if length else 200, {"Content-Length": str(len(body))}) + body)
                if length:
                    refused.set()
                    await asyncio.Event().wait()

    accepted: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(early, "127.0.0.1", 0, limit=1024, ssl=server_tls if tls else None)
    url = f"{'https' if tls else 'http'}://localhost:{server.sockets[0].getsockname()[1]}"
    options = ConnectionOptions(ssl_context=client_tls)
    async with RestManager(strategies(), base_url=url, options=options) as rest:
        with pytest.raises(Exception, match="413"):
            await rest.post("/api/v3/other", body=bytes(64 * 2**20), idempotent=False)
        assert refused.is_set()
        assert await rest.server_time_ms() == 5
        assert len(accepted) == 2
    server.close()
    for writer in accepted:
        writer.transport.abort()


@pytest.mark.parametrize(
    "before", [b"", head(200, {"Content-Length": "9"}) + b"{", head(200, {"Transfer-Encoding": "chunked"})]
)
async def test_close_ends_what_waits_for_an_answer(before: bytes) -> None:
    held = sockets()
    async with Peer(hang(before)) as peer:
        rest = manager(peer)
        reads = [asyncio.create_task(rest.get("/api/v3/ping", idempotent=False)) for _ in range(2)]
        order = asyncio.create_task(rest.place_order(LIMIT_BUY))
        await until(lambda: len(peer.seen) == 3, "all are sent")
        await rest.close()
        ended = await asyncio.wait_for(asyncio.gather(*reads, order, return_exceptions=True), 5)
        assert all(isinstance(each, OutcomeUnknown) for each in ended)
    await until(lambda: sockets() <= held, "no socket left")


@pytest.mark.parametrize(
    "before",
    [
        head(200, {"Content-Length": "9"}),
        head(200, {"Transfer-Encoding": "chunked"}) + b"1\r\n{\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
    ids=["head", "chunk", "interim"],
)
async def test_close_at_any_moment_tells_an_order_what_became_of_it(before: bytes) -> None:
    """Also between the turn of the loop in which a part of the answer comes and the one that reads it."""
    for turns in range(60):
        async with Peer(raw(before, close=before.endswith(b"Continue\r\n\r\n"))) as peer:
            rest = manager(peer)
            order = asyncio.create_task(rest.place_order(LIMIT_BUY, deadline_s=5.0))
            for _ in range(turns):
                await asyncio.sleep(0)
            await rest.close()
            with pytest.raises((OutcomeUnknown, RequestNotSent)):
                await order


async def test_close_ends_what_waits_for_a_connection() -> None:
    async with Peer(hang()) as peer:
        rest = manager(peer, connections=1)
        first = asyncio.create_task(rest.get("/api/v3/ping", idempotent=False))
        await peer.arrived.wait()
        second = asyncio.create_task(rest.place_order(LIMIT_BUY))
        await asyncio.sleep(0)
        await rest.close()
        ended: list[Any] = await asyncio.gather(first, second, return_exceptions=True)
        assert isinstance(ended[0], OutcomeUnknown)
        assert isinstance(ended[1], RequestNotSent)
        assert len(peer.seen) == 1


@pytest.mark.parametrize("proxy", [None, "http", "socks5"])
async def test_close_ends_what_opens_a_connection(proxy: str | None) -> None:
    """Neither a handshake nor a proxy that never answers outlives the manager."""
    held = sockets()
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        gone.set()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = ConnectionOptions(proxy=f"{proxy}://127.0.0.1:{port}" if proxy else None)
    rest = RestManager(strategies(), base_url=f"https://localhost:{port}", options=options, deadline_s=600.0)
    order = asyncio.create_task(rest.place_order(LIMIT_BUY))
    await arrived.wait()
    await rest.close()
    with pytest.raises(RequestNotSent):
        await asyncio.wait_for(order, 4)
    await gone.wait()
    server.close()
    await until(lambda: sockets() <= held, "no socket left")


async def test_a_head_that_never_ends_is_bounded() -> None:
    async def endless(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing():
            writer.write(b"X-Filler: " + b"x" * 4096 + b"\r\n")
            await writer.drain()

    async with Peer(endless, reply(TIME)) as peer, manager(peer) as rest:
        assert await rest.server_time_ms() == TIME["serverTime"]
        assert peer.connections == 2


async def test_a_connection_that_dies_at_once_each_time_is_given_up() -> None:
    async with Peer(drop()) as peer, manager(peer) as rest:
        with pytest.raises(ExchangeUnavailable):
            await rest.ping()


def spoken_first(
    before: bytes, tls: ssl.SSLContext, shaken: threading.Event
) -> Callable[[socket.socket], None]:
    """One TLS connection, in a thread of its own: ``before`` unasked, then the time for every request."""

    def serve(listener: socket.socket) -> None:
        answer = head(200, {"Content-Length": "20"}) + b'{"serverTime": 1234}'
        with suppress(OSError), listener, listener.accept()[0] as bare:
            bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with tls.wrap_socket(bare, server_side=True) as peer:
                peer.sendall(before)
                shaken.set()
                while peer.recv(65_536):
                    peer.sendall(answer)

    return serve


@pytest.mark.parametrize(
    "before",
    [b"", head(200, {"Content-Length": "2"}) + b"{}", b"HTTP/1.1 2"],
    ids=["tickets", "answer", "half"],
)
async def test_session_tickets_on_a_busy_loop_are_no_unasked_answer(before: bytes) -> None:
    """TLS 1.3 servers send them after the handshake: when the loop is late they wait in the socket."""
    server, client = self_signed("localhost")
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://localhost:{listener.getsockname()[1]}"
    shaken = threading.Event()
    thread = threading.Thread(target=spoken_first(before, server, shaken), args=(listener,))
    thread.start()
    loop = asyncio.get_running_loop()

    def busy() -> None:
        """Once the handshake is over, what the server then sent is there before we write."""
        nonlocal turn
        shaken.wait(0.01)
        turn = loop.call_soon(busy)

    turn = loop.call_soon(busy)
    async with RestManager(strategies(), base_url=url, options=ConnectionOptions(ssl_context=client)) as rest:
        rest.swap(retry=FullJitterRetry(tries=1))
        if before:
            with pytest.raises(RequestNotSent, match="as they open"):
                await rest.server_time_ms()
        else:
            assert await rest.server_time_ms() == 1234
            assert await rest.server_time_ms() == 1234
            assert rest.session.sockets_opened == 1
    turn.cancel()
    await asyncio.to_thread(thread.join)
