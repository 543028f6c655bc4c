"""What the tests of a living manager share: quick policies, a collector, a log of states."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from cexnet.exchanges import get_exchange
from cexnet.simulator import Simulator
from cexnet.types import MARKET_CHANNELS, Channel, Subscription
from cexnet.websocket import (
    LivenessPolicy,
    ReconnectPolicy,
    SessionState,
    StateChange,
    TopicReport,
    WebSocketManager,
)
from cexnet_core.events import DepthUpdate, Event, Trade
from tests.websocket.peer import PATIENCE_S

QUICK = ReconnectPolicy(
    base_s=0.02, cap_s=0.2, healthy_s=0.2, slow_down_s=0.2, busy_s=0.05, throttled_s=0.2, refused_s=0.2,
)  # fmt: skip
# A feed of hundreds of messages a second may be judged within fractions of a second.
ALERT = LivenessPolicy(
    check_s=0.05, quiet_floor_s=0.3, gap_factor=2.0, probe_deadline_s=0.5, frozen_floor_s=0.6,
    frozen_factor=3.0, history_s=0.3, topic_floor_s=0.5, topic_check_s=0.1, lag_s=0.2,
)  # fmt: skip


class Log:
    """Everything a manager tells and delivers; ``until()`` waits for a condition on it."""

    def __init__(self) -> None:
        self.changes: list[StateChange] = []
        self.reports: list[TopicReport] = []
        self.events: list[Event] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self._moved = asyncio.Event()

    def on_state(self, change: StateChange) -> None:
        self.changes.append(change)
        self._moved.set()

    def on_topic(self, report: TopicReport) -> None:
        self.reports.append(report)
        self._moved.set()

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        self.counts[type(event).__name__, event.symbol] += 1
        self._moved.set()

    @property
    def states(self) -> list[SessionState]:
        return [change.state for change in self.changes]

    @property
    def losses(self) -> list[StateChange]:
        return [change for change in self.changes if change.loss is not None]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._moved.clear()
                await self._moved.wait()

    async def more(self, events: int = 20) -> None:
        """Wait for that many events more."""
        enough = len(self.events) + events
        await self.until(lambda: len(self.events) >= enough)


async def seen(condition: Callable[[], object]) -> None:
    """Wait for something that nobody announces."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


def quick_manager(name: str, simulator: Simulator, log: Log, **options: Any) -> WebSocketManager:
    strategies = get_exchange(name).websocket_strategies(simulator.ws_url)
    strategies.connection.reconnect = options.pop("reconnect", QUICK)
    strategies.connection.liveness = options.pop("liveness", LivenessPolicy())
    return WebSocketManager(strategies, name=name, on_state=log.on_state, on_topic=log.on_topic, **options)


def topics_of(*symbols: str, channels: tuple[Channel, ...] = MARKET_CHANNELS) -> list[Subscription]:
    return [Subscription(channel, symbol) for symbol in symbols for channel in channels]


def assert_whole(log: Log) -> None:
    """Every trade once and in order, and each book's updates without a hole."""
    last_trade: dict[str, int] = {}
    last_update: dict[str, int] = {}
    for event in log.events:
        if isinstance(event, Trade):
            number = int(event.trade_id)
            assert number == last_trade.get(event.symbol, number - 1) + 1
            last_trade[event.symbol] = number
        elif isinstance(event, DepthUpdate):
            previous = last_update.get(event.symbol)
            assert previous is None or event.first_sequence == previous + 1
            last_update[event.symbol] = event.sequence
    assert last_trade
    assert last_update
