"""The limiters, rule by rule, on a clock set by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cexnet_core import clock
from cexnet_core.errors import ConfigurationError
from cexnet_core.limit import Limit
from cexnet_core.limit_group import LimitGroup
from cexnet_core.ratelimit import FixedWindow, RollingWindow, TokenBucket

SECOND = 1_000_000_000


class Clock:
    """Nanoseconds, moved by the test."""

    def __init__(self, now_ns: int = 0) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def now() -> Clock:
    return Clock(1_000 * SECOND)


SHAPES: list[Callable[[Clock], Limit]] = [
    lambda now: TokenBucket(10, 1.0, clock=now),
    lambda now: FixedWindow(10, 10.0, clock=now),
    lambda now: FixedWindow(10, 10.0, epoch_offset_ns=0, clock=now),
    lambda now: RollingWindow(10, 10.0, clock=now),
]


@pytest.fixture(params=SHAPES, ids=["token", "fixed", "aligned", "rolling"])
def limiter(request: pytest.FixtureRequest, now: Clock) -> Limit:
    shape: Callable[[Clock], Limit] = request.param
    return shape(now)


def test_grants_to_the_limit_and_then_tells_the_wait(limiter: Limit, now: Clock) -> None:
    assert limiter.remaining == 10
    assert [limiter.try_acquire() for _ in range(10)] == [0] * 10
    assert limiter.remaining == 0
    wait_ns = limiter.try_acquire()
    assert 0 < wait_ns <= 10 * SECOND
    now.now_ns += wait_ns - 1
    assert limiter.try_acquire() == 1
    now.now_ns += 1
    assert limiter.try_acquire() == 0


def test_weights_are_taken_whole_or_not_at_all(limiter: Limit) -> None:
    assert limiter.try_acquire(7) == 0
    assert limiter.try_acquire(4) > 0
    assert limiter.remaining == 3
    assert limiter.try_acquire(3) == 0


@pytest.mark.parametrize("weight", [-1, 11, 2**62])
def test_a_weight_that_never_fits_is_an_error(limiter: Limit, weight: int) -> None:
    with pytest.raises(ConfigurationError, match="it must be 0 to 10"):
        limiter.try_acquire(weight)
    assert limiter.remaining == 10


def test_a_clock_that_steps_back_grants_nothing_extra(limiter: Limit, now: Clock) -> None:
    assert limiter.try_acquire(10) == 0
    wait_ns = limiter.try_acquire()
    now.now_ns -= 500 * SECOND
    assert limiter.try_acquire() == wait_ns
    now.now_ns += 500 * SECOND
    assert limiter.try_acquire() == wait_ns


def test_give_back_undoes_the_last_grant(limiter: Limit) -> None:
    limiter.try_acquire(10)
    limiter.give_back(10)
    assert limiter.remaining == 10
    limiter.give_back(10)
    assert limiter.remaining == 10


def test_give_back_of_a_grant_that_no_longer_counts_is_nothing(limiter: Limit, now: Clock) -> None:
    limiter.try_acquire(10)
    granted_ns = limiter.last_grant_ns
    now.now_ns += 10 * SECOND
    assert limiter.try_acquire(10) == 0
    limiter.give_back(10, granted_ns)
    assert limiter.remaining == 0


def test_a_higher_count_of_the_exchange_is_believed(limiter: Limit) -> None:
    limiter.try_acquire(2)
    limiter.observe_used(9)
    assert limiter.remaining == 1
    limiter.observe_used(50)
    assert limiter.remaining == 0
    assert limiter.try_acquire() > 0


def test_a_lower_count_of_the_exchange_loosens_nothing(limiter: Limit) -> None:
    limiter.try_acquire(8)
    limiter.observe_used(3)
    assert limiter.remaining == 2


def test_what_the_exchange_may_have_counted_is_not_given_back(limiter: Limit) -> None:
    limiter.try_acquire(4)
    limiter.observe_used(4)
    limiter.give_back(4)
    assert limiter.remaining == 6


def test_a_block_holds_even_weight_zero(limiter: Limit, now: Clock) -> None:
    limiter.block_for(30 * SECOND)
    limiter.block_for(5 * SECOND)  # does not shorten
    assert limiter.try_acquire() == limiter.try_acquire(0) == 30 * SECOND
    assert limiter.remaining == 10
    now.now_ns += 30 * SECOND
    assert limiter.try_acquire(0) == limiter.try_acquire() == 0
    assert limiter.remaining == 9


def test_wrong_amounts(limiter: Limit) -> None:
    with pytest.raises(ConfigurationError, match="weight is -1"):
        limiter.give_back(-1)
    with pytest.raises(ConfigurationError, match="used is -1"):
        limiter.observe_used(-1)
    for nanoseconds in (-1, 2**63 - 1):
        with pytest.raises(ConfigurationError, match="block_for"):
            limiter.block_for(nanoseconds)


def test_an_error_of_the_clock_is_raised(limiter: Limit, now: Clock) -> None:
    now.now_ns = "late"  # type: ignore[assignment]
    with pytest.raises(TypeError):
        limiter.try_acquire()


def test_without_a_clock_the_monotonic_one_is_read() -> None:
    before = clock.monotonic_ns()
    limiter = RollingWindow(1, 3600.0)
    assert limiter.try_acquire() == 0
    assert before <= limiter.last_grant_ns <= clock.monotonic_ns()
    assert 0 < limiter.try_acquire() <= 3600 * SECOND


def test_token_bucket_refills_to_its_capacity(now: Clock) -> None:
    bucket = TokenBucket(5, 0.5, clock=now)
    assert bucket.try_acquire(5) == 0
    assert bucket.try_acquire(3) == 6 * SECOND
    now.now_ns += 3 * SECOND
    assert bucket.remaining == 1
    now.now_ns += 3600 * SECOND
    assert bucket.remaining == 5


def test_fixed_window_opens_with_its_first_grant(now: Clock) -> None:
    window = FixedWindow(2, 10.0, clock=now)
    now.now_ns += 7 * SECOND
    assert window.try_acquire() == 0
    now.now_ns += 9 * SECOND
    assert window.try_acquire() == 0
    assert window.try_acquire() == SECOND
    now.now_ns += SECOND
    assert window.try_acquire(2) == 0


def test_aligned_window_starts_at_the_exchanges_boundary(now: Clock) -> None:
    window = FixedWindow(2, 60.0, epoch_offset_ns=20 * SECOND, clock=now)  # 1020 s there: 17 min
    assert window.try_acquire(2) == 0
    assert window.try_acquire() == 60 * SECOND
    now.now_ns += 59 * SECOND
    assert window.try_acquire() == SECOND


def test_guard_counts_on_both_sides_of_a_boundary(now: Clock) -> None:
    window = FixedWindow(10, 60.0, epoch_offset_ns=20 * SECOND, guard_s=2.0, clock=now)
    now.now_ns += 59 * SECOND  # within 2 s of the boundary
    assert window.try_acquire(6) == 0
    now.now_ns += 2 * SECOND  # past it, but not by the guard
    assert window.try_acquire(5) == 2 * SECOND - SECOND
    now.now_ns += SECOND
    assert window.remaining == 4
    now.now_ns += 60 * SECOND
    assert window.remaining == 10


def test_alignment_within_the_guard_changes_nothing(now: Clock) -> None:
    window = FixedWindow(10, 60.0, epoch_offset_ns=20 * SECOND, guard_s=1.0, clock=now)
    now.now_ns += 30 * SECOND
    window.try_acquire(10)
    window.align(19 * SECOND)
    assert window.try_acquire() == 31 * SECOND


def test_an_earlier_boundary_ends_the_window_sooner(now: Clock) -> None:
    window = FixedWindow(10, 60.0, epoch_offset_ns=20 * SECOND, clock=now)
    now.now_ns += 30 * SECOND
    window.try_acquire(10)
    window.align(30 * SECOND)
    assert window.try_acquire() == 20 * SECOND


def test_after_a_later_boundary_the_window_before_counts_again(now: Clock) -> None:
    window = FixedWindow(10, 60.0, epoch_offset_ns=20 * SECOND, clock=now)
    now.now_ns += 58 * SECOND
    window.try_acquire(10)
    now.now_ns += 4 * SECOND  # 2 s into the next window, as we believe
    assert window.remaining == 10
    window.align(15 * SECOND)  # but it begins 3 s from now
    assert window.try_acquire() == 3 * SECOND


def test_a_count_of_an_earlier_window_is_ignored(now: Clock) -> None:
    window = FixedWindow(10, 60.0, epoch_offset_ns=20 * SECOND, clock=now)
    window.try_acquire()
    sent_ns = now.now_ns
    now.now_ns += 60 * SECOND
    window.observe_used(10, sent_ns)
    assert window.remaining == 10
    window.observe_used(10, now.now_ns)
    assert window.remaining == 0


def test_rolling_window_has_no_boundary_to_meet_at(now: Clock) -> None:
    window = RollingWindow(3, 10.0, clock=now)
    for _ in range(3):
        assert window.try_acquire() == 0
        now.now_ns += 3 * SECOND
    assert window.try_acquire(2) == 4 * SECOND
    assert window.try_acquire(1) == SECOND


def test_rolling_window_gives_back_the_grant_that_is_named(now: Clock) -> None:
    window = RollingWindow(3, 10.0, clock=now)
    window.try_acquire()
    first_ns = window.last_grant_ns
    now.now_ns += 9 * SECOND
    window.try_acquire(2)
    window.give_back(1, first_ns)
    now.now_ns += SECOND
    assert window.remaining == 1  # not 3: the two that were sent are 1 s old


def test_rolling_window_keeps_times_apart_after_a_give_back(now: Clock) -> None:
    window = RollingWindow(3, 10.0, clock=now)
    window.try_acquire()
    now.now_ns += 4 * SECOND
    window.try_acquire()
    window.give_back()
    window.try_acquire()
    now.now_ns += 6 * SECOND
    assert window.remaining == 2


def test_large_rolling_window_is_late_by_a_4096th_at_most(now: Clock) -> None:
    window = RollingWindow(100_000, 4096.0, clock=now)
    grants = []
    for _ in range(60_000):
        assert window.try_acquire() == 0
        grants.append(now.now_ns)
        now.now_ns += SECOND // 20
    now.now_ns = grants[30_000] + 4096 * SECOND
    assert 100_000 - 60_000 + 30_000 - 25 <= window.remaining <= 100_000 - 60_000 + 30_001


def test_group_grants_all_or_nothing(now: Clock) -> None:
    wide, narrow = RollingWindow(10, 10.0, clock=now), TokenBucket(2, 1.0, clock=now)
    group = LimitGroup([wide, narrow])
    assert group.remaining == 2
    assert group.try_acquire() == 0
    assert group.try_acquire((5, 1)) == 0
    assert (wide.remaining, narrow.remaining) == (4, 0)
    assert group.try_acquire((4, 1)) == SECOND
    assert group.try_acquire([5, 1]) == 10 * SECOND
    assert (wide.remaining, narrow.remaining) == (4, 0)


def test_group_gives_back_to_all(now: Clock) -> None:
    wide, narrow = RollingWindow(10, 10.0, clock=now), TokenBucket(2, 1.0, clock=now)
    group = LimitGroup([wide, narrow])
    group.try_acquire((5, 1))
    granted_ns = group.last_grant_ns
    now.now_ns += 1
    wide.try_acquire()
    group.give_back((5, 1), granted_ns)
    assert (wide.remaining, narrow.remaining) == (9, 2)


def test_a_blocked_group_leaves_its_limiters_to_others(now: Clock) -> None:
    shared = RollingWindow(10, 10.0, clock=now)
    blocked, free = LimitGroup([shared]), LimitGroup([shared])
    blocked.block_for(SECOND)
    assert blocked.try_acquire() == SECOND
    assert free.try_acquire() == 0
    shared.block_for(3 * SECOND)
    assert free.try_acquire(0) == 3 * SECOND


def test_what_is_held_is_free_for_nobody_and_counts_once_settled(limiter: Limit, now: Clock) -> None:
    group = LimitGroup([limiter])
    assert group.try_hold(6) == 0
    assert (limiter.held, limiter.remaining) == (6, 4)
    assert limiter.hold_wait_ns(4) == 0
    assert group.try_hold(5) == limiter.hold_wait_ns(5) == -1  # no time will do
    now.now_ns += 100 * SECOND  # however long it takes
    assert group.try_hold(5) == -1
    group.settle(6)
    assert (limiter.held, limiter.remaining) == (0, 4)
    assert 0 < group.try_hold(5) <= 10 * SECOND
    assert limiter.last_grant_ns == now.now_ns


def test_what_is_released_never_counts(limiter: Limit) -> None:
    group = LimitGroup([limiter])
    assert group.try_hold(10) == 0
    group.release(10)
    assert (limiter.held, limiter.remaining) == (0, 10)
    assert limiter.try_acquire(10) == 0


def test_a_stated_count_may_contain_what_is_held(limiter: Limit) -> None:
    group = LimitGroup([limiter])
    assert group.try_hold(3) == 0
    limiter.observe_used(3)
    assert limiter.remaining == 7
    limiter.observe_used(5)
    assert limiter.remaining == 5
    group.settle(3)
    assert limiter.remaining == 5


def test_held_in_all_or_in_none(now: Clock) -> None:
    wide, narrow = RollingWindow(10, 10.0, clock=now), TokenBucket(2, 1.0, clock=now)
    group = LimitGroup([wide, narrow])
    assert group.try_hold((5, 2)) == 0
    assert group.try_hold((5, 1)) == -1
    assert (wide.held, narrow.held) == (5, 2)
    with pytest.raises(ConfigurationError, match="can never be granted"):
        group.try_hold((11, 1))
    with pytest.raises(ConfigurationError, match="never fits"):
        wide.hold_wait_ns(11)


def test_a_block_holds_back_and_tells_how_long(limiter: Limit, now: Clock) -> None:
    assert limiter.blocked_ns == 0
    limiter.block_for(3 * SECOND)
    now.now_ns += SECOND
    assert limiter.blocked_ns == LimitGroup([limiter]).try_hold(1) == 2 * SECOND
    now.now_ns += 5 * SECOND
    assert limiter.blocked_ns == 0


def test_empty_group_grants_everything() -> None:
    group = LimitGroup([])
    assert group.try_acquire() == group.try_acquire(()) == 0
    assert group.remaining is None


def test_wrong_groups(now: Clock) -> None:
    limiter = TokenBucket(2, 1.0, clock=now)
    with pytest.raises(ConfigurationError, match="different clocks"):
        LimitGroup([limiter, TokenBucket(2, 1.0)])
    with pytest.raises(ConfigurationError, match="twice"):
        LimitGroup([limiter, limiter])
    with pytest.raises(TypeError):
        LimitGroup([object()])  # type: ignore[list-item]
    group = LimitGroup([limiter])
    with pytest.raises(ConfigurationError, match="2 weights for 1"):
        group.try_acquire((1, 1))
    with pytest.raises(ConfigurationError, match="can never be granted"):
        group.try_acquire(3)
    assert limiter.remaining == 2


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: TokenBucket(0, 1.0), "limit is 0"),
        (lambda: TokenBucket(1, 0.0), "refill_per_s is 0.0"),
        (lambda: TokenBucket(1, float("nan")), "refill_per_s is nan"),
        (lambda: FixedWindow(1, 0.0), "window_s is 0.0"),
        (lambda: FixedWindow(1, float("inf")), "window_s is inf"),
        (lambda: FixedWindow(1, 1.0, guard_s=0.5), "below half"),
        (lambda: FixedWindow(1, 1.0, guard_s=-1.0), "guard_s is -1.0"),
        (lambda: RollingWindow(-1, 1.0), "limit is -1"),
        (lambda: RollingWindow(2**60, 1.0), "limit is"),
        (lambda: RollingWindow(1, -1.0), "window_s is -1.0"),
        (lambda: RollingWindow(1, 1.0, clock=5), "clock must be a callable"),  # type: ignore[arg-type]
        (lambda: FixedWindow(1, 1.0).align(5), "no epoch_offset_ns"),
    ],
)
def test_wrong_configurations(make: Callable[[], Limit], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        make()


def test_the_base_is_not_made() -> None:
    with pytest.raises(TypeError, match="make a TokenBucket"):
        Limit()


def test_repr_tells_shape_and_room(now: Clock) -> None:
    group = LimitGroup([FixedWindow(5, 1.0, clock=now), RollingWindow(6, 2.0, clock=now)])
    assert repr(group) == "LimitGroup([FixedWindow(5 in 1.0 s, 5 left), RollingWindow(6 in 2.0 s, 6 left)])"
