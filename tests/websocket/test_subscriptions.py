"""Subscriptions that fail, are cancelled, clash or come twice leave the manager as it was."""

from __future__ import annotations

import asyncio

import pytest

from cexnet.simulator import Simulator
from cexnet.simulator.faults import Fault
from cexnet.types import Channel, Subscription
from cexnet.websocket import Endpoint, ReconnectPolicy, SessionState
from cexnet_core.errors import ConfigurationError, ConnectionClosed, SubscriptionError
from tests.websocket.live import ALERT, Log, quick_manager, seen, topics_of

SYMBOLS = ("BTC_USDT", "ETH_USDT")
FIRST, SECOND = (Subscription(Channel.BOOK_TICKER, symbol) for symbol in SYMBOLS)


async def test_refused_subscribe_leaves_nothing_behind() -> None:
    log = Log()
    wrong = Subscription(Channel.TRADES, "NO_SUCHCOIN")
    async with (
        Simulator("gateio", SYMBOLS) as simulator,
        quick_manager("gateio", simulator, log) as manager,
    ):
        await manager.initialize([FIRST], log.on_event)
        with pytest.raises(SubscriptionError):
            await manager.subscribe([SECOND, wrong], log.on_event)
        assert {stream.symbol for stream in manager.metrics().streams} == set(SYMBOLS)
        with pytest.raises(ConfigurationError, match="is not subscribed"):
            await manager.unsubscribe([wrong])
        await manager.unsubscribe([SECOND])  # not refused, so subscribed


@pytest.mark.parametrize("redundancy", [1, 2])
async def test_cancelled_subscribe_leaves_nothing_behind(redundancy: int) -> None:
    log = Log()
    async with (
        Simulator("gateio", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("gateio", simulator, log, redundancy=redundancy) as manager,
    ):
        await manager.initialize([FIRST], log.on_event)
        simulator.inject(Fault("ack-late", delay_s=5.0, times=None))
        subscribing = asyncio.create_task(manager.subscribe([SECOND], log.on_event))
        await seen(lambda: simulator.stats.faults["ack-late"] == redundancy)  # it is on the wire
        subscribing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await subscribing
        await simulator.lift("ack-late")
        with pytest.raises(ConfigurationError, match="is not subscribed"):
            await manager.unsubscribe([SECOND])
        log.counts.clear()
        await manager.subscribe([SECOND], log.on_event)
        await log.until(lambda: log.counts["BookTicker", SYMBOLS[1]] > 5)


@pytest.mark.parametrize("redundancy", [1, 2])
async def test_what_a_cancelled_subscribe_has_asked_for_is_ended(redundancy: int) -> None:
    log = Log()
    async with (
        Simulator("gateio", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("gateio", simulator, log, redundancy=redundancy, liveness=ALERT) as manager,
    ):

        def topics() -> int:
            return sum(len(simulator.topics.of(connection)) for connection in simulator.connections)

        await manager.initialize([FIRST], log.on_event)
        alone = topics()
        simulator.inject(Fault("ack-late", delay_s=0.2, times=None))
        subscribing = asyncio.create_task(manager.subscribe([SECOND], log.on_event))
        await seen(lambda: topics() == 2 * alone)
        subscribing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await subscribing
        await seen(lambda: topics() == alone)
        await simulator.lift("ack-late")
        await manager.subscribe([SECOND], log.on_event)
        log.counts.clear()
        await log.until(lambda: log.counts["BookTicker", SYMBOLS[1]] > 5)
    assert log.losses == []


async def test_second_of_two_waits_for_the_confirmation_too() -> None:
    log = Log()
    async with (
        Simulator("gateio", SYMBOLS) as simulator,
        quick_manager("gateio", simulator, log) as manager,
    ):
        await manager.initialize([FIRST], log.on_event)
        simulator.inject(Fault("ack-late", delay_s=0.2))
        one = asyncio.create_task(manager.subscribe([SECOND], log.on_event))
        two = asyncio.create_task(manager.subscribe([SECOND], log.on_event))
        await asyncio.wait([one, two], return_when=asyncio.FIRST_COMPLETED)
        assert one.done()
        await two
        assert simulator.stats.subscriptions == 2


async def test_close_ends_a_pending_subscribe_with_connection_closed() -> None:
    log = Log()
    async with Simulator("gateio", SYMBOLS) as simulator:
        manager = quick_manager("gateio", simulator, log)
        await manager.initialize([FIRST], log.on_event)
        simulator.inject(Fault("ack-late", delay_s=5.0))
        subscribing = asyncio.create_task(manager.subscribe([SECOND], log.on_event))
        await seen(lambda: simulator.stats.faults["ack-late"])  # it is on the wire
        await manager.close()
        with pytest.raises(ConnectionClosed):
            await subscribing


async def test_close_ends_a_pending_initialize_with_connection_closed() -> None:
    log = Log()
    async with Simulator("gateio", SYMBOLS, faults=["no-answer"]) as simulator:
        manager = quick_manager("gateio", simulator, log)
        starting = asyncio.create_task(manager.initialize([FIRST], log.on_event))
        await log.until(lambda: log.states == [SessionState.CONNECTING])
        await manager.close()
        with pytest.raises(ConnectionClosed):
            await starting


async def test_topics_of_a_dead_connection_do_not_count_as_subscribed() -> None:
    log = Log()
    policy = ReconnectPolicy(base_s=0.0, cap_s=0.0, max_attempts=1)
    async with (
        Simulator("gateio", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("gateio", simulator, log, reconnect=policy) as manager,
    ):
        await manager.initialize([FIRST], log.on_event)
        simulator.inject(Fault("status", times=1))
        simulator.inject("reset")
        await log.until(lambda: log.states[-1] is SessionState.CLOSED)
        assert not manager.live
        log.events.clear()
        await manager.subscribe([FIRST], log.on_event)
        await log.more()
        assert manager.live


async def test_candles_of_two_intervals_are_refused() -> None:
    log = Log()
    async with (
        Simulator("gateio", SYMBOLS) as simulator,
        quick_manager("gateio", simulator, log) as manager,
    ):
        minutes = Subscription(Channel.CANDLES, SYMBOLS[0], "1m")
        await manager.initialize([minutes], log.on_event)
        with pytest.raises(ConfigurationError, match="a manager for each interval"):
            await manager.subscribe([Subscription(Channel.CANDLES, SYMBOLS[0], "5m")], log.on_event)
        await manager.unsubscribe([minutes, minutes])
        assert manager.metrics().streams == ()


async def test_manager_can_begin_again() -> None:
    log = Log()
    for _ in range(2):
        async with Simulator("binance", ("BTCUSDT",), rate_per_s=1000) as simulator:
            if not log.events:
                manager = quick_manager("binance", simulator, log)
            else:
                other = quick_manager("binance", simulator, log).strategies.connection
                manager.strategies.connection = other
            await manager.initialize(topics_of("BTCUSDT"), log.on_event)
            await log.more(50)
            await manager.close()
            assert manager.metrics().gaps == 0
            assert manager.metrics().connections == 0


def test_endpoint_does_not_show_a_listen_key() -> None:
    shown = repr(Endpoint("wss://host/ws?listenKey=secret", {"X-KEY": "secret"}))
    assert "secret" not in shown
