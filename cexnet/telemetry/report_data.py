"""What a report tells, as plain values: made by a collector or read from a file, drawn by a page.

All of it can be written as JSON and read back (``msgspec``). Durations are in nanoseconds,
``at_s`` is in seconds since the report's beginning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cexnet_core.latency import LatencyRecorder

# Where a curve has points, as far as its records go.
PERCENTILES = (
    *(0.0, 10.0, 25.0, 50.0, 60.0, 70.0, 75.0, 80.0, 85.0, 90.0, 92.5, 95.0, 96.0, 97.0, 98.0, 98.5, 99.0),
    *(99.3, 99.5, 99.7, 99.8, 99.9, 99.93, 99.95, 99.97, 99.98, 99.99, 99.995, 99.999, 99.9995, 99.9999),
)

# Records that are enough to judge any target.
_MOST_NEEDED = 100


@dataclass(frozen=True, slots=True)
class Curve:
    """The latencies of one stage: ``points`` are (percentile, ns), from the fastest to the slowest."""

    stage: str
    count: int
    max_ns: int
    points: tuple[tuple[float, int], ...]

    @classmethod
    def of(cls, stage: str, recorder: LatencyRecorder) -> Curve:
        """What ``recorder`` holds; percentiles beyond what its number of records can tell are left out."""
        most = 100.0 - 100.0 / max(1, recorder.count)
        points = tuple((p, recorder.percentile(p)) for p in PERCENTILES if p <= most)
        return cls(stage, recorder.count, recorder.max, points)

    def at(self, percentile: float) -> int | None:
        """The percentile in ns; ``None`` when there are too few records to tell."""
        return dict(self.points).get(percentile)


@dataclass(frozen=True, slots=True)
class Line:
    """One manager's curves. ``kind`` is ``receive`` or ``REST``; ``limit_ns`` what its whole should keep to.

    The last curve is the whole line.
    """

    manager: str
    kind: str
    curves: tuple[Curve, ...]
    limit_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the time, that ended at ``at_s`` and lasted ``seconds``.

    ``p50_ns``, ``p99_ns`` and ``max_ns`` are of the receive line, ``None`` when nothing came.
    """

    at_s: float
    seconds: float
    messages: int
    requests: int
    p50_ns: int | None = None
    p99_ns: int | None = None
    max_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """How a target was kept: ``within`` of ``count`` records, of which ``share`` should have been."""

    manager: str
    target: str
    limit_ns: int
    share: float
    count: int
    within: int
    p99_ns: int
    max_ns: int

    @property
    def least(self) -> int:
        """Among fewer records a single one decides, which says nothing of the target."""
        return min(_MOST_NEEDED, math.ceil(1.0 / max(1e-9, 1.0 - self.share) - 1e-6))

    @property
    def is_judged(self) -> bool:
        """Whether there are enough records to call the target kept or missed."""
        return self.count >= self.least

    @property
    def is_kept(self) -> bool:
        """Whether the target was met."""
        return self.within >= self.share * self.count

    @property
    def allowance_used(self) -> float:
        """Violations over those that the share allows: above 1 the target is missed."""
        violations, allowed = self.count - self.within, (1.0 - self.share) * self.count
        return violations / allowed if allowed > 0 else float(violations)


@dataclass(frozen=True, slots=True)
class Slow:
    """One of the slowest records of a manager's ``line`` (``receive`` or ``REST``).

    ``stages`` are (name, ns) where they were timed, ``note`` is what is known of why.
    """

    at_s: float
    manager: str
    line: str
    what: str
    total_ns: int
    stages: tuple[tuple[str, int], ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """One garbage collection that took long."""

    at_s: float
    duration_ns: int
    generation: int


@dataclass(frozen=True, slots=True)
class Pauses:
    """All garbage collections: their number, their time, and the notable ones."""

    count: int = 0
    total_ns: int = 0
    max_ns: int = 0
    notable: tuple[Pause, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report. ``figures`` are the few numbers to show first, ``counts`` tables of numbers by title.

    ``began_ts_ns`` is epoch ns, 0 when it is not known. What is empty has not been measured, and is
    left out of the page.
    """

    title: str
    source: str
    version: str
    began_ts_ns: int
    seconds: float
    figures: tuple[tuple[str, str], ...] = ()
    lines: tuple[Line, ...] = ()
    slices: tuple[Slice, ...] = ()
    targets: tuple[Kept, ...] = ()
    slowest: tuple[Slow, ...] = ()
    pauses: Pauses | None = None
    counts: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    advice: tuple[str, ...] = ()
