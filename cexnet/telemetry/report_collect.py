"""Watches managers for a while and makes a report of it.

Nothing is added to the hot path: a task takes copies of the counters and histograms once a slice.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from cexnet.config import TargetsConfig
from cexnet.http.manager import RestManager
from cexnet.http.metrics import RestMetrics
from cexnet.telemetry.pauses import GcWatch
from cexnet.telemetry.report_data import Curve, Kept, Line, Pause, Pauses, Report, Slice, Slow
from cexnet.telemetry.report_slowest import slow_call, slow_message, slowest_of_each_read
from cexnet.telemetry.report_text import duration
from cexnet.websocket.manager import WebSocketManager
from cexnet.websocket.metrics import WebSocketMetrics
from cexnet_core.clock import monotonic_ns, now_ns
from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder

Counts = tuple[str, tuple[tuple[str, int], ...]]


@dataclass(slots=True)
class _Stream:
    """A stream's manager and what its recorders held at the end of the slice before."""

    manager: WebSocketManager
    total: LatencyRecorder


class ReportCollector:
    """Collects from ``start`` to ``close``; an event loop's. ``report`` may be called at any time.

    Every ``slice_s`` seconds a slice ends. The ``slowest`` worst of each line are kept, as the
    managers tell them (of streams, the worst of each slice at least), and whatever ``note`` is
    told. ``targets`` say what is judged.
    """

    def __init__(
        self, targets: TargetsConfig | None = None, *, slice_s: float = 0.25, slowest: int = 6
    ) -> None:
        if slice_s <= 0 or slowest < 0:
            raise ConfigurationError(
                f"ReportCollector: slice_s={slice_s:g} must be above 0 and slowest={slowest} at least 0"
            )
        self._targets = targets if targets is not None else TargetsConfig()
        self._slice_s = slice_s
        self._most_slow = slowest
        self._streams: list[_Stream] = []
        self._rests: list[RestManager] = []
        self._pauses = GcWatch()
        self._slices: list[Slice] = []
        self._slow: dict[tuple[str, str], list[Slow]] = {}
        self._began_ts_ns = self._noted_ts_ns = 0
        self._began_ns = self._ended_ns = 0
        self._messages = self._requests = 0
        self._task: asyncio.Task[None] | None = None

    def add(self, manager: WebSocketManager | RestManager) -> None:
        """Collect from ``manager`` too; before ``start``."""
        if isinstance(manager, WebSocketManager):
            latency = manager.latency
            self._streams.append(_Stream(manager, latency.total.copy()))
        else:
            self._rests.append(manager)

    def start(self) -> None:
        """Begin, on the running loop. Idempotent."""
        if self._task is None:
            self._pauses.start()
            self._began_ts_ns, self._began_ns = now_ns(), monotonic_ns()
            self._ended_ns, self._noted_ts_ns = self._began_ns, self._began_ts_ns
            self._messages, self._requests = self._counted()
            self._task = asyncio.create_task(self._slice_regularly(), name="cexnet-report")

    async def close(self) -> None:
        """End the last slice and the task. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self._end_slice()
            self._pauses.stop()

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

    def note(self, slow: Slow) -> None:
        """Keep ``slow`` if it is among the slowest of its line; ``at_s`` as ``elapsed_s`` tells it."""
        known = self._slow.get((slow.manager, slow.line), [])
        self._slow[slow.manager, slow.line] = heapq.nlargest(
            self._most_slow, [*known, slow], key=lambda each: each.total_ns
        )

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return (monotonic_ns() - self._began_ns) / 1e9

    def report(
        self,
        title: str,
        source: str,
        *,
        version: str = "",
        environment: tuple[tuple[str, str], ...] = (),
        advice: tuple[str, ...] = (),
    ) -> Report:
        """What was collected until now."""
        return Report(
            title=title,
            source=source,
            version=version,
            began_ts_ns=self._began_ts_ns,
            seconds=(self._ended_ns - self._began_ns) / 1e9,
            figures=self._figures(),
            lines=tuple(self._lines()),
            slices=tuple(self._slices),
            targets=tuple(self._kept()),
            slowest=tuple(slow for key in sorted(self._slow, key=_streams_first) for slow in self._slow[key]),
            pauses=self._collections(),
            counts=tuple(self._counts()),
            environment=environment,
            advice=advice,
        )

    async def _slice_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._slice_s)
            self._end_slice()

    def _end_slice(self) -> None:
        now, before = monotonic_ns(), self._ended_ns
        self._ended_ns = now
        at_s, seconds = (now - self._began_ns) / 1e9, (now - before) / 1e9
        messages, requests = self._counted()
        all_streams = LatencyRecorder(1)
        for stream in self._streams:
            latency = stream.manager.latency
            recent = _since(latency.total, stream.total)
            stream.total = latency.total.copy()
            all_streams.merge(recent)
            if not self._note_slow_messages(stream.manager) and recent.count:
                what = f"the slowest of {recent.count:,} in {seconds:.2g} s"
                self.note(Slow(at_s, stream.manager.name, "receive", what, recent.max))
        for rest in self._rests:
            self._note_slow_calls(rest)
        self._noted_ts_ns = now_ns()
        part = Slice(at_s, seconds, messages - self._messages, requests - self._requests)
        if all_streams.count:
            at = all_streams.percentile
            part = Slice(
                at_s, seconds, part.messages, part.requests, at(50.0), at(99.0), all_streams.max
            )  # fmt: skip
        self._slices.append(part)
        self._messages, self._requests = messages, requests

    def _note_slow_messages(self, manager: WebSocketManager) -> bool:
        """Take over what the manager has found in this slice; whether there was anything."""
        found = [each for each in manager.slowest() if each.at_ts_ns > self._noted_ts_ns]
        for message in slowest_of_each_read(found):
            at_s, cause = self._circumstances(message.at_ts_ns, message.total_ns)
            self.note(slow_message(manager.name, message, at_s, cause))
        return bool(found)

    def _note_slow_calls(self, manager: RestManager) -> None:
        for call in manager.slowest():
            if call.at_ts_ns > self._noted_ts_ns:
                at_s, cause = self._circumstances(call.at_ts_ns, call.total_ns)
                self.note(slow_call(manager.name, call, at_s, cause))

    def _circumstances(self, at_ts_ns: int, total_ns: int) -> tuple[float, str]:
        """When a record ended, in seconds since the beginning, and which pause of ours it met."""
        at_s = (at_ts_ns - self._began_ts_ns) / 1e9
        pauses = self._pauses.during(at_ts_ns - total_ns, at_ts_ns)
        if not pauses:
            return at_s, ""
        longest = max(pauses, key=lambda pause: pause.duration_ns)
        cause = f"a garbage collection of {duration(longest.duration_ns)} (generation {longest.generation})"
        return at_s, f"meanwhile: {cause}"

    def _counted(self) -> tuple[int, int]:
        messages = sum(stream.manager.metrics().messages for stream in self._streams)
        return messages, sum(rest.metrics().requests for rest in self._rests)

    def _figures(self) -> tuple[tuple[str, str], ...]:
        seconds = (self._ended_ns - self._began_ns) / 1e9
        handled, called = LatencyRecorder(1), LatencyRecorder(1)
        for stream in self._streams:
            handled.merge(stream.manager.latency.total)
        for rest in self._rests:
            called.merge(rest.stages()["total"])
        messages = sum(part.messages for part in self._slices)
        figures = [
            ("messages", f"{messages:,}"),
            ("messages per second", f"{messages / max(1e-9, seconds):,.0f}"),
        ]
        if handled.count:
            figures += [
                ("receive to handled, median", duration(handled.percentile(50.0))),
                ("receive to handled, p99", duration(handled.percentile(99.0))),
            ]
        if called.count:
            figures += [
                ("REST request, median", duration(called.percentile(50.0))),
                ("REST request, p99", duration(called.percentile(99.0))),
            ]
        return tuple(figures)

    def _lines(self) -> list[Line]:
        limits, lines = self._targets, []
        for stream in self._streams:
            latency = stream.manager.latency
            curves = (
                Curve.of("decode (1 in 8)", latency.decoded),
                Curve.of("handle (1 in 8)", latency.handled),
                Curve.of("receive to handled", latency.total),
            )
            lines.append(Line(stream.manager.name, "receive", curves, _ns(limits.websocket_handling_ms)))
        for rest in self._rests:
            stages = rest.stages()
            made = tuple(Curve.of(name.replace("_", " "), stages[name]) for name in stages)
            lines.append(Line(rest.name, "REST", made, _ns(limits.rest_total_ms)))
        return lines

    def _kept(self) -> list[Kept]:
        limits, kept = self._targets, []

        def judge(manager: str, target: str, limit_ms: float, recorder: LatencyRecorder) -> None:
            limit_ns = _ns(limit_ms)
            within, p99_ns = recorder.within(limit_ns), recorder.percentile(99.0)
            kept.append(
                Kept(manager, target, limit_ns, limits.share, recorder.count, within, p99_ns, recorder.max)
            )

        for stream in self._streams:
            name, latency = stream.manager.name, stream.manager.latency
            judge(name, "receive to handled", limits.websocket_handling_ms, latency.total)
            judge(name, "first data", limits.recovery_ms, latency.first_event)
        for rest in self._rests:
            stages = rest.stages()
            judge(rest.name, "REST total", limits.rest_total_ms, stages["total"])
            judge(rest.name, "REST signature", limits.rest_sign_ms, stages["sign"])
        return kept

    def _collections(self) -> Pauses:
        recorder = self._pauses.recorder
        notable = tuple(
            Pause(
                max(0.0, (pause.began_ts_ns - self._began_ts_ns) / 1e9), pause.duration_ns, pause.generation
            )
            for pause in self._pauses.notable
        )
        return Pauses(recorder.count, round(recorder.mean * recorder.count), recorder.max, notable)

    def _counts(self) -> list[Counts]:
        counts: list[Counts] = []
        for stream in self._streams:
            counts += stream_counts(stream.manager.name, stream.manager.metrics())
        return counts + [_rest_counts(rest.name, rest.metrics()) for rest in self._rests]


def stream_counts(name: str, metrics: WebSocketMetrics) -> list[Counts]:
    """A stream's counters as tables."""
    troubles = ("gaps", "duplicates", "reorders", "dropped", "handler_errors", "reconnects", "rolls")
    return [
        (f"{name}: events", present(metrics.events)),
        (f"{name}: decoded by", present(metrics.decode)),
        (f"{name}: trouble", tuple((what.replace("_", " "), getattr(metrics, what)) for what in troubles)),
    ]


def present(counts: dict[str, int]) -> tuple[tuple[str, int], ...]:
    """What was counted at all."""
    return tuple((name, count) for name, count in counts.items() if count)


def _rest_counts(name: str, metrics: RestMetrics) -> Counts:
    counted = ("requests", "tries", "retries", "errors", "unsettled")
    return f"{name}: REST", tuple((what, getattr(metrics, what)) for what in counted)


def _streams_first(key: tuple[str, str]) -> tuple[bool, str]:
    manager, line = key
    return line != "receive", manager


def _since(recorder: LatencyRecorder, earlier: LatencyRecorder) -> LatencyRecorder:
    """What is new; everything, when the recorder is another one than before or was reset."""
    try:
        return recorder.since(earlier)
    except ConfigurationError:
        return recorder.copy()


def _ns(ms: float) -> int:
    return round(ms * 1e6)
