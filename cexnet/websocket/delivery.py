"""Queued delivery: a bounded queue between the connections and a consumer that may be slower.

A ``Delivery`` is given in the place of a handler::

    await manager.initialize(subscriptions, Delivery(10_000, "pause"))

    async for event in manager.events(): ...                # one by one
    while events := await manager.events().batch(500): ...  # or as many as there are
    manager.events().attach(callback)                       # or pushed, from a task of its own

The manager does what the policy says when the queue is full:

* ``pause``: it stops reading every connection that feeds the queue, and goes on when half
  of the queue is free. The peer is told by TCP alone. Whatever else comes on those
  connections waits too: other handlers' events, answers to ``subscribe()`` and
  ``request()``, pings of the peer (one that wants its pong within a minute ends the
  connection after that time);
* ``disconnect``: it ends those connections, with the reason ``overflow``, and connects
  again when half of the queue is free;
* a depth event that was dropped leaves a hole in its book: the book is mended where the
  manager keeps books whole.

What was dropped is told by topic; see ``cexnet_core.queue`` for all policies. Depth and
policy may change while events wait: ``reconfigure()``. Not
thread-safe: use it from the loop that runs the connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, Self

from cexnet_core.callbacks import require_plain
from cexnet_core.errors import ConfigurationError
from cexnet_core.hotlog import process_log
from cexnet_core.queue import POLICIES, EventQueue

_CALLBACK_FAILED = process_log.template(
    "cexnet.websocket", logging.ERROR, "attached callback failed on %s; delivery goes on", per_second=10
)

OverflowPolicy = Literal["conflate", "drop_oldest", "drop_newest", "pause", "disconnect"]

# Between two batches an attached callback lets the event loop read sockets again.
_PUSHED_AT_ONCE = 256


class Delivery(AsyncIterator[Any]):
    """The consumer's side of one ``EventQueue``, which is at ``queue``. It belongs to one manager.

    ``depth`` events may wait; ``policy`` says what happens beyond; that of ``queue`` differs
    from it between ``conflate()`` and ``restore()`` only. Several consumers
    share the events: each goes to one of them. Raises ConfigurationError for a depth
    below 1 or an unknown policy.
    """

    def __init__(
        self, depth: int = 65_536, policy: OverflowPolicy = "drop_oldest", *, reserve: int = 262_144
    ) -> None:
        self.queue = EventQueue(depth, policy, reserve=reserve)
        self.policy: OverflowPolicy = policy
        self.callback_errors = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._pump: asyncio.Task[None] | None = None
        self._closed = False
        self._relieved = False

    @property
    def is_closed(self) -> bool:
        """Whether no more events will come than those that wait."""
        return self._closed

    @property
    def depth(self) -> int:
        """How many events may wait."""
        return self.queue.capacity

    def reconfigure(self, *, depth: int | None = None, policy: OverflowPolicy | None = None) -> None:
        """Take another depth or policy from the next event on; what waits is not dropped.

        What waits beyond the new depth is left to the consumer; ``conflate`` conflates what
        waits already. Raises as the constructor, and changes nothing then.
        """
        depth = self.depth if depth is None else depth
        policy = self.policy if policy is None else policy
        if policy not in POLICIES:
            raise ConfigurationError(f"a queue's policy is {policy!r}: choose one of {', '.join(POLICIES)}")
        self.queue.switch(depth, "conflate" if self._relieved else policy)
        self.policy = policy

    @property
    def is_conflating(self) -> bool:
        """Whether it conflates because of ``conflate()``, and not by its own policy."""
        return self._relieved

    def conflate(self) -> None:
        """Keep the newest book ticker of each symbol only, until ``restore()``. Idempotent."""
        self.queue.switch(self.depth, "conflate")
        self._relieved = True

    def restore(self) -> None:
        """Go back to ``policy`` after ``conflate()``. Idempotent."""
        if self._relieved:
            self.queue.switch(self.depth, self.policy)
            self._relieved = False

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
        Raises ConfigurationError when one is attached already, and for a coroutine function.
        """
        require_plain("callback", callback)
        if self._pump is not None:
            raise ConfigurationError("a callback is attached already; one queue has one")
        self._pump = asyncio.create_task(self._push(callback), name="cexnet-delivery")

    async def close(self) -> None:
        """End the consumers once they have taken what waits. Idempotent; the manager does it.

        An attached callback gets what waits before this returns.
        """
        self._closed = True
        self._wake()
        if self._pump is not None and self._pump is not asyncio.current_task():
            (end,) = await asyncio.gather(self._pump, return_exceptions=True)
            # A program that ends may cancel every task there is: that is no cancellation of who closes.
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
                raise end

    async def _push(self, callback: Callable[[Any], object]) -> None:
        while events := await self.batch(_PUSHED_AT_ONCE):
            for event in events:
                try:
                    callback(event)
                # Called inline, it cannot be told of our cancellation: one of these is its own.
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it may raise any
                    self.callback_errors += 1
                    _CALLBACK_FAILED.log(repr(event), exception=error)
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
