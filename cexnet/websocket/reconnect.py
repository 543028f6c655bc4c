"""When to connect again: what a loss means, and how long to wait after it.

The first attempt after a loss comes at once; later ones wait a random time between zero
and an exponentially growing, capped bound ("full jitter"), so that many clients that lost
the same server do not come back together. Losses that say "not now" or "not you" wait at
least as long as they ask for. No I/O and no clock here; the random source is injected.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from random import Random

from cexnet_core.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionClosed,
    HandshakeError,
    ProtocolError,
    RateLimited,
)


@dataclass(frozen=True, slots=True)
class Loss:
    """How a connection, or an attempt at one, ended.

    ``code`` and ``reason`` are those of the close frame (RFC 6455 section 7.1.5; 0 when
    there was no connection yet), ``status`` is the HTTP status of a refused upgrade
    (0: none), ``retry_after_s`` its Retry-After header.
    """

    error: Exception
    code: int = 0
    reason: str = ""
    status: int = 0
    retry_after_s: float | None = None

    @classmethod
    def of(cls, error: Exception) -> Loss:
        """The loss that ``error`` describes."""
        match error:
            case HandshakeError():
                return cls(error, status=error.status, retry_after_s=error.retry_after_s)
            case ConnectionClosed():
                return cls(error, code=error.code, reason=error.reason)
            case ProtocolError():
                return cls(error, code=error.code)
            case RateLimited():
                return cls(error, retry_after_s=error.retry_after_s)
        return cls(error)


class Fault(enum.StrEnum):
    """What a loss asks of us."""

    ORDINARY = "ordinary"  # come back as fast as you like
    SLOW_DOWN = "slow_down"  # we broke a rule of the exchange: 1008
    BUSY = "busy"  # the server restarts or is full: 1012, 1013, HTTP 5xx
    THROTTLED = "throttled"  # 418, 429 and 503: wait, as long as Retry-After says
    REFUSED = "refused"  # 401, 403, a failed login: trying more often will not help


# RFC 6455 section 7.4.1 and the IANA registry of WebSocket close codes.
FAULT_OF_CODE = {1008: Fault.SLOW_DOWN, 1012: Fault.BUSY, 1013: Fault.BUSY}
# 418 is Binance's and MEXC's status of a ban; the others are RFC 9110 and RFC 6585.
FAULT_OF_STATUS = {
    401: Fault.REFUSED,
    403: Fault.REFUSED,
    418: Fault.THROTTLED,
    429: Fault.THROTTLED,
    503: Fault.THROTTLED,
    500: Fault.BUSY,
    502: Fault.BUSY,
    504: Fault.BUSY,
}


def classify(loss: Loss) -> Fault:
    """The class of ``loss`` by handshake status, close code and kind of error."""
    if isinstance(loss.error, AuthenticationError):
        return Fault.REFUSED
    if isinstance(loss.error, RateLimited):
        return Fault.THROTTLED
    if loss.status in FAULT_OF_STATUS:
        return FAULT_OF_STATUS[loss.status]
    return FAULT_OF_CODE.get(loss.code, Fault.ORDINARY)


@dataclass(frozen=True, slots=True)
class ReconnectPolicy:
    """How patiently to reconnect. All times in seconds.

    ``base_s`` bounds the wait before the second attempt, doubling with each failure up to
    ``cap_s``. A connection that was live for ``healthy_s`` makes the count start again.
    ``slow_down_s``, ``busy_s``, ``throttled_s`` and ``refused_s`` are the least waits after
    such faults (``throttled_s`` only without a Retry-After); the one for refusals doubles
    each time, up to ``refused_cap_s``. ``max_attempts`` failures in a row end it; ``None``
    never gives up.
    """

    base_s: float = 0.5
    cap_s: float = 30.0
    healthy_s: float = 10.0
    slow_down_s: float = 5.0
    busy_s: float = 1.0
    throttled_s: float = 10.0
    refused_s: float = 60.0
    refused_cap_s: float = 900.0
    max_attempts: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.base_s <= self.cap_s or not 0 <= self.refused_s <= self.refused_cap_s:
            raise ConfigurationError(
                "ReconnectPolicy: needs 0 <= base_s <= cap_s and 0 <= refused_s <= refused_cap_s"
            )
        if min(self.healthy_s, self.slow_down_s, self.busy_s, self.throttled_s) < 0:
            raise ConfigurationError("ReconnectPolicy: a time may not be negative")
        if self.max_attempts is not None and self.max_attempts < 1:
            raise ConfigurationError("ReconnectPolicy: max_attempts must be at least 1, or None")


class Backoff:
    """The waits of one connection, one call of :meth:`next_s` a failure."""

    def __init__(self, policy: ReconnectPolicy, rng: Random) -> None:
        self.policy = policy
        self.failures = 0
        self._refusals = 0
        self._rng = rng

    def healthy(self) -> None:
        """The connection was live long enough: count from the start again."""
        self.failures = self._refusals = 0

    def next_s(self, fault: Fault, retry_after_s: float | None = None) -> float | None:
        """Seconds to wait before the next attempt; ``None``: give up."""
        policy = self.policy
        if policy.max_attempts is not None and self.failures >= policy.max_attempts:
            return None
        bound_s = self._bound_s()
        self.failures += 1
        jitter_s = self._rng.uniform(0.0, bound_s)
        match fault:
            case Fault.ORDINARY:
                return jitter_s
            case Fault.SLOW_DOWN:
                return policy.slow_down_s + self._rng.uniform(0.0, policy.slow_down_s) + jitter_s
            case Fault.BUSY:
                return self._rng.uniform(policy.busy_s, 2 * policy.busy_s) + jitter_s
            case Fault.THROTTLED:
                least_s = policy.throttled_s if retry_after_s is None else retry_after_s
                return least_s + self._rng.uniform(0.0, max(bound_s, policy.base_s))
            case Fault.REFUSED:
                least_s = min(policy.refused_cap_s, policy.refused_s * 2.0 ** min(self._refusals, 30))
                self._refusals += 1
                return max(retry_after_s or 0.0, least_s) + self._rng.uniform(0.0, least_s / 2)

    def _bound_s(self) -> float:
        if self.failures == 0:
            return 0.0  # the first attempt after a loss comes at once
        # Beyond 2**30 only the cap matters, and the power would overflow.
        return min(self.policy.cap_s, self.policy.base_s * 2.0 ** min(self.failures - 1, 30))
