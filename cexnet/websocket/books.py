"""``BookGuard``: keeps depth streams whole, one book at a time.

The guard sits beside the line, not in it: while a book is whole its updates go straight
to the handler. When an update is missing it *diverts* that stream alone into a buffer,
asks for a snapshot (paced over all books, retried with backoff), and gives the handler
the snapshot as a ``DepthSnapshot`` and then the buffered updates that follow it, in
order. Every other stream goes on untouched.

An update joins a snapshot (or an update) of sequence S when it ends after S and starts at
or before S + 1; one that names its predecessor, when that is at most S. This is the rule
of Binance spot, Gate.io and MEXC (U, u), and of USD-M and OKX (pu, u). Updates that end at
or before S are contained in the snapshot and are dropped, counted as ``superseded``.

Wiring (``guard`` serves one router)::

    router.on_gap = guard.on_gap            # a hole in the sequence
    router.on_restart = guard.on_restart    # the exchange sent a snapshot by itself
    queue.on_gap = guard.recover            # queued delivery dropped a depth event

* Start: ``watch(symbol)`` begins with a snapshot; ``watch(symbol, begin=False)`` for
  exchanges whose stream begins with one (OKX). A book that is never watched is delivered
  as it comes, its gaps counted: a diff stream may be wanted without a book.
* Reconnect: sequences outlive the connection (``Router.leave``), so the next update shows
  a hole by itself. A quiet book may not change for long: call ``recover(symbol)`` once it
  is subscribed again, unless another connection has carried it all the time.
* A provider that returns None has made the exchange send a snapshot in the stream (by
  subscribing again): the guard then waits for ``on_restart``.

websocket knows nothing of http: the factory injects the provider.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from cexnet_core.errors import ConfigurationError, DeadlineExceeded
from cexnet_core.events import DepthUpdate, EventKind
from cexnet_core.ratelimit import RollingWindow
from cexnet_core.route import Router
from cexnet_core.snapshot import depth_snapshot
from cexnet_core.stream import Stream

_logger = logging.getLogger("cexnet.websocket")

Level = tuple[float | str, float | str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole book as the exchange gave it: (price, size) pairs, best first."""

    sequence: int
    bids: Iterable[Level]
    asks: Iterable[Level]
    exchange_ts_ns: int = -1


@dataclass(frozen=True, slots=True)
class BookRecovered:
    """A book is whole again. What was missing, inclusive, and for how long it was held."""

    symbol: str
    gap_first: int
    gap_last: int
    took_ns: int


SnapshotProvider = Callable[[str], Awaitable[Snapshot | None]]


@dataclass(slots=True)
class _Book:
    """A watched book. ``task`` is set while it is not whole."""

    stream: Stream
    updates: deque[DepthUpdate] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None
    restarted: asyncio.Event = field(default_factory=asyncio.Event)
    is_mended: bool = False  # by a snapshot in the stream
    began_ns: int = 0
    gap_first: int = -1  # -1: it has just been watched, nothing was lost
    gap_last: int = -1
    is_joining: bool = False
    broke_again: bool = False


