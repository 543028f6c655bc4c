"""Silence on real sockets: dead peers, zombies, silent topics, and markets that are just quiet."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from cexnet.simulator import Simulator
from cexnet.simulator.faults import Fault
from cexnet.types import Channel
from cexnet.websocket import SessionState, TopicEvent
from tests.websocket.live import ALERT, Log, quick_manager, seen, topics_of

SYMBOLS = ("BTCUSDT", "ETHUSDT")
# Long enough for ALERT to judge several times over.
A_WHILE = 40


async def checks(manager: object, count: int) -> None:
    """Wait for so many looks of the caretaker."""
    lag = manager._caretaker.lag  # type: ignore[attr-defined]
    enough = lag.count + count
    async with asyncio.timeout(20):
        while lag.count < enough:
            await asyncio.sleep(ALERT.check_s)


async def test_half_open_connection_is_probed_and_replaced() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("binance", simulator, log, liveness=ALERT) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS), log.on_event)
        await checks(manager, 10)
        simulator.inject(Fault("half-open", connection=1))
        await log.until(lambda: log.states.count(SessionState.CONNECTING) == 2)
        await log.more()
        assert manager.metrics().probes >= 1
        assert manager.metrics().losses == {"code 1006": 1}
    assert SessionState.STALE in log.states
    assert log.losses[0].reason == "half-open"


async def test_half_open_connection_is_found_out_while_a_topic_is_renewed() -> None:
    """The answers that the renewal waits for never come: that must not hide that the peer is dead."""
    log = Log()
    async with (
        Simulator("gateio", ("BTC_USDT", "ETH_USDT"), rate_per_s=1000) as simulator,
        quick_manager("gateio", simulator, log, liveness=ALERT) as manager,
    ):
        await manager.initialize(
            topics_of("BTC_USDT", "ETH_USDT", channels=(Channel.BOOK_TICKER,)), log.on_event
        )
        await log.until(lambda: log.counts["BookTicker", "ETH_USDT"] > 20)
        simulator.inject(Fault("freeze", topic="ETH_USDT"))
        await log.until(lambda: bool(log.reports))
        assert log.reports[0].event is TopicEvent.SILENT
        simulator.inject(Fault("half-open", connection=1))
        await log.until(lambda: log.states.count(SessionState.CONNECTING) == 2)
        await log.more()
    assert log.losses[0].reason == "half-open"


async def test_zombie_that_answers_pings_is_replaced() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("binance", simulator, log, liveness=ALERT) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS), log.on_event)
        await checks(manager, 20)
        simulator.inject(Fault("freeze", connection=1))
        await log.until(lambda: log.states.count(SessionState.CONNECTING) == 2)
        await log.more()
    assert log.losses[0].reason == "frozen"
    stale = log.states.index(SessionState.STALE)
    assert log.states[stale + 1] is SessionState.LIVE  # the probe was answered


async def test_quiet_market_is_left_alone() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=0) as simulator,
        quick_manager("binance", simulator, log, liveness=ALERT) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS), log.on_event)
        await checks(manager, A_WHILE)
        assert manager.metrics().probes >= 1
        assert manager.live
    assert log.losses == []


# Replaced soon when it has never been heard.
IMPATIENT = replace(ALERT, unheard_s=0.5)


@pytest.mark.parametrize("redundancy", [1, 2])
async def test_one_that_acknowledged_and_never_sent_data_is_replaced(redundancy: int) -> None:
    log = Log()
    fault = Fault("ack-only", connection=1)
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000, faults=[fault]) as simulator,
        quick_manager("binance", simulator, log, liveness=IMPATIENT, redundancy=redundancy) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS, channels=(Channel.BOOK_TICKER,)), log.on_event)
        if redundancy == 1:  # replaced without a loss: it might have been a quiet market
            await seen(lambda: manager.metrics().rolls == 1)
            assert log.losses == []
        else:  # its twin has data of the same topics
            await log.until(lambda: len(log.losses) == 1)
            assert log.losses[0].reason == "frozen"
        await log.more()


async def test_quiet_market_from_the_start_loses_nothing() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=0) as simulator,
        quick_manager("binance", simulator, log, liveness=IMPATIENT) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS, channels=(Channel.TRADES,)), log.on_event)
        await seen(lambda: manager.metrics().rolls >= 2)
        await seen(lambda: manager.metrics().connections == 1)
        assert manager.live
    assert log.losses == []


@pytest.mark.parametrize("redundancy", [1, 2])
@pytest.mark.parametrize("fault", ["freeze", "ack-only"])
async def test_silent_topic_is_subscribed_anew_alone(fault: str, redundancy: int) -> None:
    log = Log()
    async with (
        Simulator("gateio", ("BTC_USDT", "ETH_USDT"), rate_per_s=1000) as simulator,
        quick_manager("gateio", simulator, log, liveness=ALERT, redundancy=redundancy) as manager,
    ):
        wanted = topics_of("BTC_USDT", "ETH_USDT", channels=(Channel.BOOK_TICKER,))
        faults = [Fault(fault, topic="ETH_USDT", connection=number + 1) for number in range(redundancy)]
        if fault == "ack-only":
            for one in faults:
                simulator.inject(one)
            await manager.initialize(wanted, log.on_event)
        else:
            await manager.initialize(wanted, log.on_event)
            await log.until(lambda: log.counts["BookTicker", "ETH_USDT"] > 20)
            for one in faults:
                simulator.inject(one)
        await log.until(lambda: any(report.event is TopicEvent.RENEWED for report in log.reports))
        log.counts.clear()
        await log.until(lambda: log.counts["BookTicker", "ETH_USDT"] > 20)
    assert log.losses == []
    first = [report.event for report in log.reports if report.connection_id == log.reports[0].connection_id]
    assert first[:2] == [TopicEvent.SILENT, TopicEvent.RENEWED]
    assert {report.topic for report in log.reports} == {"spot.book_ticker|ETH_USDT"}


async def test_blocked_loop_is_no_dead_peer() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=1000) as simulator,
        quick_manager("binance", simulator, log, liveness=ALERT) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS), log.on_event)
        await checks(manager, 10)
        time.sleep(3.0)  # noqa: ASYNC251 - blocking the loop is the point
        await log.more(100)
        await checks(manager, 10)
        assert manager.metrics().loop_lag.max_ns > 2_000_000_000
    assert log.losses == []


async def test_late_and_doubled_acks_change_nothing() -> None:
    log = Log()
    faults = [Fault("ack-late", delay_s=0.3), Fault("ack-twice")]
    async with (
        Simulator("gateio", ("BTC_USDT", "ETH_USDT"), rate_per_s=1000, faults=faults) as simulator,
        quick_manager("gateio", simulator, log) as manager,
    ):
        await manager.initialize(topics_of("BTC_USDT", "ETH_USDT"), log.on_event)
        await log.more(100)
        assert manager.live
    assert log.losses == []
    assert log.reports == []
