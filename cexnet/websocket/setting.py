"""What all connections of one manager share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random

from cexnet.websocket.strategies import (
    ConnectionStrategy,
    SubscriptionStrategy,
    WebSocketStrategySet,
)
from cexnet_core.latency import LatencyRecorder
from cexnet_core.ratelimit import RollingWindow
from cexnet_core.tap import FrameTap

# A roll takes place at a random moment of this last part of the lifetime but the margin,
# so that connections made together are not rolled together.
ROLL_SPREAD = 0.1
ROLL_MARGIN = 0.02


class Setting:
    """Strategies, clock and random source; ``clock`` is monotonic, in seconds.

    ``first_event`` records the time from a start or a loss to the first data, in ns, and
    ``connect`` how long the making of each connection took.
    ``resubscribe_deadline_s`` bounds a resubscription that no caller waits for. A ``tap``
    gets a copy of every raw message.
    """

    def __init__(
        self,
        strategies: WebSocketStrategySet,
        *,
        rng: Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        resubscribe_deadline_s: float = 15.0,
        tap: FrameTap | None = None,
    ) -> None:
        self.strategies = strategies
        self.rng = rng if rng is not None else Random()  # noqa: S311 - jitter, not a secret
        self.clock = clock
        self.resubscribe_deadline_s = resubscribe_deadline_s
        self.tap = tap
        self.first_event = LatencyRecorder(4096)
        self.connect = LatencyRecorder(1024)
        self._connects: RollingWindow | None = None

    @property
    def connection(self) -> ConnectionStrategy:
        """The connection strategy."""
        return self.strategies.connection

    @property
    def subscription(self) -> SubscriptionStrategy:
        """The subscription strategy."""
        return self.strategies.subscription

    async def connect_slot(self) -> None:
        """Wait until the exchange's limit of new connections leaves room for one."""
        if self._connects is None:
            strategy = self.connection
            self._connects = RollingWindow(strategy.max_connects, strategy.connects_window_s)
        while wait_ns := self._connects.try_acquire(1):
            await asyncio.sleep(wait_ns / 1e9)

    def roll_due_s(self, now_s: float) -> float | None:
        """When a connection made now should be replaced, or ``None``: never."""
        lifetime_s = self.connection.lifetime_s
        if lifetime_s is None:
            return None
        return now_s + lifetime_s * (1.0 - ROLL_MARGIN - self.rng.uniform(0.0, ROLL_SPREAD))
