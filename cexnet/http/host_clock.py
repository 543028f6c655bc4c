"""The clock of one exchange host, measured by one task for all managers that share it."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cexnet.http.answers import Response
from cexnet.http.clock_sync import ClockMetrics, ClockSync
from cexnet.http.endpoint import Priority
from cexnet_core.clock import now_ns, ticks_ns
from cexnet_core.errors import CexnetError

_logger = logging.getLogger("cexnet.http")

_SAMPLES = 3
# Factories that start together shall not ask together for ever.
_SPREAD = 0.1

# Asks the exchange for its time, in that lane, within so many seconds.
AskTime = Callable[[Priority, float], Awaitable[Response[int]]]


@dataclass(slots=True, eq=False)
class Member:
    """A manager that shares a host's clock: how it asks, by what name, how often, for how long.

    The last two may change at any time.
    """

    ask: AskTime
    name: str
    every_s: float | None
    deadline_s: float


class HostClock:
    """Samples, counts and the background task of one host's clock. For one event loop.

    ``sync`` is the estimate. ``generation`` grows with each finished measurement on demand,
    so that a request that failed on skew can tell whether another has resynchronised
    meanwhile. The task lives while a member that wants it does: the last one to leave ends it.
    """

    def __init__(self) -> None:
        self.sync = ClockSync()
        self.generation = 0
        self._lock = asyncio.Lock()
        self._members: dict[Member, None] = {}  # in the order in which they joined
        self._task: asyncio.Task[None] | None = None
        self._syncs = self._resyncs = self._failures = 0

    def join(self, member: Member) -> None:
        """Have the host measured in the background, from now on, as often as ``member`` wants."""
        if member.every_s is None:
            return
        self._members[member] = None
        if self._task is None:
            name = f"clock of {member.name}"
            self._task = asyncio.get_running_loop().create_task(self._keep(), name=name)

    def serves(self, member: Member) -> bool:
        """Whether the host is measured for ``member``."""
        return member in self._members

    def spare(self, member: Member) -> None:
        """``member`` wants no more measurements; the task ends after its pause if nobody does."""
        self._members.pop(member, None)

    async def leave(self, member: Member) -> None:
        """Do not ask through ``member`` any more; ends the task when nobody is left. Idempotent."""
        self._members.pop(member, None)
        if not self._members and self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def resync(self, member: Member, generation: int, deadline: float) -> None:
        """Measure anew through ``member``, unless somebody did since ``generation``.

        ``deadline`` is in the loop's time; raises TimeoutError, and what the time endpoint did.
        """
        async with asyncio.timeout_at(deadline), self._lock:
            if self.generation == generation:
                self._resyncs += 1
                self.sync.restart()
                await self._measure(member, Priority.QUERY, deadline)
                self.generation += 1

    def metrics(self) -> ClockMetrics:
        """A snapshot."""
        sync, at_ns = self.sync, now_ns()
        age_ns = sync.age_ns(at_ns)
        return ClockMetrics(
            offset_ns=sync.offset_at_ns(at_ns),
            drift_ppm=sync.drift * 1e6,
            round_trip_ns=sync.round_trip_ns,
            error_bound_ns=sync.error_bound_ns(at_ns),
            age_s=age_ns / 1e9 if age_ns >= 0 else -1.0,
            stale=sync.is_stale(at_ns),
            syncs=self._syncs,
            resyncs=self._resyncs,
            failures=self._failures,
        )

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while self._members:
            member = next(iter(self._members))
            try:
                async with self._lock:
                    await self._measure(member, Priority.BACKGROUND, loop.time() + member.deadline_s)
            except CexnetError as error:
                if member not in self._members:
                    continue  # it was closed while it asked: the next one asks at once
                _logger.info("%s: the exchange's clock could not be measured: %s", member.name, error)
            except Exception:  # a strategy's mistake must not end the task unnoticed
                _logger.exception("%s: measuring the exchange's clock failed", member.name)
            pauses_s = [member.every_s for member in self._members if member.every_s is not None]
            if pauses_s:
                pause_s = min(pauses_s) * random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 - no secret
                await asyncio.sleep(pause_s)
        self._task = None

    async def _measure(self, member: Member, lane: Priority, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        self._syncs += 1
        try:
            for _ in range(_SAMPLES):
                asked_ns = ticks_ns()
                response = await member.ask(lane, deadline - loop.time())
                unsent = response.timings
                unsent_ns = unsent.limit_wait_ns + unsent.sign_ns + unsent.pool_wait_ns
                # Until now, not until the first byte: the body and our turn may come much later, and
                # what seems quicker than it was would be believed before every honest sample.
                self.sync.add(
                    received_ns=now_ns(),
                    round_trip_ns=ticks_ns() - asked_ns - unsent_ns,
                    server_ns=response.data,
                )
        except BaseException:
            self._failures += 1
            raise


class ClockRegistry:
    """One ``HostClock`` for each host, made when first asked for. For one event loop."""

    def __init__(self) -> None:
        self._clocks: dict[str, HostClock] = {}

    def of(self, host: str) -> HostClock:
        """The clock of ``host`` (``name:port``)."""
        return self._clocks.setdefault(host.lower(), HostClock())
