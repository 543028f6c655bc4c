"""What histograms come to, as plain values for a snapshot of metrics."""

from __future__ import annotations

from dataclasses import dataclass

from cexnet_core.latency import LatencyRecorder


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Percentiles of one recorder in ns; all -1 when nothing was recorded."""

    count: int
    p50_ns: int = -1
    p90_ns: int = -1
    p99_ns: int = -1
    p999_ns: int = -1
    max_ns: int = -1
    mean_ns: float = -1.0

    @classmethod
    def of(cls, recorder: LatencyRecorder) -> LatencySummary:
        """What ``recorder`` holds now."""
        if recorder.count == 0:
            return cls(0)
        at = recorder.percentile
        return cls(recorder.count, at(50.0), at(90.0), at(99.0), at(99.9), recorder.max, recorder.mean)


@dataclass(frozen=True, slots=True)
class StageMetrics:
    """One stage since the start (or the last reset) and of late, each with its records a second."""

    since_start: LatencySummary
    rate_per_s: float
    recent: LatencySummary
    recent_rate_per_s: float


@dataclass(frozen=True, slots=True)
class Rate:
    """How many there were, and how many a second, over the last ``seconds``; the same of late.

    ``recent_seconds`` is how far back the recent figures of the whole snapshot really reach:
    at most about the window that was configured, less at first, and more only when nobody had
    looked and nothing had happened for longer than that.
    """

    count: int
    seconds: float
    per_s: float
    recent_count: int
    recent_seconds: float
    recent_per_s: float
