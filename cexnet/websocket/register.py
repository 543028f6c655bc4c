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


class Register:
    """Topics by name, with their entries, and a handler for each stream.

    ``on_end`` is told of each stream that is not routed any more, for its counters.
    """

    def __init__(self, strategies: WebSocketStrategySet, on_end: Callable[[Stream], object]) -> None:
        self.entries: dict[str, Entry] = {}
        self._handlers: dict[Route, Handler] = {}
        self._strategies = strategies
        self._on_end = on_end

    def topics(self, subscriptions: Iterable[Subscription]) -> dict[str, Subscription]:
        """The exchange's names of subscriptions, each once."""
        spelled = self._strategies.subscription.topic
        return {spelled(subscription): subscription for subscription in subscriptions}

    def refuse_clashes(self, topics: dict[str, Subscription]) -> None:
        """Raise ConfigurationError when two topics would feed one stream, as candles can."""
        taken = {(e.subscription.channel, e.subscription.symbol): t for t, e in self.entries.items()}
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

    def bundles_of(self, handler: Handler) -> set[Bundle]:
        """Where topics are whose events go to ``handler``."""
        return {
            entry.bundle
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
        if entry is None:
            raise ConfigurationError(f"{topic} is not subscribed on {name}")
        entry.wanted -= 1
        return self.entries.pop(topic) if entry.wanted == 0 else None

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
