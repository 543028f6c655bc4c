"""Queued delivery through the manager: a slow consumer under each policy, and nothing lost uncounted."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from cexnet import Config, ExchangeConfig, TransportFactory
from cexnet.exchanges.binance import SCHEMA
from cexnet.simulator import Simulator, pace
from cexnet.simulator.faults import Fault
from cexnet.types import Channel
from cexnet.websocket import Delivery, MessageParser, SessionState, WebSocketManager
from cexnet.websocket.delivery import OverflowPolicy
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import DepthSnapshot, DepthUpdate, EventKind
from tests.websocket.live import ALERT, QUICK, Log, assert_whole, quick_manager, seen, topics_of
from tests.websocket.test_silence import A_WHILE, checks

SYMBOLS = ("BTCUSDT", "ETHUSDT")
WHOLE = (Channel.TRADES, Channel.DEPTH)
SEQUENCED = (Channel.BOOK_TICKER, Channel.DEPTH)


@pytest.fixture(autouse=True)
def patient_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange that does not give up a client that reads nothing, however slow this machine is."""
    monkeypatch.setattr(pace, "STALLED_S", 600.0)


async def consume(manager: WebSocketManager, log: Log, at_once: int = 1) -> None:
    """A consumer that lets the loop turn after so many events."""
    async for event in manager.events():
        log.on_event(event)
        if len(log.events) % at_once == 0:
            await asyncio.sleep(0)


def delivered(manager: WebSocketManager) -> int:
    return sum(stream.delivered for stream in manager.metrics().streams)


def assert_in_order(log: Log) -> None:
    last: dict[tuple[str, str], int] = {}
    for event in log.events:
        key = (type(event).__name__, event.symbol)
        assert event.sequence > last.get(key, -1)
        last[key] = event.sequence


@pytest.mark.parametrize("policy", ["conflate", "drop_oldest", "drop_newest"])
async def test_slow_consumer_gets_the_rest_in_order_and_every_drop_is_counted(policy: OverflowPolicy) -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS, channels=SEQUENCED), Delivery(20, policy))
        await seen(lambda: manager.metrics().dropped + manager.metrics().conflated > 100)
        consumer = asyncio.create_task(consume(manager, log))
        await log.more(100)
        before = manager.metrics()
        assert before.deliveries[0].received == delivered(manager)
        await manager.close()
        await consumer
        metrics = manager.metrics()
    (queue,) = metrics.deliveries
    assert len(log.events) + metrics.dropped + metrics.conflated == queue.received
    assert queue.waiting == 0
    assert Counter(metrics.drops).total() == metrics.dropped + metrics.conflated
    assert {symbol for _, symbol in metrics.drops} == set(SYMBOLS)
    assert (metrics.conflated > 0) == (policy == "conflate")
    assert metrics.losses == {}
    assert_in_order(log)


@pytest.mark.parametrize("redundancy", [1, 2])
async def test_pause_stops_reading_and_loses_nothing(redundancy: int) -> None:
    """The exchange is pushed back by TCP; the silence is ours, so that nobody calls it a dead peer."""
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=None) as simulator,
        quick_manager("binance", simulator, log, liveness=ALERT, redundancy=redundancy) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS, channels=WHOLE), Delivery(50, "pause"))
        await seen(lambda: simulator.stats.pauses > 0)
        received = manager.metrics().deliveries[0].received
        await checks(manager, A_WHILE)
        assert manager.metrics().deliveries[0].received == received
        consumer = asyncio.create_task(consume(manager, log, at_once=20))
        await log.more(received + 1000)
        await checks(manager, 5)
        assert manager.metrics().deliveries[0].received == delivered(manager)
        await manager.close()
        await consumer
        metrics = manager.metrics()
    assert (metrics.dropped, metrics.conflated, metrics.losses) == (0, 0, {})
    assert len(log.events) == metrics.deliveries[0].received
    assert_whole(log)


