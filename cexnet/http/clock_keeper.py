"""Keeps a ClockSync fed: in the background when asked to, and at once on a skew error."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from cexnet.http.answers import Response
from cexnet.http.clock_sync import ClockMetrics, ClockSync
from cexnet.http.endpoint import Priority
from cexnet_core.clock import now_ns
from cexnet_core.errors import CexnetError, DeadlineExceeded

_logger = logging.getLogger("cexnet.http")

_SAMPLES = 3
# Managers that start together shall not ask together for ever.
_SPREAD = 0.1

# Asks the exchange for its time, in that lane, within so many seconds.
AskTime = Callable[[Priority, float], Awaitable[Response[int]]]


class ClockKeeper:
    """Measures through ``ask``; every ``every_s`` seconds, or only on demand when ``None``.

    ``generation`` grows with each finished measurement on demand, so that a request that
    failed on skew can tell whether another has resynchronised meanwhile. ``deadline_s`` bounds
    a measurement in the background. That task belongs to the keeper; ``close()`` ends it.
    """

    def __init__(
        self, clock: ClockSync, ask: AskTime, *, name: str, every_s: float | None, deadline_s: float
    ) -> None:
        self.clock = clock
        self.generation = 0
        self.due = every_s is not None
        self._ask = ask
        self._name = name
        self._every_s = every_s
        self.deadline_s = deadline_s
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._syncs = self._resyncs = self._failures = 0

    def start(self) -> None:
        """Begin to measure in the background, on the running loop."""
        self.due = False
        if self._every_s is not None and (self._task is None or self._task.done()):
            name = f"clock of {self._name}"
            self._task = asyncio.get_running_loop().create_task(self._keep(), name=name)

    def measure_every(self, every_s: float | None) -> None:
        """Another pause between measurements, after the one that is under way; ``None``: no more."""
        self._every_s = every_s
        self.due = not self._closed and every_s is not None and (self._task is None or self._task.done())

    async def close(self) -> None:
        """End the background task. Idempotent; it does not start again."""
        self._closed = True
        self.due = False
        self._every_s = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def resync(self, generation: int, deadline_s: float) -> None:
        """Measure anew, forgetting the old samples, unless somebody did since ``generation``.

        Raises DeadlineExceeded, and what the time endpoint raised.
        """
        deadline = asyncio.get_running_loop().time() + deadline_s
        try:
            async with asyncio.timeout_at(deadline), self._lock:
                if self.generation == generation:
                    self._resyncs += 1
                    self.clock.restart()
                    await self._measure(Priority.QUERY, deadline)
                    self.generation += 1
        except TimeoutError:
            raise DeadlineExceeded(
                f"{self._name}: the exchange's clock could not be measured before the deadline;"
                " the request was refused for its timestamp and not sent again"
            ) from None

    def metrics(self) -> ClockMetrics:
        """A snapshot."""
        clock, at_ns = self.clock, now_ns()
        age_ns = clock.age_ns(at_ns)
        return ClockMetrics(
            offset_ns=clock.offset_at_ns(at_ns),
            drift_ppm=clock.drift * 1e6,
            round_trip_ns=clock.round_trip_ns,
            error_bound_ns=clock.error_bound_ns(at_ns),
            age_s=age_ns / 1e9 if age_ns >= 0 else -1.0,
            stale=clock.is_stale(at_ns),
            syncs=self._syncs,
            resyncs=self._resyncs,
            failures=self._failures,
        )

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while (every_s := self._every_s) is not None:
            try:
                async with self._lock:
                    await self._measure(Priority.BACKGROUND, loop.time() + self.deadline_s)
            except CexnetError as error:
                _logger.info("%s: the exchange's clock could not be measured: %s", self._name, error)
            except Exception:  # a strategy's mistake must not end the task unnoticed
                _logger.exception("%s: measuring the exchange's clock failed", self._name)
            await asyncio.sleep(every_s * random.uniform(1 - _SPREAD, 1 + _SPREAD))  # noqa: S311 - no secret

    async def _measure(self, lane: Priority, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        self._syncs += 1
        try:
            for _ in range(_SAMPLES):
                response = await self._ask(lane, deadline - loop.time())
                self.clock.add(
                    received_ns=now_ns(),
                    round_trip_ns=response.timings.first_byte_ns,
                    server_ns=response.data,
                )
        except BaseException:
            self._failures += 1
            raise
