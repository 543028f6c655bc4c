"""What a living manager measures: stages over parsers and queues, slow messages, and a new beginning."""

from __future__ import annotations

import asyncio
from collections import Counter

import numpy as np
import pytest

from cexnet.exchanges.binance import SCHEMA
from cexnet.simulator import Simulator
from cexnet.types import Channel
from cexnet.websocket import Delivery, LivenessPolicy, MessageParser
from cexnet_core.clock import now_ns
from cexnet_core.meter import MetricsPolicy
from cexnet_core.summary import LatencySummary
from tests.websocket.live import Log, quick_manager, seen, topics_of

SYMBOLS = ("BTCUSDT", "ETHUSDT")
SEQUENCED = (Channel.TRADES, Channel.DEPTH)


async def test_every_stage_of_all_parsers_and_queues_is_told() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        delivery = Delivery(1000)
        manager.router.timer.every = 1
        await manager.initialize(topics_of("BTCUSDT", channels=SEQUENCED), log.on_event)
        await manager.subscribe(topics_of("ETHUSDT", channels=SEQUENCED), delivery)
        await log.more(50)
        first = manager.router
        manager.swap(MessageParser(SCHEMA, name="second"))
        assert manager.router.timer.every == 1  # the option stays with the manager
        await log.more(50)
        manager.router.timer.every = 0
        await seen(lambda: len(delivery.queue) > 0)
        assert manager.metrics().deliveries[0].taken == 0
        taken = await delivery.batch(10)
        metrics = manager.metrics()
        latency = manager.latency
        stages = manager.stages()
    assert list(metrics.stages) == list(stages)
    assert stages.keys() == {
        *(
            "decoded",
            "dispatched",
            "handled",
            "total",
            "one_way",
            "queue_wait",
            "first_event",
            "loop_lag",
            "connect",
        )
    }
    for name in ("decoded", "dispatched", "handled", "total"):
        both = getattr(first.timer, name).count + getattr(manager.router.timer, name).count
        stage = metrics.stages[name]
        assert stage.since_start.count == stages[name].count == both >= 100
        found = stage.since_start
        assert 0 < found.p50_ns <= found.p90_ns <= found.p99_ns <= found.p999_ns <= found.max_ns
        assert stage.recent == found  # everything is younger than the window
        assert stage.rate_per_s == pytest.approx(found.count / metrics.rate.seconds)
    assert metrics.stages["one_way"].since_start.count > 0
    assert metrics.stages["queue_wait"].since_start.count == latency.queue_waits[0].count == len(taken)
    assert metrics.stages["first_event"].since_start == metrics.first_event
    assert metrics.rate.count == metrics.messages == metrics.rate.recent_count
    assert metrics.rate.per_s > 0
    assert [variant.total.count for variant in metrics.variants] == [
        first.total.count,
        manager.router.total.count,
    ]
    assert np.shares_memory(latency.samples, latency.total.samples)  # a view of the ring, no copy
    assert not latency.samples.flags.writeable
    assert len(latency.samples) == latency.total.count


async def test_the_slowest_messages_are_told_with_what_they_were() -> None:
    log = Log()
    began_ns = now_ns()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator,
        quick_manager("binance", simulator, log, policy=MetricsPolicy(slowest=5)) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS, channels=SEQUENCED), log.on_event)
        await log.more(100)
        manager.swap(MessageParser(SCHEMA))
        await log.more(50)
        slowest = manager.slowest()
        assert manager.slowest(2) == slowest[:2]
    assert len(slowest) == 5
    assert [each.total_ns for each in slowest] == sorted((s.total_ns for s in slowest), reverse=True)
    known = {
        (type(event).__name__, event.symbol, event.sequence, event.receive_ts_ns) for event in log.events
    }
    market = [each for each in slowest if each.kind != "SubscriptionAck"]
    assert market
    for each in market:
        assert (each.kind, each.symbol, each.sequence, each.received_ts_ns) in known
        assert began_ns < each.received_ts_ns < each.at_ts_ns < now_ns()
        assert (each.decoded_ns is None) == (each.handled_ns is None)
        assert each.one_way_ns is not None


async def test_a_reset_counts_from_now_on_and_leaves_what_is() -> None:
    log = Log()
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        delivery = Delivery(100_000)
        await manager.initialize(topics_of("BTCUSDT", channels=SEQUENCED), log.on_event)
        await manager.subscribe(topics_of("ETHUSDT", channels=SEQUENCED), delivery)
        await log.more(100)
        await manager.roll()
        await manager.unsubscribe(topics_of("BTCUSDT", channels=(Channel.DEPTH,)))
        await delivery.batch(5)
        assert manager.metrics().rolls > 0
        manager.reset_metrics()  # no await until the next snapshot: nothing can have come
        fresh = manager.metrics()
        waiting = len(delivery.queue)
        assert (fresh.messages, fresh.rolls, fresh.rate.count, fresh.rate.recent_count) == (0, 0, 0, 0)
        assert not any(fresh.events.values())
        assert fresh.decode == {"shape": 0, "ondemand": 0, "protobuf": 0, "errors": 0}
        assert fresh.connections > 0
        assert all(stage.since_start == LatencySummary(0) for stage in fresh.stages.values())
        assert manager.latency.total.count == 0
        assert manager.slowest() == []
        queue = fresh.deliveries[0]
        assert (queue.received, queue.waiting, queue.taken, queue.depth) == (waiting, waiting, 0, 100_000)
        before = len(log.events)
        # A stream that comes anew after the reset counts from nothing.
        await manager.subscribe(topics_of("BTCUSDT", channels=(Channel.DEPTH,)))
        await log.more(100)
        await delivery.batch(3)
        metrics = manager.metrics()
        delivered = Counter({(s.kind, s.symbol): s.delivered for s in metrics.streams})
        got = Counter((type(event).__name__, event.symbol) for event in log.events[before:])
        waiting = len(delivery.queue)
    assert {key: delivered[key] for key in got} == dict(got)
    assert metrics.stages["total"].since_start.count >= sum(got.values())
    assert metrics.messages == metrics.rate.count >= sum(metrics.events.values()) > 0
    (queue,) = metrics.deliveries
    assert (queue.taken, queue.waiting) == (3, waiting)
    assert queue.received == queue.taken + queue.waiting + queue.dropped + queue.conflated
    assert min(metrics.events.values()) >= 0
    assert metrics.losses == {}


async def test_the_recent_figures_move_on_without_anyone_asking() -> None:
    log = Log()
    policy, often = MetricsPolicy(window_s=0.5, slices=5), LivenessPolicy(check_s=0.02)
    async with (
        Simulator("binance", SYMBOLS, rate_per_s=2000) as simulator,
        quick_manager("binance", simulator, log, policy=policy, liveness=often) as manager,
    ):
        await manager.initialize(topics_of(*SYMBOLS, channels=SEQUENCED), log.on_event)
        async with asyncio.timeout(20):
            while manager.metrics().rate.seconds < 1.5:
                await log.more(10)
        metrics = manager.metrics()
    assert metrics.rate.recent_seconds < metrics.rate.seconds
    assert 0 < metrics.rate.recent_count < metrics.rate.count
    assert metrics.stages["total"].recent.count < metrics.stages["total"].since_start.count


async def test_before_it_is_initialized_there_is_nothing() -> None:
    async with Simulator("binance", SYMBOLS) as simulator:
        manager = quick_manager("binance", simulator, Log())
        manager.reset_metrics()
        metrics = manager.metrics()
        assert (metrics.messages, metrics.rate.count, manager.slowest()) == (0, 0, [])
        assert [variant.name for variant in metrics.variants] == ["binance"]
