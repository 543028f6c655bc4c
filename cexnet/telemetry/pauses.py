"""Pauses that are our own: garbage collections and a late event loop, timed, so that they can be named.

``tame_gc`` is for engines: long-lived objects are put beyond the collector's reach and the
collector is called less often.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from cexnet_core.clock import now_ns, ticks_ns
from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder


@dataclass(frozen=True, slots=True)
class GcPause:
    """One collection: when it ended (epoch ns), how long it took, of which generation."""

    ended_ts_ns: int
    duration_ns: int
    generation: int

    @property
    def began_ts_ns(self) -> int:
        """When it began, epoch ns."""
        return self.ended_ts_ns - self.duration_ns


class GcWatch:
    """Times every garbage collection of the process between ``start`` and ``stop``.

    ``recorder`` has all durations, ``notable`` the newest ones of at least
    ``notable_ns``. The collector stops every thread: a pause here is a pause of the loop.
    """

    def __init__(self, *, notable_ns: int = 100_000, kept: int = 256) -> None:
        self.recorder = LatencyRecorder(4096)
        self.notable: deque[GcPause] = deque(maxlen=kept)
        self._notable_ns = notable_ns
        self._began_ns = 0

    def start(self) -> None:
        """Begin to listen. Idempotent."""
        if self._on_collection not in gc.callbacks:
            gc.callbacks.append(self._on_collection)

    def stop(self) -> None:
        """Listen no more. Idempotent."""
        if self._on_collection in gc.callbacks:
            gc.callbacks.remove(self._on_collection)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def during(self, first_ts_ns: int, last_ts_ns: int) -> list[GcPause]:
        """The notable pauses that overlap a span of time (epoch ns)."""
        return [
            pause
            for pause in self.notable
            if pause.ended_ts_ns >= first_ts_ns and pause.began_ts_ns <= last_ts_ns
        ]

    def _on_collection(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._began_ns = ticks_ns()
            return
        duration_ns = ticks_ns() - self._began_ns
        self.recorder.record(duration_ns)
        if duration_ns >= self._notable_ns:
            self.notable.append(GcPause(now_ns(), duration_ns, info["generation"]))


class LoopWatch:
    """Measures how late the running event loop is, from a task of its own between ``start`` and ``close``.

    It asks to be woken every ``every_s``; ``recorder`` has by how much later it was, in ns. What
    blocks the loop for longer than ``every_s`` is always seen, what is shorter by its share of
    the time. A loop with nothing to do is late by up to a millisecond or two.
    """

    def __init__(self, *, every_s: float = 0.02) -> None:
        if every_s <= 0:
            raise ConfigurationError(f"LoopWatch: every_s={every_s:g} must be above 0")
        self.recorder = LatencyRecorder(4096)
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop. Idempotent."""
        if self._task is None:
            self._task = asyncio.create_task(self._measure(), name="cexnet-loop-watch")

    async def close(self) -> None:
        """End the task. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _measure(self) -> None:
        pause_ns = round(self._every_s * 1e9)
        while True:
            due_ns = ticks_ns() + pause_ns
            await asyncio.sleep(self._every_s)
            self.recorder.record(max(1, ticks_ns() - due_ns))


def tame_gc(*, young: int = 50_000) -> int:
    """Collect once, freeze what survives, and collect only after ``young`` new containers.

    Call it when the engine is set up and before it trades. Frozen objects are never looked
    at again: cycles among them are not found. Returns how many objects were frozen.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, 20, 100)
    return gc.get_freeze_count()
