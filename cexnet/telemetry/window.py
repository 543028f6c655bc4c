"""The last seconds of a recorder that only ever grows, from copies taken on the way.

Nothing is added to the hot path: a window is the difference between now and then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder


@dataclass(frozen=True, slots=True)
class Percentiles:
    """What a recorder holds: times in ns, ``None`` when it holds nothing."""

    count: int
    mean_ns: float | None = None
    p50_ns: int | None = None
    p90_ns: int | None = None
    p99_ns: int | None = None
    p999_ns: int | None = None
    max_ns: int | None = None

    @classmethod
    def of(cls, recorder: LatencyRecorder) -> Percentiles:
        """The percentiles of everything in ``recorder``."""
        if recorder.count == 0:
            return cls(0)
        at = recorder.percentile
        return cls(recorder.count, recorder.mean, at(50.0), at(90.0), at(99.0), at(99.9), recorder.max)


class Window:
    """What ``recorder`` saw over the last ``seconds``, to the precision of ``seconds / slices``.

    Call ``advance`` regularly, at least once a slice; each slice keeps one copy of the
    histogram (36 KiB). A recorder that is reset begins its window anew.
    """

    def __init__(self, recorder: LatencyRecorder, *, seconds: float = 60.0, slices: int = 12) -> None:
        if not 0 < seconds < inf or slices < 1:
            raise ConfigurationError(
                f"Window: seconds={seconds:g} and slices={slices} must be above 0 and finite"
            )
        self.recorder = recorder
        self._slice_s = seconds / slices
        self._copies: deque[tuple[float, LatencyRecorder]] = deque(maxlen=slices + 1)

    def advance(self, now_s: float) -> None:
        """Let time pass; ``now_s`` is any monotonic clock, in seconds."""
        if self._copies and self._since(self._copies[-1][1]) is None:
            self._copies.clear()
        if not self._copies or now_s >= self._copies[-1][0] + self._slice_s:
            self._copies.append((now_s, self.recorder.copy()))

    def recent(self) -> LatencyRecorder:
        """What came after the oldest copy; everything before the first ``advance``."""
        recent = self._since(self._copies[0][1]) if self._copies else None
        return self.recorder.copy() if recent is None else recent

    def timeline(self) -> list[tuple[float, Percentiles]]:
        """The percentiles of each finished slice with the time of its end, oldest first."""
        return [
            (at_s, Percentiles.of(later.since(earlier)))
            for (_, earlier), (at_s, later) in pairwise(self._copies)
        ]

    def _since(self, earlier: LatencyRecorder) -> LatencyRecorder | None:
        """What came after a copy; ``None`` when the recorder was reset meanwhile."""
        try:
            return self.recorder.since(earlier)
        except ConfigurationError:
            return None
