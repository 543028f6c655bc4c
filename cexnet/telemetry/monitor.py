"""Watches managers against their targets, says who is at fault, and does what helps.

Once a ``check_s`` each target is judged by the last ``window_s``. When one degrades, the first
question is whose fault it is: garbage collections and a late event loop are ours, and no new
connection mends them. Then a degraded stream is helped, step after step, each when the records
since the one before still miss the target; see ``remedies``. What was found and done is kept and told.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from cexnet.config.tree import Remedy, TargetsConfig
from cexnet.telemetry import remedies
from cexnet.telemetry.causes import Causes
from cexnet.telemetry.compliance import Compliance, Condition, Judge
from cexnet.telemetry.news import Listener, News
from cexnet.telemetry.pauses import GcWatch
from cexnet.telemetry.stages import Manager, Stage, stages_of
from cexnet.telemetry.window import Window
from cexnet.websocket.manager import WebSocketManager
from cexnet_core.callbacks import require_plain
from cexnet_core.clock import monotonic_ns, now_ns
from cexnet_core.errors import CexnetError, ConfigurationError
from cexnet_core.latency import LatencyRecorder

_logger = logging.getLogger("cexnet.telemetry")

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
    """Something that was done about a degraded target, when (epoch ns), and what came of it.

    The ``action`` is a step of ``remedies``, or ``restore`` on the way back to normal.
    """

    at_ts_ns: int
    manager: str
    target: str
    action: str
    result: str


@dataclass(slots=True)
class _Watched:
    """One stage of one manager. ``helped`` is its recorder as it was after the latest remedy."""

    manager: Manager
    stage: Stage
    judge: Judge
    window: Window
    remedies: Iterator[Remedy] = field(default_factory=lambda: iter(()))
    helped: LatencyRecorder | None = None

    def still_misses(self) -> bool:
        """Whether what came after the latest remedy misses the target too."""
        recorder, target = self.window.recorder, self.judge.target
        if self.helped is None:
            return True
        try:
            fresh = recorder.since(self.helped)
        except ConfigurationError:  # it was reset meanwhile
            return True
        return fresh.count >= self.judge.least and fresh.within(target.limit_ns) < target.share * fresh.count


class Monitor:
    """Judges managers from a task of its own, from ``start`` to ``close``; an event loop's.

    ``targets`` may be a callable, asked at every look: ``lambda: factory.config.targets`` goes
    along with a configuration that changes. ``on_alert`` is told of each change of a target's
    condition; an exception in it is counted in ``callback_errors`` and logged. ``events()`` has
    what was done as well. With ``recover`` false it only watches. ``alerts`` and ``measures``
    keep the newest of both.
    """

    def __init__(
        self,
        targets: TargetsConfig | Callable[[], TargetsConfig] | None = None,
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
        require_plain("on_alert", on_alert)
        self.alerts: deque[Alert] = deque(maxlen=_KEPT)
        self.measures: deque[Measure] = deque(maxlen=_KEPT)
        self.callback_errors = 0
        self.look_errors = 0
        given = TargetsConfig() if targets is None else targets
        self._source = given if callable(given) else lambda: given
        self._targets = self._source()
        self._on_alert = on_alert
        self._check_s = check_s
        self._window_s = window_s
        self._patience = patience
        self._recover = recover
        self._causes = Causes(window_s, check_s)
        self._news: News[Alert | Measure] = News(_KEPT)
        self._managers: list[Manager] = []
        self._watched: list[_Watched] = []
        # Targets for whose sake a manager's load was taken off, and why it is not back yet.
        self._relieved: dict[WebSocketManager, set[str]] = {}
        self._trouble: dict[WebSocketManager, str] = {}
        self._attending: dict[WebSocketManager, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def loop_lag(self) -> LatencyRecorder:
        """How late the event loop was over the window, in ns; see ``LoopWatch``."""
        return self._causes.lag

    def add(self, manager: Manager) -> None:
        """Watch ``manager`` too. Idempotent: nothing is judged or helped twice over."""
        if any(each is manager for each in self._managers):
            return
        self._managers.append(manager)
        self._watched += [self._watch(manager, stage) for stage in stages_of(manager, self._targets)]

    def remove(self, manager: Manager) -> None:
        """Watch ``manager`` no more and let go of it, as is due once it is closed. Idempotent.

        What was taken off it against load stays off: it is no longer ours, ``manager.restore()``
        gives it back.
        """
        self._managers = [each for each in self._managers if each is not manager]
        self._watched = [each for each in self._watched if each.manager is not manager]
        if isinstance(manager, WebSocketManager):
            self._relieved.pop(manager, None)
            self._trouble.pop(manager, None)

    def retarget(self, targets: TargetsConfig) -> None:
        """Judge by other targets from now on; conditions stay until the next look, and counts too."""
        known = {(each.manager, each.stage.target.name): each for each in self._watched}
        self._targets = targets
        self._watched = []
        for manager in self._managers:
            for stage in stages_of(manager, targets):
                each = known.get((manager, stage.target.name)) or self._watch(manager, stage)
                each.stage, each.judge.target = stage, stage.target
                self._watched.append(each)

    def start(self) -> None:
        """Begin, on the running loop. Idempotent."""
        if self._task is None:
            self._news.is_closed = False
            self._causes.start()
            self._task = asyncio.create_task(self._look_regularly(), name="cexnet-monitor")

    async def close(self) -> None:
        """End the tasks, and undo what was done against load. Idempotent."""
        task, self._task = self._task, None
        tasks = [*self._attending.values(), *([task] if task is not None else ())]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # they report their own failures
        await self._causes.close()
        try:
            for manager in list(self._relieved):
                if manager in self._relieved:  # nobody has removed it meanwhile
                    await self._restore(manager)
        finally:
            self._news.close()

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

    def events(self) -> Listener[Alert | Measure]:
        """Every alert and measure from now on, for ``async for``; ends with ``close()``.

        A listener that falls more than 256 behind goes on with the oldest that is kept;
        ``missed`` counts the others.
        """
        return self._news.listen()

    @property
    def pauses(self) -> GcWatch:
        """What times the garbage collector while the monitor runs."""
        return self._causes.pauses

    def compliance(self) -> list[tuple[str, Compliance]]:
        """Every target as it stands, with its manager's name."""
        return [
            (each.manager.name, each.judge.latest) for each in self._watched if each.judge.latest is not None
        ]

    async def look(self) -> None:
        """Judge everything once, tell, and do what helps.

        A manager whose remedy of an earlier look has not ended yet gets no other meanwhile.
        """
        self._judge()
        await asyncio.gather(*self._attend_all())

    def _judge(self) -> None:
        now_s = monotonic_ns() / 1e9
        self._causes.advance(now_s)
        if (targets := self._source()) is not self._targets:
            self.retarget(targets)
        for each in self._watched:
            recorder = each.stage.recorder()
            if recorder is None or not self._watches(each.manager):
                continue
            if recorder is not each.window.recorder:  # parsers or strategies were swapped
                each.window, each.helped = self._window(recorder), None
                each.judge.go_on_with(each.window)
            found = each.judge.check(now_s)
            if found.changed:
                self._tell(each, found)

    def _attend_all(self) -> list[asyncio.Task[None]]:
        """See to each stream in a task of its own: one that hangs keeps nobody from being judged."""
        for stream in {**self._relieved, **dict.fromkeys(self._degraded())}:
            if stream not in self._attending:
                name = f"cexnet-monitor-{stream.name}"
                task = asyncio.create_task(self._attend(stream), name=name)
                self._attending[stream] = task
                task.add_done_callback(functools.partial(self._end_attending, stream))
        return list(self._attending.values())

    def _degraded(self) -> Iterator[WebSocketManager]:
        for each in self._watched if self._recover else ():
            if each.judge.condition is Condition.DEGRADED and isinstance(each.manager, WebSocketManager):
                yield each.manager

    async def _attend(self, stream: WebSocketManager) -> None:
        try:
            for each in [watched for watched in self._watched if watched.manager is stream]:
                if self._recover and each.judge.condition is Condition.DEGRADED:
                    await self._help(each, stream)
            targets_of = self._relieved.get(stream)
            if targets_of is not None and not any(
                each.manager is stream
                and each.stage.target.name in targets_of
                and each.judge.condition is Condition.DEGRADED
                for each in self._watched
            ):
                await self._restore(stream)
        except Exception:
            self.look_errors += 1
            _logger.exception("helping %s failed; the next look tries again", stream.name)

    def _end_attending(self, stream: WebSocketManager, task: asyncio.Task[None]) -> None:
        del self._attending[stream]

    def _watches(self, manager: Manager) -> bool:
        """Whether it was not removed while we waited for something."""
        return any(each is manager for each in self._managers)

    def _watch(self, manager: Manager, stage: Stage) -> _Watched:
        window = self._window(stage.recorder() or LatencyRecorder(1))
        judge = Judge(stage.target, window, patience=self._patience, least=stage.least)
        return _Watched(manager, stage, judge, window)

    def _window(self, recorder: LatencyRecorder) -> Window:
        slices = max(1, round(self._window_s / self._check_s))
        return Window(recorder, seconds=self._window_s, slices=slices)

    def _tell(self, each: _Watched, found: Compliance) -> None:
        degraded = found.condition is Condition.DEGRADED
        causes = self._causes.of(found) if degraded else ()
        each.helped = None
        wanted = self._targets.remedies if degraded else ()
        each.remedies = remedies.suitable(wanted, each.stage.helped_by, is_ours=bool(causes))
        alert = Alert(now_ns(), each.manager.name, found, causes)
        self.alerts.append(alert)
        self._news.tell(alert)
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
            except (Exception, asyncio.CancelledError):  # called inline: a cancellation is its own
                self.callback_errors += 1
                _logger.exception("the alert callback failed on %s", alert)

    async def _help(self, each: _Watched, stream: WebSocketManager) -> None:
        target = each.stage.target.name
        if not self._watches(stream) or not each.still_misses():
            return
        remedy = next(each.remedies, None)
        if remedy is None:
            return
        is_relief = remedy in remedies.AGAINST_LOAD
        try:
            result = await remedies.apply(remedy, stream)
        except CexnetError as error:
            result = f"failed: {error}"
            is_relief = is_relief and not isinstance(error, ConfigurationError)
        finally:
            # Cut short by close() too: what it took off until then must come back.
            if is_relief and self._watches(stream):
                self._relieved.setdefault(stream, set()).add(target)
        each.helped = each.window.recorder.copy()
        self._note(stream, target, remedy, result)
        _logger.warning("%s: %s is degraded; %s: %s", stream.name, target, remedy, result)

    async def _restore(self, stream: WebSocketManager) -> None:
        """Back to normal; what fails is tried again at the next look."""
        targets = ", ".join(sorted(self._relieved[stream]))
        try:
            result = await remedies.restore(stream)
        except CexnetError as error:
            result = f"failed: {error}"
            if self._trouble.get(stream) == result:
                return
            if self._watches(stream):
                self._trouble[stream] = result
        else:
            self._relieved.pop(stream, None)
            self._trouble.pop(stream, None)
        self._note(stream, targets, "restore", result)
        _logger.info("%s: %s; restore: %s", stream.name, targets, result)

    def _note(self, stream: WebSocketManager, target: str, action: str, result: str) -> None:
        measure = Measure(now_ns(), stream.name, target, action, result)
        self.measures.append(measure)
        self._news.tell(measure)

    async def _look_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._check_s)
            try:
                self._judge()
                self._attend_all()
            except Exception:
                self.look_errors += 1
                _logger.exception("looking at the targets failed; the next look comes as usual")
