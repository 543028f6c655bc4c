"""Messages out of frames: what is delivered, what is refused, and with which code."""

from __future__ import annotations

import asyncio
import time

import pytest

from cexnet_core.errors import ConnectionClosed, ProtocolError
from cexnet_core.frames import FrameReader
from cexnet_core.hotlog import process_log
from cexnet_core.messages import CloseInfo, PyMessageSink
from tests.websocket.conftest import Join, Joined
from tests.websocket.peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_frame,
    frame,
)


async def ended(joined: Joined) -> CloseInfo:
    """How the client ended, once it has."""
    async with asyncio.timeout(20):
        return await joined.client.wait_closed()


async def failed_with(joined: Joined, code: int) -> None:
    """The client told the peer ``code`` in its close frame and ended TCP."""
    answer = await joined.peer.read_frame()
    assert (answer.opcode, answer.close_code, answer.masked) == (CLOSE, code, True)
    assert await joined.peer.read_to_end() == b""
    info = await ended(joined)
    assert not info.was_clean
    assert isinstance(info.error, ProtocolError)
    assert info.error.code == code


async def test_single_frames_arrive_whole_and_in_order(join: Join) -> None:
    joined = await join()
    before_ns = time.time_ns()
    await joined.peer.write(frame(TEXT, b'{"a":1}') + frame(BINARY, b"\x00\xff") + frame(TEXT))
    for _ in range(3):
        await joined.inbox.take()
    assert joined.inbox.messages == [(b'{"a":1}', True), (b"\x00\xff", False), (b"", True)]
    assert all(before_ns <= at <= time.time_ns() for at in joined.inbox.times_ns)
    reader = joined.client.reader
    assert (reader.frames, reader.messages, reader.bytes_received) == (3, 3, 9)


@pytest.mark.parametrize("size", [125, 126, 127, 65535, 65536, 200_000, 1_000_000])
async def test_every_length_encoding(join: Join, size: int) -> None:
    joined = await join()
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    await joined.peer.write(frame(BINARY, payload))
    assert await joined.inbox.take() == payload


async def test_fragments_are_joined_around_control_frames(join: Join) -> None:
    joined = await join()
    await joined.peer.write(
        frame(TEXT, "zw\u00f6".encode()[:3], fin=False)
        + frame(PING, b"are you there")
        + frame(CONTINUATION, "zw\u00f6lf \U0001f600".encode()[3:9], fin=False)
        + frame(CONTINUATION, b"", fin=False)
        + frame(CONTINUATION, "zw\u00f6lf \U0001f600".encode()[9:])
        + frame(BINARY, b"next")
    )
    assert (await joined.inbox.take()).decode() == "zw\u00f6lf \U0001f600"
    assert await joined.inbox.take() == b"next"
    pong = await joined.peer.read_frame()
    assert (pong.opcode, pong.payload) == (PONG, b"are you there")
    assert joined.client.reader.pings == 1


async def test_large_fragments_then_small_ones(join: Join) -> None:
    joined = await join()
    part = bytes(range(256)) * 300
    await joined.peer.write(
        frame(BINARY, part, fin=False)
        + frame(CONTINUATION, part, fin=False)
        + frame(CONTINUATION, part)
        + frame(TEXT, b"a", fin=False)
        + frame(CONTINUATION, b"b")
    )
    assert await joined.inbox.take() == part * 3
    assert await joined.inbox.take() == b"ab"


BROKEN = {
    "orphan continuation": (frame(CONTINUATION, b"x"), 1002),
    "message inside a message": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "rsv1": (frame(TEXT, b"x", rsv=4), 1002),
    "rsv2": (frame(BINARY, b"x", rsv=2), 1002),
    "rsv3 on a ping": (frame(PING, b"x", rsv=1), 1002),
    "rsv1 on a close": (frame(CLOSE, b"\x03\xe8", rsv=4), 1002),
    "rsv1 on a continuation": (
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", rsv=4),
        1002,
    ),
    "unknown data opcode": (frame(0x3, b"x"), 1002),
    "unknown control opcode": (frame(0xB, b"x"), 1002),
    "fragmented ping": (frame(PING, b"x", fin=False), 1002),
    "ping of 126 bytes": (frame(PING, bytes(126)), 1002),
    "masked by the server": (frame(TEXT, b"x", masked=True), 1002),
    "16-bit length for 3": (b"\x81\x7e\x00\x03abc", 1002),
    "64-bit length for 3": (b"\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x03abc", 1002),
    "64-bit length with the top bit": (b"\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 1002),
    "bad UTF-8": (frame(TEXT, b"abc\xc3\x28"), 1007),
    "truncated UTF-8": (frame(TEXT, b"abc\xe2\x82"), 1007),
    "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "truncated UTF-8 at the last fragment": (
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"\xe2\x82"),
        1007,
    ),
    "close with one byte": (frame(CLOSE, b"\x03"), 1002),
    "close with a bad reason": (close_frame(1000, b"\xff"), 1007),
    "close of 126 bytes": (close_frame(1000, bytes(124)), 1002),
}
BAD_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
BROKEN |= {f"close code {code}": (close_frame(code), 1002) for code in BAD_CODES}


