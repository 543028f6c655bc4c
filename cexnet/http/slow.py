"""The slowest calls of a RestManager, with their stages, their tries, and how they ended."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappush, heappushpop

_NEVER_NS = 1 << 63


@dataclass(frozen=True, slots=True)
class SlowCall:
    """A call that was among the slowest. Durations are in ns; ``at_ts_ns`` is its end, epoch ns.

    ``total_ns`` covers all ``tries``, the stages the one that succeeded: ``None`` where none did.
    ``error`` is then the exception's name, else empty. ``endpoint`` is method and path pattern;
    ``variant`` names the strategy set it ended under.
    """

    at_ts_ns: int
    endpoint: str
    client_order_id: str
    variant: str
    tries: int
    total_ns: int
    limit_wait_ns: int | None = None
    sign_ns: int | None = None
    pool_wait_ns: int | None = None
    first_byte_ns: int | None = None
    error: str = ""


class SlowCalls:
    """Keeps the ``capacity`` slowest since ``drain``; only what exceeds ``threshold_ns`` gets in."""

    __slots__ = ("_added", "_calls", "_capacity", "_least_ns", "threshold_ns")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._least_ns = -1 if capacity else _NEVER_NS
        self._added = 0  # tells calls of equal length apart
        self._calls: list[tuple[int, int, SlowCall]] = []
        self.threshold_ns = self._least_ns

    def add(self, call: SlowCall) -> None:
        """Keep ``call``, in the place of the fastest one where there is no other."""
        self._added += 1
        entry = (call.total_ns, self._added, call)
        if len(self._calls) < self._capacity:
            heappush(self._calls, entry)
        else:
            heappushpop(self._calls, entry)
        if len(self._calls) == self._capacity:
            self.threshold_ns = self._calls[0][0]

    def drain(self) -> list[SlowCall]:
        """What is kept, in no order; begins anew."""
        kept = [call for _, _, call in self._calls]
        self._calls.clear()
        self.threshold_ns = self._least_ns
        return kept
