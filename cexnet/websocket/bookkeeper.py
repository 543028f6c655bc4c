"""Lets a manager's depth streams be mended: a ``BookGuard`` for the parser in use."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cexnet.types import Channel, Subscription
from cexnet.websocket.books import BookGuard, BookRecovered, SnapshotProvider
from cexnet_core.errors import ConfigurationError
from cexnet_core.route import Router


class Bookkeeper:
    """Watches every subscribed book; does nothing at all without a ``provider``.

    ``on_book`` is told of every mended gap; ``recovered`` counts them.
    """

    def __init__(
        self, provider: SnapshotProvider | None, on_book: Callable[[BookRecovered], object] | None
    ) -> None:
        if on_book is not None and provider is None:
            raise ConfigurationError("on_book needs a snapshot provider: no book is mended without one")
        self._provider = provider
        self._on_book = on_book
        self._guard: BookGuard | None = None
        self._router: Router | None = None
        self._retired = 0

    @property
    def recovered(self) -> int:
        """Books mended so far."""
        return self._retired + (self._guard.recovered if self._guard is not None else 0)

    def take(self, router: Router) -> BookGuard | None:
        """Guard the books of ``router`` from now on; the guard of the one before, to be closed."""
        before = self._guard
        if self._provider is None or self._router is router:
            return None
        self._router = router
        self._guard = BookGuard(router, self._provider, on_recovered=self._on_book)
        router.on_gap = self._guard.on_gap
        router.on_restart = self._guard.on_restart
        if before is not None:
            self._retired += before.recovered
        return before

    def watch(self, subscriptions: Iterable[Subscription], *, begin: bool) -> None:
        """Keep the books among ``subscriptions`` whole; ``begin`` each with a snapshot."""
        for symbol in _books(subscriptions):
            if self._guard is not None:
                self._guard.watch(symbol, begin=begin)

    async def unwatch(self, subscriptions: Iterable[Subscription]) -> None:
        """Leave the books among ``subscriptions`` alone."""
        for symbol in _books(subscriptions):
            if self._guard is not None:
                await self._guard.unwatch(symbol)

    def recover(self, subscriptions: Iterable[Subscription]) -> None:
        """Something may have been lost: mend the books among ``subscriptions``."""
        for symbol in _books(subscriptions):
            if self._guard is not None:
                self._guard.recover(symbol)

    def mend(self, symbol: str) -> None:
        """An update of ``symbol`` was dropped behind the router: mend its book, if watched."""
        if self._guard is not None:
            self._guard.recover(symbol)

    def recovering(self) -> tuple[str, ...]:
        """Symbols whose book is not whole now."""
        return self._guard.recovering if self._guard is not None else ()

    async def close(self) -> None:
        """End every recovery. Idempotent."""
        guard, self._guard, self._router = self._guard, None, None
        if guard is not None:
            self._retired += guard.recovered
            await guard.close()


def _books(subscriptions: Iterable[Subscription]) -> list[str]:
    return [wanted.symbol for wanted in subscriptions if wanted.channel is Channel.DEPTH]
