"""What an exchange meters of one host: buckets and bans that all managers in this process share.

An exchange counts by address and by account, not by manager. So every limiter of a host takes
from the same ``HostMeters``: the buckets by IP are one set for all, those by account one set
an account, and a ban holds everybody. It outlives the managers, for a ban does so too.

Managers may run on loops in different threads. Each call into a bucket is one call into
compiled code that keeps the GIL, which makes it atomic. Who waits in line is ordered on each
loop for itself.
"""

from __future__ import annotations

import asyncio
import math
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from cexnet.http.endpoint import Priority
from cexnet.http.waiting import Buckets, Line
from cexnet_core.clock import monotonic_ns, now_ns
from cexnet_core.errors import ConfigurationError
from cexnet_core.limit import Limit
from cexnet_core.ratelimit import FixedWindow, RollingWindow, TokenBucket


@dataclass(frozen=True, slots=True)
class LimitScope:
    """One row of an exchange's table of limits: ``limit`` units in ``window_s``.

    ``by`` tells whom the exchange counts: an address or an account. ``per`` tells how many
    buckets it keeps of each: one for all, one for each endpoint or one for each symbol. A
    call is charged its weight or 1, by ``counts``. ``used_header`` or ``remaining_header``
    names the header that corrects our count.

    ``shape``: ``rolling`` is the strictest and right when unsure, also where a window opens
    with its first request. ``fixed`` windows begin at whole multiples of ``window_s`` of
    the exchange's clock; ``guard_s`` is how far this machine's may be from it. A ``token``
    bucket holds ``limit`` and fills up in ``window_s``. For all shapes ``guard_s`` is also by how
    much later a request may arrive that was given up after its first byte.
    """

    name: str
    limit: int
    window_s: float
    shape: Literal["fixed", "rolling", "token"] = "rolling"
    by: Literal["ip", "account"] = "ip"
    per: Literal["all", "endpoint", "symbol"] = "all"
    counts: Literal["weight", "calls"] = "calls"
    used_header: str = ""
    remaining_header: str = ""
    guard_s: float = 0.0

    def bucket(self, clock: Callable[[], int] | None = None) -> Limit:
        """A fresh, full bucket of this shape, on ``clock`` (ns) or the monotonic one."""
        if self.shape == "rolling":
            return RollingWindow(self.limit, self.window_s, guard_s=self.guard_s, clock=clock)
        if self.shape == "token":
            rate = self.limit / self.window_s
            return TokenBucket(self.limit - math.ceil(rate * self.guard_s), rate, clock=clock)
        epoch_offset_ns = 0 if clock is not None else now_ns() - monotonic_ns()
        return FixedWindow(
            self.limit, self.window_s, epoch_offset_ns=epoch_offset_ns, guard_s=self.guard_s, clock=clock
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of one bucket now.

    ``part`` is the endpoint or symbol where the exchange keeps a bucket for each, else
    empty. ``under_way`` is held by requests without an answer yet and no longer in
    ``remaining``. Nothing goes out for ``blocked_s`` after a throttle.
    """

    scope: LimitScope
    part: str
    remaining: int
    under_way: int
    blocked_s: float


@dataclass(frozen=True, slots=True)
class LimitsView:
    """The limits as they stand at one moment. ``waiting`` counts requests in line by lane."""

    budgets: tuple[Budget, ...]
    waiting: Mapping[Priority, int]
    banned_for_s: float


class HostMeters:
    """The buckets, the ban and the waiting lines of one host.

    ``clock`` (ns, monotonic) is the core's own unless a test gives another; ``fixed``
    windows then take it for the exchange's.
    """

    def __init__(self, *, clock: Callable[[], int] | None = None) -> None:
        self._clock = clock
        self._buckets: dict[tuple[LimitScope, str, str], Limit] = {}
        self._share = 1.0
        self._banned_until_ns = 0
        self._occupied: set[Line] = set()
        self._lines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Line] = weakref.WeakKeyDictionary()

    @property
    def banned_ns(self) -> int:
        """How much longer a ban holds, in ns; 0 when there is none."""
        if not self._banned_until_ns:
            return 0
        now = monotonic_ns() if self._clock is None else self._clock()
        return max(0, self._banned_until_ns - now)

    def ban(self, pause_ns: int) -> None:
        """Let nothing out for ``pause_ns``. Never shortens an earlier ban."""
        now = monotonic_ns() if self._clock is None else self._clock()
        self._banned_until_ns = max(self._banned_until_ns, now + pause_ns)

    def bucket(self, scope: LimitScope, account: str, part: str) -> Limit:
        """The one bucket of ``scope`` for an account (empty: by address) and a part of it."""
        key = (scope, account, part)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = scope.bucket(self._clock)
            bucket.reserve(_others(bucket.limit, self._share))
            # Two threads may both make one: setdefault lets them agree.
            bucket = self._buckets.setdefault(key, bucket)
        return bucket

    def take_share(self, share: float) -> None:
        """Use ``share`` of every limit from now on, and leave the rest to others; above 0, at most 1.

        For whoever else the exchange counts together with this process. What was sent before
        still counts; a request that weighs more than our part goes when the whole limit is free.
        """
        if not 0.0 < share <= 1.0:
            raise ConfigurationError(f"a share of {share:g} of the limits: it must be above 0 and at most 1")
        self._share = share
        for bucket in list(self._buckets.values()):
            bucket.reserve(_others(bucket.limit, share))
        self.wake()

    def hold(self, buckets: Buckets, weights: tuple[int, ...]) -> int:
        """Hold room in every bucket or in none; see ``LimitGroup.try_hold``."""
        if self._banned_until_ns and (left_ns := self.banned_ns):
            return left_ns
        return buckets.group.try_hold(weights)

    def line(self, loop: asyncio.AbstractEventLoop) -> Line:
        """Where the requests of ``loop`` wait."""
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = Line(self.hold, self._occupied)
        return line

    def wake(self) -> None:
        """Something has changed: let those who wait look again, on whatever loop and thread."""
        if not self._occupied:
            return
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        for loop, line in list(self._lines.items()):
            if loop is running:
                line.serve()
            elif not loop.is_closed():
                loop.call_soon_threadsafe(line.serve)


class MeterRegistry:
    """One ``HostMeters`` for each host and way to it, made when first asked for."""

    def __init__(self) -> None:
        self._meters: dict[tuple[str, str], HostMeters] = {}

    def of(self, host: str, way: str = "") -> HostMeters:
        """The meters of ``host``; ``way`` tells the addresses apart that it sees us come from."""
        if not host:
            raise ConfigurationError("a host without a name has no meters: give host or host:port")
        return self._meters.setdefault((host.lower(), way), HostMeters())

    def forget(self) -> None:
        """Start anew, as for another machine: when our address has changed, and in tests.

        Limiters that are already in use keep what they have.
        """
        self._meters.clear()


def _others(limit: int, share: float) -> int:
    """What of ``limit`` is left to others; at least one unit is ours."""
    return min(limit - math.floor(limit * share), limit - 1)


METERS = MeterRegistry()
"""What managers share unless they are given another registry."""
