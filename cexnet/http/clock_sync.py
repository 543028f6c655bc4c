"""The exchange's clock seen from here: an offset, taken from the quickest round trips."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from cexnet_core.clock import now_ns as wall_now_ns


@dataclass(frozen=True, slots=True)
class ClockSample:
    """One round trip to the time endpoint: ``offset_ns`` = exchange's clock - ours."""

    offset_ns: int
    round_trip_ns: int


class ClockSync:
    """Offset of the exchange's clock, from the sample with the shortest round trip.

    The error of a sample is at most half its round trip, so the quickest of the last
    ``window`` samples is the best one. ``generation`` grows with each new offset, so a
    request that failed on skew can tell whether another has resynchronised meanwhile.
    """

    def __init__(self, window: int = 8) -> None:
        self._samples: deque[ClockSample] = deque(maxlen=window)
        self.offset_ns = 0
        self.round_trip_ns = -1
        self.generation = 0

    def now_ns(self) -> int:
        """The exchange's time by our estimate, epoch nanoseconds."""
        return wall_now_ns() + self.offset_ns

    def restart(self) -> None:
        """Forget the samples: the exchange has told us that they mislead."""
        self._samples.clear()

    def add(self, *, received_ns: int, round_trip_ns: int, server_ns: int) -> None:
        """Add a sample: our wall clock when the answer came, and the time it carried."""
        sample = ClockSample(server_ns + round_trip_ns // 2 - received_ns, round_trip_ns)
        self._samples.append(sample)
        best = min(self._samples, key=lambda one: one.round_trip_ns)
        self.offset_ns = best.offset_ns
        self.round_trip_ns = best.round_trip_ns
        self.generation += 1
