"""Rate limits: every metering scope of the exchange is a bucket, a request takes from all.

Waiting is FIFO inside a priority lane. A waiter is passed over only while a bucket that
it needs is empty, and whoever comes later may not take from the buckets it waits for, so
a heavy request is not starved by light ones. Single-threaded: one event loop, no locks.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cexnet.http.endpoint import Call
from cexnet.http.strategies import RateLimitStrategy, Reservation
from cexnet_core.clock import monotonic_ns
from cexnet_core.errors import (
    Banned,
    ConfigurationError,
    DeadlineExceeded,
    RequestError,
    RequestNotSent,
)
from cexnet_core.limit import Limit
from cexnet_core.ratelimit import FixedWindow, LimitGroup, RollingWindow, TokenBucket

# The longest ban that exchanges speak of is three days; a longer pause is a broken header.
_LONGEST_PAUSE_S = 7 * 86_400.0
_MOST_DIGITS = 15


@dataclass(frozen=True, slots=True)
class LimitScope:
    """One row of an exchange's table of limits: ``limit`` units in ``window_s``.

    ``per`` tells how many buckets the exchange keeps: one for all, one for each
    endpoint or one for each symbol. A call is charged its weight or 1, by ``counts``.
    ``used_header`` or ``remaining_header`` names the header that corrects our count.
    ``guard_s`` widens a window by how much closer together requests may arrive than
    they left. A rolling window is the strictest shape and right when unsure.
    """

    name: str
    limit: int
    window_s: float
    shape: Literal["fixed", "rolling", "token"] = "rolling"
    per: Literal["all", "endpoint", "symbol"] = "all"
    counts: Literal["weight", "calls"] = "calls"
    used_header: str = ""
    remaining_header: str = ""
    guard_s: float = 0.0

    def bucket(self) -> Limit:
        """A fresh, full bucket of this shape."""
        if self.shape == "fixed":
            return FixedWindow(self.limit, self.window_s, guard_s=self.guard_s)
        if self.shape == "rolling":
            return RollingWindow(self.limit, self.window_s, guard_s=self.guard_s)
        return TokenBucket(self.limit, self.limit / self.window_s)


class _Route:
    """The buckets that one kind of call passes, as a group that grants all or nothing."""

    __slots__ = ("buckets", "group", "members", "scopes")

    def __init__(self, scopes: tuple[LimitScope, ...], buckets: tuple[Limit, ...]) -> None:
        self.scopes = scopes
        self.buckets = buckets
        self.group = LimitGroup(buckets)
        self.members = frozenset(map(id, buckets))


class _Granted(Reservation):
    __slots__ = ("granted_ns", "route", "weights")

    def __init__(self, route: _Route, weights: tuple[int, ...]) -> None:
        self.route = route
        self.weights = weights
        self.granted_ns = route.group.last_grant_ns


class _Waiter:
    """``granted`` resolves to the reservation, or fails when there will be none."""

    __slots__ = ("deadline", "granted", "label", "order", "route", "weights")

    def __init__(
        self,
        order: int,
        label: str,
        route: _Route,
        weights: tuple[int, ...],
        deadline: float,
        granted: asyncio.Future[_Granted],
    ) -> None:
        self.order = order
        self.label = label
        self.route = route
        self.weights = weights
        self.deadline = deadline
        self.granted = granted

    def fail(self, error: Exception) -> None:
        if not self.granted.done():
            self.granted.set_exception(error)


# Waiters of one lane and one route share a queue: strict FIFO inside it.
_QueueKey = tuple[int, _Route]


class ScopedLimiter(RateLimitStrategy):
    """The limits of one account at one exchange, from one address.

    ``throttle_s`` and ``ban_s`` are used when a 429 or a ban names no time;
    ``code_scopes`` says which scopes an exchange code is about, where it is not all
    that the call was charged to. Raises ConfigurationError for a table that names a
    scope twice.
    """

    def __init__(
        self,
        scopes: Sequence[LimitScope],
        *,
        throttle_s: float = 1.0,
        ban_s: float = 120.0,
        code_scopes: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._scopes = {scope.name: scope for scope in scopes}
        if len(self._scopes) != len(scopes):
            raise ConfigurationError("two rate limit scopes have the same name: rename one")
        self._throttle_s = throttle_s
        self._ban_s = ban_s
        self._code_scopes = dict(code_scopes or {})
        self._buckets: dict[tuple[str, str], Limit] = {}
        self._routes: dict[tuple[tuple[str, ...], str, str], _Route] = {}
        self._queues: dict[_QueueKey, dict[_Waiter, None]] = {}
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._banned_until_ns = 0
        self._closed = False

    @property
    def waiting(self) -> int:
        """How many requests wait for room now."""
        return sum(map(len, self._queues.values()))

    @property
    def remaining(self) -> dict[str, int]:
        """What is left now in every bucket in use, by ``scope`` or ``scope:part``."""
        return {
            f"{scope}:{part}" if part else scope: bucket.remaining
            for (scope, part), bucket in self._buckets.items()
        }

    @property
    def banned_for_s(self) -> float:
        """Seconds until a ban ends, 0 when there is none."""
        return max(0, self._banned_until_ns - monotonic_ns()) / 1e9

    async def acquire(self, call: Call[Any], deadline: float) -> Reservation:
        """See RateLimitStrategy."""
        if self._closed:
            raise self._closed_error(call.endpoint.label)
        route, weights = self._route(call)
        if not self._queues and not self._take(route, weights):
            return _Granted(route, weights)
        loop = asyncio.get_running_loop()
        waiter = _Waiter(
            next(self._order),
            call.endpoint.label,
            route,
            weights,
            deadline,
            loop.create_future(),
        )
        key = (int(call.priority), route)
        self._queues.setdefault(key, {})[waiter] = None
        self._serve()
        granted = waiter.granted
        try:
            async with asyncio.timeout_at(deadline):
                return await granted
        except BaseException as error:
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                # Room was given to us, and we were cancelled before we could use it.
                self.give_back(granted.result())
            else:
                self._forget(key, waiter)
            if isinstance(error, TimeoutError):
                raise self._too_late(waiter.label, "none in time") from None
            raise

    def give_back(self, reservation: Reservation) -> None:
        """See RateLimitStrategy."""
        if isinstance(reservation, _Granted):
            reservation.route.group.give_back(reservation.weights, reservation.granted_ns)
            if self._queues:
                self._serve()

    def observe(self, call: Call[Any], headers: Mapping[str, str]) -> None:
        """See RateLimitStrategy. A header that is not a number is not a correction."""
        route, _ = self._route(call)
        for scope, bucket in zip(route.scopes, route.buckets, strict=True):
            used = _count(headers.get(scope.used_header, "")) if scope.used_header else None
            if used is None and scope.remaining_header:
                remaining = _count(headers.get(scope.remaining_header, ""))
                used = None if remaining is None else max(0, scope.limit - remaining)
            if used is not None:
                bucket.observe_used(used)

    def block(self, call: Call[Any], error: RequestError) -> None:
        """See RateLimitStrategy. A ban holds everything, a throttle the call's scopes."""
        if isinstance(error, Banned):
            pause_s = self._ban_s if error.retry_after_s is None else error.retry_after_s
            pause_s = min(pause_s, _LONGEST_PAUSE_S)
            until_ns = monotonic_ns() + round(pause_s * 1e9)
            self._banned_until_ns = max(self._banned_until_ns, until_ns)
        else:
            pause_s = self._throttle_s if error.retry_after_s is None else error.retry_after_s
            pause_s = min(pause_s, _LONGEST_PAUSE_S)
            named = self._code_scopes.get(error.exchange_code)
            route, _ = self._route(call)
            for scope, bucket in zip(route.scopes, route.buckets, strict=True):
                if named is None or scope.name in named:
                    bucket.block_for(round(pause_s * 1e9))
        if self._queues:
            self._serve()

    def close(self) -> None:
        """See RateLimitStrategy."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        queues, self._queues = self._queues, {}
        for queue in queues.values():
            for waiter in queue:
                waiter.fail(self._closed_error(waiter.label))

    def _route(self, call: Call[Any]) -> tuple[_Route, tuple[int, ...]]:
        """The buckets of ``call`` and what each is charged."""
        endpoint = call.endpoint
        key = (endpoint.scopes, endpoint.name, call.scope_key)
        route = self._routes.get(key)
        if route is None:
            route = self._routes[key] = self._new_route(call)
        weights = []
        for scope in route.scopes:
            amount = call.weight if scope.counts == "weight" else 1
            if amount > scope.limit:
                raise ConfigurationError(
                    f"{endpoint.label} weighs {amount}, more than the {scope.limit} that scope"
                    f" {scope.name} ever allows: ask for less or correct the table of limits"
                )
            weights.append(amount)
        return route, tuple(weights)

    def _new_route(self, call: Call[Any]) -> _Route:
        scopes = tuple(self._scopes[name] for name in call.endpoint.scopes if name in self._scopes)
        buckets = []
        for scope in scopes:
            part = ""
            if scope.per != "all":
                part = call.endpoint.name if scope.per == "endpoint" else call.scope_key
            bucket = self._buckets.get((scope.name, part))
            if bucket is None:
                bucket = self._buckets[scope.name, part] = scope.bucket()
            buckets.append(bucket)
        return _Route(scopes, tuple(buckets))

    def _take(self, route: _Route, weights: tuple[int, ...]) -> int:
        """Take from every bucket or from none; the wait in ns, 0 when taken."""
        if self._banned_until_ns and (left_ns := self._banned_until_ns - monotonic_ns()) > 0:
            return left_ns
        return route.group.try_acquire(weights)

    def _forget(self, key: _QueueKey, waiter: _Waiter) -> None:
        """Remove a waiter that will not be served; whoever stood behind it may go."""
        queue = self._queues.get(key)
        if queue is not None and waiter in queue:
            self._drop(key, waiter)
            if self._queues:
                self._serve()

    def _drop(self, key: _QueueKey, waiter: _Waiter) -> None:
        queue = self._queues[key]
        del queue[waiter]
        if not queue:
            del self._queues[key]

    def _serve(self) -> None:
        """Serve the queues' heads by lane and age until each needs an empty bucket."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        soonest_ns = 0
        held: set[int] = set()
        # The order number is unique, so that the heap never compares two routes.
        heads = [(key[0], next(iter(queue)).order, key) for key, queue in self._queues.items()]
        heapq.heapify(heads)
        while heads:
            lane, _, key = heapq.heappop(heads)
            waiter = next(iter(self._queues[key]))
            route = waiter.route
            if not waiter.granted.done():
                if not held.isdisjoint(route.members):
                    held.update(route.members)
                    continue
                wait_ns = self._take(route, waiter.weights)
                if not wait_ns:
                    waiter.granted.set_result(_Granted(route, waiter.weights))
                elif loop.time() + wait_ns / 1e9 > waiter.deadline:
                    waiter.fail(self._too_late(waiter.label, f"the next in {wait_ns / 1e9:.3f} s"))
                else:
                    soonest_ns = min(soonest_ns, wait_ns) if soonest_ns else wait_ns
                    held.update(route.members)
                    continue
            self._drop(key, waiter)
            if key in self._queues:
                heapq.heappush(heads, (lane, next(iter(self._queues[key])).order, key))
        if soonest_ns:
            self._timer = loop.call_later(soonest_ns / 1e9, self._serve)

    @staticmethod
    def _too_late(label: str, when: str) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{label}: the rate limits leave no room before the request's deadline ({when});"
            " nothing was sent. Send less, or allow a longer deadline"
        )

    @staticmethod
    def _closed_error(label: str) -> RequestNotSent:
        return RequestNotSent(
            f"{label}: the manager was closed while the request waited; nothing was sent",
            outcome="not_sent",
            endpoint=label,
        )


def _count(text: str) -> int | None:
    """A header's count; ``None`` when it is no number, or none that an exchange would count to."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None