class BookGuard:
    """Recovers the watched books of one router. See the module's text for the wiring.

    ``requests`` snapshots are asked for in any ``window_s`` seconds at most, over all
    books; a failed or too old one is followed by another after a full-jitter pause that
    doubles from ``backoff_s`` up to ``backoff_cap_s``, without end. ``buffered`` updates
    of a book wait at most: beyond, the older ones go, and a newer snapshot is needed.
    ``deadline_s`` bounds one answer. ``on_recovered`` is told of every mended gap.

    It owns a task for each book that is not whole; ``close()`` ends them. Not
    thread-safe: use it from the loop that runs the connections.
    """

    def __init__(
        self,
        router: Router,
        provider: SnapshotProvider,
        *,
        on_recovered: Callable[[BookRecovered], object] | None = None,
        requests: int = 5,
        window_s: float = 1.0,
        backoff_s: float = 0.05,
        backoff_cap_s: float = 5.0,
        deadline_s: float = 10.0,
        buffered: int = 10_000,
    ) -> None:
        if buffered < 1:
            raise ConfigurationError(f"BookGuard buffers at least one update a book, not {buffered}")
        self.recovered = 0
        self.failures = 0
        self.superseded = 0
        self._router = router
        self._provider = provider
        self._on_recovered = on_recovered
        self._pace = RollingWindow(requests, window_s)
        self._backoff_s = backoff_s
        self._backoff_cap_s = backoff_cap_s
        self._deadline_s = deadline_s
        self._buffered = buffered
        self._books: dict[str, _Book] = {}

    @property
    def recovering(self) -> tuple[str, ...]:
        """Symbols whose book is not whole now."""
        return tuple(symbol for symbol, book in self._books.items() if book.task is not None)

    def watch(self, symbol: str, *, begin: bool = True) -> None:
        """Keep the book of ``symbol`` whole; ``begin``: with a snapshot, at once.

        Raises ConfigurationError when the router has no depth stream of that symbol.
        """
        stream = self._router.get(EventKind.DEPTH_UPDATE, symbol)
        if stream is None:
            raise ConfigurationError(f"no depth stream of {symbol!r} to guard: subscribe to it first")
        if symbol not in self._books:
            self._books[symbol] = book = _Book(stream)
            if begin:
                self._begin(book)

    async def unwatch(self, symbol: str) -> None:
        """Deliver ``symbol`` as it comes from now on. Unknown: no effect."""
        book = self._books.pop(symbol, None)
        if book is not None:
            await self._end((book,))

    def recover(self, symbol: str) -> None:
        """Mend a book of which something was lost behind the router. Not watched: no effect."""
        book = self._books.get(symbol)
        if book is None:
            return
        if book.is_joining:
            book.broke_again = True
        elif book.task is None:
            book.gap_first, book.gap_last = max(book.stream.last_sequence, 0) + 1, -1
            self._begin(book)
        elif book.is_mended:
            self._divert(book)

    def on_gap(self, stream: Stream, first: int, last: int) -> None:
        """``Router.on_gap``: updates ``first`` to ``last`` are missing from a stream."""
        book = self._books.get(stream.symbol)
        if book is None or book.stream is not stream:
            return
        if book.task is None:
            book.gap_first, book.gap_last = first, last
            self._begin(book)
            return
        if book.gap_first < 0:
            book.gap_first = first
        book.gap_last = last
        if book.is_mended:
            self._divert(book)
        self._discard(book)  # no snapshot joins updates before the new hole to those after it

    def on_restart(self, stream: Stream) -> None:
        """``Router.on_restart``: the stream itself brings the snapshot, right after this."""
        book = self._books.get(stream.symbol)
        if book is not None and book.task is not None:
            self._discard(book)
            stream.restore()
            book.is_mended = True
            book.restarted.set()

    async def close(self) -> None:
        """End every recovery; the streams are delivered as they come. Idempotent."""
        books = tuple(self._books.values())
        self._books.clear()
        await self._end(books)

    async def _end(self, books: tuple[_Book, ...]) -> None:
        tasks = [book.task for book in books if book.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for book in books:
            self._discard(book)
            book.stream.restore()

    def _begin(self, book: _Book) -> None:
        book.began_ns = time.monotonic_ns()
        self._divert(book)
        name = f"cexnet-book-{book.stream.symbol}"
        book.task = asyncio.create_task(self._recover(book), name=name)

    def _divert(self, book: _Book) -> None:
        def keep(update: DepthUpdate) -> None:
            if len(book.updates) == self._buffered:
                book.updates.popleft()
                self.superseded += 1
            book.updates.append(update)

        book.is_mended = False
        book.stream.mark_gapped()
        book.stream.divert(keep)

    def _discard(self, book: _Book) -> None:
        self.superseded += len(book.updates)
        book.updates.clear()

    async def _recover(self, book: _Book) -> None:
        pause_s = self._backoff_s
        while not await self._attempt(book):
            await asyncio.sleep(random.uniform(0, pause_s))  # noqa: S311 - spreads load, hides nothing
            pause_s = min(2 * pause_s, self._backoff_cap_s)
        book.task = None
        if book.gap_first >= 0:
            took_ns = time.monotonic_ns() - book.began_ns
            self._report(BookRecovered(book.stream.symbol, book.gap_first, book.gap_last, took_ns))
            book.gap_first = book.gap_last = -1

    async def _attempt(self, book: _Book) -> bool:
        """Ask for one snapshot and join it; whether the book is whole now."""
        symbol = book.stream.symbol
        while wait_ns := self._pace.try_acquire(1):
            await asyncio.sleep(wait_ns / 1e9)
        book.restarted.clear()
        try:
            async with asyncio.timeout(self._deadline_s):
                snapshot = None if book.is_mended else await self._provider(symbol)
                if snapshot is not None and not book.is_mended:
                    return self._join(book, snapshot)
                if not book.is_mended:
                    await book.restarted.wait()
            return book.is_mended  # not, when another update was lost since
        except TimeoutError:
            error: Exception = DeadlineExceeded(f"no snapshot of {symbol} within {self._deadline_s:g} s")
            _logger.warning("%s; trying again", error)
        except Exception:
            _logger.exception("snapshot of %s failed; trying again", symbol)
        self.failures += 1
        return False

    def _join(self, book: _Book, snapshot: Snapshot) -> bool:
        """Deliver the snapshot and what follows it. False, and nothing delivered: it is too old."""
        stream = book.stream
        last = snapshot.sequence
        follow: list[DepthUpdate] = []
        for update in book.updates:
            if update.sequence <= last:
                continue
            if not _joins(update, last):
                return False
            follow.append(update)
            last = update.sequence
        if last < stream.last_sequence:
            return False
        whole = depth_snapshot(
            self._router.symbols,
            stream.symbol,
            snapshot.sequence,
            snapshot.bids,
            snapshot.asks,
            exchange_ts_ns=snapshot.exchange_ts_ns,
            receive_ts_ns=time.time_ns(),
        )
        self.superseded += len(book.updates) - len(follow)
        book.updates.clear()
        book.is_joining, book.broke_again = True, False
        self._router.deliver(stream, whole)
        for update in follow:
            self._router.deliver(stream, update)
        book.is_joining = False
        if book.broke_again:
            return False
        if book.gap_last < 0:
            book.gap_last = snapshot.sequence
        stream.resume(last)
        stream.restore()
        return True

    def _report(self, recovered: BookRecovered) -> None:
        self.recovered += 1
        _logger.info("book recovered: %s", recovered)
        if self._on_recovered is not None:
            try:
                self._on_recovered(recovered)
            except (Exception, asyncio.CancelledError):  # called inline: a cancellation is its own
                _logger.exception("on_recovered callback failed on %s", recovered)


def _joins(update: DepthUpdate, last: int) -> bool:
    """Whether an update that ends after ``last`` leaves nothing out between."""
    if update.prev_sequence >= 0:
        return update.prev_sequence <= last
    return update.first_sequence <= last + 1
