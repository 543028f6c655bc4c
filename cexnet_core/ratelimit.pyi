from collections.abc import Callable, Iterable, Sequence
from typing import final

from cexnet_core.limit import Limit as Limit

@final
class TokenBucket(Limit):
    def __new__(
        cls, capacity: int, refill_per_s: float, *, clock: Callable[[], int] | None = None
    ) -> TokenBucket: ...
    @property
    def refill_per_s(self) -> float: ...

@final
class FixedWindow(Limit):
    def __new__(
        cls,
        limit: int,
        window_s: float,
        *,
        epoch_offset_ns: int | None = None,
        guard_s: float = 0.0,
        clock: Callable[[], int] | None = None,
    ) -> FixedWindow: ...
    @property
    def window_s(self) -> float: ...
    def align(self, epoch_offset_ns: int) -> None: ...

@final
class RollingWindow(Limit):
    def __new__(
        cls,
        limit: int,
        window_s: float,
        *,
        guard_s: float = 0.0,
        clock: Callable[[], int] | None = None,
    ) -> RollingWindow: ...
    @property
    def window_s(self) -> float: ...

@final
class LimitGroup:
    def __new__(cls, limits: Iterable[Limit]) -> LimitGroup: ...
    @property
    def limits(self) -> tuple[Limit, ...]: ...
    @property
    def last_grant_ns(self) -> int: ...
    @property
    def remaining(self) -> int | None: ...
    def try_acquire(self, weight: int | Sequence[int] = 1) -> int: ...
    def give_back(self, weight: int | Sequence[int] = 1, granted_ns: int | None = None) -> None: ...
    def block_for(self, ns: int) -> None: ...
