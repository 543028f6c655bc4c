"""What a RestManager measures of itself: histograms by stage and counts by ending."""

from __future__ import annotations

from dataclasses import dataclass

from cexnet.http.answers import Timings
from cexnet_core.latency import LatencyRecorder


class RestLatency:
    """One histogram a stage, in nanoseconds, of successful calls."""

    __slots__ = ("first_byte", "limit_wait", "pool_wait", "sign", "total")

    def __init__(self, capacity: int = 4096) -> None:
        self.limit_wait = LatencyRecorder(capacity)
        self.sign = LatencyRecorder(capacity)
        self.pool_wait = LatencyRecorder(capacity)
        self.first_byte = LatencyRecorder(capacity)
        self.total = LatencyRecorder(capacity)

    def record(self, timings: Timings) -> None:
        """Add the stages of one successful call."""
        self.limit_wait.record(timings.limit_wait_ns)
        self.sign.record(timings.sign_ns)
        self.pool_wait.record(timings.pool_wait_ns)
        self.first_byte.record(timings.first_byte_ns)
        self.total.record(timings.total_ns)


@dataclass(slots=True)
class RestCounters:
    """Calls that were made, how they ended, and the extra work they took."""

    requests: int = 0
    errors: int = 0
    tries: int = 0
    clock_syncs: int = 0

    @property
    def retries(self) -> int:
        """Tries beyond each request's first."""
        return self.tries - self.requests
