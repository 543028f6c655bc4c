"""Snapshots of what a ``WebSocketManager`` has done, as plain values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamMetrics:
    """Counters of one kind of event of one symbol, since the manager was made."""

    kind: str
    symbol: str
    delivered: int
    gaps: int
    duplicates: int
    reorders: int
    handler_errors: int


@dataclass(frozen=True, slots=True)
class WebSocketMetrics:
    """Counters of a whole manager, since it was made.

    ``decode`` counts messages by the path that decoded them, ``events`` decoded events
    by kind. ``unrouted`` counts events that no subscription asked for,
    ``unknown_channels`` valid messages that the schema does not describe, and
    ``dropped`` events that a consumer should have had and did not get.
    """

    messages: int
    connections: int
    events: dict[str, int]
    decode: dict[str, int]
    gaps: int
    duplicates: int
    reorders: int
    dropped: int
    handler_errors: int
    unrouted: dict[tuple[str, str], int]
    unknown_channels: dict[str, int]
    streams: tuple[StreamMetrics, ...]
