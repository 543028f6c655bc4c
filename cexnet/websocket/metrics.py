"""Snapshots of what a ``WebSocketManager`` has done, as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from cexnet.websocket.delivery import Delivery
from cexnet.websocket.strategies import MessageParser
from cexnet_core.latency import LatencyRecorder
from cexnet_core.summary import LatencySummary as LatencySummary
from cexnet_core.summary import Rate, StageMetrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class WebSocketLatency:
    """The recorders of a manager, live: ``.samples`` of each is a numpy view of the newest.

    Of the receive line (the parser's in use): ``decoded`` from the socket read, or the end of
    the message before in the same read, to the event; ``dispatched`` until its handler is
    called; ``handled`` until it returns; ``total`` all of it. ``one_way`` is from the
    exchange's clock to the read, the difference of the two clocks included. All but ``total``
    are of one message in sixteen, see ``router.timer.every``.

    ``first_event`` is the time from a start or a loss to the first data after it,
    ``loop_lag`` how late the event loop was, ``connect`` how long each connection took to be
    made, from DNS to the upgrade, ``queue_waits`` the time from a queue's end to its head, for
    each delivery.
    """

    decoded: LatencyRecorder
    dispatched: LatencyRecorder
    handled: LatencyRecorder
    total: LatencyRecorder
    one_way: LatencyRecorder
    first_event: LatencyRecorder
    loop_lag: LatencyRecorder
    connect: LatencyRecorder
    queue_waits: tuple[LatencyRecorder, ...] = ()

    @property
    def samples(self) -> NDArray[np.int64]:
        """The newest totals in ns: the live ring, as ``LatencyRecorder.samples``."""
        return self.total.samples


@dataclass(frozen=True, slots=True)
class StreamMetrics:
    """Counters of one kind of event of one symbol, since the manager was made.

    ``redundant`` events came on another connection first.
    """

    kind: str
    symbol: str
    delivered: int
    gaps: int
    duplicates: int
    redundant: int
    reorders: int
    handler_errors: int

    def plus(self, other: StreamMetrics, times: int = 1) -> StreamMetrics:
        """The same stream with the counts of ``other`` added so many times; -1 takes them off."""
        return StreamMetrics(
            self.kind,
            self.symbol,
            self.delivered + times * other.delivered,
            self.gaps + times * other.gaps,
            self.duplicates + times * other.duplicates,
            self.redundant + times * other.redundant,
            self.reorders + times * other.reorders,
            self.handler_errors + times * other.handler_errors,
        )


@dataclass(frozen=True, slots=True)
class VariantMetrics:
    """Counters of one parser; there are several after ``swap()``, to be compared.

    ``decode`` counts messages by the path that decoded them, ``events`` decoded events by
    kind. ``total`` is from the socket read to the handler's return.
    """

    name: str
    events: dict[str, int]
    decode: dict[str, int]
    total: LatencySummary
    unrouted: dict[tuple[str, str], int]
    unrouted_overflow: int
    unknown_channels: dict[str, int]
    streams: tuple[StreamMetrics, ...]

    @classmethod
    def of(cls, parser: MessageParser) -> VariantMetrics:
        """What ``parser`` has counted so far."""
        counters, router = parser.decoder.counters, parser.router
        return cls(
            parser.name,
            dict(counters.events),
            {
                "shape": counters.shape,
                "ondemand": counters.ondemand,
                "protobuf": counters.protobuf,
                "errors": counters.errors,
            },
            LatencySummary.of(router.total),
            dict(router.unrouted),
            router.unrouted_overflow,
            dict(parser.decoder.unknown_channels),
            tuple(
                StreamMetrics(
                    stream.kind_name,
                    stream.symbol,
                    stream.delivered,
                    stream.gaps,
                    stream.duplicates,
                    stream.redundant,
                    stream.reorders,
                    stream.handler_errors,
                )
                for stream in router.streams()
            ),
        )


@dataclass(frozen=True, slots=True)
class DeliveryMetrics:
    """Counters of one queue: ``received`` = taken + waiting + dropped + conflated.

    ``drops`` counts dropped and conflated events by (kind, symbol), ``waited`` is the time
    from the queue's end to its head, ``callback_errors`` those of an attached callback.
    """

    policy: str
    depth: int
    received: int
    taken: int
    waiting: int
    dropped: int
    conflated: int
    drops: dict[tuple[str, str], int]
    waited: LatencySummary
    callback_errors: int

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryMetrics:
        """What ``delivery`` has counted so far."""
        queue = delivery.queue
        return cls(
            queue.policy,
            queue.capacity,
            queue.received,
            queue.taken,
            len(queue),
            queue.dropped,
            queue.conflated,
            queue.drops,
            LatencySummary.of(queue.waited),
            delivery.callback_errors,
        )


@dataclass(frozen=True, slots=True)
class WebSocketMetrics:
    """Counters of a whole manager, since it was made or ``reset_metrics()`` was called.

    ``rate`` is of messages. ``stages`` are those of ``WebSocketLatency`` by name, over all
    parsers, and ``queue_wait``, over all deliveries; the stages that are timed on one message
    in sixteen count and are rated as often.

    ``decode`` counts messages by the path that decoded them, ``events`` decoded events
    by kind. ``unrouted`` counts events that no subscription asked for (those
    of streams beyond its bound in ``unrouted_overflow``), ``unknown_channels`` valid
    messages that the schema does not describe, ``discarded`` messages that came while we
    closed.

    ``dropped`` events found their queue full, ``conflated`` ones gave way in the queue to a
    newer one of their symbol; ``drops`` counts both by (kind, symbol), ``deliveries`` tells
    queue from queue. Inline handlers have no queue and lose nothing.

    ``reconnects`` are connections that came back after a loss, ``recovered_books`` depth
    streams that were mended by a snapshot, ``losses`` counts losses by
    what brought them about, ``first_event`` is the time from a start or a loss to the
    first data after it, ``loop_lag`` how late the event loop was. ``strategy_errors``
    are exceptions of an exchange's strategy, ``listener_errors`` those of listeners.
    ``variants`` has the counters of each parser apart.
    """

    messages: int
    connections: int
    events: dict[str, int]
    decode: dict[str, int]
    gaps: int
    duplicates: int
    redundant: int
    reorders: int
    dropped: int
    conflated: int
    drops: dict[tuple[str, str], int]
    handler_errors: int
    unrouted: dict[tuple[str, str], int]
    unrouted_overflow: int
    unknown_channels: dict[str, int]
    discarded: int
    streams: tuple[StreamMetrics, ...]
    reconnects: int
    recovered_books: int
    rolls: int
    losses: dict[str, int]
    probes: int
    topic_events: dict[str, int]
    strategy_errors: int
    listener_errors: int
    first_event: LatencySummary
    loop_lag: LatencySummary
    variants: tuple[VariantMetrics, ...]
    deliveries: tuple[DeliveryMetrics, ...]
    rate: Rate
    stages: dict[str, StageMetrics]


def total_streams(variants: Iterable[VariantMetrics]) -> tuple[StreamMetrics, ...]:
    """The streams of all variants, those of the same kind and symbol added up."""
    found: dict[tuple[str, str], StreamMetrics] = {}
    for variant in variants:
        for stream in variant.streams:
            key = (stream.kind, stream.symbol)
            other = found.get(key)
            found[key] = stream if other is None else stream.plus(other)
    return tuple(found.values())


def total_counts(counts: Iterable[dict[_Key, int]]) -> dict[_Key, int]:
    """Counters added up by key, in the order in which keys first appear."""
    total: Counter[_Key] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)
