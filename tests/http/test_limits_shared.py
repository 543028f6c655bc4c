"""Managers of one host in one process: shared buckets, bans, throttles and lines."""

from __future__ import annotations

import asyncio

import pytest

from cexnet.http.endpoint import Priority
from cexnet.http.limits import ScopedLimiter
from cexnet.http.meters import HostMeters, MeterRegistry
from cexnet_core.errors import (
    Banned,
    ConfigurationError,
    DeadlineExceeded,
    RateLimited,
    RequestNotSent,
)
from tests.http.limiting import acquire, call, hourly, queued, spend


async def test_managers_of_one_host_share_what_is_counted_by_address() -> None:
    registry = MeterRegistry()
    scopes = [hourly(10, "ip"), hourly(5, "orders", by="account")]
    one, other, same = (ScopedLimiter(scopes, account=name) for name in ("a", "b", "a"))
    for limiter in (one, other, same):
        limiter.share(registry.of("api.example.com:443"))
    elsewhere = ScopedLimiter(scopes, account="a")
    elsewhere.share(registry.of("api.example.com:443", "through a proxy"))
    for limiter in (one, other, elsewhere):
        await acquire(limiter, call("ip", "orders", weight=2))
    await acquire(same, call("ip", "orders", weight=1))
    assert one.remaining == same.remaining == {"ip": 5, "orders": 2}
    assert other.remaining == {"ip": 5, "orders": 3}
    assert elsewhere.remaining == {"ip": 8, "orders": 3}
    with pytest.raises(ConfigurationError, match="another host"):
        one.share(registry.of("api.example.org:443"))


async def test_managers_of_one_host_share_bans_and_throttles() -> None:
    registry = MeterRegistry()
    one, other = ScopedLimiter([hourly(9, "ip")]), ScopedLimiter([hourly(9, "ip")])
    for limiter in (one, other):
        limiter.share(registry.of("api.example.com:443"))
    one.block(call("ip"), RateLimited("slow", retry_after_s=60))
    with pytest.raises(DeadlineExceeded):
        await acquire(other, call("ip"))
    one.block(call("ip"), Banned("out", retry_after_s=90))
    with pytest.raises(DeadlineExceeded):
        await acquire(other, call(name="unmetered"))
    later = ScopedLimiter([])
    later.share(registry.of("API.example.com:443"))
    assert 89 < later.banned_for_s <= 90
    registry.forget()
    later = ScopedLimiter([])
    later.share(registry.of("api.example.com:443"))
    assert later.banned_for_s == 0


async def test_lanes_hold_across_managers_and_a_closed_one_leaves_the_line() -> None:
    meters = HostMeters()
    one, other = (ScopedLimiter([hourly(1)], meters=meters) for _ in range(2))
    held = await acquire(one, call("w"))
    (query,) = await queued(one, call("w"))
    (cancel,) = await queued(other, call("w", priority=Priority.CANCEL))
    assert (one.waiting, other.waiting) == (1, 1)
    one.give_back(held)
    other.settle(await cancel)
    assert not query.done()
    one.close()
    with pytest.raises(RequestNotSent):
        await query


async def test_room_given_back_on_one_loop_wakes_those_who_wait_on_another() -> None:
    meters = HostMeters()
    here, there = (ScopedLimiter([hourly(1)], meters=meters) for _ in range(2))
    held = await acquire(here, call("w"))
    elsewhere = asyncio.create_task(asyncio.to_thread(asyncio.run, acquire(there, call("w"))))
    while not there.waiting:
        await asyncio.sleep(0.001)
    here.give_back(held)
    await elsewhere
    assert here.remaining == {"w": 0}


async def test_a_share_leaves_the_rest_to_others_and_may_change() -> None:
    meters = HostMeters()
    limiter = ScopedLimiter([hourly(10), hourly(4, "b")], meters=meters)
    await spend(limiter, call("w", weight=1))
    meters.take_share(0.5)
    assert limiter.remaining == {"w": 4}
    await spend(limiter, call("w", "b", weight=2))  # a bucket that is made later has its share too
    assert limiter.remaining == {"w": 2, "b": 0}
    held = await acquire(limiter, call("w", weight=2))
    with pytest.raises(DeadlineExceeded, match="nothing was sent"):
        await acquire(limiter, call("w"), 0.01)
    (waiting,) = await queued(limiter, call("w", weight=5))
    meters.take_share(1.0)  # wakes those who wait
    await waiting
    limiter.settle(held)
    assert limiter.remaining == {"w": 0, "b": 2}
    for nonsense in (0.0, 1.1):
        with pytest.raises(ConfigurationError, match="share"):
            meters.take_share(nonsense)


async def test_what_weighs_more_than_our_share_goes_when_everything_is_free() -> None:
    meters = HostMeters()
    meters.take_share(0.2)
    limiter = ScopedLimiter([hourly(10)], meters=meters)
    held = await acquire(limiter, call("w", weight=1))
    (heavy,) = await queued(limiter, call("w", weight=8))
    assert not heavy.done()
    limiter.give_back(held)
    await heavy
