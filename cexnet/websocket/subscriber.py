"""Changes what a manager streams: topics come, go, are shed and come back, one change at a time."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Iterable

from cexnet.types import Channel, Subscription
from cexnet.websocket.bookkeeper import Bookkeeper
from cexnet.websocket.bundle import Bundle
from cexnet.websocket.fleet import Fleet
from cexnet.websocket.overflow import Overflow
from cexnet.websocket.register import Entry, Handler, Register, Route
from cexnet.websocket.strategies import WebSocketStrategySet
from cexnet_core.route import Router


class Subscriber:
    """Keeps register, connections, books and queues of one manager in step."""

    def __init__(
        self,
        strategies: WebSocketStrategySet,
        register: Register,
        fleet: Fleet,
        books: Bookkeeper,
        overflow: Overflow,
    ) -> None:
        self._strategies = strategies
        self._register = register
        self._fleet = fleet
        self._books = books
        self._overflow = overflow
        self._changing = asyncio.Lock()

    @property
    def _router(self) -> Router:
        return self._strategies.parser.router

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """Raise ConfigurationError for what the exchange has no topic for, and for clashes."""
        self._register.refuse_clashes(self._register.topics(subscriptions))

    def wants(self, subscription: Subscription) -> bool:
        """Whether somebody has subscribed it, even if it is shed now."""
        return any(
            topic in self._register.entries or topic in self._register.parked
            for topic in self._register.topics((subscription,))
        )

    async def subscribe(self, wanted: list[Subscription], sink: Handler, deadline_s: float) -> None:
        """See ``WebSocketManager.subscribe``."""
        if any(subscription.channel is Channel.DEPTH for subscription in wanted):
            # Bids and asks are numpy views: importing it in the first handler call would
            # hold up the socket for a tenth of a second.
            importlib.import_module("numpy")
        async with self._changing:
            topics = self._register.topics(wanted)
            self._register.refuse_clashes(topics)
            missing = {t: s for t, s in topics.items() if t not in self._register.entries}
            known = topics.keys() - missing.keys()
            self._register.count(known, +1)
            try:
                self._register.handle(topics.values(), sink, self._router)
                await self._fleet.place(missing, deadline_s)
                self._watch(missing.values())
            except BaseException:
                self._register.count(known, -1)
                raise
            finally:
                self._register.prune(self._router)
                self._overflow.settle()

    def handlers_of(self, subscriptions: Iterable[Subscription]) -> dict[Route, Handler]:
        """Where the events of those that are subscribed go."""
        return self._register.handlers_of(self._register.topics(subscriptions))

    def hand_back(self, handlers: dict[Route, Handler]) -> None:
        """Undo what another subscriber has changed of ``handlers_of()``."""
        self._register.hand_back(handlers, self._router)
        self._overflow.settle()

    async def unsubscribe(self, subscriptions: Iterable[Subscription], name: str, deadline_s: float) -> None:
        """See ``WebSocketManager.unsubscribe``; ``name`` is the manager's."""
        await self._end(subscriptions, lambda topic: self._register.release(topic, name), deadline_s)

    async def shed(self, subscriptions: Iterable[Subscription], deadline_s: float) -> list[Subscription]:
        """See ``WebSocketManager.shed``."""
        return await self._end(subscriptions, self._register.park, deadline_s)

    async def restore(self, deadline_s: float) -> list[Subscription]:
        """Subscribe what was shed; which subscriptions are back. Raises as ``subscribe``."""
        async with self._changing:
            missing = self._register.unpark(self._router)
            try:
                await self._fleet.place(missing, deadline_s)
            finally:
                back = self._register.welcome(missing)
                self._watch(back)
                self._register.prune(self._router)
                self._overflow.settle()
            return back

    @property
    def is_held(self) -> bool:
        """See ``WebSocketManager.is_held``."""
        return self._overflow.is_holding

    def conflate(self) -> int:
        """See ``WebSocketManager.conflate``."""
        tickers = {Channel.BOOK_TICKER}
        return self._overflow.conflate(lambda queue: self._register.channels_of(queue) == tickers)

    def relax(self) -> int:
        """Give every queue its own policy back; how many had another one."""
        return self._overflow.restore()

    def forget(self) -> None:
        """Everything has ended: nothing is subscribed, and nothing is shed."""
        self._register.parked.clear()
        self._register.prune(self._router)

    def _watch(self, subscriptions: Iterable[Subscription]) -> None:
        whole = self._strategies.subscription.depth_begins_with_snapshot
        self._books.watch(subscriptions, begin=not whole)

    async def _end(
        self,
        subscriptions: Iterable[Subscription],
        give_up: Callable[[str], Entry | None],
        deadline_s: float,
    ) -> list[Subscription]:
        """End the topics whose entry ``give_up`` returns; which subscriptions those were."""
        async with self._changing:
            ended: dict[Bundle, list[str]] = {}
            unwanted: list[Subscription] = []
            try:
                for topic in self._register.topics(subscriptions):
                    entry = give_up(topic)
                    if entry is not None:
                        ended.setdefault(entry.bundle, []).append(topic)
                        unwanted.append(entry.subscription)
                self._overflow.settle()  # what is not read cannot confirm either
                await self._books.unwatch(unwanted)
                await self._fleet.withdraw(ended, deadline_s)
            finally:
                self._register.prune(self._router)
                self._overflow.settle()
            return unwanted
