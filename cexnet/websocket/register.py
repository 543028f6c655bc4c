"""Who wants which topic: reference counts, handlers and the routes to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cexnet.types import Channel, Subscription
from cexnet.websocket.bundle import Bundle
from cexnet.websocket.strategies import WebSocketStrategySet
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import EventKind, EventSink
from cexnet_core.route import Router
from cexnet_core.stream import Stream

Handler = Callable[[Any], object] | EventSink
Route = tuple[EventKind, str]

KINDS_OF = {
    Channel.TRADES: (EventKind.TRADE,),
    Channel.BOOK_TICKER: (EventKind.BOOK_TICKER,),
    Channel.DEPTH: (EventKind.DEPTH_UPDATE, EventKind.DEPTH_SNAPSHOT),
    Channel.CANDLES: (EventKind.CANDLE,),
    Channel.ORDERS: (EventKind.ORDER_UPDATE,),
    Channel.FILLS: (EventKind.FILL,),
    Channel.BALANCES: (EventKind.BALANCE_UPDATE,),
}


@dataclass(slots=True)
class Entry:
    """One topic: what it was asked for as, where it is, and how many want it."""

    subscription: Subscription
    bundle: Bundle
    wanted: int = 1

    def routes(self) -> list[Route]:
        """The streams that its events belong to."""
        return [(kind, self.subscription.symbol) for kind in KINDS_OF[self.subscription.channel]]


@dataclass(slots=True)
class Parked:
    """One topic that is shed: what it takes to have it back as it was."""

    subscription: Subscription
    wanted: int
    handlers: dict[Route, Handler]


class Register:
    """Topics by name, with their entries, and a handler for each stream.

    ``parked`` are topics that are shed: wanted, but not subscribed for the time being.
    ``on_end`` is told of each stream that is not routed any more, for its counters.
    """

    def __init__(self, strategies: WebSocketStrategySet, on_end: Callable[[Stream], object]) -> None:
        self.entries: dict[str, Entry] = {}
        self.parked: dict[str, Parked] = {}
        self._handlers: dict[Route, Handler] = {}
        self._strategies = strategies
        self._on_end = on_end

    def topics(self, subscriptions: Iterable[Subscription]) -> dict[str, Subscription]:
        """The exchange's names of subscriptions, each once."""
        spelled = self._strategies.subscription.topic
        return {spelled(subscription): subscription for subscription in subscriptions}

    def refuse_clashes(self, topics: dict[str, Subscription]) -> None:
        """Raise ConfigurationError when two topics would feed one stream, as candles can."""
        known: dict[str, Entry | Parked] = {**self.entries, **self.parked}
        taken = {(k.subscription.channel, k.subscription.symbol): t for t, k in known.items()}
        for topic, wanted in topics.items():
            other = taken.setdefault((wanted.channel, wanted.symbol), topic)
            if other != topic:
                raise ConfigurationError(
                    f"{topic} and {other} would both be {wanted.channel} of {wanted.symbol}, which one "
                    "manager cannot tell apart: use a manager for each interval"
                )

    def forget(self, bundle: Bundle) -> None:
        """The bundle is dead: nothing is subscribed there any more."""
        self.entries = {topic: entry for topic, entry in self.entries.items() if entry.bundle is not bundle}

    def count(self, topics: Iterable[str], by: int) -> None:
        """So many callers more, or less, want topics; those that are gone do not matter."""
        for topic in topics:
            if topic in self.entries:
                self.entries[topic].wanted += by

    def handle(self, subscriptions: Iterable[Subscription], handler: Handler, router: Router) -> None:
        """Send the events of subscriptions to ``handler`` from now on."""
        for subscription in subscriptions:
            for kind in KINDS_OF[subscription.channel]:
                router.add(kind, subscription.symbol, handler)
                self._handlers[kind, subscription.symbol] = handler

    def handlers_of(self, topics: Iterable[str]) -> dict[Route, Handler]:
        """The handlers of those of ``topics`` that are subscribed."""
        routes = [
            route for topic in topics if topic in self.entries for route in self.entries[topic].routes()
        ]
        return {route: self._handlers[route] for route in routes}

    def hand_back(self, handlers: dict[Route, Handler], router: Router) -> None:
        """Have ``handlers`` as before, where anything is still routed."""
        for (kind, symbol), handler in handlers.items():
            if (kind, symbol) in self._handlers:
                router.add(kind, symbol, handler)
                self._handlers[kind, symbol] = handler

    def bundles_of(self, handler: Handler) -> set[Bundle]:
        """Where topics are whose events go to ``handler``."""
        return {
            entry.bundle
            for entry in self.entries.values()
            if any(self._handlers.get(route) is handler for route in entry.routes())
        }

    def channels_of(self, handler: Handler) -> set[Channel]:
        """What kinds of topics have their events go to ``handler``."""
        return {
            entry.subscription.channel
            for entry in self.entries.values()
            if any(self._handlers.get(route) is handler for route in entry.routes())
        }

    def totals(self, topics: Iterable[str], router: Router) -> dict[str, int]:
        """How many events each of ``topics`` has brought, whatever became of them."""
        # By topic, not by stream: where there are many streams, many connections ask.
        return {
            topic: sum(_arrived(router.get(*route)) for route in self.entries[topic].routes())
            for topic in topics
            if topic in self.entries
        }

    def handle_all(self, router: Router) -> None:
        """Give another router every handler there is."""
        for (kind, symbol), handler in self._handlers.items():
            router.add(kind, symbol, handler)

    def release(self, topic: str, name: str) -> Entry | None:
        """One caller less wants ``topic``; its entry when that was the last one.

        Raises ConfigurationError when it is not subscribed on the manager called ``name``.
        """
        entry = self.entries.get(topic)
        parked = self.parked.get(topic)
        if entry is None and parked is not None:
            parked.wanted -= 1
            if parked.wanted == 0:
                del self.parked[topic]
            return None
        if entry is None:
            raise ConfigurationError(f"{topic} is not subscribed on {name}")
        entry.wanted -= 1
        return self.entries.pop(topic) if entry.wanted == 0 else None

    def park(self, topic: str) -> Entry | None:
        """Shed ``topic``, whoever wants it; its entry, ``None`` when it is not subscribed."""
        entry = self.entries.pop(topic, None)
        if entry is not None:
            handlers = {route: self._handlers[route] for route in entry.routes()}
            self.parked[topic] = Parked(entry.subscription, entry.wanted, handlers)
        return entry

    def unpark(self, router: Router) -> dict[str, Subscription]:
        """The parked topics that must be subscribed again, their handlers in place.

        Those that somebody has subscribed meanwhile are parked no longer.
        """
        for topic in [topic for topic in self.parked if topic in self.entries]:
            self.entries[topic].wanted += self.parked.pop(topic).wanted
        for parked in self.parked.values():
            for (kind, symbol), handler in parked.handlers.items():
                router.add(kind, symbol, handler)
                self._handlers[kind, symbol] = handler
        return {topic: parked.subscription for topic, parked in self.parked.items()}

    def welcome(self, topics: Iterable[str]) -> list[Subscription]:
        """Parked topics that are subscribed again are wanted as before; which those are."""
        back = [topic for topic in topics if topic in self.entries]
        for topic in back:
            self.entries[topic].wanted = self.parked.pop(topic).wanted
        return [self.entries[topic].subscription for topic in back]

    def prune(self, router: Router) -> None:
        """Take away the handlers of streams that no topic feeds any more."""
        used = {route for entry in self.entries.values() for route in entry.routes()}
        for kind, symbol in self._handlers.keys() - used:
            del self._handlers[kind, symbol]
            if (stream := router.get(kind, symbol)) is not None:
                self._on_end(stream)
            router.remove(kind, symbol)


def _arrived(stream: Stream | None) -> int:
    if stream is None:
        return 0
    return stream.delivered + stream.handler_errors + stream.duplicates + stream.redundant + stream.reorders
