"""Whatever happens, no limiter grants more than its limit; left alone, it grants no less.

A machine per shape acquires, gives back, corrects and blocks on a clock that moves, stands
still and steps back. What was granted and not given back was *sent*: the oracle is that
list, summed anew for each question.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cexnet_core.limit import Limit
from cexnet_core.limit_group import LimitGroup
from cexnet_core.ratelimit import FixedWindow, RollingWindow, TokenBucket

LIMIT = 7
WINDOW_NS = 1_000
WINDOW_S = WINDOW_NS / 1e9
GUARD_NS = 100

steps = st.one_of(
    st.integers(0, 40), st.integers(100, 600), st.just(WINDOW_NS), st.integers(0, 3 * WINDOW_NS)
)


class Machine(RuleBasedStateMachine):
    """Drives one limiter; ``sent`` lists ``[time, weight]`` of its grants."""

    def __init__(self) -> None:
        super().__init__()
        self.raw_ns = 1_000_000
        self.now_ns = self.raw_ns  # what the limiter makes of it: never back
        self.sent: list[list[int]] = []
        self.stated: list[tuple[int, int, int]] = []  # time, count, grants before it
        self.blocked_until_ns = 0
        self.limiter = self.make()

    def make(self) -> Limit:
        raise NotImplementedError

    def clock(self) -> int:
        return self.raw_ns

    def sum_between(self, first_ns: int, end_ns: int, skip: int = 0) -> int:
        return sum(weight for at, weight in self.sent[skip:] if first_ns <= at < end_ns)

    @rule(step=steps)
    def move(self, step: int) -> None:
        self.raw_ns += step
        self.now_ns = max(self.now_ns, self.raw_ns)

    @rule(step=st.one_of(st.integers(1, 40), st.integers(1, 2 * WINDOW_NS)))
    def step_back(self, step: int) -> None:
        self.raw_ns -= step

    @rule(weight=st.integers(0, LIMIT))
    def acquire(self, weight: int) -> None:
        wait_ns = self.limiter.try_acquire(weight)
        assert wait_ns >= 0
        if wait_ns == 0:
            assert self.now_ns >= self.blocked_until_ns
            assert self.limiter.last_grant_ns == self.now_ns
            self.sent.append([self.now_ns, weight])
            self.check_grant()

    @rule(data=st.data())
    @precondition(lambda self: self.sent)
    def give_back(self, data: st.DataObject) -> None:
        grant = self.sent[data.draw(st.integers(0, len(self.sent) - 1))]
        self.limiter.give_back(grant[1], grant[0])
        grant[1] = 0

    @rule(used=st.integers(0, LIMIT + 3))
    def observe(self, used: int) -> None:
        self.limiter.observe_used(used)
        self.stated.append((self.now_ns, used, len(self.sent)))

    @rule(nanoseconds=st.integers(0, WINDOW_NS // 4))
    def block(self, nanoseconds: int) -> None:
        self.limiter.block_for(nanoseconds)
        self.blocked_until_ns = max(self.blocked_until_ns, self.now_ns + nanoseconds)

    @invariant()
    def remaining_is_in_range(self) -> None:
        assert 0 <= self.limiter.remaining <= LIMIT

    def check_grant(self) -> None:
        """Called after each grant."""


class RollingMachine(Machine):
    """Exact: ``counted`` is what a rolling window must count, summed anew at each question."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: list[list[int]] = []
        self.settled_ns = -1

    def make(self) -> Limit:
        return RollingWindow(LIMIT, WINDOW_S, clock=self.clock)

    def used(self) -> int:
        return sum(weight for at, weight in self.counted if at > self.now_ns - WINDOW_NS)

    @rule(weight=st.integers(1, LIMIT))
    def acquire(self, weight: int) -> None:
        fits = self.used() + weight <= LIMIT and self.now_ns >= self.blocked_until_ns
        granted = len(self.sent)
        super().acquire(weight)
        assert (len(self.sent) > granted) == fits
        if fits:
            self.counted.append([self.now_ns, weight])

    @rule(data=st.data())
    @precondition(lambda self: self.sent)
    def give_back(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.sent) - 1))
        at, weight = self.sent[index]
        self.limiter.give_back(weight, at)
        self.sent[index][1] = 0
        if at > self.settled_ns and [at, weight] in self.counted:
            self.counted.remove([at, weight])

    @rule(used=st.integers(0, LIMIT + 3))
    def observe(self, used: int) -> None:
        self.limiter.observe_used(used)
        self.counted.append([self.now_ns, max(0, used - self.used())])
        self.settled_ns = max((at for at, _ in self.sent), default=-1)

    @invariant()
    def remaining_is_in_range(self) -> None:
        assert self.limiter.remaining == max(0, LIMIT - self.used())

    def check_grant(self) -> None:
        for end_ns, _ in self.sent:
            assert self.sum_between(end_ns - WINDOW_NS + 1, end_ns + 1) <= LIMIT


