"""Calls for a limiter, and tasks that wait in its line."""

from __future__ import annotations

import asyncio
from typing import Any

from cexnet.http.endpoint import Call, Endpoint, Priority
from cexnet.http.limits import LimitScope, ScopedLimiter

HOUR = 3600.0
LATER_S = 30.0


def call(
    *scopes: str,
    weight: int = 1,
    name: str = "e",
    symbol: str = "",
    priority: Priority = Priority.QUERY,
) -> Call[bytes]:
    endpoint = Endpoint(name, "GET", "/" + name, weight, scopes, priority=priority)
    return Call(endpoint, "/", bytes, weight=weight, scope_key=symbol, priority=priority)


def deadline(after_s: float = LATER_S) -> float:
    return asyncio.get_running_loop().time() + after_s


async def acquire(limiter: ScopedLimiter, one: Call[Any], after_s: float = LATER_S) -> Any:
    return await limiter.acquire(one, deadline(after_s))


async def spend(limiter: ScopedLimiter, one: Call[Any]) -> None:
    limiter.settle(await acquire(limiter, one))


async def queued(limiter: ScopedLimiter, *calls: Call[Any]) -> list[asyncio.Task[Any]]:
    """Tasks that wait in the order given."""
    tasks = []
    for one in calls:
        tasks.append(asyncio.create_task(acquire(limiter, one, 2 * HOUR)))
        before = limiter.waiting
        while limiter.waiting == before and not tasks[-1].done():
            await asyncio.sleep(0)
    return tasks


def hourly(limit: int, name: str = "w", **options: Any) -> LimitScope:
    return LimitScope(name, limit, HOUR, counts="weight", **options)
