"""The stages of a manager since its start and of late, and the slowest records of late.

Nothing is added to the hot path. The last seconds are the difference between now and a copy of
the histograms that was taken then; whoever comes by lets time pass with ``Meter.advance``.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from cexnet_core.clock import now_ns, ticks_ns
from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder
from cexnet_core.summary import LatencySummary, Rate, StageMetrics

Stages = dict[str, LatencyRecorder]

_LONGEST_WINDOW_S = 366 * 86_400.0


class Slow(Protocol):
    """A record among the slowest."""

    @property
    def at_ts_ns(self) -> int:
        """When it ended, epoch ns."""

    @property
    def total_ns(self) -> int:
        """How long it took."""


S = TypeVar("S", bound=Slow)


@dataclass(frozen=True, slots=True)
class MetricsPolicy:
    """What a manager keeps of the recent past.

    Recent figures are of the last ``window_s`` seconds, to the precision of ``window_s / slices``;
    each slice keeps a copy of every stage's histogram (36 KiB) and its ``slowest`` records. Raises
    ConfigurationError for values that make no sense.
    """

    window_s: float = 60.0
    slices: int = 6
    slowest: int = 16

    def __post_init__(self) -> None:
        # What is no number is neither above nor below; the window is counted in 63 bits of ns.
        window = 0 < self.window_s <= _LONGEST_WINDOW_S
        if not window or not 1 <= self.slices <= 1000 or not 0 <= self.slowest <= 65_536:
            raise ConfigurationError(
                f"{self}: window_s must be above 0 and at most {_LONGEST_WINDOW_S:g} (a year),"
                " slices 1 to 1000 and slowest 0 to 65536"
            )


@dataclass(frozen=True, slots=True)
class Period:
    """What was recorded over ``seconds``: so many of what the manager counts, and its stages."""

    seconds: float
    count: int
    stages: Stages


@dataclass(frozen=True, slots=True)
class Measurement:
    """The histograms of one manager: of everything since its start or reset, and of late."""

    since_start: Period
    recent: Period


class Meter(Generic[S]):
    """Keeps the last seconds of a manager's stages and its slowest records.

    ``read`` gives what was counted and a histogram of its own for each stage, since the start;
    ``drain`` the slowest records since it was last called. ``due_ns``, of the clock ``ticks``,
    is when the next slice begins.
    """

    def __init__(
        self,
        policy: MetricsPolicy,
        read: Callable[[], tuple[int, Stages]],
        drain: Callable[[], Iterable[S]],
        *,
        ticks: Callable[[], int] = ticks_ns,
        wall: Callable[[], int] = now_ns,
    ) -> None:
        self.policy = policy
        self._read = read
        self._drain = drain
        self._ticks = ticks
        self._wall = wall
        self._window_ns = int(policy.window_s * 1e9)
        self._slices: deque[tuple[int, int, Stages]] = deque(maxlen=policy.slices + 1)
        self._slow: deque[list[S]] = deque(maxlen=policy.slices)
        self._begin()

    def advance(self, ticks: int) -> None:
        """Let time pass, to ``ticks`` of ``ticks_ns``; one comparison until a slice is due."""
        if ticks >= self.due_ns:
            self._turn(ticks, *self._read())

    def measure(self) -> Measurement:
        """The stages now."""
        ticks = self._ticks()
        count, stages = self._read()
        # The oldest copy that is young enough; where nobody came by in time, the newest there is.
        young = (each for each in self._slices if each[0] >= ticks - self._window_ns)
        base_ns, base_count, base = next(young, self._slices[-1])
        recent = {stage: _since(now, base.get(stage)) for stage, now in stages.items()}
        if ticks >= self.due_ns:
            self._turn(ticks, count, stages)
        return Measurement(
            Period((ticks - self._started_ns) / 1e9, count, stages),
            Period((ticks - base_ns) / 1e9, count - base_count, recent),
        )

    def slowest(self, most: int | None = None) -> list[S]:
        """The slowest records that ended within the window, slowest first.

        As many as the policy keeps, or at most ``most``.
        """
        self._keep(self._drain())
        since_ns = self._wall() - self._window_ns
        recent = [each for part in self._slow for each in part if each.at_ts_ns >= since_ns]
        return self._longest(recent)[:most]

    def reset(self) -> None:
        """Begin anew, after what ``read`` reads was reset."""
        self._drain()
        self._begin()

    def _begin(self) -> None:
        self._started_ns = self._ticks()
        self._slices.clear()
        self._slow.clear()
        self._slow.append([])
        self._mark(self._started_ns, 0, {})

    def _turn(self, ticks: int, count: int, stages: Stages) -> None:
        self._keep(self._drain())
        self._slow.append([])
        self._mark(ticks, count, stages)

    def _mark(self, ticks: int, count: int, stages: Stages) -> None:
        self._slices.append((ticks, count, stages))
        self.due_ns = ticks + self._window_ns // self.policy.slices

    def _keep(self, records: Iterable[S]) -> None:
        self._slow[-1] = self._longest([*self._slow[-1], *records])

    def _longest(self, records: list[S]) -> list[S]:
        return heapq.nlargest(self.policy.slowest, records, key=lambda each: each.total_ns)


def rate_of(measurements: Sequence[Measurement]) -> Rate:
    """What managers have counted together; the longest of their times, the sum of their rates."""
    start, recent = [m.since_start for m in measurements], [m.recent for m in measurements]
    return Rate(
        sum(period.count for period in start),
        max(period.seconds for period in start),
        sum(_per_s(period.count, period) for period in start),
        sum(period.count for period in recent),
        max(period.seconds for period in recent),
        sum(_per_s(period.count, period) for period in recent),
    )


def stages_of(measurements: Sequence[Measurement]) -> dict[str, StageMetrics]:
    """The stages of managers of one kind, all records of a stage together."""
    return {
        stage: StageMetrics(
            *_together(stage, [measurement.since_start for measurement in measurements]),
            *_together(stage, [measurement.recent for measurement in measurements]),
        )
        for stage in measurements[0].since_start.stages
    }


def _together(stage: str, periods: Sequence[Period]) -> tuple[LatencySummary, float]:
    rate = sum(_per_s(period.stages[stage].count, period) for period in periods)
    if len(periods) == 1:
        return LatencySummary.of(periods[0].stages[stage]), rate
    whole = LatencyRecorder(1)
    for period in periods:
        whole.merge(period.stages[stage])
    return LatencySummary.of(whole), rate


def _per_s(count: int, period: Period) -> float:
    return count / period.seconds if period.seconds > 0 else 0.0


def _since(now: LatencyRecorder, earlier: LatencyRecorder | None) -> LatencyRecorder:
    if earlier is None:
        return now
    try:
        return now.since(earlier)
    except ConfigurationError:  # the live recorder was reset: everything in it came afterwards
        return now
