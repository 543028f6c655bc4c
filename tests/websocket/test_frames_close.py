"""How connections end: handshakes, resets, peers that do not answer, and what is told of it."""

from __future__ import annotations

import asyncio

import pytest

from cexnet_core.errors import ConfigurationError, ConnectionClosed
from cexnet_core.messages import CloseInfo, PyMessageSink
from tests.websocket.conftest import Join, Joined
from tests.websocket.peer import CLOSE, PING, PONG, TEXT, close_frame, frame


async def ended(joined: Joined) -> CloseInfo:
    async with asyncio.timeout(20):
        return await joined.client.wait_closed()


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1000, "bye"), (1001, ""), (1008, "z\u00fc viel"), (1012, "x" * 120), (3000, "a"), (4999, "b")],
)
async def test_close_from_the_peer_is_echoed_and_told(join: Join, code: int, reason: str) -> None:
    joined = await join()
    await joined.peer.write(frame(TEXT, b"last") + close_frame(code, reason.encode()))
    answer = await joined.peer.read_frame()
    assert (answer.opcode, answer.payload) == (CLOSE, code.to_bytes(2, "big"))
    assert await joined.peer.read_to_end() == b""
    info = await ended(joined)
    assert (info.code, info.reason, info.was_clean, info.unfinished) == (code, reason, True, False)
    assert info.error is None
    assert joined.inbox.payloads == [b"last"]


async def test_close_without_a_code_is_1005_and_answered_empty(join: Join) -> None:
    joined = await join()
    await joined.peer.write(frame(CLOSE))
    answer = await joined.peer.read_frame()
    assert (answer.opcode, answer.payload) == (CLOSE, b"")
    info = await ended(joined)
    assert (info.code, info.reason, info.was_clean) == (1005, "", True)


async def test_nothing_is_delivered_after_close(join: Join) -> None:
    joined = await join()
    await joined.peer.write(close_frame(1000) + frame(TEXT, b"never") + close_frame(1001))
    info = await ended(joined)
    assert info.code == 1000
    assert joined.inbox.messages == []
    assert joined.client.reader.discarded == 1


async def test_close_inside_a_message_is_told_as_unfinished(join: Join) -> None:
    joined = await join()
    await joined.peer.write(frame(TEXT, b"half", fin=False) + close_frame(1001))
    info = await ended(joined)
    assert (info.code, info.was_clean, info.unfinished) == (1001, True, True)


async def test_our_close_is_a_handshake(join: Join) -> None:
    joined = await join()
    closing = asyncio.create_task(joined.client.close(3001, "roll"))
    sent = await joined.peer.read_frame()
    assert (sent.opcode, sent.payload) == (CLOSE, (3001).to_bytes(2, "big") + b"roll")
    await joined.peer.write(frame(TEXT, b"too late") + frame(PING) + close_frame(3001))
    info = await closing
    assert (info.code, info.reason, info.was_clean, info.error) == (3001, "", True, None)
    assert await joined.peer.read_to_end() == b""
    assert joined.inbox.messages == []
    assert joined.client.reader.discarded == 1


async def test_our_close_puts_1000_on_the_wire_and_is_idempotent(join: Join) -> None:
    joined = await join()
    closing = [asyncio.create_task(joined.client.close()) for _ in range(3)]
    sent = await joined.peer.read_frame()
    assert sent.payload == b"\x03\xe8"
    await joined.peer.write(close_frame(1000))
    infos = await asyncio.gather(*closing)
    assert {info.code for info in infos} == {1000}
    assert (await joined.client.close()).code == 1000
    joined.client.abort()
    assert await joined.peer.read_to_end() == b""


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65536, -1])
async def test_illegal_close_codes_are_our_callers_mistake(join: Join, code: int) -> None:
    joined = await join()
    with pytest.raises(ConfigurationError, match=f"close code {code} "):
        await joined.client.close(code)
    with pytest.raises(ConfigurationError, match="124 bytes"):
        await joined.client.close(1000, "x" * 124)
    joined.client.send_text("still open")
    assert (await joined.peer.read_frame()).payload == b"still open"


async def test_peer_that_ignores_our_close_is_cut_off(join: Join) -> None:
    joined = await join(close_timeout_s=0.01)
    info = await joined.client.close()
    assert (info.code, info.was_clean) == (1006, False)
    assert isinstance(info.error, ConnectionClosed)
    assert "did not answer our close frame within 0.01 s" in str(info.error)
    await joined.peer.read_to_end()


async def test_close_is_bounded_when_the_peer_does_not_even_read(join: Join) -> None:
    joined = await join(close_timeout_s=0.01)
    joined.peer.stop_reading()
    while not joined.client.reader.write_paused:
        joined.client.send_binary(bytes(1 << 20))
    info = await joined.client.close()
    assert (info.code, info.was_clean) == (1006, False)


