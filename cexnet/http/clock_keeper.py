"""A manager's hold on the clock of its exchange: signs by it, and has it measured anew on a skew error."""

from __future__ import annotations

import asyncio

from cexnet.http.clock_sync import ClockMetrics, ClockSync
from cexnet.http.host_clock import AskTime, HostClock, Member
from cexnet_core.errors import DeadlineExceeded


class ClockKeeper:
    """Measures ``host`` through ``ask``; every ``every_s`` seconds, or only on demand when ``None``.

    ``clock`` is the estimate. Managers of one host may share the ``HostClock``; what one has
    measured serves them all.
    """

    def __init__(
        self, host: HostClock, ask: AskTime, *, name: str, every_s: float | None, deadline_s: float
    ) -> None:
        self.clock: ClockSync = host.sync
        self.due = every_s is not None
        self._host = host
        self._member = Member(ask, name, every_s, deadline_s)
        self._closed = False

    @property
    def generation(self) -> int:
        """See HostClock."""
        return self._host.generation

    def start(self) -> None:
        """Begin to measure in the background, on the running loop."""
        self.due = False
        self._host.join(self._member)

    def wait_at_most(self, deadline_s: float) -> None:
        """Another bound of a measurement in the background, from the next on."""
        self._member.deadline_s = deadline_s

    def measure_every(self, every_s: float | None) -> None:
        """Another pause between measurements, after the one that is under way; ``None``: no more."""
        self._member.every_s = every_s
        if every_s is None:
            self._host.spare(self._member)
        self.due = not self._closed and every_s is not None and not self._host.serves(self._member)

    async def close(self) -> None:
        """Ask no more; ends the background task when no other manager needs it. Idempotent."""
        self.due, self._closed = False, True
        await self._host.leave(self._member)

    async def resync(self, generation: int, deadline_s: float) -> None:
        """Measure anew, forgetting the old samples, unless somebody did since ``generation``.

        Raises DeadlineExceeded, and what the time endpoint raised.
        """
        try:
            deadline = asyncio.get_running_loop().time() + deadline_s
            await self._host.resync(self._member, generation, deadline)
        except TimeoutError:
            raise DeadlineExceeded(
                f"{self._member.name}: the exchange's clock could not be measured before the deadline;"
                " the request was refused for its timestamp and not sent again"
            ) from None

    def metrics(self) -> ClockMetrics:
        """A snapshot, of what all managers that share the clock have measured."""
        return self._host.metrics()
