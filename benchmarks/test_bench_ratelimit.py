"""Asking a limiter that has room, inside a coroutine on an event loop, as a REST call does.

aiolimiter's ``acquire`` is a coroutine that returns at once while there is room, so it is
awaited without blocking; that is its cheapest use. Ours is a plain call. All loops are the
same, in the same coroutine shape, and none of the limiters ever runs empty.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from aiolimiter import AsyncLimiter

from benchmarks.conftest import Contestant, Interleaved
from cexnet_core.limit_group import LimitGroup
from cexnet_core.ratelimit import FixedWindow, RollingWindow, TokenBucket

CALLS = 20_000
LIMIT = 1_000_000_000


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


async def ask(try_acquire: Callable[[], int]) -> int:
    begin = time.perf_counter_ns()
    for _ in range(CALLS):
        if try_acquire():
            raise AssertionError("the limiter ran empty")
    return time.perf_counter_ns() - begin


async def await_acquire(limiter: AsyncLimiter) -> int:
    begin = time.perf_counter_ns()
    for _ in range(CALLS):
        await limiter.acquire()
    return time.perf_counter_ns() - begin


async def await_acquire_if_room(limiter: AsyncLimiter) -> int:
    begin = time.perf_counter_ns()
    for _ in range(CALLS):
        if limiter.has_capacity():
            await limiter.acquire()
    return time.perf_counter_ns() - begin


def contestant(
    loop: asyncio.AbstractEventLoop, name: str, job: Callable[[Any], Coroutine[Any, Any, int]], limiter: Any
) -> Contestant:
    """``job(limiter)`` on the loop, timed by itself."""
    return Contestant(name, lambda: loop.run_until_complete(job(limiter)), operations=CALLS, returns_ns=True)


def aiolimiters(loop: asyncio.AbstractEventLoop) -> list[Contestant]:
    """aiolimiter's two ways of asking."""
    return [
        contestant(loop, "aiolimiter acquire", await_acquire, AsyncLimiter(LIMIT, 1.0)),
        contestant(loop, "aiolimiter has_capacity, acquire", await_acquire_if_room, AsyncLimiter(LIMIT, 1.0)),
    ]


@pytest.mark.parametrize(
    "limiter",
    [TokenBucket(LIMIT, LIMIT), FixedWindow(LIMIT, 1.0), RollingWindow(LIMIT, 0.01)],
    ids=["token", "fixed", "rolling"],
)
def test_try_acquire(
    interleaved: Interleaved,
    loop: asyncio.AbstractEventLoop,
    limiter: TokenBucket | FixedWindow | RollingWindow,
) -> None:
    name = type(limiter).__name__
    ours = contestant(loop, f"cexnet {name}", ask, limiter.try_acquire)
    interleaved(f"limiter try_acquire, {name}", ours, *aiolimiters(loop), goal=6.0)


def test_group_of_three(interleaved: Interleaved, loop: asyncio.AbstractEventLoop) -> None:
    group = LimitGroup([RollingWindow(LIMIT, 0.01), FixedWindow(LIMIT, 1.0), TokenBucket(LIMIT, LIMIT)])
    ours = contestant(loop, "cexnet LimitGroup of 3", ask, group.try_acquire)
    interleaved("three limits at once, over one limit of aiolimiter", ours, *aiolimiters(loop))
