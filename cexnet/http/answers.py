"""What comes back: the raw answer of the wire, and what the caller receives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")


# Three objects are made a request: as frozen dataclasses they would cost 2 us of it.
class Answer(msgspec.Struct, frozen=True):
    """One HTTP response, read whole. Times are ``cexnet_core.clock.ticks_ns``.

    Its repr leaves the body out: it may hold a listen key.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    started_ns: int
    sent_ns: int
    first_byte_ns: int
    done_ns: int

    def __repr__(self) -> str:
        return f"Answer(HTTP {self.status}, {len(self.body)} bytes)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("status", self.status)]


class Timings(msgspec.Struct, frozen=True):
    """How long each stage took, in nanoseconds, for the try that succeeded.

    ``pool_wait_ns`` is the wait for a connection, opening one included;
    ``first_byte_ns`` runs from the write to the response's head; ``total_ns`` covers
    the whole call with all its tries.
    """

    limit_wait_ns: int
    sign_ns: int
    pool_wait_ns: int
    first_byte_ns: int
    total_ns: int


class Response(msgspec.Struct, Generic[T], frozen=True):
    """A successful answer. ``headers`` look names up without regard to case.

    ``tries`` is how many it took.
    """

    data: T
    status: int
    headers: Mapping[str, str]
    timings: Timings
    tries: int = 1


@dataclass(frozen=True, slots=True)
class OrderBook:
    """The order book at one moment, best level first, as the exchange's decimal text.

    ``sequence`` is the update id that depth updates continue from.
    ``exchange_ts_ns`` is -1 when the exchange gives no time.
    """

    symbol: str
    sequence: int
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]
    exchange_ts_ns: int = -1


@dataclass(frozen=True, slots=True)
class NeverArrived:
    """The exchange does not know the order and can no longer receive it: it may be placed anew.

    So many ``queries`` found nothing within ``waited_s`` seconds.
    """

    symbol: str
    client_order_id: str
    queries: int
    waited_s: float
