"""Is it as fast as promised? Targets, the share of records within them, and a verdict with hysteresis.

No I/O and no clock here: someone calls ``check`` at regular intervals.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cexnet.telemetry.window import Window
from cexnet_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Target:
    """``share`` of the records of one stage must take at most ``limit_ns``."""

    name: str
    limit_ns: int
    share: float = 0.99

    def __post_init__(self) -> None:
        if self.limit_ns < 1 or not 0.0 < self.share <= 1.0:
            raise ConfigurationError(
                f"target {self.name}: limit_ns={self.limit_ns} must be above 0 and "
                f"share={self.share:g} above 0 and at most 1"
            )


class Condition(enum.StrEnum):
    """How a target stands."""

    NORMAL = "normal"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True)
class Compliance:
    """One look at a target. ``within`` of ``count`` records of its window kept the limit.

    ``total`` and ``total_within`` are the same since the manager was made, or its recorder
    reset. ``changed``: the condition is not that of the look before.
    """

    target: Target
    condition: Condition
    changed: bool
    count: int
    within: int
    p99_ns: int
    max_ns: int
    total: int
    total_within: int

    @property
    def share(self) -> float:
        """The share of records within the limit; 1 when there were none."""
        return self.within / self.count if self.count else 1.0

    @property
    def total_share(self) -> float:
        """The share within the limit since the start; 1 when there were none."""
        return self.total_within / self.total if self.total else 1.0

    @property
    def violations(self) -> int:
        """How many records exceeded the limit since the start."""
        return self.total - self.total_within


class Judge:
    """Judges one target by a window of records.

    It degrades after ``patience`` looks in a row that miss the target, and is normal again
    after as many that keep it. Looks at fewer than ``least`` records change nothing: one
    slow record of three says little.
    """

    def __init__(self, target: Target, window: Window, *, patience: int = 3, least: int = 20) -> None:
        if patience < 1 or least < 1:
            raise ConfigurationError(f"Judge: patience={patience} and least={least} must be at least 1")
        self.target = target
        self.condition = Condition.NORMAL
        self.latest: Compliance | None = None
        self._window = window
        self._patience = patience
        self._least = least
        self._against = 0  # looks in a row that speak against the present condition
        self._earlier = (0, 0)  # count and within of recorders that this one has succeeded

    def check(self, now_s: float) -> Compliance:
        """Look once; ``now_s`` is a monotonic clock in seconds."""
        self._window.advance(now_s)
        recent = self._window.recent()
        within = recent.within(self.target.limit_ns)
        changed = False
        if recent.count >= self._least:
            kept = within >= self.target.share * recent.count
            self._against = self._against + 1 if kept is (self.condition is Condition.DEGRADED) else 0
            if self._against >= self._patience:
                changed, self._against = True, 0
                self.condition = Condition.NORMAL if kept else Condition.DEGRADED
        recorder = self._window.recorder
        self.latest = Compliance(
            self.target,
            self.condition,
            changed,
            recent.count,
            within,
            recent.percentile(99.0),
            recent.max,
            self._earlier[0] + recorder.count,
            self._earlier[1] + recorder.within(self.target.limit_ns),
        )
        return self.latest

    def go_on_with(self, window: Window) -> None:
        """Judge by another recorder's window from now on; the condition and the totals stay."""
        before = self._window.recorder
        count, within = self._earlier
        self._earlier = count + before.count, within + before.within(self.target.limit_ns)
        self._window = window

    @property
    def least(self) -> int:
        """Fewer records than these say nothing."""
        return self._least
