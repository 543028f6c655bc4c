"""One circuit breaker: closed, open, half-open, judged on a sliding window. No I/O, no clock.

Times are passed in, in nanoseconds of any monotonic clock. A call asks ``admit`` before it
begins and reports to ``settle`` exactly once, however it ended.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from cexnet_core.errors import ConfigurationError

_SLICES = 10
_CLOSED_TICKET = 0


class BreakerState(enum.StrEnum):
    """``half_open`` lets a few probes through to see whether the trouble is over."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens and how it closes again.

    It opens when, of at least ``minimum_calls`` within ``window_s``, the share
    ``failure_ratio`` failed or the share ``slow_ratio`` took longer than ``slow_s``. After
    ``open_s``, doubled each time in a row up to ``longest_open_s``, ``probes`` calls are let
    through: all must succeed, quickly, to close it. ``cancels_apart`` gives cancels a breaker
    of their own in each group, so that failing queries never stop them.
    Raises ConfigurationError for values that make no sense.
    """

    window_s: float = 10.0
    minimum_calls: int = 20
    failure_ratio: float = 0.5
    slow_s: float = 5.0
    slow_ratio: float = 0.8
    open_s: float = 1.0
    longest_open_s: float = 30.0
    probes: int = 3
    cancels_apart: bool = True

    def __post_init__(self) -> None:
        times = self.window_s > 0 and self.slow_s > 0 and 0 < self.open_s <= self.longest_open_s
        shares = 0 < self.failure_ratio <= 1 and 0 < self.slow_ratio <= 1
        if not times or not shares or self.minimum_calls < 1 or self.probes < 1:
            raise ConfigurationError(
                f"{self}: times must be above zero with open_s <= longest_open_s, ratios in"
                " (0, 1], minimum_calls and probes at least 1"
            )


# (before, after, why)
Listener = Callable[[BreakerState, BreakerState, str], None]


class CircuitBreaker:
    """The breaker of one group. Without a policy only ``force_open`` opens it.

    ``rejected`` counts refused calls, ``opened`` how often it opened. One thread.
    """

    def __init__(self, policy: BreakerPolicy | None, on_change: Listener) -> None:
        self.state = BreakerState.CLOSED
        self.rejected = 0
        self.opened = 0
        self._on_change = on_change
        self._until_ns = 0
        self._in_a_row = 0
        self._ticket = _CLOSED_TICKET
        self._probing = 0
        self.reconfigure(policy)

    def reconfigure(self, policy: BreakerPolicy | None) -> None:
        """Judge by another policy, from an empty window; one that is open stays so for its time."""
        self._policy = policy
        self._slice_ns = round((policy.window_s if policy else 1.0) * 1e9) // _SLICES
        self._slow_ns = round(policy.slow_s * 1e9) if policy else 0
        self._passed = 0  # as many probes as were wanted may have passed: it would wait for more for ever
        self._newest = 0  # slices of another length have other numbers
        # [calls, failures, slow] of each slice of the window; the newest last.
        self._slices = [[0, 0, 0] for _ in range(_SLICES)]
        self._slot = self._slices[-1]

    def admit(self, now_ns: int) -> int | None:
        """A ticket to give back to ``settle``, or ``None``: the call must not be made."""
        if self.state is BreakerState.CLOSED:
            return _CLOSED_TICKET
        if self.state is BreakerState.OPEN and now_ns >= self._until_ns:
            self._ticket += 1
            self._probing = self._passed = 0
            self._turn(BreakerState.HALF_OPEN, "its time is up: probing")
        probes = self._policy.probes if self._policy else 1
        if self.state is BreakerState.HALF_OPEN and self._probing + self._passed < probes:
            self._probing += 1
            return self._ticket
        self.rejected += 1
        return None

    def opens_in_ns(self, now_ns: int) -> int:
        """Nanoseconds until it will probe; 0 when it would now, or need not."""
        return max(0, self._until_ns - now_ns) if self.state is BreakerState.OPEN else 0

    def settle(self, ticket: int, healthy: bool | None, now_ns: int, took_ns: int) -> None:
        """How a call ended; ``None`` when that says nothing of the exchange (cancelled, say)."""
        if ticket == _CLOSED_TICKET:
            if healthy is not None and self._policy is not None and self.state is BreakerState.CLOSED:
                self._count(healthy, now_ns, took_ns)
        elif ticket == self._ticket and self.state is BreakerState.HALF_OPEN:
            self._settle_probe(healthy, now_ns, took_ns)

    def force_open(self, now_ns: int, for_ns: int, why: str) -> None:
        """Open until ``for_ns`` from now at least, whatever the window says."""
        until_ns = now_ns + for_ns
        if self.state is BreakerState.OPEN:
            self._until_ns = max(self._until_ns, until_ns)
        else:
            self._open(until_ns, why)

    def _count(self, healthy: bool, now_ns: int, took_ns: int) -> None:
        policy = self._policy
        assert policy is not None
        number = now_ns // self._slice_ns
        if number != self._newest:
            self._roll(number)
        slot = self._slot
        slot[0] += 1
        if healthy and took_ns <= self._slow_ns:
            return
        slot[1] += not healthy
        slot[2] += took_ns > self._slow_ns
        calls, failures, slow = map(sum, zip(*self._slices, strict=True))
        if calls < policy.minimum_calls:
            return
        if failures >= policy.failure_ratio * calls:
            why = f"{failures} of {calls} calls failed within {policy.window_s:g} s"
        elif slow >= policy.slow_ratio * calls:
            why = f"{slow} of {calls} calls took over {policy.slow_s:g} s within {policy.window_s:g} s"
        else:
            return
        self._open(now_ns + self._next_open_ns(policy), why)

    def _settle_probe(self, healthy: bool | None, now_ns: int, took_ns: int) -> None:
        policy = self._policy
        self._probing -= 1
        if healthy is None:
            return
        if policy is not None and (not healthy or took_ns > self._slow_ns):
            self._open(
                now_ns + self._next_open_ns(policy), "a probe failed" if not healthy else "a probe was slow"
            )
            return
        self._passed += 1
        if policy is None or self._passed >= policy.probes:
            self._in_a_row = 0
            self._slices = [[0, 0, 0] for _ in range(_SLICES)]
            self._slot = self._slices[-1]
            self._turn(BreakerState.CLOSED, "the probes succeeded")

    def _next_open_ns(self, policy: BreakerPolicy) -> int:
        # 2**40 s is beyond any cap; without the bound a long outage would overflow a float.
        open_s = min(policy.longest_open_s, policy.open_s * 2.0 ** min(self._in_a_row, 40))
        self._in_a_row += 1
        return round(open_s * 1e9)

    def _open(self, until_ns: int, why: str) -> None:
        self._until_ns = until_ns
        self.opened += 1
        self._turn(BreakerState.OPEN, why)

    def _roll(self, number: int) -> None:
        """Let the slices that have left the window go."""
        passed = number - self._newest
        if passed < 0:
            return  # another core's clock reading, a moment older
        self._slices = [*self._slices[passed:], *([0, 0, 0] for _ in range(min(passed, _SLICES)))]
        self._slot = self._slices[-1]
        self._newest = number

    def _turn(self, state: BreakerState, why: str) -> None:
        before, self.state = self.state, state
        self._on_change(before, state, why)
