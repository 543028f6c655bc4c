"""What a histogram comes to, as plain values for a snapshot of metrics."""

from __future__ import annotations

from dataclasses import dataclass

from cexnet_core.latency import LatencyRecorder


@dataclass(frozen=True, slots=True)
class LatencySummary:
    """Percentiles of one recorder in ns; all -1 when nothing was recorded."""

    count: int
    p50_ns: int
    p99_ns: int
    max_ns: int

    @classmethod
    def of(cls, recorder: LatencyRecorder) -> LatencySummary:
        """What ``recorder`` holds now."""
        if recorder.count == 0:
            return cls(0, -1, -1, -1)
        return cls(recorder.count, recorder.percentile(50.0), recorder.percentile(99.0), recorder.max)
