"""What a RestManager measures of itself: by stage, by ending, and apart for each variant."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cexnet.http.answers import Timings
from cexnet.http.breakers import BreakerMetrics
from cexnet.http.budget import BudgetMetrics
from cexnet.http.clock_sync import ClockMetrics
from cexnet.http.hedge import HedgeMetrics
from cexnet.http.session import PoolUsage
from cexnet_core.errors import CexnetError
from cexnet_core.latency import LatencyRecorder
from cexnet_core.summary import LatencySummary, Rate, StageMetrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class RestLatency:
    """One histogram a stage, in nanoseconds, of successful calls."""

    STAGES = ("limit_wait", "sign", "pool_wait", "first_byte", "total")
    __slots__ = STAGES

    def __init__(self, capacity: int = 4096) -> None:
        self.limit_wait = LatencyRecorder(capacity)
        self.sign = LatencyRecorder(capacity)
        self.pool_wait = LatencyRecorder(capacity)
        self.first_byte = LatencyRecorder(capacity)
        self.total = LatencyRecorder(capacity)

    def merge(self, other: RestLatency) -> None:
        """Add what ``other`` holds to ours."""
        for stage in self.STAGES:
            getattr(self, stage).merge(getattr(other, stage))

    @property
    def samples(self) -> NDArray[np.int64]:
        """The newest totals in ns: the live ring, as ``LatencyRecorder.samples``."""
        return self.total.samples

    def reset(self) -> None:
        """Forget everything."""
        for stage in self.STAGES:
            getattr(self, stage).reset()

    def record(self, timings: Timings) -> None:
        """Add the stages of one successful call."""
        self.limit_wait.record(timings.limit_wait_ns)
        self.sign.record(timings.sign_ns)
        self.pool_wait.record(timings.pool_wait_ns)
        self.first_byte.record(timings.first_byte_ns)
        self.total.record(timings.total_ns)


@dataclass(slots=True)
class RestCounters:
    """Calls that were made, how they ended, and the extra work they took.

    ``tries`` are passages of the line, ``retries`` those that followed a failed one.
    ``failures`` tells ``errors`` apart by the class and the outcome of what was raised.
    """

    requests: int = 0
    errors: int = 0
    tries: int = 0
    retries: int = 0
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)

    def fail(self, error: CexnetError) -> None:
        """A call ends with ``error``."""
        self.errors += 1
        self.failures[type(error).__name__, getattr(error, "outcome", None) or "unknown"] += 1

    def reset(self) -> None:
        """Count from now on."""
        self.requests = self.errors = self.tries = self.retries = 0
        self.failures.clear()


@dataclass(frozen=True, slots=True)
class RestVariantMetrics:
    """What was measured under one strategy set; there are several after ``swap()``.

    A call is counted where it began, its tries, retries and end where they happened. The
    latencies are those of successful calls, by stage. ``failures`` are the errors by class
    and outcome (``not_sent``, ``rejected``, ``unknown``, ``done``).
    """

    name: str
    requests: int
    errors: int
    tries: int
    retries: int
    failures: dict[tuple[str, str], int]
    limit_wait: LatencySummary
    sign: LatencySummary
    pool_wait: LatencySummary
    first_byte: LatencySummary
    total: LatencySummary

    @classmethod
    def of(cls, name: str, counters: RestCounters, latency: RestLatency) -> RestVariantMetrics:
        """A snapshot."""
        return cls(
            name,
            counters.requests,
            counters.errors,
            counters.tries,
            counters.retries,
            dict(counters.failures),
            LatencySummary.of(latency.limit_wait),
            LatencySummary.of(latency.sign),
            LatencySummary.of(latency.pool_wait),
            LatencySummary.of(latency.first_byte),
            LatencySummary.of(latency.total),
        )


@dataclass(frozen=True, slots=True)
class RestMetrics:
    """Everything a RestManager has counted since it was made or ``reset_metrics()`` was called.

    ``requests`` to ``retries`` are totals over ``variants``, ``rate`` is of requests, ``stages``
    are those of ``RestLatency`` by name over all variants: successful calls alone. ``placing``
    orders are on their way now, ``unsettled`` ones have an unknown outcome. ``retry_budget`` is
    shared with the other managers of the host. ``hedges`` is ``None`` when reads are not hedged.
    """

    name: str
    requests: int
    errors: int
    tries: int
    retries: int
    placing: int
    unsettled: int
    pool: PoolUsage
    variants: tuple[RestVariantMetrics, ...]
    breakers: tuple[BreakerMetrics, ...]
    breaker_listener_errors: int
    retry_budget: BudgetMetrics
    hedges: HedgeMetrics | None
    clock: ClockMetrics
    rate: Rate
    stages: dict[str, StageMetrics]
