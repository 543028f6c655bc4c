"""Taking back an order that still waits: for room in the limits, a connection or a retry.

The task that places the order is interrupted the way ``asyncio.timeout`` does it, so it
works with any limiter and never hides a cancellation that the caller asked for.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol, Self

from cexnet_core.errors import OrderCancelled


class Attempt(Protocol):
    """One try on the wire; ``sent_ns`` is 0 as long as certainly no byte was written."""

    sent_ns: int


class Withdrawal:
    """``with`` around the placing of one order, on the task that places it.

    ``attempt`` is the try under way, set by the line before each. Raises
    OrderCancelled when the order was taken back.
    """

    __slots__ = ("_cancelling", "_taken_back", "_task", "attempt", "client_order_id", "label")

    def __init__(self, label: str, client_order_id: str) -> None:
        self.label = label
        self.client_order_id = client_order_id
        self.attempt: Attempt | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._taken_back = False

    @property
    def written(self) -> bool:
        """Whether bytes of the try under way may have left us."""
        return self.attempt is not None and self.attempt.sent_ns != 0

    def begin_try(self, attempt: Attempt | None) -> None:
        """The line is about to make this try, or, ``None``, sure that the last did nothing."""
        self.attempt = attempt

    def take_back(self) -> bool:
        """Stop the order from being sent; False when it may be on its way or has an outcome."""
        if self._task is None or self.written:
            return False
        if not self._taken_back:
            self._taken_back = True
            self._task.cancel()
        return True

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if not self._taken_back or task is None:
            return
        # More requests to cancel than ours: the caller's, which must stay what it is.
        if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise OrderCancelled(
                f"{self.label}: order {self.client_order_id} was cancelled while it waited to be"
                " sent; nothing was sent",
                outcome="not_sent",
                endpoint=self.label,
                client_order_id=self.client_order_id,
            ) from None
