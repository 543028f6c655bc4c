"""Whose fault is it? What in our own process made a window's records late, in words."""

from __future__ import annotations

from cexnet.telemetry.compliance import Compliance
from cexnet.telemetry.pauses import GcWatch, LoopWatch
from cexnet.telemetry.window import Window
from cexnet_core.clock import now_ns
from cexnet_core.latency import LatencyRecorder

# Timers of a loop that has nothing to do come as late as this now and then.
_TIMER_SLACK_NS = 5_000_000
# A late loop is named when it accounts for this part of the late records.
_ENOUGH = 0.5


class Causes:
    """Watches the collector and the event loop between ``start`` and ``close``."""

    def __init__(self, window_s: float, check_s: float) -> None:
        self.pauses = GcWatch()
        self.loop = LoopWatch()
        self._window_s = window_s
        self._lag = Window(self.loop.recorder, seconds=window_s, slices=max(1, round(window_s / check_s)))

    @property
    def lag(self) -> LatencyRecorder:
        """How late the loop was over the window, in ns."""
        return self._lag.recent()

    def start(self) -> None:
        """Begin, on the running loop. Idempotent."""
        self.pauses.start()
        self.loop.start()

    async def close(self) -> None:
        """End. Idempotent."""
        self.pauses.stop()
        await self.loop.close()

    def advance(self, now_s: float) -> None:
        """Let time pass, at every look."""
        self._lag.advance(now_s)

    def of(self, found: Compliance) -> tuple[str, ...]:
        """What of ours made the records of ``found`` late; empty when we are not at fault.

        A collection that took longer than the limit made late whatever came meanwhile. The
        loop is looked at as often when it is late as when it is not, as records come: it is
        the cause when it was later than the limit for half as large a part of the time as
        records were.
        """
        causes = []
        limit_ns, until_ns = found.target.limit_ns, now_ns()
        pauses = self.pauses.during(until_ns - int(self._window_s * 1e9), until_ns)
        longest_ns = max((pause.duration_ns for pause in pauses), default=0)
        if longest_ns > limit_ns:
            causes.append(f"garbage collection, up to {longest_ns / 1e6:.1f} ms (see tame_gc)")
        lag = self.lag
        if lag.count:
            late = 1.0 - lag.within(max(limit_ns, _TIMER_SLACK_NS)) / lag.count
            if late > 0.0 and late >= _ENOUGH * (1.0 - found.share):
                causes.append(f"a busy event loop, up to {lag.max / 1e6:.0f} ms late")
        return tuple(causes)
