"""What of a running RestManager may change, checked as a whole before any of it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from cexnet.http.breaker import BreakerPolicy
from cexnet.http.hedge import HedgePolicy
from cexnet_core.errors import ConfigurationError


class RestChanges(TypedDict, total=False):
    """What ``RestManager.reconfigure`` takes; what is left out stays as it is.

    Calls that are under way keep their deadline. A breaker that is open stays so for its
    time. ``clock_every_s`` holds after the pause that is under way. ``limit_share`` is of all
    managers of the host in this process.
    """

    deadline_s: float
    breaker: BreakerPolicy | None
    hedging: HedgePolicy | None
    clock_every_s: float | None
    limit_share: float


def check(name: str, changes: Mapping[str, Any]) -> None:
    """Raise ConfigurationError for what cannot change or makes no sense."""
    known = RestChanges.__annotations__
    if unknown := changes.keys() - known:
        raise ConfigurationError(
            f"{name}: {', '.join(sorted(unknown))} cannot change while the manager lives: make a new one. "
            f"What can change: {', '.join(known)}"
        )
    for key, optional in (("deadline_s", False), ("clock_every_s", True)):
        value = changes.get(key, 1.0)
        if not (optional and value is None) and not value > 0:
            raise ConfigurationError(f"{name}: {key}={value!r} must be above 0")
    if not 0.0 < changes.get("limit_share", 1.0) <= 1.0:
        raise ConfigurationError(
            f"{name}: limit_share={changes['limit_share']!r} must be above 0 and at most 1"
        )
    for key, kind in (("breaker", BreakerPolicy), ("hedging", HedgePolicy)):
        value = changes.get(key)
        if value is not None and not isinstance(value, kind):
            raise ConfigurationError(
                f"{name}: {key} is a {type(value).__name__}, a {kind.__name__} or None is needed"
            )
