"""The demo's accounts must not balance when the receiving side is at fault."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cexnet.cli.ledger import Balance, Ledger
from cexnet.exchanges import get_exchange
from cexnet.simulator import Fault, Simulator
from cexnet.simulator.connection import Connection
from cexnet.types import Channel, Subscription
from cexnet.websocket import SessionState, StateChange, WebSocketManager
from cexnet_core.events import DepthUpdate

PATIENCE_S = 30.0
SYMBOLS = ("BTCUSDT", "ETHUSDT")
TICKERS = [Subscription(Channel.BOOK_TICKER, symbol) for symbol in SYMBOLS]
DEPTH = [Subscription(Channel.DEPTH, symbol) for symbol in SYMBOLS]


class Books:
    """A ledger as the simulator's witness, a handler that feeds it, and a way to wait."""

    def __init__(self, *, whole_books: bool = False) -> None:
        self.ledger = Ledger(get_exchange("binance").schema, whole_books=whole_books)
        self.losses = 0
        self.events = 0
        self._moved = asyncio.Event()

    def sent(self, connection: Connection, frame: bytes, kind: str) -> None:
        self.ledger.sent(connection, frame, kind)

    def withheld(self, connection: Connection, frame: bytes) -> None:
        self.ledger.withheld(connection, frame)

    def struck(self, fault: Fault) -> None:
        self._moved.set()

    def on_event(self, event: Any) -> None:
        self.events += 1
        self.ledger.delivered(event)
        self._moved.set()

    def on_state(self, change: StateChange) -> None:
        self.losses += change.state is SessionState.BACKING_OFF
        self._moved.set()

    def balance(self) -> Balance:
        return self.ledger.balance(self.losses)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._moved.clear()
                await self._moved.wait()

    async def more(self, events: int) -> None:
        enough = self.events + events
        await self.until(lambda: self.events >= enough)

    async def settled(self) -> Balance:
        """The accounts once what was under way has arrived; more events come meanwhile."""
        self.ledger.close()
        await self.more(100)
        return self.balance()


@asynccontextmanager
async def exchange(books: Books, *faults: str) -> AsyncIterator[Simulator]:
    async with Simulator("binance", SYMBOLS, rate_per_s=1000, faults=faults) as simulator:
        simulator.witness = books
        yield simulator


def manager(simulator: Simulator, books: Books, **options: Any) -> WebSocketManager:
    strategies = get_exchange("binance").websocket_strategies(simulator.ws_url)
    return WebSocketManager(strategies, on_state=books.on_state, **options)


async def test_a_clean_run_balances() -> None:
    books = Books()
    async with exchange(books) as simulator, manager(simulator, books) as stream:
        await stream.initialize([*TICKERS, *DEPTH], books.on_event)
        await books.more(300)
        balance = await books.settled()
    assert balance.sent == balance.delivered >= 300
    assert balance.lost_uncounted == balance.duplicates_delivered == 0


async def test_a_handler_that_misses_events_is_found_out() -> None:
    books = Books()
    missed = 0

    def forgetful(event: Any) -> None:
        nonlocal missed
        if event.sequence % 10 == 0 and not books.ledger.is_closed:
            missed += 1
        else:
            books.on_event(event)

    async with exchange(books) as simulator, manager(simulator, books) as stream:
        await stream.initialize(TICKERS, forgetful)
        await books.more(300)
        balance = await books.settled()
    assert balance.lost_uncounted == missed > 0


async def test_a_handler_that_hears_twice_is_found_out() -> None:
    books = Books()

    def echo(event: Any) -> None:
        books.on_event(event)
        books.on_event(event)

    async with exchange(books) as simulator, manager(simulator, books) as stream:
        await stream.initialize(TICKERS, echo)
        await books.more(300)
        balance = books.balance()
    assert balance.duplicates_delivered == balance.delivered > 0


async def test_two_managers_that_do_not_know_each_other_double_everything() -> None:
    books = Books()
    async with (
        exchange(books) as simulator,
        manager(simulator, books) as one,
        manager(simulator, books) as two,
    ):
        await one.initialize(TICKERS, books.on_event)
        await two.initialize(TICKERS, books.on_event)
        await books.more(300)
        assert books.balance().duplicates_delivered > 0


async def test_redundancy_and_rolls_double_nothing() -> None:
    books = Books()
    async with exchange(books) as simulator, manager(simulator, books, redundancy=2) as stream:
        await stream.initialize([*TICKERS, *DEPTH], books.on_event)
        for _ in range(3):
            await books.more(100)
            await stream.roll()
        balance = await books.settled()
    assert balance.lost_uncounted == balance.duplicates_delivered == 0


async def test_a_gap_that_is_not_mended_leaves_a_hole_in_whole_books() -> None:
    books = Books(whole_books=True)
    struck_books: list[str] = []

    def with_snapshot_first(event: Any) -> None:
        # As if a guard had begun the book with a snapshot, and then never looked again.
        if isinstance(event, DepthUpdate) and event.symbol not in struck_books:
            struck_books.append(event.symbol)
            books.ledger.begin_book(event.symbol, event.first_sequence - 1)
        books.on_event(event)

    async with (
        exchange(books, "gap:after=3,times=4") as simulator,
        manager(simulator, books) as stream,
    ):
        await stream.initialize(DEPTH, with_snapshot_first)
        await books.until(lambda: simulator.stats.faults["gap"] == 4)
        await books.more(8)
        balance = books.balance()
    assert balance.lost_uncounted > 0


async def test_a_gap_that_is_reported_is_accounted_for() -> None:
    books = Books()
    async with (
        exchange(books, "gap:after=3,times=4") as simulator,
        manager(simulator, books) as stream,
    ):
        stream.router.on_gap = books.ledger.gap_reported
        await stream.initialize(DEPTH, books.on_event)
        await books.until(lambda: simulator.stats.faults["gap"] == 4)
        await books.more(8)
        balance = books.balance()
    assert balance.withheld + balance.superseded >= 4
    assert books.ledger.holes == 0


@pytest.mark.parametrize("is_reported", [True, False])
async def test_what_was_in_flight_needs_a_reported_loss(is_reported: bool) -> None:
    books = Books()
    async with exchange(books) as simulator, manager(simulator, books) as stream:
        await stream.initialize(TICKERS, books.on_event)
        await books.more(50)
        (connection,) = simulator.connections
        for market in simulator.markets.values():
            for _ in range(50):
                simulator.flow.step(market)
        books.ledger.close()
        under_way = books.balance().lost_uncounted
        connection.take_gathered()  # what the kernel loses of a broken connection
        connection.reset_after(b"")
        await books.until(lambda: books.losses == 1)
        await connection.ended.wait()
        balance = books.ledger.balance(losses=int(is_reported))
    assert under_way > 0
    assert (balance.in_flight, balance.lost_uncounted) == ((under_way, 0) if is_reported else (0, under_way))