@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN)
async def test_what_breaks_the_protocol_fails_the_connection(join: Join, sent: bytes, code: int) -> None:
    joined = await join()
    await joined.peer.write(frame(TEXT, b"good") + sent + frame(TEXT, b"never"))
    await failed_with(joined, code)
    assert joined.inbox.payloads == [b"good"]


@pytest.mark.parametrize(("sent", "code"), BROKEN.values(), ids=BROKEN)
async def test_nothing_is_delivered_after_a_failure(join: Join, sent: bytes, code: int) -> None:
    """The breach first, and alone; what comes after it in a segment of its own is lost."""
    joined = await join()
    await joined.peer.write(sent)
    answer = await joined.peer.read_frame()
    assert answer.close_code == code
    await joined.peer.write(frame(TEXT, b"never") + frame(TEXT, b"never")[:4])
    await joined.peer.read_to_end()
    assert isinstance((await ended(joined)).error, ProtocolError)
    assert joined.inbox.messages == []


async def test_bad_utf8_in_a_fragment_fails_before_the_message_is_whole(join: Join) -> None:
    joined = await join()
    await joined.peer.write(frame(TEXT, b"\xce\xba\xed\xa0", fin=False))
    await failed_with(joined, 1007)


async def test_utf8_is_left_to_the_sink_when_told_so(join: Join) -> None:
    joined = await join(validate_utf8=False)
    await joined.peer.write(
        frame(TEXT, b"\xff") + frame(TEXT, b"\xfe", fin=False) + frame(CONTINUATION, b"\xfd")
    )
    assert await joined.inbox.take() == b"\xff"
    assert await joined.inbox.take() == b"\xfe\xfd"


async def test_frame_over_the_limit(join: Join) -> None:
    joined = await join(max_message_bytes=1000)
    await joined.peer.write(frame(BINARY, bytes(1000)) + frame(BINARY, bytes(1001)))
    await failed_with(joined, 1009)
    assert joined.inbox.payloads == [bytes(1000)]


async def test_announced_size_alone_is_refused(join: Join) -> None:
    joined = await join()
    await joined.peer.write(frame(BINARY, b"", length=2**40))
    await failed_with(joined, 1009)


async def test_oversize_frame_completed_after_its_refusal_is_not_delivered(join: Join) -> None:
    joined = await join(max_message_bytes=1000)
    whole = frame(BINARY, bytes(1001))
    await joined.peer.write(whole[:4])
    assert (await joined.peer.read_frame()).close_code == 1009
    await joined.peer.write(whole[4:] + frame(BINARY, b"never"))
    await ended(joined)
    assert joined.inbox.messages == []


async def test_sum_of_fragments_over_the_limit(join: Join) -> None:
    joined = await join(max_message_bytes=1000)
    await joined.peer.write(
        frame(BINARY, bytes(600), fin=False)
        + frame(CONTINUATION, bytes(400))
        + frame(BINARY, bytes(600), fin=False)
        + frame(CONTINUATION, bytes(401), fin=False)
    )
    await failed_with(joined, 1009)
    assert joined.inbox.payloads == [bytes(1000)]


async def test_last_fragment_before_a_broken_frame_completes_its_message(join: Join) -> None:
    """picows parses one frame ahead: the failure is known before the good frame is handed on."""
    joined = await join()
    await joined.peer.write(frame(TEXT, b"wh", fin=False))
    await joined.peer.write(frame(CONTINUATION, b"ole") + frame(0x7, b"broken"))
    await failed_with(joined, 1002)
    assert joined.inbox.payloads == [b"whole"]


