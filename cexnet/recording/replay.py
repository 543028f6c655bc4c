"""Replay: recorded frames through the same decoder and router as live ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from cexnet.recording.container import Frame
from cexnet.websocket.strategies import MessageParser
from cexnet_core.decode import Decoder
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import EventKind, EventSink
from cexnet_core.route import Receiver
from cexnet_core.schema import WireSchema

MARKET_KINDS = (
    EventKind.BOOK_TICKER,
    EventKind.TRADE,
    EventKind.DEPTH_UPDATE,
    EventKind.DEPTH_SNAPSHOT,
    EventKind.CANDLE,
)
ACCOUNT_KINDS = (EventKind.ORDER_UPDATE, EventKind.FILL, EventKind.BALANCE_UPDATE)
_BATCH = 256  # frames between two turns of the loop when flat out
_SHORTEST_WAIT_S = 0.001  # closer frames are fed together


class Replay:
    """Feeds ``frames`` through a receive line of its own, to one handler.

    ``frames`` is iterated twice: first to learn which streams there are, so that each is checked
    for gaps from its first event on, and which connection ends where. ``handler`` is called as a
    ``WebSocketManager`` calls it. ``decoder`` and ``router`` hold the counters.
    """

    def __init__(
        self, frames: Iterable[Frame], schema: WireSchema, handler: Callable[[Any], object] | EventSink
    ) -> None:
        self.frames = 0
        self._source = frames
        self._last_frame: dict[int, int] = {}
        self._receivers: dict[int, Receiver] = {}
        self._parser = MessageParser(schema)
        self.decoder = self._parser.decoder
        self.router = self._parser.router
        self._learn(schema, handler)

    async def run(self, *, speed: float | None = 1.0) -> None:
        """Feed everything: at the recorded pace, ``speed`` times it, or flat out (None).

        Raises ConfigurationError for a speed that is not above 0.
        """
        if speed is not None and not speed > 0:
            raise ConfigurationError(f"speed is {speed:g}: give a number above 0, or None for flat out")
        start_s, first_ns = time.monotonic(), -1
        for frame in self._source:
            if first_ns < 0:
                first_ns = frame.receive_ts_ns
            if speed is not None:
                due_s = start_s + (frame.receive_ts_ns - first_ns) / 1e9 / speed
                wait_s = due_s - time.monotonic()
                if wait_s > _SHORTEST_WAIT_S:
                    await asyncio.sleep(wait_s)
            if self.frames % _BATCH == 0:
                await asyncio.sleep(0)
                self.router.release_overdue(frame.receive_ts_ns)
            self._feed(frame)

    def _feed(self, frame: Frame) -> None:
        connection_id = frame.connection_id
        receiver = self._receivers.get(connection_id)
        if receiver is None:
            receiver = self._receivers[connection_id] = self._parser.receiver(connection_id)
        receiver.feed(frame.payload, frame.is_text, frame.receive_ts_ns)
        if self._last_frame[connection_id] == self.frames:
            self.router.leave(connection_id)
        self.frames += 1

    def _learn(self, schema: WireSchema, handler: Callable[[Any], object] | EventSink) -> None:
        decoder = Decoder(schema)
        streams: dict[tuple[EventKind, str], None] = {}
        for index, frame in enumerate(self._source):
            self._last_frame[frame.connection_id] = index
            for event in decoder.decode_all([frame.payload], frame.is_text):
                if event.kind in MARKET_KINDS:
                    streams[EventKind(event.kind), event.symbol] = None
                elif event.kind in ACCOUNT_KINDS:  # an account's is one stream, whatever the symbol
                    streams[EventKind(event.kind), ""] = None
        for kind, symbol in streams:
            self.router.add(kind, symbol, handler)
