"""The circuit breakers of one manager: one a group of endpoints, and one word when they turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cexnet.http.breaker import BreakerPolicy, BreakerState, CircuitBreaker
from cexnet.http.endpoint import Call, Priority
from cexnet_core.errors import (
    CircuitOpen,
    DeadlineExceeded,
    ExchangeUnavailable,
    OutcomeUnknown,
    RequestError,
    RequestNotSent,
)

_logger = logging.getLogger("cexnet.http")


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """A breaker has turned. ``manager`` is the manager's name, ``reason`` a phrase for people."""

    manager: str
    group: str
    before: BreakerState
    after: BreakerState
    reason: str


@dataclass(frozen=True, slots=True)
class BreakerMetrics:
    """One breaker now: how often it ``opened`` and how many calls it ``rejected``."""

    group: str
    state: BreakerState
    opened: int
    rejected: int


# Called on the manager's loop, inside a request: must not block. What it raises is logged.
BreakerListener = Callable[[BreakerChange], None]


class Breakers:
    """Breakers by group, made when first needed."""

    def __init__(self, policy: BreakerPolicy | None, manager: str, on_change: BreakerListener | None) -> None:
        self._policy = policy
        self._manager = manager
        self._listener = on_change
        self._groups: dict[str, CircuitBreaker] = {}
        self._known: dict[tuple[str, bool, Priority], CircuitBreaker] = {}
        self._banned_until_ns = 0
        self.listener_errors = 0

    def admit(self, call: Call[Any], now_ns: int) -> tuple[CircuitBreaker, int]:
        """The breaker that judges ``call``, and the ticket to settle with. Raises CircuitOpen."""
        endpoint = call.endpoint
        key = (endpoint.group, endpoint.signed, call.priority)
        breaker = self._known.get(key) or self._get(key, now_ns)
        ticket = breaker.admit(now_ns)
        if ticket is None:
            raise _refusal(call, breaker.opens_in_ns(now_ns) / 1e9)
        return breaker, ticket

    def ban(self, now_ns: int, for_s: float) -> None:
        """Force every breaker open until the ban ends."""
        for_ns = round(for_s * 1e9)
        self._banned_until_ns = max(self._banned_until_ns, now_ns + for_ns)
        for breaker in self._groups.values():
            breaker.force_open(now_ns, for_ns, f"banned for {for_s:.3g} s")

    def reconfigure(self, policy: BreakerPolicy | None) -> None:
        """Go by another policy from now on; states and counts stay."""
        self._policy = policy
        self._known.clear()  # cancels may have a breaker of their own now, or no longer
        for breaker in self._groups.values():
            breaker.reconfigure(policy)

    def metrics(self) -> tuple[BreakerMetrics, ...]:
        """A snapshot of every group in use."""
        return tuple(
            BreakerMetrics(group, breaker.state, breaker.opened, breaker.rejected)
            for group, breaker in self._groups.items()
        )

    def _get(self, key: tuple[str, bool, Priority], now_ns: int) -> CircuitBreaker:
        group, signed, priority = key
        group = group or ("private" if signed else "public")
        if priority is Priority.CANCEL and self._policy is not None and self._policy.cancels_apart:
            group += "/cancel"
        breaker = self._groups.get(group)
        if breaker is None:
            breaker = CircuitBreaker(self._policy, self._announcer(group))
            self._groups[group] = breaker
            if self._banned_until_ns > now_ns:
                breaker.force_open(now_ns, self._banned_until_ns - now_ns, "banned")
        self._known[key] = breaker
        return breaker

    def _announcer(self, group: str) -> Callable[[BreakerState, BreakerState, str], None]:
        def announce(before: BreakerState, after: BreakerState, why: str) -> None:
            _logger.warning("%s: circuit breaker %s: %s -> %s (%s)", self._manager, group, before, after, why)
            if self._listener is not None:
                try:
                    self._listener(BreakerChange(self._manager, group, before, after, why))
                except (Exception, asyncio.CancelledError):  # called inline: a cancellation is its own
                    self.listener_errors += 1
                    _logger.exception("a breaker listener failed")

        return announce


def health(error: BaseException, *, sent: bool) -> bool | None:
    """What a failed try says of the exchange: well, unwell, or, ``None``, nothing."""
    if isinstance(error, ExchangeUnavailable | OutcomeUnknown | RequestNotSent):
        return False
    if isinstance(error, DeadlineExceeded):
        return False if sent else None
    if isinstance(error, RequestError) and error.outcome == "rejected":
        return True  # it answered, if not as we wished
    return None


def _refusal(call: Call[Any], wait_s: float) -> CircuitOpen:
    label = call.endpoint.label
    what = f"is open for another {wait_s:.3g} s" if wait_s else "is being probed"
    return CircuitOpen(
        f"{label}: the circuit breaker of its group {what}, because requests failed or we were"
        " banned; nothing was sent. Wait, or set the breaker's policy",
        outcome="not_sent",
        retry_after_s=wait_s,
        endpoint=label,
        client_order_id=call.client_order_id,
    )
