"""Several connections into one router, fed by hand."""

from __future__ import annotations

import json
from typing import Any

from cexnet_core.decode import Decoder
from cexnet_core.events import EventKind, SymbolTable
from cexnet_core.route import Receiver, Router
from cexnet_core.schema import Field, Message, SequenceRule, WireSchema

SYMBOL = "BTCUSDT"
MS = 1_000_000


def schema(rule: SequenceRule = "range") -> WireSchema:
    symbol, sequence = Field("symbol", "s"), Field("sequence", "u", optional=True)
    book = (symbol, sequence, Field("bids", "b"), Field("asks", "a"))
    chain = Field("first_sequence", "U", optional=True), Field("prev_sequence", "pu", optional=True)
    return WireSchema(
        name="test",
        json=(
            Message("DepthUpdate", when={"e": "depth"}, sequence=rule, fields=(*book, *chain)),
            Message("DepthSnapshot", when={"e": "snapshot"}, sequence=rule, fields=(*book, *chain)),
            Message("DepthSnapshot", when={"e": "partial"}, fields=book),
            Message(
                "BookTicker",
                when={"e": "ticker"},
                sequence="increasing",
                fields=(symbol, sequence, Field("bid_price", "b"), Field("ask_price", "a")),
            ),
            Message(
                "BookTicker",
                when={"e": "timed"},
                fields=(symbol, Field("bid_price", "b"), Field("exchange_ts_ns", "t", unit="ms")),
            ),
            Message("BookTicker", when={"e": "bare"}, fields=(symbol, Field("bid_price", "b"))),
            Message(
                "Trade",
                when={"e": "trade"},
                fields=(symbol, Field("trade_id", "t", optional=True), Field("price", "p")),
            ),
            Message(
                "Candle",
                when={"e": "candle"},
                fields=(
                    symbol,
                    Field("interval", "i"),
                    Field("open_ts_ns", "t", unit="ms"),
                    Field("close", "c"),
                    Field("volume", "v"),
                ),
            ),
        ),
    )


class Lines:
    """Several connections into one router; every delivered event is kept."""

    def __init__(self, rule: SequenceRule = "range", kinds: tuple[EventKind, ...] = ()) -> None:
        wire = schema(rule)
        symbols = SymbolTable()
        self.router = Router(wire, symbols)
        self.now_ns = 1_000 * MS
        self.seen: list[Any] = []
        self.gaps: list[tuple[int, int]] = []
        self.router.on_gap = lambda stream, first, last: self.gaps.append((first, last))
        self._decoder = Decoder(wire, symbols=symbols)
        self._receivers: dict[int, Receiver] = {}
        self.streams = {kind: self.router.add(kind, SYMBOL, self.seen.append) for kind in kinds}

    def feed(self, connection: int, **message: object) -> None:
        receiver = self._receivers.get(connection)
        if receiver is None:
            receiver = self._receivers[connection] = Receiver(self._decoder, self.router, connection)
        body = json.dumps({"s": SYMBOL, **message}, separators=(",", ":"))
        receiver.feed(body.encode(), receive_ts_ns=self.now_ns)

    def depth(self, connection: int, first: int, last: int | None = None, pu: int | None = None) -> None:
        previous = {} if pu is None else {"pu": pu}
        last = first if last is None else last
        self.feed(connection, e="depth", U=first, u=last, **previous, b=[["1", "2"]], a=[])

    def ticker(self, connection: int, sequence: int) -> None:
        self.feed(connection, e="ticker", u=sequence, b="1", a="2")

    def trade(self, connection: int, trade_id: str | int) -> None:
        self.feed(connection, e="trade", t=str(trade_id), p="1")

    def candle(self, connection: int, volume: int) -> None:
        self.feed(connection, e="candle", i="1m", t=60_000, c="7", v=str(volume))

    @property
    def sequences(self) -> list[int]:
        return [event.sequence for event in self.seen]

    @property
    def ids(self) -> list[str]:
        return [event.trade_id for event in self.seen]

    def send(self, kind: str, connection: int, number: int) -> None:
        """One event of a kind named ``depth``, ``ticker``, ``timed ticker``, ``trade`` or ``named trade``."""
        if kind == "depth":
            self.depth(connection, number)
        elif kind == "ticker":
            self.ticker(connection, number)
        elif kind == "timed ticker":  # several in a millisecond, and prices that come back
            self.feed(connection, e="timed", t=number // 3 + 1, b=str(number % 3))
        else:
            self.trade(connection, number if kind == "trade" else f"{number}X")

    def numbers(self, kind: str) -> list[int]:
        """The numbers of what was delivered."""
        if kind == "timed ticker":
            return [(event.exchange_ts_ns // MS - 1) * 3 + int(event.bid_price) for event in self.seen]
        return self.sequences if kind in ("depth", "ticker") else [int(i.rstrip("X")) for i in self.ids]