async def test_disconnect_ends_the_connection_and_comes_back_when_there_is_room() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS, channels=SEQUENCED), Delivery(50, "disconnect"))
        await log.until(lambda: len(log.losses) == 1)
        assert (log.losses[0].reason, log.losses[0].state) == ("overflow", SessionState.BACKING_OFF)
        assert "consumer is too slow" in str(log.losses[0].error)
        await checks(manager, 2)
        assert log.states[-1] is SessionState.BACKING_OFF  # nobody has made room yet
        manager.events().attach(log.on_event)
        await log.until(lambda: log.states.count(SessionState.LIVE) == 2)
        await log.more(200)
        assert manager.metrics().deliveries[0].received == delivered(manager)
        await manager.close()
        metrics = manager.metrics()
    assert metrics.losses == {"overflow": 1}
    assert metrics.reconnects == 1
    assert metrics.dropped > 0
    assert len(log.events) + metrics.dropped == metrics.deliveries[0].received
    assert_in_order(log)


async def test_dropped_depth_mends_its_book() -> None:
    log = Log()
    async with Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator:
        own = ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)
        async with TransportFactory(Config(exchange={"binance": own})) as factory:
            manager = factory.websocket("binance", whole_books=True)
            await manager.initialize(
                topics_of(*SYMBOLS, channels=(Channel.DEPTH,)), Delivery(20, "drop_oldest")
            )
            await seen(lambda: manager.metrics().dropped > 0)
            consumer = asyncio.create_task(consume(manager, log))
            await seen(lambda: manager.metrics().recovered_books > 0)
            dropped = manager.metrics().dropped
            await log.until(lambda: all(follows_snapshot(log, symbol) > 5 for symbol in SYMBOLS))
            assert manager.metrics().dropped == dropped
            await manager.close()
            await consumer


def follows_snapshot(log: Log, symbol: str) -> int:
    """How many updates have followed the last snapshot of a book without a hole."""
    last, count = -1, 0
    for event in log.events:
        if event.symbol == symbol and isinstance(event, DepthSnapshot):
            last, count = event.sequence, 0
        elif event.symbol == symbol and isinstance(event, DepthUpdate) and last >= 0:
            if event.sequence <= last:
                continue
            if event.first_sequence > last + 1:
                last, count = -1, 0
            else:
                last, count = event.sequence, count + 1
    return count


async def test_dropped_depth_marks_its_book_alone_where_books_are_not_kept() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(SYMBOLS[0], channels=(Channel.DEPTH,)), Delivery(5))
        await manager.subscribe(topics_of(SYMBOLS[1], channels=(Channel.DEPTH,)), log.on_event)
        await seen(lambda: manager.metrics().dropped > 0)
        await log.more()
        for symbol in SYMBOLS:
            stream = manager.router.get(EventKind.DEPTH_UPDATE, symbol)
            assert stream is not None
            assert stream.is_gapped == (symbol == SYMBOLS[0])


async def test_drops_stay_counted_after_unsubscribe_and_swap() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        wanted = topics_of(*SYMBOLS, channels=(Channel.BOOK_TICKER,))
        await manager.initialize(wanted, Delivery(3))
        await seen(lambda: len(manager.metrics().drops) == 2)
        before = manager.metrics()
        manager.swap(MessageParser(SCHEMA, name="other"))
        await manager.unsubscribe(wanted[1:])
        await seen(lambda: manager.metrics().dropped > before.dropped + 50)
        metrics = manager.metrics()
        assert all(metrics.drops[topic] >= count for topic, count in before.drops.items())
        assert {symbol for _, symbol in metrics.drops} == set(SYMBOLS)
        manager.events().queue.take(3)
        assert manager.metrics().drops == metrics.drops


async def test_a_roll_waits_for_what_a_paused_connection_holds() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=None) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS, channels=WHOLE), Delivery(50, "pause"))
        await seen(lambda: manager.events().queue.is_full)
        rolling = asyncio.create_task(manager.roll())
        await log.until(lambda: log.states.count(SessionState.LIVE) == 2)
        consumer = asyncio.create_task(consume(manager, log))
        await rolling
        await log.more(1000)
        await manager.close()
        await consumer
        metrics = manager.metrics()
    assert (metrics.rolls, metrics.dropped, metrics.losses) == (1, 0, {})
    assert_whole(log)


