"""What counts against the exchange's limit of client messages, besides those that wait for it."""

from __future__ import annotations

import pytest

from cexnet.exchanges import get_exchange
from cexnet.simulator import Simulator
from cexnet.types import Channel
from cexnet.websocket import Heartbeat, link
from cexnet_core.ratelimit import RollingWindow
from tests.websocket.live import ALERT, Log, quick_manager, seen, topics_of


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[RollingWindow]:
    """The window of each connection, in time that stands still: nothing that was counted leaves it."""
    made: list[RollingWindow] = []

    def make(limit: int, window_s: float, *, guard_s: float) -> RollingWindow:
        made.append(RollingWindow(limit, window_s, guard_s=guard_s, clock=lambda: 1))
        return made[-1]

    monkeypatch.setattr(link, "RollingWindow", make)
    return made


async def test_heartbeats_count(windows: list[RollingWindow]) -> None:
    log = Log()
    async with (
        Simulator("gateio", ("BTC_USDT",)) as simulator,
        quick_manager("gateio", simulator, log, liveness=ALERT) as manager,
    ):
        strategy = manager.strategies.connection
        assert strategy.heartbeat is not None
        strategy.heartbeat = Heartbeat(0.01, strategy.heartbeat.message)
        await manager.initialize(topics_of("BTC_USDT", channels=(Channel.TRADES,)), log.on_event)
        after = windows[-1].remaining
        await seen(lambda: windows[-1].remaining <= after - 3)
    assert log.losses == []


async def test_pings_of_ours_count_where_the_exchange_counts_them(windows: list[RollingWindow]) -> None:
    log = Log()
    async with (
        Simulator("binance", ("BTCUSDT",), rate_per_s=0) as simulator,
        quick_manager("binance", simulator, log, liveness=ALERT) as manager,
    ):
        await manager.initialize(topics_of("BTCUSDT", channels=(Channel.TRADES,)), log.on_event)
        after = windows[-1].remaining
        await seen(lambda: manager.metrics().probes >= 1)
        await seen(lambda: windows[-1].remaining < after)


@pytest.mark.parametrize("name, kept", [("binance", 1), ("binance_usdm", 1), ("gateio", 0), ("mexc", 0)])
async def test_a_pong_has_a_place_where_the_exchange_counts_it(
    name: str, kept: int, windows: list[RollingWindow]
) -> None:
    log = Log()
    symbol = get_exchange(name).symbols[0]
    async with (
        Simulator(name, (symbol,)) as simulator,
        quick_manager(name, simulator, log) as manager,
    ):
        await manager.initialize(topics_of(symbol, channels=(Channel.TRADES,)), log.on_event)
        assert windows[-1].limit == manager.strategies.subscription.max_messages_per_s - kept
