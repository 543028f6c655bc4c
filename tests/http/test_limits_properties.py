"""Whatever the delays, the exchange never counts more than it allows, and nobody waits for ever.

The oracle is the exchange itself: it notes when each request arrives on its own clock and
adds up, in its own windows, all that came. Requests take their time before they are sent, on
the way there and on the way back; some are withdrawn, some given up after their first byte,
which may arrive later still; answers state the exchange's count; our clock jumps about.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cexnet.http.endpoint import Call, Endpoint, Priority
from cexnet.http.limits import LimitScope, ScopedLimiter
from cexnet.http.meters import HostMeters
from cexnet_core.errors import DeadlineExceeded, RateLimited
from tests.http.timeless import TimelessLoop

LIMIT = 7
WINDOW_MS = 1000
JITTER_MS = 20  # of our clock, either way
SKEW_MS = 30  # of the exchange's clock against ours
LATE_MS = 40  # how long after being given up a request may arrive
GUARD_S = (2 * JITTER_MS + SKEW_MS + LATE_MS) / 1000


@dataclass(frozen=True)
class Plan:
    """One request's life, in milliseconds."""

    start: int
    weight: int
    lane: Priority
    patience: int
    before_send: int
    way_there: int
    way_back: int
    fate: str


plans = st.builds(
    Plan,
    start=st.one_of(st.just(0), st.integers(0, 3000), st.integers(900, 1100)),
    weight=st.integers(1, LIMIT - 1),
    lane=st.sampled_from(Priority),
    patience=st.sampled_from([10**7, 10**7, 500, 0]),
    before_send=st.sampled_from([0, 0, 5, 300, 1500]),
    way_there=st.sampled_from([0, 1, 40, 700, 1200]),
    way_back=st.sampled_from([0, 1, 40, 900]),
    fate=st.sampled_from(["answered"] * 5 + ["withdrawn", "cancelled", "given up", "throttled"]),
)


class Exchange:
    """Counts in whole milliseconds of its own clock."""

    def __init__(self, shape: str, skew_ms: int) -> None:
        self.shape = shape
        self.skew_ms = skew_ms
        self.came: list[tuple[Fraction, int]] = []

    def arrive(self, weight: int) -> int:
        """Count a request that arrives now; the exchange's count with it."""
        now_ms = Fraction(asyncio.get_running_loop().time()) * 1000 + self.skew_ms
        self.came.append((now_ms, weight))
        return self.count(now_ms)

    def count(self, now_ms: Fraction) -> int:
        if self.shape == "fixed":
            window = now_ms // WINDOW_MS
            return sum(weight for at, weight in self.came if at // WINDOW_MS == window)
        if self.shape == "rolling":
            return sum(weight for at, weight in self.came if at > now_ms - WINDOW_MS)
        level, last_ms = Fraction(LIMIT), Fraction(0)
        for at, weight in self.came:
            level = min(level + (at - last_ms) * Fraction(LIMIT, WINDOW_MS), Fraction(LIMIT)) - weight
            last_ms = at
        return -(-(LIMIT - level) // 1) if level >= -Fraction(1, 1000) else LIMIT + 1

    def check(self) -> None:
        came = self.came
        for size in range(1, len(came) + 1):
            self.came = came[:size]
            assert self.count(came[size - 1][0]) <= LIMIT, (self.shape, came[:size])
        self.came = came


async def live(plan: Plan, limiter: ScopedLimiter, call: Call[Any], exchange: Exchange) -> str:
    """Carry one request through its plan; what became of it."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(plan.start / 1000)
    try:
        held = await limiter.acquire(call, loop.time() + plan.patience / 1000)
    except DeadlineExceeded:
        return "too late"
    sent = False
    try:
        await asyncio.sleep(plan.before_send / 1000)
        if plan.fate == "withdrawn":
            return plan.fate
        sent = True
        if plan.fate == "given up":
            loop.call_later(LATE_MS / 1000, exchange.arrive, plan.weight)
            return plan.fate
        await asyncio.sleep(plan.way_there / 1000)
        used = exchange.arrive(plan.weight)
        await asyncio.sleep(plan.way_back / 1000)
    finally:
        if sent:
            limiter.settle(held)
        else:
            limiter.give_back(held)
    limiter.observe(call, {"Used": str(used)})
    if plan.fate == "throttled":
        limiter.block(call, RateLimited("slow", retry_after_s=0.2))
    return plan.fate


async def run(plans: list[Plan], shape: Any, jitters: list[int], skew_ms: int, managers: int) -> None:
    loop = asyncio.get_running_loop()
    reads = iter(jitters * 10_000)

    def clock() -> int:
        return round(loop.time() * 1e9) + next(reads) * 1_000_000

    scope = LimitScope(
        "w", LIMIT, WINDOW_MS / 1000, shape, counts="weight", used_header="Used", guard_s=GUARD_S
    )
    meters = HostMeters(clock=clock)
    limiters = [ScopedLimiter([scope], meters=meters) for _ in range(managers)]
    exchange = Exchange(shape, skew_ms)
    tasks = []
    for number, plan in enumerate(plans):
        endpoint = Endpoint("e", "GET", "/e", 1, ("w",))
        call = Call(endpoint, "/e", bytes, weight=plan.weight, priority=plan.lane)
        task = asyncio.create_task(live(plan, limiters[number % managers], call, exchange))
        if plan.fate == "cancelled":
            loop.call_later((plan.start + plan.way_back + 1) / 1000, task.cancel)
        tasks.append(task)
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(2 * LATE_MS / 1000)
    for plan, end in zip(plans, ended, strict=True):
        cancelled = plan.fate == "cancelled" and isinstance(end, asyncio.CancelledError)
        assert cancelled or end in (plan.fate, "too late"), end
        assert plan.patience < 10**7 or end != "too late"
    exchange.check()
    assert not any(limiter.waiting for limiter in limiters)
    for limiter in limiters:
        assert all(not budget.under_way for budget in limiter.view().budgets)


def timeless(plans: list[Plan], shape: str, jitters: list[int], skew_ms: int, managers: int) -> None:
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(run(plans, shape, jitters, skew_ms, managers))


@pytest.mark.parametrize("shape", ["fixed", "rolling", "token"])
@settings(max_examples=150)
@given(
    plans=st.lists(plans, min_size=1, max_size=30),
    jitters=st.lists(st.integers(-JITTER_MS, JITTER_MS), min_size=1, max_size=7),
    skew_ms=st.integers(-SKEW_MS, SKEW_MS),
    managers=st.integers(1, 2),
)
def test_the_exchange_never_counts_more_than_it_allows(
    shape: str, plans: list[Plan], jitters: list[int], skew_ms: int, managers: int
) -> None:
    timeless(plans, shape, jitters, skew_ms, managers)
