"""Rate limits: every metering scope of the exchange is a bucket, a request takes from all.

Room is held from the moment a request may go until it has been answered, and is counted
then: wherever between the two the exchange counts it, its limit is not exceeded.
Who waits, and in what order, is in ``waiting``; what managers share is in ``meters``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from cexnet.http.endpoint import Call, Priority
from cexnet.http.meters import Budget, HostMeters, LimitScope, LimitsView
from cexnet.http.strategies import RateLimitStrategy, Reservation
from cexnet.http.waiting import Buckets, Line, Waiter
from cexnet_core.errors import (
    Banned,
    ConfigurationError,
    DeadlineExceeded,
    RequestError,
    RequestNotSent,
)
from cexnet_core.limit import Limit

__all__ = ["Budget", "LimitScope", "LimitsView", "ScopedLimiter"]

# The longest ban that exchanges speak of is three days; a longer pause is a broken header.
_LONGEST_PAUSE_S = 7 * 86_400.0
_MOST_DIGITS = 15


class _Route(Buckets):
    """The buckets of one kind of call, with the scopes that they belong to.

    ``stated`` are those that the exchange states a count of in its headers.
    """

    __slots__ = ("scopes", "stated")

    def __init__(self, scopes: tuple[LimitScope, ...], buckets: Sequence[Limit]) -> None:
        super().__init__(buckets)
        self.scopes = scopes
        pairs = zip(scopes, buckets, strict=True)
        self.stated = tuple(pair for pair in pairs if pair[0].used_header or pair[0].remaining_header)


class _Held(Reservation):
    __slots__ = ("ended", "meters", "route", "weights")

    def __init__(self, meters: HostMeters, route: _Route, weights: tuple[int, ...]) -> None:
        self.meters = meters
        self.route = route
        self.weights = weights
        self.ended = False


class ScopedLimiter(RateLimitStrategy):
    """The limits of one account at one exchange, on one event loop.

    ``account`` names whom the exchange counts by account: limiters of one host and one
    account share those buckets; without a name they are this limiter's own. ``throttle_s``
    and ``ban_s`` are used when a 429 or a ban names no time; ``code_scopes`` says which
    scopes an exchange code is about, where it is not all that the call was charged to.
    Until ``share()`` nothing is shared with anybody. Raises ConfigurationError for a table
    that names a scope twice.
    """

    def __init__(
        self,
        scopes: Sequence[LimitScope],
        *,
        account: str = "",
        throttle_s: float = 1.0,
        ban_s: float = 120.0,
        code_scopes: Mapping[str, tuple[str, ...]] | None = None,
        meters: HostMeters | None = None,
    ) -> None:
        self.scopes = tuple(scopes)
        self.code_scopes = dict(code_scopes or {})
        self._scopes = {scope.name: scope for scope in scopes}
        if len(self._scopes) != len(scopes):
            raise ConfigurationError("two rate limit scopes have the same name: rename one")
        self._account = account or f"limiter {id(self)}"
        self._throttle_s = throttle_s
        self._ban_s = ban_s
        self._meters = meters if meters is not None else HostMeters()
        self._buckets: dict[tuple[LimitScope, str], Limit] = {}
        self._routes: dict[tuple[tuple[str, ...], str, str], _Route] = {}
        # What a call passes and is charged; a table has few different weights.
        self._charges: dict[tuple[tuple[str, ...], str, str, int], tuple[_Route, tuple[int, ...]]] = {}
        self._here: tuple[asyncio.AbstractEventLoop, Line] | None = None
        self._lines: set[Line] = set()
        self._closed = False

    def share(self, meters: HostMeters) -> None:
        """See RateLimitStrategy. Raises ConfigurationError once a request has passed."""
        if meters is self._meters:
            return
        if self._routes:
            raise ConfigurationError(
                "this limiter already counts for another host: give each RestManager its own"
            )
        self._meters = meters

    @property
    def waiting(self) -> int:
        """How many requests wait for room now."""
        return sum(sum(line.count(self).values()) for line in list(self._lines))

    @property
    def remaining(self) -> dict[str, int]:
        """What is left now in every bucket in use, by ``scope`` or ``scope:part``."""
        return {
            f"{scope.name}:{part}" if part else scope.name: bucket.remaining
            for (scope, part), bucket in self._buckets.items()
        }

    @property
    def banned_for_s(self) -> float:
        """Seconds until a ban ends, 0 when there is none."""
        return self._meters.banned_ns / 1e9

    def view(self) -> LimitsView:
        """See RateLimitStrategy."""
        waiting: dict[Priority, int] = {}
        for line in self._lines:
            for lane, count in line.count(self).items():
                waiting[Priority(lane)] = waiting.get(Priority(lane), 0) + count
        return LimitsView(
            budgets=tuple(
                Budget(scope, part, bucket.remaining, bucket.held, bucket.blocked_ns / 1e9)
                for (scope, part), bucket in self._buckets.items()
            ),
            waiting=waiting,
            banned_for_s=self.banned_for_s,
        )

    async def acquire(self, call: Call[Any], deadline: float) -> Reservation:
        """See RateLimitStrategy."""
        if self._closed:
            raise _closed(call.endpoint.label)
        route, weights = self._route(call)
        loop = asyncio.get_running_loop()
        if self._here is None or self._here[0] is not loop:
            self._here = (loop, self._meters.line(loop))
        line = self._here[1]
        if line or self._meters.hold(route, weights):
            await self._wait(line, call, route, weights, deadline)
        return _Held(self._meters, route, weights)

    async def _wait(
        self, line: Line, call: Call[Any], route: _Route, weights: tuple[int, ...], deadline: float
    ) -> None:
        """Stand in line until room is held."""
        label = call.endpoint.label

        def too_late(when: str) -> DeadlineExceeded:
            return DeadlineExceeded(
                f"{label}: the rate limits leave no room before the request's deadline ({when});"
                " nothing was sent. Send less, or allow a longer deadline",
                outcome="not_sent",
                endpoint=label,
            )

        self._lines.add(line)
        waiter = line.join(self, int(call.priority), route, weights, deadline, label, too_late)
        admitted = waiter.admitted
        try:
            async with asyncio.timeout_at(deadline):
                await admitted
        except BaseException as error:
            if admitted.done() and not admitted.cancelled() and admitted.exception() is None:
                # Room was held for us, and we were cancelled before we could use it.
                route.group.release(weights)
                self._meters.wake()
            else:
                line.leave(waiter)
            if isinstance(error, TimeoutError):
                raise too_late("none in time") from None
            raise

    def give_back(self, reservation: Reservation) -> None:
        """See RateLimitStrategy."""
        if isinstance(reservation, _Held) and not reservation.ended:
            reservation.ended = True
            reservation.route.group.release(reservation.weights)
            reservation.meters.wake()

    def settle(self, reservation: Reservation) -> None:
        """See RateLimitStrategy."""
        if isinstance(reservation, _Held) and not reservation.ended:
            reservation.ended = True
            reservation.route.group.settle(reservation.weights)
            reservation.meters.wake()

    def observe(self, call: Call[Any], headers: Mapping[str, str]) -> None:
        """See RateLimitStrategy. A header that is not a number is not a correction."""
        route, _ = self._route(call)
        for scope, bucket in route.stated:
            used = _count(headers.get(scope.used_header, "")) if scope.used_header else None
            if used is None and scope.remaining_header:
                remaining = _count(headers.get(scope.remaining_header, ""))
                used = None if remaining is None else max(0, scope.limit - remaining)
            if used is not None:
                bucket.observe_used(used)

    def block(self, call: Call[Any], error: RequestError) -> None:
        """See RateLimitStrategy. A ban holds the whole host, a throttle the call's scopes."""
        banned = isinstance(error, Banned)
        pause_s = (
            (self._ban_s if banned else self._throttle_s)
            if error.retry_after_s is None
            else (error.retry_after_s)
        )
        pause_ns = round(min(pause_s, _LONGEST_PAUSE_S) * 1e9)
        if banned:
            self._meters.ban(pause_ns)
        else:
            named = self.code_scopes.get(error.exchange_code)
            route, _ = self._route(call)
            for scope, bucket in zip(route.scopes, route.all, strict=True):
                if named is None or scope.name in named:
                    bucket.block_for(pause_ns)
        self._meters.wake()

    def close(self) -> None:
        """See RateLimitStrategy."""
        self._closed = True
        for line in self._lines:
            line.dismiss(self, _dismissed)
        self._lines.clear()

    def _route(self, call: Call[Any]) -> tuple[_Route, tuple[int, ...]]:
        """The buckets of ``call`` and what each is charged."""
        endpoint = call.endpoint
        key = (endpoint.scopes, endpoint.name, call.scope_key, call.weight)
        charge = self._charges.get(key)
        if charge is None:
            charge = self._charges[key] = self._new_charge(call)
        return charge

    def _new_charge(self, call: Call[Any]) -> tuple[_Route, tuple[int, ...]]:
        endpoint = call.endpoint
        key = (endpoint.scopes, endpoint.name, call.scope_key)
        route = self._routes.get(key)
        if route is None:
            route = self._routes[key] = self._new_route(call)
        weights = []
        for scope, bucket in zip(route.scopes, route.all, strict=True):
            amount = call.weight if scope.counts == "weight" else 1
            if amount > bucket.limit:
                raise ConfigurationError(
                    f"{endpoint.label} weighs {amount}, more than the {bucket.limit} that scope"
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
            account = self._account if scope.by == "account" else ""
            bucket = self._meters.bucket(scope, account, part)
            self._buckets[scope, part] = bucket
            buckets.append(bucket)
        return _Route(scopes, buckets)


def _closed(label: str) -> RequestNotSent:
    return RequestNotSent(
        f"{label}: the manager was closed while the request waited; nothing was sent",
        outcome="not_sent",
        endpoint=label,
    )


def _dismissed(waiter: Waiter) -> RequestNotSent:
    return _closed(waiter.label)


def _count(text: str) -> int | None:
    """A header's count; ``None`` when it is no number, or none that an exchange would count to."""
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else None
