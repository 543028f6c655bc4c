from collections.abc import Callable
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
