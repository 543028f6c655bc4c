"""The exchange's clock seen from here: offset, drift, and how far to trust them. No I/O.

A round trip shows the offset of the exchange's clock up to half its duration (the stamp
was made somewhere between) plus the resolution of the stamp. The quickest sample gives
the offset. The others, a while before or after it, bound the drift; what is believed is
the smallest drift that they prove, so noise never becomes drift.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from cexnet_core.clock import now_ns as wall_now_ns

# Exchanges stamp in whole milliseconds.
_RESOLUTION_NS = 1_000_000
# Quartz is off by up to 100 parts in a million, and NTP slews by up to 500 more. What
# seems to drift faster has been set.
_FASTEST_DRIFT = 600e-6


@dataclass(frozen=True, slots=True)
class ClockSample:
    """One round trip: ``offset_ns`` = exchange's clock - ours, taken at ``at_ns`` of ours."""

    at_ns: int
    offset_ns: int
    round_trip_ns: int

    @property
    def bound_ns(self) -> int:
        """The largest possible error of ``offset_ns``."""
        return self.round_trip_ns // 2 + _RESOLUTION_NS


@dataclass(frozen=True, slots=True)
class ClockMetrics:
    """The estimate now. ``age_s`` and ``error_bound_ns`` are -1 before the first sample.

    ``stale`` says that nothing was measured for too long. ``syncs`` counts measurements,
    of which ``resyncs`` were asked for by a skew error; ``failures`` brought nothing.
    """

    offset_ns: int
    drift_ppm: float
    round_trip_ns: int
    error_bound_ns: int
    age_s: float
    stale: bool
    syncs: int
    resyncs: int
    failures: int


class ClockSync:
    """Offset and drift of the exchange's clock against our wall clock.

    The quickest of the last ``window`` samples gives the offset. The estimate is ``stale``
    when the newest sample is older than ``stale_after_s``. One thread.
    """

    def __init__(self, window: int = 32, *, stale_after_s: float = 600.0) -> None:
        self._samples: deque[ClockSample] = deque(maxlen=window)
        self._stale_after_ns = round(stale_after_s * 1e9)
        self._best_at_ns = 0
        self.offset_ns = 0
        self.round_trip_ns = -1
        self.drift = 0.0

    def now_ns(self) -> int:
        """The exchange's time by our estimate, epoch nanoseconds."""
        now_ns = wall_now_ns()
        return now_ns + self.offset_at_ns(now_ns)

    def offset_at_ns(self, at_ns: int) -> int:
        """Our estimate of the offset at ``at_ns`` of our wall clock."""
        if not self.drift:
            return self.offset_ns
        return self.offset_ns + round(self.drift * (at_ns - self._best_at_ns))

    def age_ns(self, at_ns: int) -> int:
        """How old the newest sample is at ``at_ns``, -1 without one."""
        return max(0, at_ns - self._samples[-1].at_ns) if self._samples else -1

    def is_stale(self, at_ns: int) -> bool:
        """Whether nothing was measured for too long, or ever."""
        return not self._samples or self.age_ns(at_ns) > self._stale_after_ns

    def error_bound_ns(self, at_ns: int) -> int:
        """The largest error of our estimate at ``at_ns``, as clocks drift; -1 without samples."""
        if not self._samples:
            return -1
        return self._best().bound_ns + round(_FASTEST_DRIFT * abs(at_ns - self._best_at_ns))

    def restart(self) -> None:
        """Forget the samples, but not the estimate: the exchange says that they mislead."""
        self._samples.clear()

    def add(self, *, received_ns: int, round_trip_ns: int, server_ns: int) -> None:
        """Add a sample: our wall clock when the answer came, and the time it carried."""
        new = ClockSample(received_ns, server_ns + round_trip_ns // 2 - received_ns, round_trip_ns)
        self._samples.append(new)
        best = self._best()
        slowest, fastest = self._drift_bounds(best)
        if slowest > fastest or slowest > _FASTEST_DRIFT or fastest < -_FASTEST_DRIFT:
            # No drift explains them all: one of the two clocks was set in between.
            self._samples.clear()
            self._samples.append(new)
            best, slowest, fastest = new, 0.0, 0.0
        self._best_at_ns = best.at_ns
        self.offset_ns = best.offset_ns
        self.round_trip_ns = best.round_trip_ns
        self.drift = max(slowest, min(0.0, fastest))

    def _best(self) -> ClockSample:
        return min(self._samples, key=lambda one: one.round_trip_ns)

    def _drift_bounds(self, best: ClockSample) -> tuple[float, float]:
        """The drifts that agree with every sample beside the best one."""
        slowest, fastest = float("-inf"), float("inf")
        for one in self._samples:
            apart_ns = one.at_ns - best.at_ns
            shift_ns = one.offset_ns - best.offset_ns
            bound_ns = one.bound_ns + best.bound_ns
            if not apart_ns:
                if abs(shift_ns) > bound_ns:
                    return 1.0, -1.0
                continue
            low, high = sorted(((shift_ns - bound_ns) / apart_ns, (shift_ns + bound_ns) / apart_ns))
            slowest, fastest = max(slowest, low), min(fastest, high)
        return slowest, fastest
