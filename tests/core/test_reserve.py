"""What a limiter leaves to others: whatever comes and goes, our part of no window is exceeded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet_core.errors import ConfigurationError
from cexnet_core.limit import Limit
from cexnet_core.limit_group import LimitGroup
from cexnet_core.ratelimit import FixedWindow, RollingWindow, TokenBucket

SECOND_NS = 1_000_000_000
LIMIT = 10


class Clock:
    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@given(
    steps=st.lists(st.tuples(st.integers(0, 400), st.integers(1, LIMIT)), max_size=60),
    reserved=st.integers(0, LIMIT - 1),
)
def test_no_rolling_window_has_more_than_our_part(steps: list[tuple[int, int]], reserved: int) -> None:
    clock = Clock()
    window = RollingWindow(LIMIT, 1.0, clock=clock)
    window.reserve(reserved)
    group = LimitGroup([window])
    sent: list[tuple[int, int]] = []
    for pause_ms, weight in steps:
        clock.now_ns += pause_ms * 1_000_000
        if group.try_hold(weight) == 0:
            group.settle(weight)
            sent.append((clock.now_ns, weight))
        recent = [(at, w) for at, w in sent if at > clock.now_ns - SECOND_NS]
        ours = LIMIT - reserved
        assert sum(w for _, w in recent) <= ours or len(recent) == 1  # one that weighs more, alone
        assert window.remaining == max(0, ours - sum(w for _, w in recent))


@pytest.mark.parametrize("make", [TokenBucket, FixedWindow, RollingWindow])
def test_a_reserve_may_change_at_any_time(make: type[Limit]) -> None:
    clock = Clock()
    limit = make(LIMIT, 1.0, clock=clock)  # type: ignore[call-arg]
    group = LimitGroup([limit])
    limit.reserve(6)
    assert (limit.reserved, limit.remaining, group.try_hold(4)) == (6, 4, 0)
    assert group.try_hold(1) == -1
    limit.reserve(0)
    assert group.try_hold(6) == 0
    for nonsense in (-1, LIMIT):
        with pytest.raises(ConfigurationError, match="reserved"):
            limit.reserve(nonsense)


def test_the_others_part_of_a_token_bucket_refills_too() -> None:
    clock = Clock()
    bucket = TokenBucket(LIMIT, 10.0, clock=clock)
    bucket.reserve(5)
    group = LimitGroup([bucket])
    sent = 0
    for _ in range(41):  # from full, then for ten seconds
        while group.try_hold(1) == 0:
            group.settle(1)
            sent += 1
        clock.now_ns += SECOND_NS // 4
    assert sent == 5 + 10 * 5
