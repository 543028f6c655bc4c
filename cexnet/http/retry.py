"""Exponential backoff with full jitter, for what is safe to send again and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from cexnet.http.endpoint import Call
from cexnet.http.strategies import RetryStrategy
from cexnet_core.errors import Banned, CexnetError, ConfigurationError, RequestError


def may_repeat(call: Call[Any], error: CexnetError) -> bool:
    """Whether sending ``call`` again can do no harm, whatever anyone would like.

    A request that is not idempotent may be repeated only when surely none of it was sent.
    The line asks this before it asks a RetryStrategy, so that no strategy can double an order.
    """
    return call.idempotent or (isinstance(error, RequestError) and error.outcome == "not_sent")


class FullJitterRetry(RetryStrategy):
    """At most ``tries`` tries, the n-th pause uniform in 0 .. ``base_s`` * 2**(n-1), capped.

    ``uniform`` draws from a closed interval; tests replace it.
    """

    def __init__(
        self,
        *,
        tries: int = 3,
        base_s: float = 0.1,
        cap_s: float = 5.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        if tries < 1 or base_s <= 0 or cap_s < base_s:
            raise ConfigurationError(
                f"retry: tries={tries}, base_s={base_s}, cap_s={cap_s} make no sense:"
                " need tries >= 1 and 0 < base_s <= cap_s"
            )
        self.tries = tries
        self.base_s = base_s
        self.cap_s = cap_s
        self._uniform = uniform

    def pause_s(self, call: Call[Any], error: CexnetError, tries: int, remaining_s: float) -> float | None:
        """See RetryStrategy."""
        if not isinstance(error, RequestError) or not error.retryable or tries >= self.tries:
            return None
        if isinstance(error, Banned) or not may_repeat(call, error):
            return None
        pause = self._uniform(0.0, min(self.cap_s, self.base_s * 2 ** (tries - 1)))
        if error.retry_after_s is not None:
            pause += error.retry_after_s
        return pause if pause < remaining_s else None
