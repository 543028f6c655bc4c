"""Double-entry accounts of a run: what the exchange sent against what the handler got.

Every event that the embedded exchange sends to us is entered under an identity of its own
(symbol, sequence or trade id, time, values), decoded apart from the line under test, and
struck out when the handler gets it. What remains is explained, or it is *lost uncounted*:

* A depth update may be contained in a snapshot that the handler got since, or, where books
  are not kept whole, lie in a gap that the router has reported.
* A fault may have kept it back, which the exchange knows.
* It may have been under way on a connection that broke: then nothing sent after it on that
  connection may have arrived, and the manager must have reported a loss for it.

An event that the handler gets and that is not (or no longer) entered was *delivered twice*.
So was a depth update that the handler's book contains already; one that leaves a hole
in the handler's book, of which nobody told it, counts as lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Set
from dataclasses import dataclass, field

from cexnet.simulator.connection import Connection
from cexnet_core.decode import Decoder
from cexnet_core.decoded import EventBatch
from cexnet_core.events import (
    BookTicker,
    Candle,
    DepthSnapshot,
    DepthUpdate,
    Event,
    EventKind,
    Trade,
)
from cexnet_core.schema import WireSchema
from cexnet_core.stream import Stream

Identity = tuple[object, ...]
_LAST_MARKET_KIND = EventKind.CANDLE


@dataclass(slots=True, eq=False)
class Line:
    """One connection as the exchange sees it: how much went out, how far it was surely read."""

    connection: Connection
    sent: int = 0
    read: int = 0


@dataclass(slots=True, eq=False)
class Copy:
    """One event on one connection. ``position`` counts from 1 on its line."""

    line: Line
    position: int
    withheld: bool = False

    @property
    def was_overtaken(self) -> bool:
        """Whether something sent behind it on the same connection has arrived."""
        return self.line.read > self.position


@dataclass(slots=True, eq=False)
class Entry:
    """One event that the exchange sent, with its copies."""

    identity: Identity
    symbol: str
    sequence: int
    is_depth: bool
    copies: list[Copy] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Balance:
    """How the accounts came out. Every number counts events.

    ``withheld``, ``in_flight`` (on connections that broke), ``superseded`` (depth, by a
    snapshot or a reported gap) and ``waiting`` (depth, for a snapshot) did not arrive and
    are explained; ``lost_uncounted`` are not.
    """

    sent: int
    delivered: int
    withheld: int
    in_flight: int
    superseded: int
    waiting: int
    lost_uncounted: int
    duplicates_delivered: int


class Ledger:
    """The accounts of one manager. A ``Witness`` of the simulator; ``delivered`` is for its handler.

    ``whole_books``: the handler's books must be whole, so a reported gap explains nothing.
    """

    def __init__(self, schema: WireSchema, *, whole_books: bool) -> None:
        self.holes = 0
        self.duplicates = 0
        self.unreadable = 0
        self.arrivals = 0
        self.entered = 0
        self._whole_books = whole_books
        self._decoder = Decoder(schema)
        self._open: dict[Identity, deque[Entry]] = {}
        self._lines: dict[Connection, Line] = {}
        self._frame: bytes | None = None
        self._current: list[Entry] = []
        self._books: dict[str, int] = {}
        self._reported: dict[str, int] = {}
        self._superseded = 0
        self._withheld = 0
        self.is_closed = False

    # What the exchange does

    def sent(self, connection: Connection, frame: bytes, kind: str) -> None:
        """Enter the events of a frame that goes out to one more client."""
        if self.is_closed:
            return
        if frame is not self._frame:
            self._frame = frame
            self._enter(frame)
        line = self._lines.get(connection)
        if line is None:
            line = self._lines[connection] = Line(connection)
        for entry in self._current:
            if not any(copy.line is line for copy in entry.copies):
                line.sent += 1
                entry.copies.append(Copy(line, line.sent))

    def withheld(self, connection: Connection, frame: bytes) -> None:
        """Note that a fault kept back the copies of the newest frame."""
        if frame is not self._frame:
            return
        for entry in self._current:
            for copy in entry.copies:
                if copy.line.connection is connection:
                    copy.withheld = True

    def close(self) -> None:
        """Enter nothing more: what was sent until now is to be accounted for."""
        self.is_closed = True

    # What the handler gets

    def delivered(self, event: Event) -> None:
        """Strike out an event that the handler got."""
        if isinstance(event, DepthSnapshot):
            self.begin_book(event.symbol, event.sequence)
            return
        identity = identity_of(event)
        entries = self._open.get(identity)
        if entries is None:
            # After the closing the exchange goes on, and what it sends is not entered.
            self.duplicates += not self.is_closed
            return
        self.arrivals += 1
        entry = entries.popleft()
        if not entries:
            del self._open[identity]
        if len(entry.copies) == 1:
            (copy,) = entry.copies
            copy.line.read = max(copy.line.read, copy.position)
        if isinstance(event, DepthUpdate):
            self._extend(event)

    def begin_book(self, symbol: str, sequence: int) -> None:
        """The handler's book is whole as of ``sequence``."""
        self._books[symbol] = sequence

    def gap_reported(self, stream: Stream, first: int, last: int) -> None:
        """``Router.on_gap`` where books are not kept whole."""
        if stream.kind != EventKind.DEPTH_UPDATE:
            return
        self._reported[stream.symbol] = last
        for identity, entries in list(self._open.items()):
            for entry in list(entries):
                if entry.is_depth and entry.symbol == stream.symbol and first <= entry.sequence <= last:
                    entries.remove(entry)
                    self._superseded += 1
            if not entries:
                del self._open[identity]

    # The closing

    def balance(self, losses: int, unfinished: Set[str] = frozenset()) -> Balance:
        """The accounts as they stand.

        ``losses`` are the broken connections that were reported, ``unfinished`` the symbols
        whose updates wait for a snapshot.
        """
        withheld, superseded, waiting = self._withheld, self._superseded, 0
        uncounted = self.holes + self.unreadable
        in_flight: dict[Line, int] = {}
        for entries in self._open.values():
            for entry in entries:
                under_way = [copy for copy in entry.copies if not copy.withheld]
                if entry.is_depth and entry.sequence <= self._books.get(entry.symbol, -1):
                    superseded += 1
                elif not under_way:
                    withheld += 1
                elif entry.is_depth and entry.symbol in unfinished:
                    waiting += 1
                elif any(_is_open(copy.line) or copy.was_overtaken for copy in under_way):
                    uncounted += 1
                else:
                    line = under_way[-1].line
                    in_flight[line] = in_flight.get(line, 0) + 1
        explained = sorted(in_flight.values(), reverse=True)
        return Balance(
            sent=self.entered,
            delivered=self.arrivals,
            withheld=withheld,
            in_flight=sum(explained[:losses]),
            superseded=superseded,
            waiting=waiting,
            lost_uncounted=uncounted + sum(explained[losses:]),
            duplicates_delivered=self.duplicates,
        )

    def _enter(self, frame: bytes) -> None:
        self._put_aside_withheld()
        self._current = []
        is_text = frame[0] & 0x0F == 1
        decoded = self._decoder.decode(frame[_head_bytes(frame) :], is_text)
        for event in decoded if isinstance(decoded, EventBatch) else (decoded,):
            if event.kind > _LAST_MARKET_KIND:
                self.unreadable += 1
            elif not isinstance(event, DepthSnapshot):
                identity = identity_of(event)
                entry = Entry(identity, event.symbol, event.sequence, isinstance(event, DepthUpdate))
                self._open.setdefault(identity, deque()).append(entry)
                self._current.append(entry)
                self.entered += 1

    def _put_aside_withheld(self) -> None:
        """What nobody was sent can never arrive: a long freeze must not fill the memory."""
        for entry in self._current:
            if not all(copy.withheld for copy in entry.copies):
                continue
            entries = self._open[entry.identity]
            entries.remove(entry)
            self._withheld += 1
            if not entries:
                del self._open[entry.identity]

    def _extend(self, update: DepthUpdate) -> None:
        """The handler's book goes on with ``update``: is that what it needs next?"""
        last = self._books.get(update.symbol, -1)
        if last >= 0:
            begins_after = update.prev_sequence if update.prev_sequence >= 0 else update.first_sequence - 1
            if update.sequence <= last:
                self.duplicates += 1
            elif begins_after > last and self._reported.pop(update.symbol, -1) < begins_after:
                self.holes += 1
        self._books[update.symbol] = update.sequence if not self._whole_books or last >= 0 else -1


def identity_of(event: Event) -> Identity:
    """What tells an event of market data from all others of its exchange."""
    common = (event.kind, event.symbol, event.sequence, event.exchange_ts_ns)
    if isinstance(event, Trade):
        return (*common, event.trade_id, event.price, event.size, event.side)
    if isinstance(event, BookTicker):
        return (*common, event.bid_price, event.bid_size, event.ask_price, event.ask_size)
    if isinstance(event, Candle):
        return (*common, event.interval, event.open_ts_ns, event.close, event.volume, event.is_closed)
    return common


def _head_bytes(frame: bytes) -> int:
    """Length of the head of an unmasked frame (RFC 6455 section 5.2)."""
    return {126: 4, 127: 10}.get(frame[1] & 0x7F, 2)


def _is_open(line: Line) -> bool:
    return not line.connection.ended.is_set()