class UncorrectedRollingMachine(RollingMachine):
    """Corrections forbid most giving back: without them it is tried to the full."""

    observe = block = step_back = None  # type: ignore[assignment]


class TokenMachine(Machine):
    per_ns = Fraction(3, WINDOW_NS)

    def make(self) -> Limit:
        return TokenBucket(LIMIT, float(self.per_ns * 10**9), clock=self.clock)

    def check_grant(self) -> None:
        rounding = Fraction(1, 10**9)
        last_ns = self.sent[-1][0]
        for index, (first_ns, _) in enumerate(self.sent):
            burst = sum(weight for _, weight in self.sent[index:])
            assert burst <= LIMIT + self.per_ns * (last_ns - first_ns) + rounding
        for at_ns, used, before in self.stated:
            since = sum(weight for _, weight in self.sent[before:])
            assert since == 0 or since <= LIMIT - used + self.per_ns * (last_ns - at_ns) + rounding


class UncorrectedTokenMachine(TokenMachine):
    """Giving back to the full, as above."""

    observe = block = step_back = None  # type: ignore[assignment]


class OpenedWindowMachine(Machine):
    """Windows that open with a grant: the oracle opens them alike and sums what was sent."""

    opened_ns: int | None = None

    def make(self) -> Limit:
        return FixedWindow(LIMIT, WINDOW_S, clock=self.clock)

    def settle(self) -> None:
        if self.opened_ns is not None and self.now_ns >= self.opened_ns + WINDOW_NS:
            self.opened_ns = None

    def observe(self, used: int) -> None:
        self.settle()
        super().observe(used)
        if self.opened_ns is None and used > 0:
            self.opened_ns = self.now_ns

    def check_grant(self) -> None:
        self.settle()
        if self.opened_ns is None:
            if self.sent[-1][1] == 0:
                return
            self.opened_ns = self.now_ns
        assert self.sum_between(self.opened_ns, self.opened_ns + WINDOW_NS) <= LIMIT
        for at_ns, used, before in self.stated:
            if at_ns >= self.opened_ns:
                since = self.sum_between(at_ns, self.opened_ns + WINDOW_NS, skip=before)
                assert used + since <= LIMIT or since == 0


class GuardedWindowMachine(Machine):
    """Aligned windows: each may have counted everything that was sent within the guard of it."""

    def make(self) -> Limit:
        return FixedWindow(LIMIT, WINDOW_S, epoch_offset_ns=0, guard_s=GUARD_NS / 1e9, clock=self.clock)

    def check_grant(self) -> None:
        now_ns = self.sent[-1][0]
        for near_ns in (now_ns - GUARD_NS, now_ns, now_ns + GUARD_NS):
            start_ns = near_ns // WINDOW_NS * WINDOW_NS
            landed = self.sum_between(start_ns - GUARD_NS, start_ns + WINDOW_NS + GUARD_NS)
            assert landed <= LIMIT


class RealignedMachine(Machine):
    """The boundaries are corrected: at a grant, the window as then believed is not exceeded."""

    observe = block = step_back = None  # type: ignore[assignment]
    offset_ns = 0

    def make(self) -> Limit:
        return FixedWindow(LIMIT, WINDOW_S, epoch_offset_ns=0, clock=self.clock)

    @rule(offset_ns=st.integers(-WINDOW_NS, WINDOW_NS))
    def align(self, offset_ns: int) -> None:
        assert isinstance(self.limiter, FixedWindow)
        self.limiter.align(offset_ns)
        self.offset_ns = offset_ns

    def check_grant(self) -> None:
        now_ns, weight = self.sent[-1]
        start_ns = now_ns - (now_ns + self.offset_ns) % WINDOW_NS
        assert weight == 0 or self.sum_between(start_ns, now_ns + 1) <= LIMIT


