"""From a URL to a connection: every answer that a peer can give to the upgrade."""

from __future__ import annotations

import asyncio
import re
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from cexnet.websocket.connect import Connection, connect
from cexnet_core.errors import ConfigurationError, ConnectError, HandshakeError
from cexnet_core.messages import PyMessageSink
from tests.websocket.conftest import Inbox, Join
from tests.websocket.peer import CLOSE, TEXT, Peer, close_frame, frame

SINK = PyMessageSink(lambda payload, is_text, receive_ts_ns: None)


def start(peer: Peer, **arguments: Any) -> asyncio.Task[Connection]:
    return asyncio.create_task(connect(peer.url, SINK, **arguments))


async def refused_by(peer: Peer, answer: str, **arguments: Any) -> HandshakeError:
    """The error of an attempt that got ``answer``; the client has hung up after it."""
    attempt = start(peer, **arguments)
    connection = await peer.accept()
    await connection.answer(answer)
    with pytest.raises(HandshakeError) as caught:
        await attempt
    assert await connection.read_to_end() == b""
    assert "secret" not in str(caught.value)
    return caught.value


async def test_the_request(peer: Peer, join: Join) -> None:
    joined = await join(headers=[("X-Key", "abc"), ("Origin", "https://example.com")])
    headers = joined.peer.headers
    assert joined.peer.request_line == "GET /feed?key=secret HTTP/1.1"
    assert headers["host"] == f"127.0.0.1:{peer.port}"
    assert headers["upgrade"] == "websocket"
    assert headers["connection"] == "Upgrade"
    assert headers["sec-websocket-version"] == "13"
    assert headers["x-key"] == "abc"
    assert headers["origin"] == "https://example.com"
    assert headers["user-agent"].startswith("cexnet")
    assert "sec-websocket-extensions" not in headers


async def test_user_agent_and_host_can_be_given(join: Join) -> None:
    joined = await join(headers=[("user-agent", "desk/1"), ("Host", "feed.example")])
    assert joined.peer.headers["user-agent"] == "desk/1"
    assert joined.peer.headers["host"] == "feed.example"


async def test_the_connection_knows_its_ends(peer: Peer, join: Join) -> None:
    joined = await join(local_address=("127.0.0.1", 0))
    client = joined.client
    assert client.origin == f"ws://127.0.0.1:{peer.port}"
    assert client.remote_address == ("127.0.0.1", peer.port)
    assert client.local_address == joined.peer.writer.get_extra_info("peername")
    assert client.response_headers["upgrade"] == "websocket"
    assert "secret" not in repr(client)


@pytest.mark.parametrize(
    "connection",
    ["Upgrade", "upgrade", "keep-alive, Upgrade", "Upgrade,keep-alive", "keep-alive\r\nConnection: Upgrade"],
)
async def test_every_correct_connection_header_is_accepted(peer: Peer, connection: str) -> None:
    attempt = start(peer)
    other = await peer.accept()
    await other.upgrade(connection=connection, upgrade="WebSocket", extra="X-Node: 7\r\n")
    async with await attempt as client:
        assert client.response_headers["x-node"] == "7"
        closing = asyncio.create_task(client.close())
        assert (await other.read_frame()).opcode == CLOSE
        await other.write(close_frame(1000))
        assert (await closing).was_clean


async def test_frames_in_the_segment_of_the_101_are_not_lost(join: Join) -> None:
    joined = await join(frame(TEXT, b"first") + frame(TEXT, b"x" * 30_000) + frame(TEXT, b"y")[:2])
    await joined.peer.write(frame(TEXT, b"y")[2:])
    assert [len(await joined.inbox.take()) for _ in range(3)] == [5, 30_000, 1]


async def test_close_in_the_segment_of_the_101(join: Join) -> None:
    joined = await join(frame(TEXT, b"hello") + close_frame(1013, b"full") + frame(TEXT, b"never"))
    info = await joined.client.wait_closed()
    assert (info.code, info.reason) == (1013, "full")
    assert joined.inbox.payloads == [b"hello"]


async def test_breach_in_the_segment_of_the_101(join: Join) -> None:
    joined = await join(frame(TEXT, b"hello") + frame(0x3))
    assert not (await joined.client.wait_closed()).was_clean
    assert joined.inbox.payloads == [b"hello"]


async def test_answer_that_drips_in_byte_by_byte(peer: Peer) -> None:
    inbox = Inbox()
    attempt = asyncio.create_task(connect(peer.url, PyMessageSink(inbox)))
    other = await peer.accept()
    sent = bytearray()

    async def collect(data: bytes) -> None:
        sent.extend(data)

    other.write = collect  # type: ignore[method-assign]
    await other.upgrade(frame(TEXT, b"tail"))
    for byte in sent:
        other.writer.write(bytes([byte]))
        await other.writer.drain()
    client = await attempt
    assert await inbox.take() == b"tail"
    client.abort()
    await client.wait_closed()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 418, 429, 500, 503, 520, 999])
async def test_status_and_headers_of_a_refusal(peer: Peer, status: int) -> None:
    error = await refused_by(
        peer, f"HTTP/1.1 {status} No\nRetry-After: 7\nX-Why: one\nx-why: two\nContent-Length: 0"
    )
    assert error.status == status
    assert error.retry_after_s == 7.0
    assert error.headers["x-why"] == "one, two"
    assert f"HTTP {status}" in str(error)


async def test_http_1_0_and_no_reason_phrase(peer: Peer) -> None:
    assert (await refused_by(peer, "HTTP/1.0 503")).status == 503


