"""Connections that end come back by themselves, with every topic, and say why they ended."""

from __future__ import annotations

import asyncio

import pytest

from cexnet.simulator import Simulator
from cexnet.simulator.faults import Fault
from cexnet.types import Channel, Subscription
from cexnet.websocket import ReconnectPolicy, SessionState, TopicEvent
from cexnet_core.errors import ConnectionClosed, DeadlineExceeded, HandshakeError, ProtocolError
from tests.websocket.live import QUICK, Log, quick_manager, topics_of

SYMBOLS = ("BTCUSDT", "ETHUSDT")

ENDINGS = [
    (Fault("reset", after_messages=50), 1006),
    (Fault("close", after_messages=50, code=1001), 1001),
    (Fault("close", after_messages=50, code=1005), 1005),
    (Fault("close", after_messages=50, code=1006), 1006),
    (Fault("close", after_messages=50, code=1008, reason="too fast"), 1008),
    (Fault("close", after_messages=50, code=1012), 1012),
    (Fault("lifetime", after_messages=50), 1001),
    (Fault("oversize", after_messages=50), 1009),
]


@pytest.mark.parametrize("fault, code", ENDINGS, ids=lambda value: getattr(value, "name", str(value)))
async def test_every_ending_is_named_and_survived(fault: Fault, code: int) -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000, faults=[fault]) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS), log.on_event)
        await log.until(lambda: len(log.losses) == 1)
        await log.until(lambda: log.states[-1] is SessionState.LIVE)
        seen = set(log.counts)
        log.counts.clear()
        await log.until(lambda: set(log.counts) >= seen)
        assert manager.live
        metrics = manager.metrics()
    lost = log.losses[0]
    assert lost.state is SessionState.BACKING_OFF
    assert lost.error is not None
    assert (lost.code, lost.reason) == (code, fault.reason or lost.reason)
    assert metrics.reconnects == 1
    assert metrics.connections == 1
    assert metrics.first_event.count == 2
    assert metrics.losses == {f"code {code}": 1}


async def test_states_come_in_order() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, faults=[Fault("reset", after_messages=10)]) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS), log.on_event)
        await log.until(lambda: log.states.count(SessionState.LIVE) == 2)
    opening = [SessionState.CONNECTING, SessionState.SUBSCRIBING, SessionState.LIVE]
    assert log.states == [*opening, SessionState.BACKING_OFF, *opening, SessionState.CLOSED]
    assert all(a.state is b.before for a, b in zip(log.changes, log.changes[1:], strict=False))
    assert log.losses[0].delay_s == 0.0


@pytest.mark.parametrize("status", [401, 403, 418, 429, 503])
async def test_refused_upgrade_is_waited_out(status: int) -> None:
    log = Log()
    faults = [
        Fault("reset", after_messages=20, connection=1),
        Fault("status", connection=2, status=status, retry_after_s=0 if status > 403 else None),
    ]
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000, faults=faults) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS), log.on_event)
        await log.until(lambda: log.states.count(SessionState.LIVE) == 2)
        await log.more()
    refused = log.losses[1]
    assert refused.status == status
    assert isinstance(refused.error, HandshakeError)
    assert refused.delay_s is not None
    assert refused.delay_s >= (QUICK.refused_s if status <= 403 else 0.0)


async def test_retry_after_is_kept_to() -> None:
    log = Log()
    faults = [
        Fault("reset", after_messages=20, connection=1),
        Fault("status", connection=2, status=429, retry_after_s=1),
    ]
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000, faults=faults) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS), log.on_event)
        await log.until(lambda: log.states.count(SessionState.LIVE) == 2)
    assert (log.losses[1].delay_s or 0.0) >= 1.0


async def test_first_connection_that_is_refused_is_an_error_at_once() -> None:
    log = Log()
    async with Simulator("binance", SYMBOLS, faults=[Fault("status", status=403)]) as simulator:
        manager = quick_manager("binance", simulator, log)
        with pytest.raises(HandshakeError):
            await manager.initialize(topics_of(*SYMBOLS), log.on_event)
        assert log.states == [SessionState.CONNECTING, SessionState.CLOSED]
        assert manager.metrics().connections == 0


@pytest.mark.parametrize("exchange, symbols", [("gateio", ("BTC_USDT", "ETH_USDT")), ("mexc", SYMBOLS)])
async def test_refusal_at_resubscription_is_reported_not_lost(
    exchange: str, symbols: tuple[str, ...]
) -> None:
    log = Log()
    faults = [
        Fault("reset", after_messages=50, connection=1),
        Fault("refuse-topic", connection=2, topic=symbols[1]),
    ]
    async with (
        Simulator(exchange, symbols, rate_per_s=1000, faults=faults) as simulator,
        quick_manager(exchange, simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*symbols, channels=(Channel.BOOK_TICKER,)), log.on_event)
        await log.until(lambda: log.states.count(SessionState.LIVE) == 2)
        log.events.clear()
        await log.more()
        assert {event.symbol for event in log.events} == {symbols[0]}
        assert manager.metrics().topic_events == {"refused": 1}
    (report,) = log.reports
    assert report.event is TopicEvent.REFUSED
    assert symbols[1] in report.topic
    assert report.words


