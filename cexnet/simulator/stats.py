"""What the simulator did, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stats:
    """Counters of one simulator since its start.

    ``messages`` counts messages sent, by kind (``ticker``, ``trade``, ``depth``,
    ``candle``, ``snapshot``, ``order``, ``fill``, ``balance``, ``capture``, ``control``);
    one sent to two clients counts twice. ``slow_closed`` are clients closed because they
    did not keep up. ``faults`` counts the faults that struck, by name, and ``withheld``
    those of ``messages`` that a fault kept back, by kind.
    """

    messages: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    subscriptions: int = 0
    refusals: int = 0
    rest_requests: int = 0
    orders: int = 0
    cancels: int = 0
    signature_failures: int = 0
    rate_limited: int = 0
    pauses: int = 0
    slow_closed: int = 0

    @property
    def total_messages(self) -> int:
        """Messages sent, of every kind."""
        return self.messages.total()