@pytest.mark.parametrize("value", ["in a while", "", "-5"])
async def test_nonsense_retry_after_is_none(peer: Peer, value: str) -> None:
    assert (await refused_by(peer, f"HTTP/1.1 429 No\nRetry-After: {value}")).retry_after_s is None


async def test_retry_after_as_a_date(peer: Peer) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    error = await refused_by(peer, f"HTTP/1.1 418 Teapot\nRetry-After: {when}")
    assert error.retry_after_s is not None
    assert 3000 < error.retry_after_s <= 3600
    past = await refused_by(peer, "HTTP/1.1 429 No\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT")
    assert past.retry_after_s == 0


async def test_redirects_are_not_followed(peer: Peer) -> None:
    error = await refused_by(peer, f"HTTP/1.1 302 Found\nLocation: ws://127.0.0.1:{peer.port}/b")
    assert error.status == 302
    assert error.headers["location"].endswith("/b")
    assert "do not follow" in str(error)


BAD_UPGRADES = {
    "wrong accept": ({"accept": b"AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "Sec-WebSocket-Accept"),
    "upgrade to something else": ({"upgrade": "h2c"}, "Upgrade: websocket"),
    "connection close": ({"connection": "close"}, "Connection: Upgrade"),
    "an extension": ({"extra": "Sec-WebSocket-Extensions: permessage-deflate\r\n"}, "extension"),
    "a subprotocol": ({"extra": "Sec-WebSocket-Protocol: chat\r\n"}, "subprotocol"),
}


@pytest.mark.parametrize(("answer", "text"), BAD_UPGRADES.values(), ids=BAD_UPGRADES)
async def test_101_that_upgrades_nothing(peer: Peer, answer: dict[str, Any], text: str) -> None:
    attempt = start(peer)
    other = await peer.accept()
    await other.upgrade(frame(TEXT, b"never"), **answer)
    with pytest.raises(HandshakeError, match=text) as caught:
        await attempt
    assert caught.value.status == 101
    assert await other.read_to_end() == b""


async def test_offered_subprotocol_may_be_chosen(peer: Peer) -> None:
    attempt = start(peer, headers=[("Sec-WebSocket-Protocol", "a, b")])
    other = await peer.accept()
    await other.upgrade(extra="Sec-WebSocket-Protocol: b\r\n")
    client = await attempt
    assert client.response_headers["sec-websocket-protocol"] == "b"
    client.abort()
    await client.wait_closed()


@pytest.mark.parametrize(
    "answer",
    ["SSH-2.0-OpenSSH", "HTTP/1.1 abc", "HTTP/1.1 101 x\nno colon", "HTTP/1.1 101 x\n folded: x"],
)
async def test_what_is_not_http_is_refused(peer: Peer, answer: str) -> None:
    error = await refused_by(peer, answer)
    assert error.status == 0
    assert "did not answer the upgrade in HTTP" in str(error)


async def test_endless_headers_are_refused(peer: Peer) -> None:
    attempt = start(peer)
    other = await peer.accept()
    await other.read_request()
    await other.write(b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"y" * 70_000)
    with pytest.raises(HandshakeError, match="16384 bytes of headers"):
        await attempt


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 101 Switching"])
async def test_peer_that_hangs_up_during_the_upgrade(peer: Peer, how: str, sent: bytes) -> None:
    attempt = start(peer)
    other = await peer.accept()
    await other.read_request()
    await other.write(sent)
    await getattr(other, how)()
    with pytest.raises(HandshakeError, match="during the upgrade") as caught:
        await attempt
    assert caught.value.status == 0


async def test_peer_that_hangs_up_at_once(peer: Peer) -> None:
    attempt = start(peer)
    await (await peer.accept()).reset()
    with pytest.raises(HandshakeError) as caught:
        await attempt
    assert caught.value.status == 0


async def test_refused_connection() -> None:
    async with Peer() as gone:
        url = gone.url
    with pytest.raises(ConnectError, match=r"nothing listens at 127.0.0.1"):
        await connect(url, SINK)


async def test_unknown_host() -> None:
    with pytest.raises(ConnectError, match=r"cannot resolve nowhere\.invalid"):
        await connect("ws://nowhere.invalid:1/x?key=secret", SINK)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "example.com",
        "ws://",
        "ws://h:99999/",
        "ws://h/x#fragment",
        "ws://user:secret@h/",
        "ws://h/a b",
        "ws://h/a\r\nX: y",
        "ws://h/\u0000",
    ],
)
async def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await connect(url, SINK)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "header",
    [
        ("X-A", "b\r\nX-C: d"),
        ("X-A\r\n", "b"),
        ("", "b"),
        ("X A", "b"),
        ("Upgrade", "h2c"),
        ("Sec-WebSocket-Key", "x"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("X-A", "\u00fc secret"),
    ],
)
async def test_headers_that_may_not_be_sent(header: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await connect("ws://127.0.0.1:1/", SINK, headers=[header])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"deadline_s": 0},
        {"max_message_bytes": 0},
        {"close_timeout_s": 0},
        {"proxy": "ftp://h:1"},
        {"proxy": "h:1"},
        {"proxy": "http://h:1", "proxy_ssl_context": ssl.create_default_context()},
    ],
)
async def test_arguments_that_are_wrong(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        await connect("ws://127.0.0.1:1/", SINK, **arguments)


async def test_no_secret_reaches_the_log(peer: Peer, join: Join, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    caplog.set_level(1, "cexnet.picows")
    joined = await join(headers=[("X-Key", "secret")])
    await joined.peer.write(frame(TEXT, b"secret") + frame(0x3, b"secret"))
    await joined.client.wait_closed()
    assert re.search("WS connection established", caplog.text)
    assert "secret" not in caplog.text
