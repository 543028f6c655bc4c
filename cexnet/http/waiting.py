"""The line of requests that wait for room in their buckets, on one event loop.

Order: the lanes of ``Priority``, and first come, first served inside a lane. Whoever is
first in line for a bucket that lacks room is not overtaken at it by those behind, so a heavy
request is not starved by light ones; nor does it keep them from buckets it will not need for
a while. Nobody at the head of its queue is overtaken more than ``PATIENCE`` times by those
who came later, at a bucket that it needs: then it goes before every lane. So with n requests
before it in its own lane, at most ``PATIENCE`` * (n + 1) later ones pass it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence

from cexnet_core.limit import Limit
from cexnet_core.limit_group import LimitGroup

PATIENCE = 8
# Whoever is served within this time has all of its buckets kept for it, later only the full ones.
_SOON_NS = 1_000_000_000


class Buckets:
    """The buckets that one kind of call passes, as a group that has room for it in all or none."""

    __slots__ = ("all", "group", "members")

    def __init__(self, buckets: Sequence[Limit]) -> None:
        self.all = tuple(buckets)
        self.group = LimitGroup(self.all)
        self.members = frozenset(map(id, self.all))

    def full(self, weights: Sequence[int]) -> set[int]:
        """The identities of those that lack room."""
        pairs = zip(self.all, weights, strict=True)
        return {id(bucket) for bucket, weight in pairs if bucket.hold_wait_ns(weight)}


class Waiter:
    """``admitted`` resolves when room is held for it, or fails when there will be none in time.

    ``label`` names the request, ``deadline`` is in the loop's time; ``too_late(when)`` makes
    the error of its passing.
    """

    __slots__ = (
        "admitted",
        "buckets",
        "deadline",
        "key",
        "label",
        "order",
        "overtaken",
        "owner",
        "too_late",
        "weights",
    )

    def __init__(
        self,
        owner: object,
        lane: int,
        order: int,
        buckets: Buckets,
        weights: tuple[int, ...],
        deadline: float,
        label: str,
        too_late: Callable[[str], Exception],
        admitted: asyncio.Future[None],
    ) -> None:
        self.owner = owner
        self.key = (lane, buckets)
        self.order = order
        self.overtaken = 0
        self.buckets = buckets
        self.weights = weights
        self.deadline = deadline
        self.label = label
        self.too_late = too_late
        self.admitted = admitted


# Nanoseconds to wait; 0 when room is now held, -1 when only the end of what is under way can help.
Hold = Callable[[Buckets, tuple[int, ...]], int]


class Line:
    """All who wait on one event loop for the limits of one host; ``hold`` takes room for one.

    All methods run on that loop. Empty is false; while it is not, it is in ``occupied``.
    """

    def __init__(self, hold: Hold, occupied: set[Line]) -> None:
        self._hold = hold
        self._occupied = occupied
        # Waiters of one lane and one group of buckets share a queue: strictly first in, first out.
        self._queues: dict[tuple[int, Buckets], dict[Waiter, None]] = {}
        self._orders = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        return bool(self._queues)

    def count(self, owner: object) -> dict[int, int]:
        """How many of ``owner``'s requests wait, by lane."""
        found: dict[int, int] = {}
        for (lane, _), queue in list(self._queues.items()):
            waiting = sum(waiter.owner is owner for waiter in list(queue))
            if waiting:
                found[lane] = found.get(lane, 0) + waiting
        return found

    def join(
        self,
        owner: object,
        lane: int,
        buckets: Buckets,
        weights: tuple[int, ...],
        deadline: float,
        label: str,
        too_late: Callable[[str], Exception],
    ) -> Waiter:
        """Stand at the end of a lane; whoever has room, possibly the newcomer, goes at once."""
        admitted = asyncio.get_running_loop().create_future()
        waiter = Waiter(
            owner, lane, next(self._orders), buckets, weights, deadline, label, too_late, admitted
        )
        self._queues.setdefault(waiter.key, {})[waiter] = None
        self._occupied.add(self)
        self.serve()
        return waiter

    def leave(self, waiter: Waiter) -> None:
        """Stand no longer in line; whoever stood behind may go."""
        if waiter in self._queues.get(waiter.key, ()):
            self._remove(waiter)
            self.serve()

    def dismiss(self, owner: object, error: Callable[[Waiter], Exception]) -> None:
        """Fail all of ``owner``'s waiters."""
        for queue in list(self._queues.values()):
            for waiter in [waiter for waiter in queue if waiter.owner is owner]:
                self._remove(waiter)
                if not waiter.admitted.done():
                    waiter.admitted.set_exception(error(waiter))
        self.serve()

    def serve(self) -> None:
        """Let the heads of the queues go, by lane and age, until each lacks room."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._queues:
            return
        loop = asyncio.get_running_loop()
        soonest_ns = 0
        kept: set[int] = set()
        heads = [_head(queue) for queue in self._queues.values()]
        heapq.heapify(heads)
        while heads:
            waiter = heapq.heappop(heads)[2]
            if not waiter.admitted.done():
                if not kept.isdisjoint(waiter.buckets.members):
                    continue
                wait_ns = self._hold(waiter.buckets, waiter.weights)
                if not wait_ns:
                    waiter.admitted.set_result(None)
                    _overtake(waiter, heads)
                elif wait_ns > 0 and loop.time() + wait_ns / 1e9 > waiter.deadline:
                    waiter.admitted.set_exception(waiter.too_late(f"the next in {wait_ns / 1e9:.3f} s"))
                else:
                    if wait_ns > 0:
                        soonest_ns = min(soonest_ns, wait_ns) if soonest_ns else wait_ns
                    soon = 0 < wait_ns <= _SOON_NS
                    kept |= waiter.buckets.members if soon else waiter.buckets.full(waiter.weights)
                    continue
            self._remove(waiter)
            if queue := self._queues.get(waiter.key):
                heapq.heappush(heads, _head(queue))
        if soonest_ns:
            self._timer = loop.call_later(soonest_ns / 1e9, self.serve)

    def _remove(self, waiter: Waiter) -> None:
        queue = self._queues[waiter.key]
        del queue[waiter]
        if not queue:
            del self._queues[waiter.key]
            if not self._queues:
                self._occupied.discard(self)


# Rank, age and waiter. No two have the same age, so that two waiters are never compared.
_Head = tuple[int, int, Waiter]


def _head(queue: dict[Waiter, None]) -> _Head:
    waiter = next(iter(queue))
    return (-1 if waiter.overtaken >= PATIENCE else waiter.key[0], waiter.order, waiter)


def _overtake(waiter: Waiter, heads: list[_Head]) -> None:
    """Count it for those who came before ``waiter`` and need a bucket that it has taken from."""
    for place, (rank, order, older) in enumerate(heads):
        if order < waiter.order and not older.buckets.members.isdisjoint(waiter.buckets.members):
            older.overtaken += 1
            if rank >= 0 and older.overtaken >= PATIENCE:
                heads[place] = (-1, order, older)
    heapq.heapify(heads)