async def test_attempts_can_be_bounded() -> None:
    log = Log()
    policy = ReconnectPolicy(base_s=0.0, cap_s=0.0, max_attempts=3)
    async with Simulator("binance", SYMBOLS) as simulator:
        manager = quick_manager("binance", simulator, log, reconnect=policy)
        await manager.initialize(topics_of(*SYMBOLS), log.on_event)
    await log.until(lambda: log.states[-1] is SessionState.CLOSED)
    assert len(log.losses) == 4
    assert not manager.live
    assert manager.metrics().connections == 0
    with pytest.raises(DeadlineExceeded, match="connections: none"):
        await manager.wait_live(0.01)
    await manager.close()


async def test_wait_live_returns_when_it_is_back() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, faults=[Fault("reset", after_messages=20)]) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS), log.on_event)
        await log.until(lambda: len(log.losses) == 1)
        assert not manager.live
        await manager.wait_live()
        assert manager.live


@pytest.mark.parametrize("failure", [RuntimeError, asyncio.CancelledError])
async def test_broken_listener_and_handler_are_isolated(failure: type[BaseException]) -> None:
    log = Log()

    def broken(news: object) -> None:
        log.on_event(news)  # type: ignore[arg-type]
        raise failure("strategy bug")

    def listener(change: object) -> None:
        raise failure

    async with Simulator("binance", SYMBOLS, faults=[Fault("bad-utf8", after_messages=20)]) as simulator:
        manager = quick_manager("binance", simulator, log)
        manager._on_state = listener
        await manager.initialize(topics_of(*SYMBOLS), broken)
        await log.more(100)
        assert manager.live
        metrics = manager.metrics()
        await manager.close()
    assert metrics.handler_errors >= 100
    assert metrics.listener_errors >= 3


async def test_broken_strategy_costs_an_attempt_only() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, faults=[Fault("reset", after_messages=20)]) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS), log.on_event)
        whole, broken = manager.strategies.connection.endpoint, iter([True])

        def endpoint(topics: object) -> object:
            if next(broken, False):
                raise KeyError("no such route")
            return whole(topics)  # type: ignore[arg-type]

        manager.strategies.connection.endpoint = endpoint  # type: ignore[method-assign, assignment]
        await log.until(lambda: log.states.count(SessionState.LIVE) == 2)
        assert manager.metrics().strategy_errors == 1
    assert isinstance(log.losses[1].error, KeyError)


async def test_nothing_is_left_behind_after_many_reconnects() -> None:
    log = Log()
    fault = Fault("reset", after_messages=5, times=None)
    policy = ReconnectPolicy(base_s=0.0, cap_s=0.0)
    async with Simulator("binance", SYMBOLS, rate_per_s=2000, faults=[fault]) as simulator:
        manager = quick_manager("binance", simulator, log, reconnect=policy)
        manager.strategies.connection.max_connects = 10_000
        before = len(asyncio.all_tasks())
        await manager.initialize(topics_of("BTCUSDT", channels=(Channel.BOOK_TICKER,)), log.on_event)
        await log.until(lambda: len(log.losses) >= 5)
        tasks = len(asyncio.all_tasks()) - before
        await log.until(lambda: len(log.losses) >= 60)
        assert len(asyncio.all_tasks()) - before <= tasks
        await manager.close()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("cexnet")]


async def test_unsubscribed_topic_does_not_come_back() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        ticker = Subscription(Channel.BOOK_TICKER, SYMBOLS[0])
        other = Subscription(Channel.BOOK_TICKER, SYMBOLS[1])
        await manager.initialize([ticker, other], log.on_event)
        await manager.unsubscribe([other])
        simulator.inject(Fault("reset"))
        await log.until(lambda: log.states.count(SessionState.LIVE) == 2)
        log.events.clear()
        await log.more()
        assert {event.symbol for event in log.events} == {SYMBOLS[0]}
        assert isinstance(log.losses[0].error, ConnectionClosed | ProtocolError)


async def test_topics_are_reference_counted() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        ticker = Subscription(Channel.BOOK_TICKER, SYMBOLS[0])
        trades = Subscription(Channel.TRADES, SYMBOLS[0])
        await manager.initialize([ticker, trades], log.on_event)
        await manager.subscribe([ticker], log.on_event)
        await manager.unsubscribe([ticker])
        log.counts.clear()
        await log.until(lambda: log.counts["BookTicker", SYMBOLS[0]] > 5)
        await manager.unsubscribe([ticker])
        log.counts.clear()
        await log.until(lambda: log.counts["Trade", SYMBOLS[0]] > 5)
        assert log.counts["BookTicker", SYMBOLS[0]] == 0
