"""The retry budget: retries may be a share of what succeeds, never a multiple of what fails.

A host in trouble gets the first tries of all callers and then no retry on top, however
many managers and calls there are: without this, retries multiply the load that hurts it.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass

from cexnet_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class BudgetMetrics:
    """``left`` retries now, of at most ``capacity``; how many were ``granted`` and ``refused``."""

    left: float
    capacity: float
    granted: int
    refused: int


class RetryBudget:
    """A token bucket of ``capacity`` retries that each success fills by ``per_success``.

    It starts full. Any thread may use it, and several managers may share one. Raises
    ConfigurationError for a negative ``per_success`` or a capacity below 0.
    """

    def __init__(self, capacity: float = 20.0, per_success: float = 0.125) -> None:
        if capacity < 0 or per_success < 0:
            raise ConfigurationError(
                f"retry budget: capacity={capacity}, per_success={per_success} must not be negative"
            )
        self.capacity = capacity
        self.per_success = per_success
        self._left = capacity
        self._granted = self._refused = 0
        self._lock = threading.Lock()

    def deposit(self) -> None:
        """A request has succeeded."""
        if self._left < self.capacity:
            with self._lock:
                self._left = min(self.capacity, self._left + self.per_success)

    def take(self) -> bool:
        """Take one retry; False when none is left."""
        with self._lock:
            if self._left < 1.0:
                self._refused += 1
                return False
            self._left -= 1.0
            self._granted += 1
            return True

    def metrics(self) -> BudgetMetrics:
        """A snapshot."""
        return BudgetMetrics(self._left, self.capacity, self._granted, self._refused)


_lock = threading.Lock()
_by_origin: weakref.WeakValueDictionary[str, RetryBudget] = weakref.WeakValueDictionary()


def shared_budget(origin: str) -> RetryBudget:
    """The budget of all managers of this process that talk to ``origin``, a host with its port."""
    with _lock:
        budget = _by_origin.get(origin)
        if budget is None:
            budget = _by_origin[origin] = RetryBudget()
        return budget
