"""The breaker without a socket, against a slow oracle, and its probes under any interleaving."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet.http.breaker import BreakerPolicy, BreakerState, CircuitBreaker
from cexnet_core.errors import ConfigurationError

S = 1_000_000_000
POLICY = BreakerPolicy(
    window_s=10, minimum_calls=4, failure_ratio=0.5, slow_s=1, slow_ratio=0.75, open_s=2, longest_open_s=5
)
Turns = list[tuple[BreakerState, BreakerState, str]]
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


def breaker(policy: BreakerPolicy | None = POLICY) -> tuple[CircuitBreaker, Turns]:
    turns: Turns = []
    return CircuitBreaker(policy, lambda *turn: turns.append(turn)), turns


def call(one: CircuitBreaker, now_ns: int, healthy: bool | None, took_ns: int = 0) -> bool:
    """A call that ends at once; False when it was refused."""
    ticket = one.admit(now_ns)
    if ticket is not None:
        one.settle(ticket, healthy, now_ns, took_ns)
    return ticket is not None


class Oracle:
    """The same rules, by going through every call that was ever made."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, bool, bool]] = []
        self.state = CLOSED
        self.until_ns = self.in_a_row = self.passed = 0

    def call(self, now_ns: int, healthy: bool, took_ns: int) -> bool:
        slow = took_ns > POLICY.slow_s * S
        if self.state is OPEN and now_ns >= self.until_ns:
            self.state, self.passed = HALF_OPEN, 0
        if self.state is OPEN:
            return False
        if self.state is HALF_OPEN:
            self.passed += 1
            if not healthy or slow:
                self.open(now_ns)
            elif self.passed == POLICY.probes:
                self.state, self.calls, self.in_a_row = CLOSED, [], 0
            return True
        self.calls.append((now_ns, healthy, slow))
        # The window advances in tenths of its length.
        oldest = now_ns // S - 9
        inside = [one for one in self.calls if one[0] // S >= oldest]
        failed = sum(not one[1] for one in inside)
        lagged = sum(one[2] for one in inside)
        if (
            len(inside) >= 4
            and (not healthy or slow)
            and (2 * failed >= len(inside) or 4 * lagged >= 3 * len(inside))
        ):
            self.open(now_ns)
        return True

    def open(self, now_ns: int) -> None:
        self.state = OPEN
        self.until_ns = now_ns + min(5, 2 * 2**self.in_a_row) * S
        self.in_a_row += 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, S // 7, S, 3 * S, 11 * S]), st.booleans(), st.sampled_from([0, S, S + 1, 4 * S])
    ),
    max_size=60,
)


@given(start=st.integers(0, 10**18), steps=STEPS)
def test_it_does_what_the_oracle_does(start: int, steps: list[tuple[int, bool, int]]) -> None:
    one, turns = breaker()
    oracle = Oracle()
    now_ns = start
    for after_ns, healthy, took_ns in steps:
        now_ns += after_ns
        assert call(one, now_ns, healthy, took_ns) == oracle.call(now_ns, healthy, took_ns)
        assert one.state is oracle.state
    assert all(before is not after for before, after, _ in turns)
    assert [turn[0] for turn in turns[1:]] == [turn[1] for turn in turns[:-1]]


@given(st.lists(st.tuples(st.sampled_from(["admit", True, None]), st.integers(0, 5)), max_size=60))
def test_no_more_probes_are_under_way_than_allowed(acts: list[tuple[object, int]]) -> None:
    one, _ = breaker()
    one.force_open(0, S, "test")
    flying: list[int] = []
    passed = 0
    for act, which in acts:
        if act == "admit":
            ticket = one.admit(2 * S)
            if one.state is HALF_OPEN:
                assert (ticket is not None) == (len(flying) + passed < POLICY.probes)
                flying += [ticket] if ticket is not None else []
        elif flying:
            one.settle(flying.pop(which % len(flying)), act is True or None, 2 * S, 0)  # type: ignore[arg-type]
            passed += act is True
            assert (one.state is CLOSED) == (passed == POLICY.probes)
        if one.state is CLOSED:
            break


def test_failures_open_it_for_longer_each_time_in_a_row() -> None:
    one, turns = breaker()
    assert [call(one, 0, False) for _ in range(5)] == [True] * 4 + [False]
    assert turns == [(CLOSED, OPEN, "4 of 4 calls failed within 10 s")]
    assert one.opens_in_ns(S) == S
    now = 2 * S
    for open_s in (4, 5, 5):
        assert call(one, now, False)
        assert one.opens_in_ns(now) == open_s * S
        now += open_s * S
    assert [call(one, now, True) for _ in range(3)] == [True] * 3
    assert one.state is CLOSED
    assert (one.opened, one.rejected) == (4, 1)


def test_slow_calls_open_it_and_a_slow_probe_keeps_it_open() -> None:
    one, turns = breaker()
    for _ in range(4):
        call(one, 0, True, took_ns=2 * S)
    assert turns[-1] == (CLOSED, OPEN, "4 of 4 calls took over 1 s within 10 s")
    call(one, 2 * S, True, took_ns=2 * S)
    assert turns[-1] == (HALF_OPEN, OPEN, "a probe was slow")


def test_a_late_answer_from_before_is_no_probe() -> None:
    one, _ = breaker()
    early = one.admit(0)
    assert early is not None
    for _ in range(4):
        call(one, 0, False)
    one.settle(early, True, 3 * S, 0)
    probe = one.admit(3 * S)
    assert probe is not None
    one.settle(early, False, 3 * S, 0)
    assert one.state is HALF_OPEN


def test_what_says_nothing_of_the_exchange_does_not_count() -> None:
    one, _ = breaker()
    for _ in range(50):
        call(one, 0, None)
    assert one.state is CLOSED
    one.force_open(0, S, "banned")
    for _ in range(10):
        assert call(one, S, None)  # a cancelled probe makes room for the next
    assert one.state is HALF_OPEN


def test_a_ban_holds_until_its_end_with_and_without_a_policy() -> None:
    for policy in (POLICY, None):
        one, turns = breaker(policy)
        one.force_open(0, 60 * S, "banned")
        one.force_open(0, 30 * S, "banned")
        assert one.admit(60 * S - 1) is None
        assert call(one, 60 * S, True)
        assert turns[0] == (CLOSED, OPEN, "banned")
    assert one.state is CLOSED  # without a policy, one success is enough
    for _ in range(100):
        call(one, 61 * S, False)
    assert one.state is CLOSED


@pytest.mark.parametrize(
    "options",
    [
        {"window_s": 0},
        {"minimum_calls": 0},
        {"failure_ratio": 0},
        {"failure_ratio": 1.1},
        {"slow_ratio": 0},
        {"slow_s": 0},
        {"open_s": 0},
        {"open_s": 40},
        {"probes": 0},
    ],
)
def test_nonsense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="ratios in"):
        BreakerPolicy(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", [None, BreakerPolicy(probes=1)], ids=["none", "fewer"])
def test_fewer_probes_while_it_probes_still_close_it(policy: BreakerPolicy | None) -> None:
    one, _ = breaker(BreakerPolicy(minimum_calls=1, probes=3, open_s=1))
    call(one, 0, False)
    assert call(one, 2 * S, True)
    assert one.state is HALF_OPEN
    one.reconfigure(policy)
    assert call(one, 3 * S, True)
    assert one.state is CLOSED
