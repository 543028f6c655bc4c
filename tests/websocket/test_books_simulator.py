"""Books against the embedded exchanges: snapshots over real HTTP, updates over real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from cexnet.exchanges import get_exchange
from cexnet.simulator import Simulator
from cexnet.types import Channel, Subscription
from cexnet.websocket import WebSocketManager
from cexnet.websocket.books import BookGuard, BookRecovered, Snapshot
from cexnet_core.events import DepthSnapshot, EventKind

# Where each exchange serves its snapshot, and what it calls the sequence.
DEPTH = {
    "binance": ("/api/v3/depth?symbol={}&limit=5000", "lastUpdateId"),
    "binance_usdm": ("/fapi/v1/depth?symbol={}&limit=1000", "lastUpdateId"),
    "mexc": ("/api/v3/depth?symbol={}&limit=5000", "lastUpdateId"),
    "gateio": ("/api/v4/spot/order_book?currency_pair={}&limit=100&with_id=true", "id"),
}
GAPS = 5
COMPARED = 20


class Book:
    """Best levels of one book, rebuilt from events."""

    def __init__(self) -> None:
        self.sequence = -1
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}

    def apply(self, event: Any) -> None:
        if isinstance(event, DepthSnapshot):
            self.bids, self.asks = {}, {}
        elif event.sequence <= self.sequence:
            return
        self.sequence = event.sequence
        for side, levels in ((self.bids, event.bids), (self.asks, event.asks)):
            side.update(levels.tolist())
            for price in [price for price, size in side.items() if size == 0]:
                del side[price]

    def best(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        bids = sorted(self.bids.items(), reverse=True)[:COMPARED]
        return bids, sorted(self.asks.items())[:COMPARED]


@pytest.mark.parametrize("name", DEPTH)
async def test_book_is_that_of_the_exchange_after_gaps(name: str) -> None:
    exchange = get_exchange(name)
    symbols = exchange.symbols[:2]
    guarded, other = symbols
    path, sequence_key = DEPTH[name]
    events: dict[str, list[Any]] = {symbol: [] for symbol in symbols}
    recovered: asyncio.Queue[BookRecovered] = asyncio.Queue()
    arrived = asyncio.Event()

    def handler(event: Any) -> None:
        events[event.symbol].append(event)
        arrived.set()

    async with Simulator(name, symbols, rate_per_s=2000) as simulator, aiohttp.ClientSession() as session:

        async def provide(symbol: str) -> Snapshot:
            async with session.get(simulator.rest_url + path.format(symbol)) as response:
                answer = await response.json()
            return Snapshot(answer[sequence_key], answer["bids"], answer["asks"])

        async def until_next(symbol: str) -> None:
            count = len(events[symbol])
            while len(events[symbol]) == count:
                arrived.clear()
                await arrived.wait()

        manager = WebSocketManager(exchange.websocket_strategies(simulator.ws_url), name=name)
        async with manager, asyncio.timeout(60):
            guard = BookGuard(manager.router, provide, on_recovered=recovered.put_nowait, requests=100)
            manager.router.on_gap = guard.on_gap
            await manager.initialize([Subscription(Channel.DEPTH, symbol) for symbol in symbols], handler)
            guard.watch(guarded)
            guard.watch(other)
            stream = manager.router.get(EventKind.DEPTH_UPDATE, guarded)
            assert stream is not None
            await until_next(guarded)
            for _ in range(GAPS):
                await until_next(guarded)
                while guard.recovering:
                    await until_next(other)
                stream.resume(stream.last_sequence - 1)  # as if the newest update had been lost
                report = await recovered.get()
                assert report.symbol == guarded
            whole = await provide(guarded)
            while events[guarded][-1].sequence <= whole.sequence or guard.recovering:
                await until_next(guarded)
            await guard.close()
        # From the first snapshot on, the handler got whole books and what follows them.
        ours, theirs = Book(), Book()
        first = next(i for i, event in enumerate(events[guarded]) if isinstance(event, DepthSnapshot))
        for event in events[guarded][first:]:
            if not isinstance(event, DepthSnapshot):
                begins_after = event.prev_sequence if event.prev_sequence >= 0 else event.first_sequence - 1
                assert begins_after <= ours.sequence
            ours.apply(event)
        theirs.sequence = whole.sequence
        theirs.bids = {float(price): float(size) for price, size, *_ in whole.bids}
        theirs.asks = {float(price): float(size) for price, size, *_ in whole.asks}
        for event in events[guarded]:
            if not isinstance(event, DepthSnapshot):
                theirs.apply(event)
        assert ours.sequence == theirs.sequence
        assert ours.best() == theirs.best()
        assert sum(isinstance(event, DepthSnapshot) for event in events[other]) == 1
        assert guard.recovered == GAPS
