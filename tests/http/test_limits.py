"""The limiter: atomic over scopes, FIFO in a lane, bounded, and it never loses room."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from cexnet.http.endpoint import Priority
from cexnet.http.limits import LimitScope, ScopedLimiter
from cexnet.http.meters import Budget
from cexnet.http.waiting import PATIENCE
from cexnet_core.errors import (
    Banned,
    ConfigurationError,
    DeadlineExceeded,
    RateLimited,
    RequestNotSent,
)
from tests.http.limiting import HOUR, acquire, call, hourly, queued, spend


def note(done: list[Any], name: Any, task: asyncio.Task[Any]) -> None:
    done.append(name)


async def test_all_scopes_or_none() -> None:
    limiter = ScopedLimiter([hourly(10, "a"), hourly(3, "b")])
    await spend(limiter, call("a", "b", weight=3))
    with pytest.raises(DeadlineExceeded, match="nothing was sent"):
        await acquire(limiter, call("a", "b", weight=1))
    assert limiter.remaining == {"a": 7, "b": 0}
    await acquire(limiter, call("a", weight=7))


async def test_weight_or_calls() -> None:
    limiter = ScopedLimiter([hourly(10, "w"), LimitScope("n", 10, HOUR)])
    await acquire(limiter, call("w", "n", weight=4))
    assert limiter.remaining == {"w": 6, "n": 9}


async def test_buckets_per_endpoint_and_per_symbol() -> None:
    limiter = ScopedLimiter(
        [
            LimitScope("e", 1, HOUR, per="endpoint"),
            LimitScope("s", 1, HOUR, per="symbol"),
        ]
    )
    await acquire(limiter, call("e", name="x"))
    await acquire(limiter, call("e", name="y"))
    await spend(limiter, call("s", name="x", symbol="A"))
    await acquire(limiter, call("s", name="y", symbol="B"))
    with pytest.raises(DeadlineExceeded):
        await acquire(limiter, call("s", name="z", symbol="A"))
    assert limiter.remaining == {"e:x": 0, "e:y": 0, "s:A": 0, "s:B": 0}


async def test_room_that_is_given_back_goes_to_the_first_in_line() -> None:
    limiter = ScopedLimiter([hourly(1)])
    held = await acquire(limiter, call("w"))
    first, second = await queued(limiter, call("w"), call("w"))
    limiter.give_back(held)
    again = await first
    assert not second.done()
    limiter.give_back(again)
    await second


async def test_lanes_go_by_urgency_and_fifo_inside() -> None:
    limiter = ScopedLimiter([hourly(4)])
    held = await acquire(limiter, call("w", weight=4))
    done: list[str] = []
    tasks = []
    for name, lane in (
        ("background", Priority.BACKGROUND),
        ("query 1", Priority.QUERY),
        ("query 2", Priority.QUERY),
        ("cancel", Priority.CANCEL),
    ):
        (task,) = await queued(limiter, call("w", priority=lane))
        task.add_done_callback(partial(note, done, name))
        tasks.append(task)
    limiter.give_back(held)
    await asyncio.gather(*tasks)
    assert done == ["cancel", "query 1", "query 2", "background"]


async def test_a_heavy_request_is_not_starved_by_light_ones() -> None:
    limiter = ScopedLimiter([hourly(10)])
    held = [await acquire(limiter, call("w", weight=5)) for _ in range(2)]
    heavy, light = await queued(limiter, call("w", weight=10), call("w", weight=1))
    limiter.give_back(held[0])
    await asyncio.sleep(0)
    assert not heavy.done()
    assert not light.done()
    limiter.give_back(held[1])
    limiter.give_back(await heavy)
    await light


async def test_who_needs_other_buckets_does_not_stand_in_line() -> None:
    limiter = ScopedLimiter([hourly(1, "a"), hourly(1, "b")])
    held = await acquire(limiter, call("a"))
    (waits,) = await queued(limiter, call("a"))
    await acquire(limiter, call("b", name="other"))
    assert not waits.done()
    limiter.give_back(held)
    await waits


async def test_a_cancelled_wait_leaves_the_line_and_lets_the_next_go() -> None:
    limiter = ScopedLimiter([hourly(10)])
    held = await acquire(limiter, call("w", weight=5))
    heavy, light = await queued(limiter, call("w", weight=10), call("w", weight=1))
    heavy.cancel()
    await light
    assert heavy.cancelled()
    assert limiter.waiting == 0
    limiter.give_back(held)
    assert limiter.remaining == {"w": 9}


async def test_a_waiter_cancelled_after_it_was_granted_gives_back() -> None:
    limiter = ScopedLimiter([hourly(1)])
    held = await acquire(limiter, call("w"))
    (granted,) = await queued(limiter, call("w"))
    limiter.give_back(held)  # grants it; its task has not run yet
    assert limiter.remaining == {"w": 0}
    granted.cancel()
    await asyncio.gather(granted, return_exceptions=True)
    assert granted.cancelled()
    assert limiter.remaining == {"w": 1}


async def test_the_deadline_of_one_who_stands_behind() -> None:
    limiter = ScopedLimiter([hourly(1)])
    await acquire(limiter, call("w"))
    (head,) = await queued(limiter, call("w"))
    with pytest.raises(DeadlineExceeded):
        await acquire(limiter, call("w"), 0.01)
    assert limiter.waiting == 1
    head.cancel()
    await asyncio.gather(head, return_exceptions=True)
    assert limiter.waiting == 0


async def test_waits_end_by_themselves() -> None:
    limiter = ScopedLimiter([LimitScope("w", 2, 0.02)])

    async def request() -> None:
        limiter.settle(await acquire(limiter, call("w")))

    await asyncio.gather(*[request() for _ in range(7)])
    assert limiter.waiting == 0


async def test_headers_correct_upwards_only() -> None:
    limiter = ScopedLimiter(
        [
            hourly(10, "u", used_header="X-Used"),
            hourly(10, "r", remaining_header="X-Left"),
        ]
    )
    one = call("u", "r")
    await acquire(limiter, one)
    limiter.observe(one, {"X-Used": "7", "X-Left": "2"})
    assert limiter.remaining == {"u": 3, "r": 2}
    limiter.observe(one, {"X-Used": "1", "X-Left": "9"})
    assert limiter.remaining == {"u": 3, "r": 2}
    for text in ("", "x", "-1", "1.5", "NaN"):
        limiter.observe(one, {"X-Used": text, "X-Left": text})
    limiter.observe(one, {})
    limiter.observe(one, {"X-Left": "99"})
    assert limiter.remaining == {"u": 3, "r": 2}


async def test_a_throttle_holds_the_scopes_of_the_call() -> None:
    limiter = ScopedLimiter([hourly(9, "a"), hourly(9, "b")], code_scopes={"-1015": ("b",)})
    both = call("a", "b")
    limiter.block(both, RateLimited("slow", retry_after_s=60, exchange_code="-1015"))
    await acquire(limiter, call("a", name="x"))
    with pytest.raises(DeadlineExceeded):
        await acquire(limiter, both)
    limiter.block(both, RateLimited("slow", retry_after_s=60, exchange_code="-1003"))
    with pytest.raises(DeadlineExceeded):
        await acquire(limiter, call("a", name="x"))


async def test_a_throttle_without_a_time_has_a_default_and_ends() -> None:
    limiter = ScopedLimiter([hourly(9, "a")], throttle_s=0.01)
    limiter.block(call("a"), RateLimited("slow"))
    await acquire(limiter, call("a"))


async def test_a_ban_holds_everything_unmetered_calls_too() -> None:
    limiter = ScopedLimiter([hourly(9, "a")])
    limiter.block(call("a"), Banned("out", retry_after_s=60))
    assert 59 < limiter.banned_for_s <= 60
    for one in (call("a", name="x"), call(name="y")):
        with pytest.raises(DeadlineExceeded):
            await acquire(limiter, one)


async def test_a_ban_fails_those_who_wait_in_vain_at_once() -> None:
    limiter = ScopedLimiter([LimitScope("w", 1, 1.0)])
    await acquire(limiter, call("w"))
    waiter = asyncio.create_task(acquire(limiter, call("w")))
    while not limiter.waiting:
        await asyncio.sleep(0)
    limiter.block(call("w"), Banned("out"))
    with pytest.raises(DeadlineExceeded):
        await waiter


async def test_closing_fails_the_line() -> None:
    limiter = ScopedLimiter([hourly(1)])
    await acquire(limiter, call("w"))
    (waiter,) = await queued(limiter, call("w"))
    limiter.close()
    limiter.close()
    with pytest.raises(RequestNotSent, match="closed") as caught:
        await waiter
    assert caught.value.outcome == "not_sent"
    with pytest.raises(RequestNotSent):
        await acquire(limiter, call("w"))


async def test_what_never_fits_is_refused_by_name() -> None:
    limiter = ScopedLimiter([hourly(5)])
    with pytest.raises(ConfigurationError, match="GET /e weighs 6, more than the 5 that scope w"):
        await acquire(limiter, call("w", weight=6))
    with pytest.raises(ConfigurationError, match="same name"):
        ScopedLimiter([hourly(1), hourly(2)])


async def test_nobody_is_overtaken_for_ever() -> None:
    limiter = ScopedLimiter([hourly(1)])
    held = await acquire(limiter, call("w"))
    served: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def request(lane: Priority) -> None:
        served.put_nowait((lane.name, await acquire(limiter, call("w", priority=lane), 2 * HOUR)))

    lanes = [Priority.BACKGROUND, Priority.QUERY, *[Priority.CANCEL] * 30]
    order = []
    async with asyncio.TaskGroup() as tasks:
        for count, lane in enumerate(lanes, 1):
            tasks.create_task(request(lane))
            while limiter.waiting < count:
                await asyncio.sleep(0)
        for _ in lanes:
            limiter.give_back(held)
            name, held = await served.get()
            order.append(name)
    # Both are overtaken as often as allowed; then the one that came first goes first.
    assert order == ["CANCEL"] * PATIENCE + ["BACKGROUND", "QUERY"] + ["CANCEL"] * (30 - PATIENCE)


async def test_a_long_wait_at_one_bucket_does_not_close_the_others() -> None:
    limiter = ScopedLimiter([hourly(10, "ip"), hourly(1, "orders")])
    await acquire(limiter, call("ip", "orders"))
    (order,) = await queued(limiter, call("ip", "orders", priority=Priority.PLACE))
    await acquire(limiter, call("ip", name="query", priority=Priority.BACKGROUND))
    assert not order.done()
    order.cancel()
    await asyncio.gather(order, return_exceptions=True)


async def test_the_view_tells_what_is_left_under_way_and_waiting() -> None:
    scope, part = hourly(10, "ip"), LimitScope("each", 3, HOUR, per="endpoint")
    limiter = ScopedLimiter([scope, part])
    both = call("ip", "each", weight=4)
    limiter.settle(await acquire(limiter, both))
    held = await acquire(limiter, both)
    waits = await queued(limiter, both, call("ip", "each", weight=4, priority=Priority.CANCEL))
    view = limiter.view()
    assert view.budgets == (Budget(scope, "", 2, 4, 0.0), Budget(part, "e", 1, 1, 0.0))
    assert view.waiting == {Priority.QUERY: 1, Priority.CANCEL: 1}
    assert view.banned_for_s == 0
    limiter.block(both, RateLimited("slow", retry_after_s=HOUR / 2))
    assert all(HOUR / 2 - 60 < budget.blocked_s <= HOUR / 2 for budget in limiter.view().budgets)
    limiter.give_back(held)
    limiter.settle(held)  # ended already: counts for nothing
    assert [budget.remaining for budget in limiter.view().budgets] == [6, 2]
    limiter.close()
    await asyncio.gather(*waits, return_exceptions=True)


async def test_many_waiters_are_served_in_order() -> None:
    limiter = ScopedLimiter([hourly(1000)])
    held = await acquire(limiter, call("w", weight=1000))
    done: list[int] = []
    tasks = [asyncio.create_task(acquire(limiter, call("w"), 2 * HOUR)) for _ in range(1000)]
    for number, task in enumerate(tasks):
        task.add_done_callback(partial(note, done, number))
    while limiter.waiting < 1000:
        await asyncio.sleep(0)
    limiter.give_back(held)
    await asyncio.gather(*tasks)
    assert done == list(range(1000))
