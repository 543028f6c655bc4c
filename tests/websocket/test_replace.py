"""Parsers swapped, connections replaced and doubled: one ordered stream, nothing twice."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from cexnet.exchanges.binance import SCHEMA
from cexnet.simulator import Simulator
from cexnet.simulator.faults import Fault
from cexnet.types import Channel
from cexnet.websocket import LivenessPolicy, MessageParser, SessionState
from cexnet_core.errors import ConfigurationError
from tests.websocket.live import Log, assert_whole, quick_manager, topics_of

SYMBOLS = ("BTCUSDT", "ETHUSDT")
WHOLE = (Channel.TRADES, Channel.DEPTH)


async def test_swap_keeps_the_stream_whole_and_the_metrics_apart() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        first = manager.strategies.parser
        await manager.initialize(topics_of(*SYMBOLS, channels=WHOLE), log.on_event)
        await log.more(100)
        second = MessageParser(SCHEMA, exact=True, name="exact")
        manager.swap(second)
        before = sum(first.decoder.counters.events.values())
        await log.more(100)
        manager.swap(first)
        between = sum(second.decoder.counters.events.values())
        await log.more(100)
        manager.swap(second)
        assert sum(first.decoder.counters.events.values()) >= before + 100
        await log.more(10)
        metrics, delivered_by_now = manager.metrics(), len(log.events)
        assert between >= 100
        assert manager.router is second.router
    assert_whole(log)
    assert [variant.name for variant in metrics.variants] == ["binance", "exact"]
    delivered = [sum(stream.delivered for stream in v.streams) for v in metrics.variants]
    assert sum(delivered) == sum(stream.delivered for stream in metrics.streams) == delivered_by_now
    assert all(variant.total.p50_ns > 0 for variant in metrics.variants)
    assert (metrics.gaps, metrics.duplicates) == (0, 0)


async def test_swap_refuses_what_is_no_parser() -> None:
    log = Log()
    async with Simulator("binance", SYMBOLS) as simulator:
        manager = quick_manager("binance", simulator, log)
        with pytest.raises(ConfigurationError, match="MessageParser"):
            manager.swap(SCHEMA)  # type: ignore[arg-type]


@pytest.mark.parametrize("redundancy", [1, 2])
async def test_roll_loses_and_doubles_nothing(redundancy: int) -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator,
        quick_manager("binance", simulator, log, redundancy=redundancy) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS, channels=WHOLE), log.on_event)
        for _ in range(5):
            await log.more(50)
            await manager.roll()
        await log.more(50)
        metrics = manager.metrics()
        assert metrics.connections == redundancy
        assert len(simulator.connections) == redundancy
    assert_whole(log)
    assert metrics.rolls == 5 * redundancy
    assert (metrics.gaps, metrics.duplicates, metrics.reconnects) == (0, 0, 0)
    assert metrics.losses == {}


async def test_connection_is_rolled_before_its_lifetime() -> None:
    log = Log()
    async with Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator:
        manager = quick_manager("binance", simulator, log, liveness=LivenessPolicy(check_s=0.02))
        manager.strategies.connection.lifetime_s = 0.3
        await manager.initialize(topics_of(*SYMBOLS, channels=WHOLE), log.on_event)
        await log.until(lambda: manager.metrics().rolls >= 3)
        await log.more(50)
        await manager.close()
    assert_whole(log)
    assert log.losses == []


async def test_announced_end_is_anticipated() -> None:
    log = Log()
    fault = Fault("lifetime", connection=1, after_messages=100, announced=True, delay_s=5.0)
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000, faults=[fault]) as simulator,
        quick_manager("binance", simulator, log, liveness=LivenessPolicy(check_s=0.02)) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS, channels=WHOLE), log.on_event)
        await log.until(lambda: manager.metrics().rolls == 1)
        await log.more(100)
    assert_whole(log)
    assert log.losses == []


async def test_roll_that_fails_keeps_the_old_connection() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS, channels=WHOLE), log.on_event)
        simulator.inject(Fault("status", status=503))
        with pytest.raises(Exception, match="503"):
            await manager.roll()
        await log.more(100)
        assert manager.live
        assert manager.metrics().connections == 1
    assert_whole(log)


@pytest.mark.slow
async def test_killing_either_of_two_connections_loses_and_doubles_nothing() -> None:
    log = Log()
    rng = Random(5)
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator,
        quick_manager("binance", simulator, log, redundancy=2) as manager,
    ):
        manager.strategies.connection.max_connects = 10_000
        await manager.initialize(topics_of(*SYMBOLS, channels=WHOLE), log.on_event)
        for kill in range(1, 201):
            victim = rng.choice(list(simulator.connections))
            simulator.inject(Fault("reset", connection=victim.number))
            await log.until(lambda kill=kill: len(log.losses) == kill)
            await log.until(lambda: log.states.count(SessionState.LIVE) == 2 + len(log.losses))
            await asyncio.sleep(0)
        await log.more(50)
        metrics = manager.metrics()
    assert_whole(log)
    assert metrics.reconnects == 200
    assert (metrics.gaps, metrics.duplicates) == (0, 0)
    assert metrics.redundant > 0


async def test_redundancy_below_one_is_refused() -> None:
    log = Log()
    async with Simulator("binance", SYMBOLS) as simulator:
        with pytest.raises(ConfigurationError, match="redundancy"):
            quick_manager("binance", simulator, log, redundancy=0)
