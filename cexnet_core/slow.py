"""One message that took long, with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SlowMessage:
    """An event of the receive line that was among the slowest. Durations are in ns.

    ``at_ts_ns`` is when its handler had returned, ``received_ts_ns`` when its bytes had come
    (both epoch ns; -1: not given). ``total_ns`` runs from the one to the other, of which it waited
    ``waited_ns`` for the messages before it in the same socket read. The stages of the rest,
    ``decoded_ns``, ``dispatched_ns`` and ``handled_ns``, are ``None`` when this message was not one
    of those that are timed stage by stage. ``one_way_ns``, from the exchange's clock to ours, is
    ``None`` where the exchange gives no time; it holds the difference of the two clocks and may be
    negative. ``was_held``: it waited for another connection of a merged stream; ``waited_ns`` is
    ``None`` then.
    """

    at_ts_ns: int
    received_ts_ns: int
    kind: str
    symbol: str
    connection_id: int
    sequence: int
    total_ns: int
    waited_ns: int | None
    decoded_ns: int | None
    dispatched_ns: int | None
    handled_ns: int | None
    one_way_ns: int | None
    was_held: bool
