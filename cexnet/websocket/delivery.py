"""Queued delivery: a bounded queue between the connection and a consumer that may be slower.

::

    delivery = Delivery(10_000, "drop_oldest")
    await manager.initialize(subscriptions, delivery.queue)     # the queue is the handler

    async for event in delivery: ...                # one by one
    while events := await delivery.batch(500): ...  # or as many as there are
    delivery.attach(callback)                       # or pushed, from a task of its own

Three things can be wired, each a plain callable and called on the loop's thread:

* ``queue.on_full`` / ``queue.on_room``: with ``pause``, stop and resume reading on every
  connection that feeds the queue; with ``disconnect``, ``on_full`` ends them;
* ``queue.on_gap(symbol)``: a depth event was dropped, so that symbol's book has a hole
  (``BookGuard.recover`` takes exactly this call).

What was dropped is told by topic in ``queue.drops``; see ``cexnet_core.queue`` for the
policies. Not thread-safe: use it from the loop that runs the connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, Self

from cexnet_core.errors import ConfigurationError
from cexnet_core.queue import EventQueue

_logger = logging.getLogger("cexnet.websocket")

OverflowPolicy = Literal["conflate", "drop_oldest", "drop_newest", "pause", "disconnect"]

# Between two batches an attached callback lets the event loop read sockets again.
_PUSHED_AT_ONCE = 256


class Delivery(AsyncIterator[Any]):
    """The consumer's side of one ``EventQueue``, which is at ``queue``.

    ``depth`` events may wait; ``policy`` says what happens beyond. Several consumers
    share the events: each goes to one of them. Raises ConfigurationError for a depth
    below 1 or an unknown policy.
    """

    def __init__(
        self, depth: int = 65_536, policy: OverflowPolicy = "drop_oldest", *, reserve: int = 8192
    ) -> None:
        self.queue = EventQueue(depth, policy, reserve=reserve)
        self.callback_errors = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._pump: asyncio.Task[None] | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """The next event. After ``close()``: what still waits, then the end."""
        while (event := self.queue.pop()) is None:
            if not await self._some():
                raise StopAsyncIteration
        return event

    async def batch(self, most: int) -> list[Any]:
        """Wait for an event, then take up to ``most``, oldest first.

        Empty only after ``close()``, when nothing is left. Raises ConfigurationError
        for ``most`` below 1.
        """
        if most < 1:
            raise ConfigurationError(f"a batch holds at least one event, not {most}")
        while not (events := self.queue.take(most)):
            if not await self._some():
                break
        return events

    def attach(self, callback: Callable[[Any], object]) -> None:
        """Push every event to ``callback`` from now on, from a task that ``close()`` ends.

        An exception in it is counted in ``callback_errors``, logged, and isolated.
        Raises ConfigurationError when one is attached already.
        """
        if self._pump is not None:
            raise ConfigurationError("a callback is attached already; one queue has one")
        self._pump = asyncio.create_task(self._push(callback), name="cexnet-delivery")

    async def close(self) -> None:
        """End the consumers once they have taken what waits. Idempotent.

        An attached callback gets what waits before this returns.
        """
        self._closed = True
        self._wake()
        if self._pump is not None and self._pump is not asyncio.current_task():
            await self._pump

    async def _push(self, callback: Callable[[Any], object]) -> None:
        while events := await self.batch(_PUSHED_AT_ONCE):
            for event in events:
                try:
                    callback(event)
                except Exception:
                    self.callback_errors += 1
                    _logger.exception("attached callback failed on %r; delivery goes on", event)
            await asyncio.sleep(0)

    async def _some(self) -> bool:
        """Wait until an event waits; False when none will come."""
        if not self._closed and not len(self.queue):
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self.queue.wake(self._wake)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        return not self._closed or len(self.queue) > 0

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