async def test_pings_are_answered_with_their_payload_and_pongs_measure(join: Join) -> None:
    joined = await join()
    await joined.peer.write(frame(PING, b"x" * 125) + frame(PING))
    assert (await joined.peer.read_frame()).payload == b"x" * 125
    assert (await joined.peer.read_frame()).payload == b""

    first = asyncio.create_task(joined.client.ping())
    second = asyncio.create_task(joined.client.ping())
    await joined.peer.read_frame()
    latest = await joined.peer.read_frame()
    assert latest.opcode == PING
    await joined.peer.write(frame(PONG, b"unasked") + frame(PONG, latest.payload))
    assert 0 < await second < 20
    assert 0 < await first < 20
    assert joined.client.reader.pongs == 2


async def test_pong_is_no_message_and_a_cancelled_ping_harms_nothing(join: Join) -> None:
    joined = await join()
    waiting = joined.client.reader.ping(b"mine")
    waiting.cancel()
    await joined.peer.read_frame()
    await joined.peer.write(frame(PONG, b"mine") + frame(TEXT, b"on"))
    assert await joined.inbox.take() == b"on"
    assert joined.inbox.payloads == [b"on"]


async def test_flood_of_pings_from_a_peer_that_does_not_read(join: Join) -> None:
    """Pongs must not fill our memory: only the latest ping is owed an answer."""
    joined = await join()
    joined.peer.stop_reading()
    sent = 0
    while not joined.client.reader.write_paused:
        joined.client.send_binary(bytes(1 << 20))
        sent += 1
    await joined.peer.write(b"".join(frame(PING, b"%d" % i) for i in range(1000)))
    await joined.peer.write(frame(TEXT, b"done"))
    await joined.inbox.take()
    joined.peer.go_on_reading()
    received = [await joined.peer.read_frame() for _ in range(sent + 1)]
    assert [f.payload for f in received if f.opcode == PONG] == [b"999"]
    joined.client.send_text("last")
    assert (await joined.peer.read_frame()).payload == b"last"
    assert joined.client.reader.pings == 1000


async def test_sink_errors_are_counted_and_reported_and_kill_nothing(join: Join) -> None:
    seen: list[Exception] = []
    joined = await join(on_sink_error=seen.append)

    def raising(payload: bytes, is_text: bool, receive_ts_ns: int) -> None:
        joined.client.reader.sink = PyMessageSink(joined.inbox)
        raise ZeroDivisionError(payload)

    joined.client.reader.sink = PyMessageSink(raising)
    await joined.peer.write(frame(TEXT, b"one") + frame(TEXT, b"two"))
    assert await joined.inbox.take() == b"two"
    assert [repr(error) for error in seen] == ["ZeroDivisionError(b'one')"]
    assert joined.client.reader.sink_errors == 1


async def test_a_sink_is_never_none(join: Join) -> None:
    joined = await join()
    with pytest.raises(TypeError):
        joined.client.reader.sink = None  # type: ignore[assignment]
    assert isinstance(joined.client.reader.sink, PyMessageSink)
    with pytest.raises(TypeError):
        FrameReader(None)  # type: ignore[arg-type]


async def test_sink_errors_are_logged_without_a_callback(
    join: Join, caplog: pytest.LogCaptureFixture
) -> None:
    joined = await join()

    def raising(payload: bytes, is_text: bool, receive_ts_ns: int) -> None:
        joined.client.reader.sink = PyMessageSink(joined.inbox)
        raise ZeroDivisionError

    joined.client.reader.sink = PyMessageSink(raising)
    await joined.peer.write(frame(TEXT, b"one") + frame(TEXT, b"two"))
    await joined.inbox.take()
    assert process_log.flush()
    assert "the sink of ws://127.0.0.1" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text


async def test_sends_are_masked_and_whole(join: Join) -> None:
    joined = await join()
    joined.client.send_text("z\u00fc")
    joined.client.send_text(b"bytes")
    joined.client.send_binary(bytes(70_000))
    text, raw, large = [await joined.peer.read_frame() for _ in range(3)]
    assert (text.opcode, text.payload.decode(), text.masked) == (TEXT, "z\u00fc", True)
    assert (raw.opcode, raw.payload) == (TEXT, b"bytes")
    assert (large.opcode, large.payload) == (BINARY, bytes(70_000))


async def test_not_connected_yet() -> None:
    reader = FrameReader(PyMessageSink(print))
    with pytest.raises(ConnectionClosed, match="not connected"):
        reader.send_text("x")
    reader.close()
    reader.abort()
    assert not reader.closed.done()
