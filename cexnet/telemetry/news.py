"""What happened, kept for a while and told to whoever listens, each at a pace of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class News(Generic[T]):
    """The newest ``kept`` items. Listeners share them: none has a queue of its own.

    Not thread-safe: one event loop.
    """

    def __init__(self, kept: int) -> None:
        self.items: deque[T] = deque(maxlen=kept)
        self.count = 0
        self.is_closed = False
        self._waiters: set[asyncio.Future[None]] = set()

    def tell(self, item: T) -> None:
        """Add an item and wake those who wait for one."""
        self.items.append(item)
        self.count += 1
        self._wake()

    def close(self) -> None:
        """End the listeners once they have heard what there is. Idempotent."""
        self.is_closed = True
        self._wake()

    def listen(self) -> Listener[T]:
        """Everything from now on."""
        return Listener(self)

    async def wait(self) -> None:
        """Return at the next item, or at the end."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class Listener(AsyncIterator[T]):
    """``async for`` over news. ``missed`` counts items that were gone before it came for them."""

    def __init__(self, news: News[T]) -> None:
        self.missed = 0
        self._news = news
        self._next = news.count

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next item; ends with ``close()``."""
        news = self._news
        while self._next == news.count:
            if news.is_closed:
                raise StopAsyncIteration
            await news.wait()
        oldest = news.count - len(news.items)
        self.missed += max(0, oldest - self._next)
        self._next = max(oldest, self._next) + 1
        return news.items[self._next - 1 - oldest]
