"""The clock in the background: sampled, survived, ended."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from cexnet_core.errors import ConfigurationError
from tests.http.client import PLACED, manager
from tests.http.peer import Peer, Seen, Step, drop, head, reply


def ahead(by_s: float) -> Step:
    """A server whose clock is ahead of ours and which never complains."""

    async def step(seen: Seen, writer: asyncio.StreamWriter) -> None:
        stamp = time.time_ns() // 1_000_000 + round(by_s * 1000)
        await reply({"serverTime": stamp} if seen.path == "/api/v3/time" else PLACED)(seen, writer)

    return step


async def test_it_samples_from_the_first_call_on_without_being_asked() -> None:
    async with Peer(ahead(100)) as peer, manager(peer, clock_every_s=0.01) as rest:
        assert rest.metrics().clock.stale
        assert not peer.seen
        await rest.query_order("BTCUSDT", order_id="7")
        while rest.metrics().clock.syncs < 3:
            await asyncio.sleep(0.01)
        clock = rest.metrics().clock
        assert clock.offset_ns == pytest.approx(100e9, abs=1e9)
        assert not clock.stale
        assert clock.age_s >= 0
        assert clock.error_bound_ns > 0
        assert clock.resyncs == clock.failures == 0
        await rest.query_order("BTCUSDT", order_id="7")
        signed = [seen for seen in peer.seen if seen.path == "/api/v3/order"]
        assert int(signed[1].query["timestamp"]) - int(signed[0].query["timestamp"]) > 90_000
        assert signed[0].query["recvWindow"] == signed[1].query["recvWindow"] == "5000"


async def test_a_body_that_lags_behind_its_head_is_no_quick_answer() -> None:
    async def lagging(seen: Seen, writer: asyncio.StreamWriter) -> None:
        body = json.dumps({"serverTime": time.time_ns() // 1_000_000}).encode()
        writer.write(head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))}))
        await writer.drain()
        await asyncio.sleep(0.1)  # on the way, the server's stamp grows old
        writer.write(body)

    async with Peer(lagging) as peer, manager(peer) as rest:
        await rest.sync_clock()
        clock = rest.metrics().clock
        assert abs(clock.offset_ns) <= clock.error_bound_ns  # both clocks are this machine's


async def test_close_ends_its_task() -> None:
    async with Peer(ahead(0)) as peer:
        before = asyncio.all_tasks()
        rest = manager(peer, clock_every_s=0.01)
        await rest.ping()
        assert any(task.get_name() == "clock of binance" for task in asyncio.all_tasks())
        await rest.close()
        await rest.close()
        assert not any(task.get_name() == "clock of binance" for task in asyncio.all_tasks() - before)


async def test_failures_are_counted_and_survived() -> None:
    async with Peer(drop()) as peer, manager(peer, clock_every_s=0.01, breaker=None) as rest:
        with pytest.raises(Exception, match="brought no result"):
            await rest.ping()
        while rest.metrics().clock.failures < 2:
            await asyncio.sleep(0.01)
        peer.steps = [ahead(100)]
        while rest.metrics().clock.offset_ns < 99e9:
            await asyncio.sleep(0.01)


async def test_no_task_unless_asked_for() -> None:
    async with Peer(ahead(100)) as peer, manager(peer) as rest:
        before = asyncio.all_tasks()
        await rest.ping()
        assert not {task for task in asyncio.all_tasks() - before if "clock" in task.get_name()}
        assert rest.metrics().clock.syncs == 0
        await rest.sync_clock()
        assert (rest.metrics().clock.syncs, rest.metrics().clock.resyncs) == (1, 1)


async def test_nonsense_is_refused() -> None:
    async with Peer(ahead(0)) as peer:
        with pytest.raises(ConfigurationError, match="clock_every_s"):
            manager(peer, clock_every_s=0)