class CoalescingMachine(Machine):
    """A limit above what a rolling window keeps one by one: grants share entries."""

    scale = 10_000  # limit 70,000, so entries span a 4096th of the window

    def make(self) -> Limit:
        return RollingWindow(LIMIT * self.scale, WINDOW_S * 1000, clock=self.clock)

    @rule(weights=st.lists(st.integers(1, LIMIT), min_size=1, max_size=20), step=st.integers(0, 900))
    def acquire_often(self, weights: list[int], step: int) -> None:
        for weight in weights:
            self.move(step)
            if self.limiter.try_acquire(weight * self.scale // 4) == 0:
                self.sent.append([self.now_ns, weight * self.scale // 4])
        for end_ns, _ in self.sent[-3:]:
            window_ns = WINDOW_NS * 1000
            assert self.sum_between(end_ns - window_ns + 1, end_ns + 1) <= LIMIT * self.scale

    @invariant()
    def remaining_is_in_range(self) -> None:
        assert 0 <= self.limiter.remaining <= LIMIT * self.scale


MACHINES = (
    RollingMachine,
    UncorrectedRollingMachine,
    CoalescingMachine,
    TokenMachine,
    UncorrectedTokenMachine,
    OpenedWindowMachine,
    GuardedWindowMachine,
    RealignedMachine,
)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
def test_never_more_than_the_limit(machine: type[Machine]) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=100, stateful_step_count=40))


moves = st.lists(st.tuples(st.integers(0, 600), st.integers(1, LIMIT)), max_size=60)


@given(moves=moves)
def test_rolling_window_is_exact(moves: list[tuple[int, int]]) -> None:
    now = 0
    window = RollingWindow(LIMIT, WINDOW_S, clock=lambda: now)
    sent: list[tuple[int, int]] = []
    for step, weight in moves:
        now += step
        live = [(at, taken) for at, taken in sent if at > now - WINDOW_NS]
        frees = [at + WINDOW_NS for at, _ in live]
        fits = [t for t in (now, *frees) if sum(w for at, w in live if at > t - WINDOW_NS) + weight <= LIMIT]
        assert window.try_acquire(weight) == min(fits) - now
        if fits[0] == now:
            sent.append((now, weight))


@given(moves=moves)
def test_token_bucket_is_exact_to_the_nanosecond(moves: list[tuple[int, int]]) -> None:
    now = 0
    bucket = TokenBucket(LIMIT, 4_000_000.0, clock=lambda: now)
    per_ns = Fraction(4, 1000)
    level, last = Fraction(LIMIT), 0
    for step, weight in moves:
        now += step
        level, last = min(level + (now - last) * per_ns, Fraction(LIMIT)), now
        wait_ns = bucket.try_acquire(weight)
        assert wait_ns == max(0, ceil((weight - level) / per_ns))
        if wait_ns == 0:
            level -= weight


@given(moves=moves)
def test_fixed_window_is_exact(moves: list[tuple[int, int]]) -> None:
    now = 0
    aligned = FixedWindow(LIMIT, WINDOW_S, epoch_offset_ns=0, clock=lambda: now)
    used: dict[int, int] = {}
    for step, weight in moves:
        now += step
        window = now // WINDOW_NS
        fits = used.get(window, 0) + weight <= LIMIT
        assert aligned.try_acquire(weight) == (0 if fits else WINDOW_NS - now % WINDOW_NS)
        if fits:
            used[window] = used.get(window, 0) + weight


@given(moves=moves, caps=st.tuples(st.integers(1, 5), st.integers(1, 5)))
def test_group_is_the_strictest_of_its_limiters(moves: list[tuple[int, int]], caps: tuple[int, int]) -> None:
    now = 0

    def clock() -> int:
        return now

    def limiters() -> tuple[Limit, ...]:
        return (
            RollingWindow(LIMIT, WINDOW_S, clock=clock),
            TokenBucket(LIMIT, 5_000_000.0, clock=clock),
            FixedWindow(LIMIT, WINDOW_S, clock=clock),
        )

    group, alone = LimitGroup(limiters()), limiters()
    for step, weight in moves:
        now += step
        weights = (weight, min(weight, caps[0]), min(weight, caps[1]))
        waits = [limit.try_acquire(each) for limit, each in zip(alone, weights, strict=True)]
        if any(waits):
            for limit, each, wait_ns in zip(alone, weights, waits, strict=True):
                if wait_ns == 0:
                    limit.give_back(each)
        wait_ns = group.try_acquire(weights)
        assert (wait_ns == 0) == (not any(waits))
        assert wait_ns == max(waits)
        # A window that opened for a grant given back stays open, so the twins may differ then.
        if any(waits):
            return
