"""Keeps the accounts and the time of a ``cexnet demo --fault``, and closes them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from cexnet.cli.ledger import Balance, Ledger
from cexnet.cli.misfortune import Misfortunes, Stopwatch, calm_down, milliseconds
from cexnet.simulator import Fault, Simulator
from cexnet.simulator.connection import Connection
from cexnet.websocket import WebSocketManager
from cexnet.websocket.metrics import WebSocketMetrics
from cexnet_core.events import EventKind
from cexnet_core.schema import WireSchema

# What is under way arrives within milliseconds; a book may have to wait for its snapshot's turn.
SETTLE_S = 5.0
SETTLE_HASTILY_S = 0.3
_LOOK_S = 0.01


class Audit:
    """A witness of the simulator and of one manager. Used on their loop only."""

    def __init__(self, misfortunes: Misfortunes, schema: WireSchema, *, whole_books: bool) -> None:
        self.misfortunes = misfortunes
        self.watch = Stopwatch()
        self.ledger = Ledger(schema, whole_books=whole_books)
        self._whole_books = whole_books

    # Witness of the simulator

    def sent(self, connection: Connection, frame: bytes, kind: str) -> None:
        """The exchange sends a data frame."""
        self.ledger.sent(connection, frame, kind)

    def withheld(self, connection: Connection, frame: bytes) -> None:
        """A fault kept it back."""
        self.ledger.withheld(connection, frame)

    def struck(self, fault: Fault) -> None:
        """A fault strikes."""
        self.watch.on_struck(fault)

    def attach(self, stream: WebSocketManager) -> None:
        """Hear of gaps, where no guard of whole books does."""
        if not self._whole_books:
            stream.router.on_gap = self.ledger.gap_reported

    async def settle(self, simulator: Simulator, stream: WebSocketManager, *, hastily: bool) -> None:
        """End the faults and wait for what is under way, a bounded time."""
        self.ledger.close()
        await calm_down(simulator, self.misfortunes)
        ends_s = time.monotonic() + (SETTLE_HASTILY_S if hastily else SETTLE_S)
        while time.monotonic() < ends_s:
            balance = self.balance(stream)
            if balance.lost_uncounted == balance.waiting == 0:
                return
            await asyncio.sleep(_LOOK_S)

    def balance(self, stream: WebSocketManager) -> Balance:
        """The accounts as they stand."""
        return self.ledger.balance(self.watch.losses, _unfinished_books(stream))

    def result(self, balance: Balance, metrics: WebSocketMetrics, struck: dict[str, int]) -> dict[str, Any]:
        """What the command prints; ``struck`` counts the faults that struck, by name."""
        return {
            "faults": struck,
            "reconnects": metrics.reconnects,
            "rolls": metrics.rolls,
            "losses": metrics.losses,
            "recovered_books": metrics.recovered_books,
            "connect_subscribe_ms": milliseconds(self.watch.connect_subscribe),
            "time_to_first_event_ms": milliseconds(self.watch.first_event),
            "time_to_notice_ms": milliseconds(self.watch.notice),
            "published": balance.sent,
            "delivered": balance.delivered,
            "not_delivered": {
                "withheld_by_faults": balance.withheld,
                "in_flight_on_lost_connections": balance.in_flight,
                "contained_in_snapshots": balance.superseded,
                "waiting_for_a_snapshot": balance.waiting,
            },
            "lost_uncounted": balance.lost_uncounted,
            "duplicates_delivered": balance.duplicates_delivered,
        }


def _unfinished_books(stream: WebSocketManager) -> set[str]:
    """Symbols whose updates are held back until a snapshot joins them."""
    streams = stream.router.streams()
    return {s.symbol for s in streams if s.kind == EventKind.DEPTH_UPDATE and s.is_diverted}
