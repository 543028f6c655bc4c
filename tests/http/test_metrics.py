"""What a RestManager measures: stages over strategy sets, slow calls and failed ones, a new beginning."""

from __future__ import annotations

import numpy as np
import pytest

from cexnet.http.retry import FullJitterRetry
from cexnet.http.slow import SlowCall, SlowCalls
from cexnet_core.clock import now_ns
from cexnet_core.errors import ExchangeUnavailable
from cexnet_core.meter import MetricsPolicy
from cexnet_core.summary import LatencySummary
from tests.http.accounts import LIMIT_BUY
from tests.http.client import PLACED, TIME, manager
from tests.http.peer import Peer, reply

BUSY = reply(status=503, body=b"")


async def test_stages_and_rates_are_those_of_all_strategy_sets() -> None:
    async with Peer(reply(TIME)) as peer, manager(peer) as rest:
        await rest.ping()
        rest.swap(retry=FullJitterRetry())
        await rest.ping()
        await rest.ping()
        metrics = rest.metrics()
        assert list(metrics.stages) == ["limit_wait", "sign", "pool_wait", "first_byte", "total"]
        for stage in metrics.stages.values():
            found = stage.since_start
            assert found.count == 3
            assert 0 < found.p50_ns <= found.p90_ns <= found.p99_ns <= found.p999_ns <= found.max_ns
            assert stage.recent == found
            assert stage.rate_per_s == pytest.approx(3 / metrics.rate.seconds)
        assert (metrics.rate.count, metrics.rate.recent_count) == (3, 3)
        assert np.shares_memory(rest.latency.samples, rest.latency.total.samples)
        assert len(rest.latency.samples) == 2


async def test_the_slowest_calls_are_told_with_stages_and_tries() -> None:
    began_ns = now_ns()
    async with (
        Peer(BUSY, reply(TIME), reply(PLACED), reply(TIME)) as peer,
        manager(peer, policy=MetricsPolicy(slowest=3)) as rest,
    ):
        await rest.ping()
        await rest.place_order(LIMIT_BUY)
        for _ in range(20):
            await rest.ping()
        slowest = rest.slowest()
        assert len(slowest) == 3
        assert rest.slowest(1) == slowest[:1]
        totals = sorted(rest.latency.samples.tolist(), reverse=True)
        assert [call.total_ns for call in slowest] == totals[:3]
        for call in slowest:
            assert (call.error, call.variant) == ("", "1")
            assert began_ns < call.at_ts_ns < now_ns()
            parts = (call.limit_wait_ns, call.sign_ns, call.pool_wait_ns, call.first_byte_ns)
            assert sum(part or 0 for part in parts) <= call.total_ns
            assert None not in parts


async def test_a_call_that_failed_is_among_them_without_stages() -> None:
    async with Peer(BUSY) as peer, manager(peer, breaker=None) as rest:
        with pytest.raises(ExchangeUnavailable):
            await rest.ping()
        tries = rest.counters.tries
        (call,) = rest.slowest()
        assert (call.endpoint, call.tries, call.error) == ("GET /api/v3/ping", tries, "ExchangeUnavailable")
        assert (call.limit_wait_ns, call.sign_ns, call.pool_wait_ns, call.first_byte_ns) == (None,) * 4
        assert call.total_ns > 0
        assert rest.metrics().stages["total"].since_start == LatencySummary(0)
        assert rest.metrics().errors == rest.counters.errors == 1


async def test_an_order_is_told_by_its_id() -> None:
    async with Peer(reply(PLACED)) as peer, manager(peer) as rest:
        await rest.place_order(LIMIT_BUY)
        (call,) = rest.slowest()
        assert call.endpoint == "POST /api/v3/order"
        assert call.client_order_id == peer.seen[0].query["newClientOrderId"]


async def test_a_reset_counts_from_now_on_and_leaves_what_protects() -> None:
    async with Peer(BUSY, reply(TIME)) as peer, manager(peer) as rest:
        await rest.ping()
        rest.swap(retry=FullJitterRetry())
        await rest.ping()
        before = rest.metrics()
        rest.reset_metrics()
        fresh = rest.metrics()
        assert (fresh.requests, fresh.errors, fresh.tries, fresh.retries) == (0, 0, 0, 0)
        assert all(variant.total == LatencySummary(0) for variant in fresh.variants)
        assert all(stage.since_start == LatencySummary(0) for stage in fresh.stages.values())
        assert (fresh.rate.count, rest.slowest(), rest.latency.total.count) == (0, [], 0)
        assert (fresh.pool, fresh.breakers) == (before.pool, before.breakers)
        assert fresh.retry_budget == before.retry_budget
        assert [variant.name for variant in fresh.variants] == ["1", "2"]
        await rest.ping()
        after = rest.metrics()
        assert (after.requests, after.stages["total"].since_start.count, len(rest.slowest())) == (1, 1, 1)


def test_the_heap_keeps_the_slowest_of_equal_ones_too() -> None:
    calls = SlowCalls(2)
    for total_ns in (5, 5, 5, 7, 6, 5):
        if total_ns > calls.threshold_ns:
            calls.add(SlowCall(0, "GET /x", "", "1", 1, total_ns))
    assert calls.threshold_ns == 6
    assert sorted(call.total_ns for call in calls.drain()) == [6, 7]
    assert (calls.drain(), calls.threshold_ns) == ([], -1)
    none = SlowCalls(0)
    assert none.threshold_ns > 1 << 62
