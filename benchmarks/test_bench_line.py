"""Frame in memory -> handler: cexnet's receive line beside picows with a Python listener."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from benchmarks.conftest import Contestant, Interleaved
from benchmarks.line import (
    MemoryLine,
    book_ticker_messages,
    feeding,
    reads_of,
    text_frame,
)
from cexnet.exchanges import get_exchange
from cexnet_core.decode import Decoder
from cexnet_core.events import EventKind, SymbolTable
from cexnet_core.frames import FrameReader
from cexnet_core.route import Receiver, Router

MESSAGES = 400
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class Ticker(msgspec.Struct, gc=False):
    """msgspec's leanest: only the fields in use, numbers straight to float."""

    u: int
    s: str
    b: float
    B: float
    a: float
    A: float


class Combined(msgspec.Struct, gc=False):
    """The combined stream's envelope."""

    data: Ticker


class MsgspecListener(WSListener):
    """What a picows user writes: frame -> memoryview -> Struct -> handler by symbol."""

    def __init__(self, handlers: dict[str, Any]) -> None:
        self._handlers = handlers
        self._decode = msgspec.json.Decoder(Combined, strict=False).decode

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Decode text frames and hand the ticker over."""
        if frame.msg_type == WSMsgType.TEXT:
            ticker = self._decode(frame.get_payload_as_memoryview()).data
            self._handlers[ticker.s](ticker)


class Spread:
    """The handler both sides call: uses two prices, keeps one number."""

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    def on_struct(self, ticker: Ticker) -> None:
        """Of a msgspec Struct."""
        self.total += ticker.a - ticker.b
        self.count += 1

    def on_event(self, ticker: Any) -> None:
        """Of a cexnet event."""
        self.total += ticker.ask_price - ticker.bid_price
        self.count += 1


def cexnet_listener(handler: Any) -> tuple[FrameReader, Router]:
    """Frames, decoder and router as a manager puts them together."""
    schema = get_exchange("binance").schema
    symbols = SymbolTable()
    router = Router(schema, symbols)
    for symbol in SYMBOLS:
        router.add(EventKind.BOOK_TICKER, symbol, handler)
    receiver = Receiver(Decoder(schema, symbols=symbols), router, 0)
    return FrameReader(receiver, validate_utf8=False), router


def nothing(event: Any) -> None:
    """A handler whose own cost is as small as a Python function's can be."""


@pytest.mark.parametrize("per_read", [1, 16], ids=["one frame a read", "16 frames a read"])
@pytest.mark.parametrize("work", ["handler does nothing", "handler reads two prices"])
async def test_frame_to_handler(interleaved: Interleaved, per_read: int, work: str) -> None:
    """Goal: 5x."""
    frames = [text_frame(message) for message in book_ticker_messages(MESSAGES)]
    reads = reads_of(frames, per_read)
    ours, theirs = Spread(), Spread()
    idle = work == "handler does nothing"
    reader, router = cexnet_listener(nothing if idle else ours.on_event)
    our_line = MemoryLine(reader)
    their_handler = nothing if idle else theirs.on_struct
    their_line = MemoryLine(MsgspecListener(dict.fromkeys(SYMBOLS, their_handler)))
    feed_ours = feeding(our_line, reads)

    def replay_ours() -> None:
        router.reset()  # the same sequences again would count as reorders
        feed_ours()

    try:
        interleaved(
            f"frame in memory -> handler, {per_read} a read, {work}",
            Contestant("cexnet", replay_ours, operations=MESSAGES),
            Contestant("picows + msgspec", feeding(their_line, reads), operations=MESSAGES),
            goal=5.0,
        )
    finally:
        our_line.close()
        their_line.close()
    streams = router.streams()
    assert sum(stream.delivered for stream in streams) % MESSAGES == 0
    assert sum(stream.duplicates + stream.reorders for stream in streams) == 0
    assert ours.count % MESSAGES == theirs.count % MESSAGES == 0
