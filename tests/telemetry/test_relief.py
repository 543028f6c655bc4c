"""Load taken off and put back: queues that conflate, topics that are shed, by hand and by a monitor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from cexnet import Channel, Config, Subscription, TransportFactory
from cexnet.config import config_from_dict
from cexnet.simulator import Simulator
from cexnet.simulator.faults import Fault
from cexnet.telemetry import Alert, Condition, Measure, Monitor, remedies
from cexnet.websocket import Delivery, WebSocketManager
from cexnet_core.errors import ConfigurationError, SubscriptionError
from tests.websocket.live import Log, quick_manager, seen

SYMBOLS = ("BTC_USDT", "ETH_USDT")
BTC, ETH = (Subscription(Channel.BOOK_TICKER, symbol) for symbol in SYMBOLS)
CHANNELS = ("book_ticker", "trades")
TRADES = Subscription(Channel.TRADES, "BTC_USDT")


@pytest.fixture
def exchange() -> Simulator:
    return Simulator("gateio", SYMBOLS, rate_per_s=500)


def of(manager: WebSocketManager, *subscriptions: Subscription) -> bool:
    """Whether exactly these have handlers."""
    kinds = {Channel.BOOK_TICKER: "BookTicker", Channel.TRADES: "Trade"}
    wanted = {(kinds[each.channel], each.symbol) for each in subscriptions}
    return wanted == {(s.kind, s.symbol) for s in manager.metrics().streams if s.symbol}


async def test_shed_topics_come_back_to_their_handlers_and_counts(exchange: Simulator) -> None:
    log, other = Log(), Log()
    async with exchange, quick_manager("gateio", exchange, log) as manager:
        await manager.initialize([BTC, TRADES], log.on_event)
        await manager.subscribe([TRADES], other.on_event)  # wanted twice; the newer handler has it
        assert await manager.shed([TRADES, ETH]) == [TRADES]
        assert of(manager, BTC)
        assert await manager.shed([TRADES]) == []
        other.counts.clear()
        assert (await manager.restore()).subscriptions == (TRADES,)
        await other.until(lambda: other.counts["Trade", "BTC_USDT"] > 3)
        await manager.unsubscribe([TRADES])
        assert of(manager, BTC, TRADES)
        await manager.unsubscribe([TRADES])
        assert of(manager, BTC)
        assert (await manager.restore()).subscriptions == ()


async def test_what_is_shed_may_be_subscribed_and_unsubscribed(exchange: Simulator) -> None:
    log = Log()
    async with exchange, quick_manager("gateio", exchange, log) as manager:
        await manager.initialize([BTC, ETH, TRADES], log.on_event)
        await manager.shed([ETH, TRADES])
        await manager.unsubscribe([ETH])
        await manager.subscribe([TRADES])
        with pytest.raises(ConfigurationError, match="is not subscribed"):
            await manager.unsubscribe([ETH])
        await manager.restore()
        assert of(manager, BTC, TRADES)
        await manager.unsubscribe([TRADES])  # once for initialize(), once for subscribe()
        assert of(manager, BTC, TRADES)
        await manager.unsubscribe([TRADES])
        assert of(manager, BTC)


async def test_everything_shed_ends_the_connections_until_it_is_back(exchange: Simulator) -> None:
    log = Log()
    async with exchange, quick_manager("gateio", exchange, log) as manager:
        await manager.initialize([BTC], log.on_event)
        await manager.shed([BTC])
        assert manager.metrics().connections == 0
        await manager.restore()
        await log.more(5)


async def test_a_topic_that_is_refused_stays_shed_until_it_is_not(exchange: Simulator) -> None:
    log = Log()
    async with exchange, quick_manager("gateio", exchange, log) as manager:
        await manager.initialize([BTC, ETH, TRADES], log.on_event)
        await manager.shed([ETH, TRADES])
        exchange.inject(Fault("refuse-topic", topic="ETH_USDT"))
        with pytest.raises(SubscriptionError):
            await manager.restore()
        assert of(manager, BTC, TRADES)
        assert (await manager.restore()).subscriptions == (ETH,)
        assert of(manager, BTC, ETH, TRADES)


async def test_queues_of_book_tickers_conflate_and_no_others(exchange: Simulator) -> None:
    tickers, mixed = Delivery(50, "pause"), Delivery(50, "drop_newest")
    async with exchange, quick_manager("gateio", exchange, Log()) as manager:
        await manager.initialize([BTC], tickers)
        await manager.subscribe([ETH, TRADES], mixed)
        await seen(lambda: tickers.queue.is_full)
        assert manager.conflate() == 1
        assert (tickers.queue.policy, tickers.policy, len(tickers.queue)) == ("conflate", "pause", 1)
        assert (mixed.queue.policy, manager.conflate()) == ("drop_newest", 0)
        tickers.reconfigure(policy="drop_oldest")  # holds from restore() on
        assert tickers.queue.policy == "conflate"
        received = tickers.queue.received
        await seen(lambda: tickers.queue.received > received + 10)  # it is read again
        assert (await manager.restore()).queues == 1
        assert (tickers.queue.policy, tickers.is_conflating) == ("drop_oldest", False)
        queue = tickers.queue
        assert queue.dropped == 0
        assert queue.received == queue.taken + queue.conflated + len(queue)


async def test_connections_that_a_full_queue_holds_are_not_rolled(exchange: Simulator) -> None:
    tickers = Delivery(50, "pause")
    async with exchange, quick_manager("gateio", exchange, Log()) as manager:
        await manager.initialize([BTC], tickers)
        await seen(lambda: manager.is_held)
        with pytest.raises(ConfigurationError, match="a full queue holds"):
            await remedies.apply("roll", manager)
        manager.conflate()
        assert not manager.is_held
        assert await remedies.apply("roll", manager) == "connections replaced"
        assert manager.metrics().rolls == 1


class Scene:
    """A factory and a monitor over one stream that is configured with a sheddable topic."""

    def __init__(self, exchange: Simulator, targets: dict[str, Any]) -> None:
        self.exchange = exchange
        quiet = {"connect_ms": 60_000, "recovery_ms": 60_000}
        subscriptions = [
            {"channel": "book_ticker", "symbol": "BTC_USDT"},
            {"channel": "book_ticker", "symbol": "ETH_USDT", "sheddable": True},
        ]
        own = {"websocket_url": exchange.ws_url, "subscriptions": subscriptions}
        self.config = config_from_dict({"exchange": {"gateio": own}, "targets": {**quiet, **targets}})
        self.heard: list[Alert | Measure] = []

    async def play(self, act: Callable[[WebSocketManager, Monitor], Any], handler: Any = None) -> None:
        async with TransportFactory(self.config) as factory:
            stream = factory.websocket("gateio")
            await stream.initialize(None, handler)
            monitor = Monitor(self.config.targets, check_s=0.05, window_s=0.5, patience=2)
            monitor.add(stream)
            listener = asyncio.create_task(self._listen(monitor))
            async with monitor:
                await act(stream, monitor)
            await listener
            assert monitor.look_errors == 0
            assert self.heard == sorted([*monitor.alerts, *monitor.measures], key=lambda it: it.at_ts_ns)

    async def _listen(self, monitor: Monitor) -> None:
        async for news in monitor.events():
            self.heard.append(news)

    @property
    def story(self) -> list[str]:
        return [
            f"{news.compliance.target.name} {news.compliance.condition}"
            if isinstance(news, Alert)
            else f"{news.action}: {news.result}"
            for news in self.heard
        ]


async def test_a_consumer_that_falls_behind_gets_the_newest_only_until_it_keeps_up(
    exchange: Simulator,
) -> None:
    async with exchange:
        targets = {"websocket_handling_ms": 60_000, "queue_wait_ms": 300, "remedies": ["conflate"]}
        scene = Scene(exchange, targets)

        async def act(stream: WebSocketManager, monitor: Monitor) -> None:
            async def consume() -> None:
                async for _ in stream.events():
                    await asyncio.sleep(0.01)

            consumer = asyncio.create_task(consume())
            await seen(lambda: len(monitor.measures) == 1)
            assert stream.events().queue.policy == "conflate"
            await seen(lambda: len(monitor.measures) >= 2)
            assert stream.events().queue.policy == "drop_oldest"
            consumer.cancel()
            await asyncio.gather(consumer, return_exceptions=True)

        await scene.play(act)
        assert scene.story[:4] == [
            "queue wait degraded",
            "conflate: 1 queue of book tickers conflated",
            "queue wait normal",
            "restore: 1 queue back to the configured policy",
        ]


class Sluggish:
    """A handler that takes its time while ``is_slow``."""

    def __init__(self) -> None:
        self.is_slow = True

    def __call__(self, event: Any) -> None:
        if self.is_slow:
            time.sleep(0.004)


async def test_under_load_sheddable_topics_go_and_come_back() -> None:
    handler = Sluggish()
    async with Simulator("gateio", SYMBOLS, rate_per_s=50) as exchange:
        scene = Scene(
            exchange, {"websocket_handling_ms": 2.0, "share": 0.5, "remedies": ["conflate", "shed"]}
        )

        async def act(stream: WebSocketManager, monitor: Monitor) -> None:
            await seen(lambda: any(measure.action == "shed" for measure in monitor.measures))
            assert of(stream, BTC)
            handler.is_slow = False
            await seen(lambda: any(measure.action == "restore" for measure in monitor.measures))
            assert of(stream, BTC, ETH)

        await scene.play(act, handler)
    assert scene.story[:5] == [
        "handling degraded",
        "conflate: failed: no queue that holds book tickers only, and does not conflate yet",
        "shed: unsubscribed book_ticker ETH_USDT",
        "handling normal",
        "restore: subscribed book_ticker ETH_USDT again",
    ]


async def test_a_monitor_that_ends_puts_back_what_it_took_off() -> None:
    async with Simulator("gateio", SYMBOLS, rate_per_s=50) as exchange:
        scene = Scene(exchange, {"websocket_handling_ms": 2.0, "share": 0.5, "remedies": ["shed"]})

        async def act(stream: WebSocketManager, monitor: Monitor) -> None:
            await seen(lambda: monitor.measures)
            assert of(stream, BTC)

        await scene.play(act, Sluggish())
    assert scene.story[-1] == "restore: subscribed book_ticker ETH_USDT again"


async def test_a_monitor_that_ends_while_it_sheds_puts_that_back_too(exchange: Simulator) -> None:
    log = Log()
    wanted = {"websocket_handling_ms": 1e-5, "remedies": ["shed"]}
    closing: list[asyncio.Task[None]] = []

    def close(alert: Alert) -> None:  # the exchange has not confirmed anything yet when this runs
        loop.call_soon(lambda: closing.append(asyncio.create_task(monitor.close())))

    loop = asyncio.get_running_loop()
    async with exchange, TransportFactory(Scene(exchange, wanted).config) as factory:
        stream = factory.websocket("gateio")
        await stream.initialize(None, log.on_event)
        monitor = Monitor(factory.config.targets, on_alert=close, check_s=0.05, window_s=0.5, patience=1)
        monitor.add(stream)
        monitor.start()
        await seen(lambda: closing)
        await closing[0]
        assert of(stream, BTC, ETH)
        (measure,) = monitor.measures
        assert (measure.action, measure.result) == ("restore", "subscribed book_ticker ETH_USDT again")
        log.counts.clear()
        await log.until(lambda: log.counts["BookTicker", "ETH_USDT"] > 3)


async def test_a_remedy_that_hangs_keeps_no_other_manager_waiting(exchange: Simulator) -> None:
    log, other = Log(), Log()

    def streaming(url: str, symbol: str) -> dict[str, Any]:
        wanted = [{"channel": each, "symbol": symbol, "sheddable": each == "trades"} for each in CHANNELS]
        return {"websocket_url": url, "subscriptions": wanted}

    async with exchange, Simulator("binance", ("BTCUSDT",), rate_per_s=500) as deaf:
        exchanges = {
            "binance": streaming(deaf.ws_url, "BTCUSDT"),
            "gateio": streaming(exchange.ws_url, "BTC_USDT"),
        }
        targets = {"connect_ms": 60_000, "recovery_ms": 60_000, "websocket_handling_ms": 1e-5}
        config = config_from_dict({"exchange": exchanges, "targets": {**targets, "remedies": ["shed"]}})
        async with TransportFactory(config) as factory:
            first, second = factory.websocket("binance"), factory.websocket("gateio")
            await first.initialize(None, log.on_event)
            await second.initialize(None, other.on_event)
            monitor = Monitor(config.targets, check_s=0.05, window_s=60.0, patience=1)
            monitor.add(first)
            monitor.add(second)
            await monitor.look()  # what is judged is what comes from here on
            await log.more(400)
            await other.more(100)
            deaf.inject("half-open")  # it confirms nothing from now on
            async with monitor:
                await seen(lambda: monitor.measures)
                assert [(each.manager, each.action) for each in monitor.measures] == [("gateio", "shed")]
                assert {alert.manager for alert in monitor.alerts} == {"binance", "gateio"}
                await deaf.lift("half-open")


async def test_targets_may_change_while_a_monitor_runs(exchange: Simulator) -> None:
    def config(handling_ms: float, queue_wait_ms: float | None) -> Config:
        targets = {"websocket_handling_ms": handling_ms, "connect_ms": 60_000, "recovery_ms": 60_000}
        if queue_wait_ms is not None:
            targets["queue_wait_ms"] = queue_wait_ms
        own = {"websocket_url": exchange.ws_url}
        return config_from_dict({"exchange": {"gateio": own}, "targets": targets})

    async with exchange, TransportFactory(config(60_000, None)) as factory:
        stream = factory.websocket("gateio")
        await stream.initialize([BTC])
        monitor = Monitor(
            lambda: factory.config.targets, check_s=0.05, window_s=0.5, patience=1, recover=False
        )
        monitor.add(stream)
        async with monitor:
            await seen(lambda: len(monitor.compliance()) == 3)
            assert list(monitor.alerts) == []
            await factory.reconfigure(config(1e-5, 1_000))
            await seen(lambda: monitor.alerts)
            await seen(lambda: len(monitor.compliance()) == 4)
            assert monitor.alerts[0].compliance.target.limit_ns == 10
            handling = monitor.compliance()[0][1]
            assert (handling.condition, handling.total_share) == (Condition.DEGRADED, 0.0)
            assert handling.violations == handling.total >= handling.count > 0
            await factory.reconfigure(config(60_000, None))
            await seen(lambda: len(monitor.alerts) >= 2)
            assert monitor.compliance()[0][1].violations == 0
            assert len(monitor.compliance()) == 3


async def test_a_busy_loop_is_named_for_requests_too() -> None:
    async def hog() -> None:
        while True:
            time.sleep(0.02)  # noqa: ASYNC251 - that is what it is about
            await asyncio.sleep(0)

    async with Simulator("gateio", SYMBOLS) as exchange:
        own = {"rest_url": exchange.rest_url}
        targets = {"rest_total_ms": 10, "rest_sign_ms": 60_000, "connect_ms": 60_000}
        config = config_from_dict({"exchange": {"gateio": own}, "targets": targets})
        async with TransportFactory(config) as factory:
            rest = factory.rest("gateio")
            monitor = Monitor(config.targets, check_s=0.05, window_s=60.0, patience=1)
            monitor.add(rest)
            busy = asyncio.create_task(hog())
            try:
                async with monitor:
                    while not monitor.alerts:
                        await rest.ping()
                    assert monitor.loop_lag.count > 0
            finally:
                busy.cancel()
                await asyncio.gather(busy, return_exceptions=True)
    (alert,) = monitor.alerts
    assert any("a busy event loop" in cause for cause in alert.causes)
    assert list(monitor.measures) == []  # a circuit breaker is what protects requests


async def test_a_failure_to_restore_is_told_once_and_tried_again() -> None:
    handler = Sluggish()
    async with Simulator("gateio", SYMBOLS, rate_per_s=50) as exchange:
        scene = Scene(exchange, {"websocket_handling_ms": 2.0, "share": 0.5, "remedies": ["shed"]})

        async def act(stream: WebSocketManager, monitor: Monitor) -> None:
            await seen(lambda: monitor.measures)
            exchange.inject(Fault("refuse-topic", topic="ETH_USDT", times=3))
            handler.is_slow = False
            await seen(lambda: any("again" in measure.result for measure in monitor.measures))
            assert of(stream, BTC, ETH)

        await scene.play(act, handler)
    results = [measure.partition(": ")[2] for measure in scene.story if measure.startswith("restore")]
    assert results[0].startswith("failed: ")
    assert results[1:] == ["subscribed book_ticker ETH_USDT again"]