async def test_close_ends_a_roll_that_waits_for_a_consumer() -> None:
    log = Log()
    async with Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator:
        manager = quick_manager("binance", simulator, log)
        await manager.initialize(topics_of(*SYMBOLS), Delivery(5, "pause"))
        await seen(lambda: manager.events().queue.is_full)
        rolling = asyncio.create_task(manager.roll())
        await log.until(lambda: log.states.count(SessionState.LIVE) == 2)
        await manager.close()
        async with asyncio.timeout(20):
            await rolling
        assert manager.metrics().connections == 0


async def test_connections_of_others_are_read_on() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        manager.strategies.subscription.max_topics_per_connection = 1
        held, free = (topics_of(symbol, channels=(Channel.BOOK_TICKER,)) for symbol in SYMBOLS)
        await manager.initialize(held, Delivery(5, "pause"))
        await seen(lambda: manager.events().queue.is_full)
        await manager.subscribe(free, log.on_event)
        await log.more(100)
        assert manager.events().queue.is_full
        await manager.unsubscribe(held)
        await manager.subscribe(held, log.on_event)
        await log.until(lambda: log.counts["BookTicker", SYMBOLS[0]] > 20)


async def test_unsubscribing_what_fills_the_queue_lets_its_connection_go_on() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        held, free = (topics_of(symbol, channels=(Channel.BOOK_TICKER,)) for symbol in SYMBOLS)
        await manager.initialize(free, log.on_event)
        await manager.subscribe(held, delivery := Delivery(5, "pause"))
        await seen(lambda: delivery.queue.is_full)
        await manager.unsubscribe(held)
        await log.more(100)
        assert delivery.queue.is_full


async def test_lost_connection_comes_back_when_the_consumer_has_made_room() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS), Delivery(20, "pause"))
        await seen(lambda: manager.events().queue.is_full)
        simulator.inject(Fault("reset", connection=1))
        consumer = asyncio.create_task(consume(manager, log))
        await log.until(lambda: log.states.count(SessionState.LIVE) == 2)
        await log.more(50)
        await manager.close()
        await consumer
        assert manager.metrics().dropped == 0


async def test_events_wait_for_whoever_comes_when_no_handler_is_given() -> None:
    log = Log()
    async with Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator:
        manager = quick_manager("binance", simulator, log)
        with pytest.raises(ConfigurationError, match="no queue"):
            manager.events()
        await manager.initialize(topics_of(SYMBOLS[0], channels=(Channel.BOOK_TICKER,)))
        await manager.subscribe(topics_of(SYMBOLS[1], channels=(Channel.BOOK_TICKER,)))
        got: list[Any] = []
        while {event.symbol for event in got} != set(SYMBOLS):
            batch = await manager.events().batch(50)
            assert 1 <= len(batch) <= 50
            got += batch
        await seen(lambda: len(manager.events().queue) > 0)
        await manager.close()
        got += [event async for event in manager.events()]  # what waits, then the end
        metrics = manager.metrics()
        assert len(got) == metrics.deliveries[0].received == metrics.deliveries[0].taken
        with pytest.raises(ConfigurationError, match="closed"):
            await manager.initialize(topics_of(*SYMBOLS), manager.events())


async def test_a_delivery_belongs_to_one_manager() -> None:
    log = Log()
    async with Simulator("binance", SYMBOLS) as simulator:
        one, two = (quick_manager("binance", simulator, log) for _ in range(2))
        await one.initialize(topics_of(*SYMBOLS), Delivery())
        with pytest.raises(ConfigurationError, match="one of its own"):
            await two.initialize(topics_of(*SYMBOLS), one.events())
        await two.initialize(topics_of(*SYMBOLS), log.on_event)
        with pytest.raises(ConfigurationError, match="no queue"):
            two.events()
        await one.close()
        await two.close()


async def test_delivery_survives_an_initialize_that_failed() -> None:
    log = Log()
    delivery = Delivery()
    delivery.attach(log.on_event)
    async with Simulator("binance", SYMBOLS, faults=[Fault("status", times=1)]) as simulator:
        async with quick_manager("binance", simulator, log, reconnect=QUICK) as manager:
            with pytest.raises(Exception, match="HTTP"):
                await manager.initialize(topics_of(*SYMBOLS), delivery)
            await manager.initialize(topics_of(*SYMBOLS), delivery)
            await log.more(20)
        assert delivery.is_closed