async def test_answer_to_a_close_is_bounded_when_the_peer_does_not_read(join: Join) -> None:
    joined = await join(close_timeout_s=0.01)
    joined.peer.stop_reading()
    while not joined.client.reader.write_paused:
        joined.client.send_binary(bytes(1 << 20))
    await joined.peer.write(close_frame(1001, b"away"))
    info = await ended(joined)
    assert (info.code, info.reason, info.was_clean) == (1001, "away", False)
    assert "did not take our close frame in time" in str(info.error)


async def test_broken_frame_is_bounded_when_the_peer_does_not_read(join: Join) -> None:
    joined = await join()
    joined.peer.stop_reading()
    while not joined.client.reader.write_paused:
        joined.client.send_binary(bytes(1 << 20))
    await joined.peer.write(frame(0x3, b"x"))
    assert not (await ended(joined)).was_clean


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    ("sent", "torn"),
    [
        (b"", b""),
        (frame(TEXT, b"whole"), b""),
        (frame(TEXT, bytes(300_000)), b""),
        (frame(TEXT, b"whole"), b"\x81"),
        (frame(TEXT, b"whole"), frame(TEXT, b"torn")[:4]),
        (frame(TEXT, b"whole"), frame(TEXT, bytes(300_000))[:200_000]),
        (frame(TEXT, bytes(300_000)), frame(TEXT, b"torn")[:4]),
        (b"", frame(TEXT, b"part", fin=False)),
    ],
    ids=["idle", "frame", "large", "header", "payload", "large torn", "after large", "fragment"],
)
async def test_loss_of_tcp_is_1006_and_says_whether_inside_a_message(
    join: Join, how: str, sent: bytes, torn: bytes
) -> None:
    joined = await join()
    # A reset throws away what the client has not read; its pong proves that it has.
    await joined.peer.write(sent + frame(PING) + torn)
    assert (await joined.peer.read_frame()).opcode == PONG
    await getattr(joined.peer, how)()
    info = await ended(joined)
    assert (info.code, info.reason, info.was_clean) == (1006, "", False)
    assert isinstance(info.error, ConnectionClosed)
    assert info.error.code == 1006
    assert info.unfinished == bool(torn)
    assert ("in the middle of a message" in str(info.error)) == bool(torn)
    assert ("was lost" in str(info.error)) == (how == "reset")
    assert len(joined.inbox.messages) == bool(sent)


async def test_sends_and_pings_after_the_end_raise(join: Join) -> None:
    joined = await join()
    waiting = asyncio.create_task(joined.client.ping())
    assert (await joined.peer.read_frame()).opcode == PING
    await joined.peer.write(close_frame(1008, b"slow down"))
    with pytest.raises(ConnectionClosed, match="ended before its pong"):
        await waiting
    for send in (joined.client.send_text, joined.client.send_binary, joined.client.reader.ping):
        with pytest.raises(ConnectionClosed, match="has ended") as caught:
            send(b"x")
        assert (caught.value.code, caught.value.reason) == (1008, "slow down")


async def test_sends_while_closing_raise(join: Join) -> None:
    joined = await join()
    joined.client.reader.close()
    with pytest.raises(ConnectionClosed, match="has ended"):
        joined.client.send_text("x")
    await joined.peer.write(close_frame(1000))
    await ended(joined)


async def test_abort_is_at_once_and_idempotent(join: Join) -> None:
    joined = await join()
    joined.client.abort()
    joined.client.abort()
    info = await ended(joined)
    assert (info.code, info.was_clean) == (1006, False)
    assert "we aborted the connection" in str(info.error)
    assert await joined.peer.read_to_end() == b""


async def test_abort_from_inside_the_sink(join: Join) -> None:
    joined = await join()

    class Aborting:
        def __call__(self, payload: bytes, is_text: bool, receive_ts_ns: int) -> None:
            joined.inbox(payload, is_text, receive_ts_ns)
            joined.client.abort()

    joined.client.reader.sink = PyMessageSink(Aborting())
    await joined.peer.write(frame(TEXT, b"one") + frame(TEXT, b"two"))
    await ended(joined)
    assert joined.inbox.payloads == [b"one"]
    assert joined.client.reader.discarded == 1


async def test_waiting_for_the_end_can_be_cancelled_without_ending_it(join: Join) -> None:
    joined = await join()
    waiting = asyncio.create_task(joined.client.wait_closed())
    await joined.peer.write(frame(TEXT, b"x"))
    await joined.inbox.take()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not joined.client.is_closed
    joined.client.send_text("alive")
    assert (await joined.peer.read_frame()).payload == b"alive"


async def test_async_with_closes(join: Join) -> None:
    joined = await join()

    async def answer() -> None:
        assert (await joined.peer.read_frame()).opcode == CLOSE
        await joined.peer.write(close_frame(1000))

    answering = asyncio.create_task(answer())
    async with joined.client as client:
        assert "open" in repr(client)
    await answering
    assert "closed" in repr(client)
