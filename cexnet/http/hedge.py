"""Hedged reads: when an answer is later than usual, ask again and take whichever comes first.

Each hedge passes the whole line, limits included. The loser is cancelled and its connection
closed, because HTTP/1.1 cannot take a request back: hedging buys a shorter tail with that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from cexnet.http.answers import Response
from cexnet.http.endpoint import Call
from cexnet_core.clock import ticks_ns
from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder

T = TypeVar("T")

# Enough for a 95th percentile that means something; then measured afresh.
_REMEMBERED = 1024
_REFRESH_EVERY = 32
_SAVED_HEDGES = 10.0


@dataclass(frozen=True, slots=True)
class HedgePolicy:
    """Ask again after ``percentile`` of this endpoint's recent reads would have been answered.

    Nothing is hedged before ``minimum_reads`` were seen, and no more than ``share`` of the
    reads over time. Raises ConfigurationError for values that make no sense.
    """

    percentile: float = 95.0
    share: float = 0.05
    minimum_reads: int = 50

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 100 or not 0 < self.share <= 1 or self.minimum_reads < 1:
            raise ConfigurationError(
                f"{self}: percentile must lie between 0 and 100, share in (0, 1],"
                " minimum_reads must be at least 1"
            )


@dataclass(frozen=True, slots=True)
class HedgeMetrics:
    """``reads`` that could be hedged, hedges ``sent``, how many of those ``won``, and hedges
    that the share ``refused``."""

    reads: int
    sent: int
    won: int
    refused: int


class _Reads:
    """How long the reads of one endpoint take. ``patience_s`` is ``None`` until known."""

    __slots__ = ("_count", "_policy", "_recorder", "patience_s")

    def __init__(self, policy: HedgePolicy) -> None:
        self._policy = policy
        self._recorder = LatencyRecorder(1)
        self._count = 0
        self.patience_s: float | None = None

    def reconfigure(self, policy: HedgePolicy) -> None:
        self._policy = policy
        known = self._recorder.count >= policy.minimum_reads
        self.patience_s = self._recorder.percentile(policy.percentile) / 1e9 if known else None

    def record(self, ns: int) -> None:
        self._recorder.record(ns)
        self._count += 1
        known = self._recorder.count
        if known >= self._policy.minimum_reads and (
            self.patience_s is None or not self._count % _REFRESH_EVERY
        ):
            self.patience_s = self._recorder.percentile(self._policy.percentile) / 1e9
        if known >= max(_REMEMBERED, self._policy.minimum_reads):
            self._recorder.reset()


class Hedger:
    """Races a read against its hedge. Lives on one event loop, owns no task between calls."""

    def __init__(self, policy: HedgePolicy) -> None:
        self._policy = policy
        self._reads: dict[str, _Reads] = {}
        self._saved = 0.0
        self._seen = self._sent = self._won = self._refused = 0

    def reconfigure(self, policy: HedgePolicy) -> None:
        """Go by another policy from the next read on; what was learned is kept."""
        self._policy = policy
        for reads in self._reads.values():
            reads.reconfigure(policy)

    @staticmethod
    def covers(call: Call[Any]) -> bool:
        """Whether ``call`` may be asked twice: an idempotent read and nothing else."""
        return call.idempotent and call.endpoint.method == "GET"

    async def race(
        self, call: Call[Any], attempt: Callable[[], Coroutine[Any, Any, Response[T]]]
    ) -> Response[T]:
        """The first answer of ``attempt()`` or of its hedge; raises what the first one raised."""
        name = call.endpoint.name  # not the path, which may hold an id
        reads = self._reads.get(name)
        if reads is None:
            reads = self._reads[name] = _Reads(self._policy)
        self._seen += 1
        self._saved = min(_SAVED_HEDGES, self._saved + self._policy.share)
        began_ns = ticks_ns()
        if reads.patience_s is None:
            response = await attempt()
        else:
            response = await self._race(attempt, reads.patience_s)
        reads.record(ticks_ns() - began_ns)
        return response

    def metrics(self) -> HedgeMetrics:
        """A snapshot."""
        return HedgeMetrics(self._seen, self._sent, self._won, self._refused)

    async def _race(
        self, attempt: Callable[[], Coroutine[Any, Any, Response[T]]], patience_s: float
    ) -> Response[T]:
        loop = asyncio.get_running_loop()
        first = loop.create_task(attempt())
        tasks = [first]
        try:
            done, _ = await asyncio.wait(tasks, timeout=patience_s)
            if not done and self._may_hedge():
                tasks.append(loop.create_task(attempt()))
            pending = set(tasks)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    if task in done and not task.cancelled() and task.exception() is None:
                        self._won += task is not first
                        return task.result()
            return first.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _may_hedge(self) -> bool:
        if self._saved < 1.0:
            self._refused += 1
            return False
        self._saved -= 1.0
        self._sent += 1
        return True
