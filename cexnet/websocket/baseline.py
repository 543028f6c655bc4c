"""Counters since the last reset: what there was then is taken off what there is now.

The live counters themselves go on: the watch on silent topics and connections reads them too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from cexnet.websocket.delivery import Delivery
from cexnet.websocket.metrics import DeliveryMetrics, StreamMetrics, VariantMetrics
from cexnet.websocket.strategies import MessageParser
from cexnet_core.stream import Stream

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_M = TypeVar("_M", bound="DataclassInstance")


class Baseline:
    """What parsers, their streams and deliveries had counted when it was taken.

    By the object that counts, so that what came into being later counts from nothing.
    """

    def __init__(
        self,
        parsers: Iterable[MessageParser] = (),
        deliveries: Iterable[Delivery] = (),
        recovered_books: int = 0,
    ) -> None:
        self.recovered_books = recovered_books
        self._before: dict[object, Any] = {}
        for parser in parsers:
            variant = VariantMetrics.of(parser)
            self._before[parser] = variant
            self._before.update(zip(parser.router.streams(), variant.streams, strict=True))
        for delivery in deliveries:
            before = DeliveryMetrics.of(delivery)
            # What waits now is counted as received afterwards: it will be taken or dropped then.
            self._before[delivery] = replace(before, received=before.received - before.waiting)

    def stream(self, stream: Stream) -> StreamMetrics | None:
        """What ``stream`` had counted; ``None``: it was not there."""
        before: StreamMetrics | None = self._before.get(stream)
        return before

    def variant(self, parser: MessageParser) -> VariantMetrics:
        """What ``parser`` has counted since."""
        now = VariantMetrics.of(parser)
        if not self._before:
            return now
        before: VariantMetrics | None = self._before.get(parser)
        streams = zip(parser.router.streams(), now.streams, strict=True)
        return replace(
            _less(now, before),
            streams=tuple(
                metrics.plus(self._before[stream], -1) if stream in self._before else metrics
                for stream, metrics in streams
            ),
        )

    def delivery(self, delivery: Delivery) -> DeliveryMetrics:
        """What ``delivery`` has counted since; how many wait is as it is now."""
        now = DeliveryMetrics.of(delivery)
        before: DeliveryMetrics | None = self._before.get(delivery)
        return replace(_less(now, before), depth=now.depth, waiting=now.waiting)


def _less(now: _M, before: _M | None) -> _M:
    """``now`` with the numbers and the counters by key of ``before`` taken off; keys stay."""
    if before is None:
        return now
    changed: dict[str, Any] = {}
    for field in fields(now):
        value, earlier = getattr(now, field.name), getattr(before, field.name)
        if isinstance(value, int):
            changed[field.name] = value - earlier
        elif isinstance(value, dict):
            changed[field.name] = {key: count - earlier.get(key, 0) for key, count in value.items()}
    return replace(now, **changed)
