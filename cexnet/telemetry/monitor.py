"""Watches managers against their targets, says who is at fault, and does what helps.

Once a ``check_s`` each target is judged by the last ``window_s``. When one degrades, the first
question is whose fault it is: garbage collections and a late event loop are ours, and no new
connection mends them. Otherwise a stream's connections are pinged, and at the next look that
finds it still degraded they are rolled, make before break. What was found and done is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from cexnet.config import TargetsConfig
from cexnet.http.manager import RestManager
from cexnet.telemetry.compliance import Compliance, Condition, Judge, Target
from cexnet.telemetry.pauses import GcWatch
from cexnet.telemetry.window import Window
from cexnet.websocket.manager import WebSocketManager
from cexnet_core.clock import monotonic_ns, now_ns
from cexnet_core.errors import CexnetError, ConfigurationError
from cexnet_core.latency import LatencyRecorder

_logger = logging.getLogger("cexnet.telemetry")

Manager = WebSocketManager | RestManager
_KEPT = 256


@dataclass(frozen=True, slots=True)
class Alert:
    """A target degraded, or is normal again.

    ``at_ts_ns`` is the wall clock, epoch ns; ``causes`` are those of our own process that
    were found, in words.
    """

    at_ts_ns: int
    manager: str
    compliance: Compliance
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """Something that was done about a degraded target, when (epoch ns), and what came of it."""

    at_ts_ns: int
    manager: str
    target: str
    action: str
    result: str


@dataclass(slots=True)
class _Watched:
    """One target of one manager. ``probed`` since it degraded, ``rolled`` likewise."""

    manager: Manager
    target: Target
    recorder: Callable[[], LatencyRecorder]
    window: Window
    judge: Judge
    is_stream: bool
    ours: bool = False
    probed: bool = False
    rolled: bool = False


class Monitor:
    """Judges managers from a task of its own, from ``start`` to ``close``; an event loop's.

    ``on_alert`` is told of each change of a target's condition; an exception in it is counted
    in ``callback_errors`` and logged. With ``recover`` false it only watches. ``alerts`` and
    ``measures`` keep the newest of both.
    """

    def __init__(
        self,
        targets: TargetsConfig | None = None,
        *,
        on_alert: Callable[[Alert], object] | None = None,
        check_s: float = 1.0,
        window_s: float = 60.0,
        patience: int = 3,
        recover: bool = True,
    ) -> None:
        if check_s <= 0 or window_s < check_s:
            raise ConfigurationError(
                f"Monitor: needs 0 < check_s <= window_s, not {check_s:g} and {window_s:g}"
            )
        self.alerts: deque[Alert] = deque(maxlen=_KEPT)
        self.measures: deque[Measure] = deque(maxlen=_KEPT)
        self.callback_errors = 0
        self.look_errors = 0
        self._targets = targets if targets is not None else TargetsConfig()
        self._on_alert = on_alert
        self._check_s = check_s
        self._window_s = window_s
        self._patience = patience
        self._recover = recover
        self._pauses = GcWatch()
        self._watched: list[_Watched] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, manager: Manager) -> None:
        """Watch ``manager`` too."""
        limits, share = self._targets, self._targets.share
        if isinstance(manager, WebSocketManager):
            self._watch(manager, _target("handling", limits.websocket_handling_ms, share),
                        lambda: manager.latency.total, is_stream=True)  # fmt: skip
            self._watch(manager, _target("recovery", limits.recovery_ms, share),
                        lambda: manager.latency.first_event, least=1)  # fmt: skip
        else:
            self._watch(manager, _target("total", limits.rest_total_ms, share),
                        lambda: manager.latency.total)  # fmt: skip
            self._watch(manager, _target("sign", limits.rest_sign_ms, share),
                        lambda: manager.latency.sign)  # fmt: skip

    def start(self) -> None:
        """Begin, on the running loop. Idempotent."""
        if self._task is None:
            self._pauses.start()
            self._task = asyncio.create_task(self._look_regularly(), name="cexnet-monitor")

    async def close(self) -> None:
        """End the task. Idempotent."""
        self._pauses.stop()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)  # it reports its own failures

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def pauses(self) -> GcWatch:
        """What times the garbage collector while the monitor runs."""
        return self._pauses

    def compliance(self) -> list[tuple[str, Compliance]]:
        """Every target as it stands, with its manager's name."""
        return [
            (each.manager.name, each.judge.latest) for each in self._watched if each.judge.latest is not None
        ]

    async def look(self) -> None:
        """Judge everything once, tell, and do what helps."""
        now_s = monotonic_ns() / 1e9
        for each in self._watched:
            recorder = each.recorder()
            if recorder is not each.window.recorder:  # parsers or strategies were swapped
                each.window = self._window(recorder)
                each.judge.go_on_with(each.window)
            found = each.judge.check(now_s)
            if found.changed:
                self._tell(each, found)
            if found.condition is Condition.DEGRADED and each.is_stream and self._recover and not each.ours:
                await self._help(each)

    def _watch(
        self,
        manager: Manager,
        target: Target,
        recorder: Callable[[], LatencyRecorder],
        *,
        least: int = 20,
        is_stream: bool = False,
    ) -> None:
        window = self._window(recorder())
        judge = Judge(target, window, patience=self._patience, least=least)
        self._watched.append(_Watched(manager, target, recorder, window, judge, is_stream))

    def _window(self, recorder: LatencyRecorder) -> Window:
        slices = max(1, round(self._window_s / self._check_s))
        return Window(recorder, seconds=self._window_s, slices=slices)

    def _tell(self, each: _Watched, found: Compliance) -> None:
        degraded = found.condition is Condition.DEGRADED
        causes = self._causes(each) if degraded else ()
        each.ours, each.probed, each.rolled = bool(causes), False, False
        alert = Alert(now_ns(), each.manager.name, found, causes)
        self.alerts.append(alert)
        _logger.log(
            logging.WARNING if degraded else logging.INFO,
            "%s: %s is %s: %.2f %% of %d within %.3g ms, p99 %.3g ms%s",
            each.manager.name,
            found.target.name,
            found.condition,
            100 * found.share,
            found.count,
            found.target.limit_ns / 1e6,
            found.p99_ns / 1e6,
            f"; at fault: {', '.join(causes)}" if causes else "",
        )
        if self._on_alert is not None:
            try:
                self._on_alert(alert)
            except Exception:
                self.callback_errors += 1
                _logger.exception("the alert callback failed on %s", alert)

    def _causes(self, each: _Watched) -> tuple[str, ...]:
        """What in our own process made the window's records late."""
        causes = []
        until_ns = now_ns()
        pauses = self._pauses.during(until_ns - int(self._window_s * 1e9), until_ns)
        longest = max((pause.duration_ns for pause in pauses), default=0)
        if longest > each.target.limit_ns:
            causes.append(f"garbage collection, up to {longest / 1e6:.1f} ms (see tame_gc)")
        if isinstance(each.manager, WebSocketManager):
            lag = each.manager.latency.loop_lag
            if lag.count and (late := lag.percentile(90.0)) > each.target.limit_ns * 10:
                causes.append(f"a busy event loop, {late / 1e6:.0f} ms late at the 90th percentile")
        return tuple(causes)

    async def _help(self, each: _Watched) -> None:
        assert isinstance(each.manager, WebSocketManager)
        if not each.probed:
            each.probed = True
            trips = await each.manager.ping()
            said = ", ".join(
                f"connection {number}: " + ("no answer" if trip is None else f"{trip * 1e3:.1f} ms")
                for number, trip in trips.items()
            )
            self._note(each, "probe", said or "no connection")
        elif not each.rolled:
            each.rolled = True
            try:
                await each.manager.roll()
            except CexnetError as error:
                self._note(each, "roll", f"failed: {error}")
            else:
                self._note(each, "roll", "connections replaced")

    def _note(self, each: _Watched, action: str, result: str) -> None:
        self.measures.append(Measure(now_ns(), each.manager.name, each.target.name, action, result))
        _logger.warning("%s: %s is degraded; %s: %s", each.manager.name, each.target.name, action, result)

    async def _look_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._check_s)
            try:
                await self.look()
            except Exception:
                self.look_errors += 1
                _logger.exception("looking at the targets failed; the next look comes as usual")


def _target(name: str, limit_ms: float, share: float) -> Target:
    return Target(name, round(limit_ms * 1e6), share)
