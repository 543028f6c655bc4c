"""An exchange in memory whose books are known at every sequence, and a user who rebuilds them."""

from __future__ import annotations

import json
from typing import Any

from cexnet.websocket.books import Snapshot
from cexnet_core.decode import Decoder
from cexnet_core.events import DepthSnapshot, EventKind, SymbolTable
from cexnet_core.route import Receiver, Router
from cexnet_core.schema import Field, Message, SequenceRule, WireSchema


def schema(rule: SequenceRule) -> WireSchema:
    fields = (
        Field("symbol", "s"),
        Field("first_sequence", "U", optional=True),
        Field("sequence", "u"),
        Field("prev_sequence", "pu", optional=True),
        Field("bids", "b"),
        Field("asks", "a"),
    )
    return WireSchema(
        name="test",
        json=(
            Message("DepthUpdate", when={"e": "depth"}, sequence=rule, fields=fields),
            Message("DepthSnapshot", when={"e": "snapshot"}, sequence=rule, fields=fields),
        ),
    )


class Venue:
    """An exchange with one line to us: each change sets one bid; updates hold one change or more."""

    def __init__(self, rule: SequenceRule = "range") -> None:
        wire = schema(rule)
        symbols = SymbolTable()
        self.rule = rule
        self.router = Router(wire, symbols)
        self._receiver = Receiver(Decoder(wire, symbols=symbols), self.router, 0)
        self.changes: dict[str, list[tuple[int, int]]] = {}
        self.sent: dict[str, int] = {}
        self.replicas: dict[str, Replica] = {}
        self.asked: list[str] = []

    def list_symbol(self, symbol: str) -> Replica:
        self.changes[symbol] = []
        self.sent[symbol] = 0
        replica = self.replicas[symbol] = Replica()
        self.router.add(EventKind.DEPTH_UPDATE, symbol, replica)
        self.router.add(EventKind.DEPTH_SNAPSHOT, symbol, replica)
        return replica

    def change(self, symbol: str, count: int = 1) -> None:
        changes = self.changes[symbol]
        for _ in range(count):
            number = len(changes) + 1
            changes.append((number * 7 % 5, number))

    def send(self, symbol: str, count: int = 1, *, lose: bool = False) -> None:
        """Make ``count`` changes and send them as one update, unless it gets lost."""
        self.change(symbol, count)
        first, last = self.sent[symbol] + 1, len(self.changes[symbol])
        bids = [[str(price), str(size)] for price, size in self.changes[symbol][first - 1 : last]]
        body = {"e": "depth", "s": symbol, "U": first, "u": last}
        if self.rule == "previous":
            body["pu"] = self.sent[symbol]
        self.sent[symbol] = last
        if not lose:
            self._feed({**body, "b": bids, "a": []})

    def send_snapshot(self, symbol: str) -> None:
        levels = self.book_at(symbol, self.sent[symbol])
        self._feed(
            {
                "e": "snapshot",
                "s": symbol,
                "u": self.sent[symbol],
                "b": [[str(price), str(size)] for price, size in levels.items()],
                "a": [],
            }
        )

    def book_at(self, symbol: str, sequence: int) -> dict[float, float]:
        return {float(price): float(size) for price, size in self.changes[symbol][:sequence]}

    def snapshot(self, symbol: str, age: int = 0) -> Snapshot:
        sequence = max(0, len(self.changes[symbol]) - age)
        return Snapshot(sequence, tuple(self.book_at(symbol, sequence).items()), ())

    async def provide(self, symbol: str) -> Snapshot:
        self.asked.append(symbol)
        return self.snapshot(symbol)

    def _feed(self, body: dict[str, Any]) -> None:
        self._receiver.feed(json.dumps(body, separators=(",", ":")).encode())


class Replica:
    """A user's book. After a snapshot, every update must follow the one before."""

    def __init__(self) -> None:
        self.levels: dict[float, float] = {}
        self.sequence = -1
        self.kinds: list[str] = []
        self.holes = 0

    def __call__(self, event: Any) -> None:
        self.kinds.append("S" if isinstance(event, DepthSnapshot) else "u")
        if isinstance(event, DepthSnapshot):
            self.levels = {}
        elif self.sequence >= 0 and event.first_sequence > self.sequence + 1:
            self.holes += 1
        self.levels.update(event.bids.tolist())
        self.sequence = event.sequence
