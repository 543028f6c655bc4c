"""What a decoder gives besides single events: batches and counters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cexnet_core.events import Event


class DecodeCounters(NamedTuple):
    """Messages by the path they took, and events by kind, since the decoder was made.

    Each message counts once: ``shape`` (learned shape), ``ondemand`` (simdjson),
    ``protobuf``, ``unknown`` (valid, became a RawMessage) or ``errors``.
    ``text_overflow`` counts texts that found the table of interned texts full,
    ``shapes`` the shapes that are remembered now, and ``shape_resets`` how often a full
    cache was emptied because it no longer fitted the feed.
    """

    shape: int
    ondemand: int
    protobuf: int
    unknown: int
    errors: int
    text_overflow: int
    events: dict[str, int]
    shapes: int = 0
    shape_resets: int = 0


class EventBatch:
    """The events of one message that carries several, or none, in the message's order."""

    __slots__ = ("events",)

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = tuple(events)

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def __getitem__(self, index: int) -> Event:
        return self.events[index]

    def __repr__(self) -> str:
        return f"EventBatch({list(self.events)!r})"
