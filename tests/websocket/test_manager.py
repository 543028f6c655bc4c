"""WebSocketManager against the embedded exchanges, over real sockets on loopback."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from cexnet.exchanges import get_exchange
from cexnet.simulator import Simulator
from cexnet.types import MARKET_CHANNELS, Channel, Subscription
from cexnet.websocket import WebSocketManager, WebSocketStrategySet
from cexnet.websocket.lifecycle import StateChange
from cexnet_core.errors import (
    ConfigurationError,
    ConnectError,
    ConnectionClosed,
    StrategyError,
    SubscriptionError,
)
from cexnet_core.events import DepthUpdate, Event

EXCHANGES = ("binance", "gateio", "mexc")


def manager_for(name: str, simulator: Simulator, **options: Any) -> WebSocketManager:
    strategies = get_exchange(name).websocket_strategies(simulator.ws_url)
    return WebSocketManager(strategies, name=name, **options)


class Collector:
    """Handler that lets a test wait until enough events of each kind have arrived."""

    def __init__(self, wanted: dict[str, int]) -> None:
        self.events: list[Event] = []
        self.counts: Counter[str] = Counter()
        self._wanted = wanted
        self._enough = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self.counts[type(event).__name__] += 1
        if all(self.counts[kind] >= n for kind, n in self._wanted.items()):
            self._enough.set()

    async def wait(self) -> None:
        async with asyncio.timeout(20):
            await self._enough.wait()


def every_channel(symbols: tuple[str, ...]) -> list[Subscription]:
    return [Subscription(channel, symbol) for symbol in symbols for channel in MARKET_CHANNELS]


@pytest.mark.parametrize("name", EXCHANGES)
async def test_all_channels_arrive_typed_in_order_and_without_gaps(name: str) -> None:
    symbols = get_exchange(name).symbols
    collector = Collector({"BookTicker": 50, "Trade": 20, "DepthUpdate": 20, "Candle": 3})
    async with (
        Simulator(exchange=name, symbols=symbols, rate_per_s=2000) as simulator,
        manager_for(name, simulator) as manager,
    ):
        await manager.initialize(every_channel(symbols), collector)
        assert manager.live
        await collector.wait()
        metrics = manager.metrics()
    assert (metrics.gaps, metrics.duplicates, metrics.reorders, metrics.dropped) == (0, 0, 0, 0)
    assert metrics.decode["errors"] == 0
    assert metrics.unrouted == {}
    assert metrics.unknown_channels == {}
    assert {event.symbol for event in collector.events} == set(symbols)
    last: dict[str, int] = {}
    for event in collector.events:
        assert event.receive_ts_ns > 0
        if isinstance(event, DepthUpdate):
            previous = last.get(event.symbol)
            assert previous is None or event.first_sequence <= previous + 1 <= event.sequence
            last[event.symbol] = event.sequence


@pytest.mark.parametrize("name", EXCHANGES)
async def test_refused_topic_is_an_error_in_the_exchanges_words(name: str) -> None:
    good = get_exchange(name).symbols[0]
    async with Simulator(exchange=name, symbols=(good,)) as simulator:
        manager = manager_for(name, simulator)
        wrong = Subscription(Channel.TRADES, "NOSUCHCOIN" if name != "gateio" else "NO_SUCHCOIN")
        if name == "binance":
            # Binance accepts any stream name of the right form and then stays silent on it.
            return
        with pytest.raises(SubscriptionError) as caught:
            await manager.initialize([Subscription(Channel.TRADES, good), wrong], print)
        assert len(caught.value.topics) == 1
        assert wrong.symbol in caught.value.topics[0]
        assert not manager.live
        assert manager.metrics().connections == 0


@pytest.mark.parametrize("name", EXCHANGES)
async def test_subscribe_and_unsubscribe_later(name: str) -> None:
    first, second = get_exchange(name).symbols[:2]
    one = Collector({"BookTicker": 5})
    two = Collector({"BookTicker": 5})
    async with (
        Simulator(exchange=name, symbols=(first, second), rate_per_s=1000) as simulator,
        manager_for(name, simulator) as manager,
    ):
        ticker = Subscription(Channel.BOOK_TICKER, first)
        await manager.initialize([ticker], one)
        await manager.subscribe([Subscription(Channel.BOOK_TICKER, second)], two)
        await one.wait()
        await two.wait()
        assert {event.symbol for event in one.events} == {first}
        assert {event.symbol for event in two.events} == {second}
        await manager.unsubscribe([ticker])
        before = len(one.events)
        more = Collector({"BookTicker": 5})
        await manager.subscribe([Subscription(Channel.BOOK_TICKER, second)], more)
        await more.wait()
        assert len(one.events) == before
        with pytest.raises(ConfigurationError, match="is not subscribed"):
            await manager.unsubscribe([ticker])


async def test_refused_connection_is_one_clear_error() -> None:
    async with Simulator(exchange="binance", symbols=("BTCUSDT",)) as simulator:
        strategies = get_exchange("binance").websocket_strategies(simulator.ws_url)
    manager = WebSocketManager(strategies)
    with pytest.raises(ConnectError):
        await manager.initialize([Subscription(Channel.TRADES, "BTCUSDT")], print)
    assert manager.metrics().connections == 0


async def test_server_going_away_ends_the_session_with_its_reason() -> None:
    ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def on_state(change: StateChange) -> None:
        if change.loss is not None and not ended.done():
            ended.set_result(change.error)

    async with Simulator(exchange="binance", symbols=("BTCUSDT",)) as simulator:
        manager = manager_for("binance", simulator, on_state=on_state)
        await manager.initialize([Subscription(Channel.TRADES, "BTCUSDT")], lambda event: None)
    async with asyncio.timeout(10):
        error = await ended
    assert isinstance(error, ConnectionClosed)
    assert not manager.live
    with pytest.raises(ConnectionClosed):
        await manager.send(b"{}")
    await manager.close()


async def test_close_twice_leaves_no_task() -> None:
    async with Simulator(exchange="gateio", symbols=("BTC_USDT",)) as simulator:
        before = asyncio.all_tasks()
        manager = manager_for("gateio", simulator)
        await manager.initialize([Subscription(Channel.TRADES, "BTC_USDT")], lambda event: None)
        await manager.close()
        await manager.close()
        ours = [task for task in asyncio.all_tasks() - before if task.get_name().startswith("cexnet")]
        assert ours == []


async def test_failing_handler_keeps_the_connection() -> None:
    good = Collector({"BookTicker": 20})

    def fail(event: Event) -> None:
        raise RuntimeError("strategy bug")

    async with (
        Simulator(exchange="binance", symbols=("BTCUSDT", "ETHUSDT"), rate_per_s=1000) as simulator,
        manager_for("binance", simulator) as manager,
    ):
        await manager.initialize([Subscription(Channel.BOOK_TICKER, "BTCUSDT")], fail)
        await manager.subscribe([Subscription(Channel.BOOK_TICKER, "ETHUSDT")], good)
        await good.wait()
        assert manager.live
        assert manager.metrics().handler_errors > 0


async def test_what_was_counted_outlives_the_subscription() -> None:
    failed = asyncio.Event()

    def fail(event: Event) -> None:
        failed.set()
        raise RuntimeError("strategy bug")

    async with (
        Simulator(exchange="binance", symbols=("BTCUSDT", "ETHUSDT"), rate_per_s=1000) as simulator,
        manager_for("binance", simulator) as manager,
    ):
        one, two = (Subscription(Channel.BOOK_TICKER, symbol) for symbol in ("BTCUSDT", "ETHUSDT"))
        await manager.initialize([one], fail)
        await manager.subscribe([two], lambda event: None)
        async with asyncio.timeout(20):
            await failed.wait()
        counted = manager.metrics().handler_errors
        await manager.unsubscribe([one])
        kept = manager.metrics().handler_errors
        assert kept >= counted > 0
        await manager.subscribe([one], lambda event: None)
        await manager.close()
        assert manager.metrics().handler_errors == kept


async def test_after_a_reset_an_ended_subscription_brings_nothing_back() -> None:
    failed = asyncio.Event()

    def fail(event: Event) -> None:
        failed.set()
        raise RuntimeError("strategy bug")

    async with (
        Simulator(exchange="binance", symbols=("BTCUSDT", "ETHUSDT"), rate_per_s=1000) as simulator,
        manager_for("binance", simulator) as manager,
    ):
        one, two = (Subscription(Channel.BOOK_TICKER, symbol) for symbol in ("BTCUSDT", "ETHUSDT"))
        await manager.initialize([one], fail)
        await manager.subscribe([two], lambda event: None)
        async with asyncio.timeout(20):
            await failed.wait()
        await manager.subscribe([one], lambda event: None)  # the new handler does not fail
        await manager.unsubscribe([one])
        assert manager.metrics().handler_errors > 0
        manager.reset_metrics()
        await manager.unsubscribe([one])
        assert manager.metrics().handler_errors == 0


async def test_incomplete_strategy_set_is_named() -> None:
    manager = WebSocketManager(WebSocketStrategySet(None, None, None))  # type: ignore[arg-type]
    with pytest.raises(StrategyError, match=r"connection .* subscription .* parser"):
        await manager.initialize([Subscription(Channel.TRADES, "BTCUSDT")], print)


async def test_nothing_to_subscribe_is_refused() -> None:
    async with Simulator(exchange="binance", symbols=("BTCUSDT",)) as simulator:
        manager = manager_for("binance", simulator)
        with pytest.raises(ConfigurationError, match="at least one Subscription"):
            await manager.initialize([], print)


async def test_streams_are_added_to_a_manager_that_is_initialized_only() -> None:
    collect = Collector({"Trade": 1})
    wanted = [Subscription(Channel.TRADES, "BTCUSDT")]
    async with Simulator("binance", ("BTCUSDT",)) as simulator:
        manager = manager_for("binance", simulator)
        with pytest.raises(ConfigurationError, match=r"not initialized, or was closed: use initialize\(\)"):
            await manager.subscribe(wanted, collect)
        await manager.initialize(wanted, collect)
        await manager.close()
        with pytest.raises(ConfigurationError, match="not initialized, or was closed"):
            await manager.subscribe(wanted, collect)
        assert not manager.states


async def test_topics_are_spread_over_connections_by_the_limit() -> None:
    symbols = tuple(f"COIN{index}USDT" for index in range(10))
    collector = Collector({"BookTicker": 40})
    async with (
        Simulator(exchange="mexc", symbols=symbols, rate_per_s=2000) as simulator,
        manager_for("mexc", simulator) as manager,
    ):
        await manager.initialize(every_channel(symbols), collector)
        assert manager.metrics().connections == 2  # 40 topics, 30 a connection
        await collector.wait()
        assert manager.metrics().gaps == 0
