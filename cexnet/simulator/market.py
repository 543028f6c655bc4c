"""One traded symbol: its rules, its book and the public data that the book gives off."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cexnet.simulator.book import BUY, SELL, Order, OrderBook, TimeInForce


@dataclass(frozen=True, slots=True)
class MarketSpec:
    """Trading rules of a symbol, in the exchange's own spelling.

    One tick is 10**-price_decimals, one lot 10**-quantity_decimals. ``start_price``
    and ``min_notional`` are decimal text in quote currency.
    """

    symbol: str
    base: str
    quote: str
    price_decimals: int
    quantity_decimals: int
    start_price: str
    min_notional: str = "5"


class Trade(NamedTuple):
    """A public trade. ``side`` is the aggressor's; price in ticks, quantity in lots."""

    trade_id: int
    side: int
    price: int
    quantity: int
    time_ns: int
    maker: Order


class Ticker(NamedTuple):
    """Best bid and ask in ticks and lots (zeros when a side is empty)."""

    bid: int
    bid_lots: int
    ask: int
    ask_lots: int


class DepthChange(NamedTuple):
    """Levels changed from ``first`` to ``last`` sequence; lots 0 removes a level."""

    first: int
    last: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


class MarketSink(Protocol):
    """Whoever turns market events into the exchange's messages."""

    def on_trade(self, market: Market, trade: Trade) -> None:
        """A trade happened."""

    def on_ticker(self, market: Market, ticker: Ticker) -> None:
        """The best bid or ask changed."""

    def push_candle(self, market: Market, candle: Candle, closed: bool) -> None:
        """A candle as it stands, or for the last time when ``closed``."""


class DepthFeed:
    """Levels changed since the last flush of one update speed."""

    __slots__ = ("_changed", "_last", "_market")

    def __init__(self, market: Market) -> None:
        self._market = market
        self._changed: set[tuple[int, int]] = set()
        self._last = market.book.sequence

    def note(self, changed: set[tuple[int, int]]) -> None:
        """Remember changed ``(side, price)`` levels."""
        self._changed |= changed

    def flush(self) -> DepthChange | None:
        """What changed since the last flush, or ``None`` when nothing did."""
        if not self._changed:
            return None
        book = self._market.book
        bids = sorted(((p, book.total(BUY, p)) for s, p in self._changed if s == BUY), reverse=True)
        asks = sorted((p, book.total(SELL, p)) for s, p in self._changed if s == SELL)
        first, self._last = self._last + 1, book.sequence
        self._changed.clear()
        return DepthChange(first, self._last, bids, asks)


class Candle:
    """Open, high, low, close and volumes of one interval (ticks, lots, tick-lots)."""

    __slots__ = (
        "close", "first_id", "high", "interval_s", "last_id", "low", "open",
        "open_s", "quote", "taker_quote", "taker_volume", "trades", "volume",
    )  # fmt: skip

    def __init__(self, interval_s: int, open_s: int, price: int) -> None:
        self.interval_s = interval_s
        self.open_s = open_s
        self.open = self.high = self.low = self.close = price
        self.volume = self.quote = self.taker_volume = self.taker_quote = self.trades = 0
        self.first_id = self.last_id = -1

    @property
    def end_s(self) -> int:
        """First second after the interval."""
        return self.open_s + self.interval_s

    def add(self, trade: Trade) -> None:
        """Count one trade."""
        price = self.close = trade.price
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.volume += trade.quantity
        self.quote += price * trade.quantity
        if trade.side == BUY:
            self.taker_volume += trade.quantity
            self.taker_quote += price * trade.quantity
        self.trades += 1
        self.last_id = trade.trade_id
        if self.first_id < 0:
            self.first_id = trade.trade_id


class Market:
    """A symbol with its book; every order and cancel goes through here.

    Loop rule: used from one thread only; nothing here awaits.
    """

    def __init__(
        self, spec: MarketSpec, intervals_ms: tuple[int, ...], sink: MarketSink, sequence: int
    ) -> None:
        self.spec = spec
        self.book = OrderBook(sequence)
        self.feeds = {interval: DepthFeed(self) for interval in intervals_ms}
        self.candles: dict[int, Candle] = {}
        self.trade_id = sequence // 7
        self.last_price = 0
        self.ticker = Ticker(0, 0, 0, 0)
        self._sink = sink

    def submit(
        self, order: Order, time_in_force: TimeInForce = "gtc", budget: int | None = None
    ) -> list[Trade]:
        """Match an order and give off trades, ticker and depth changes.

        ``budget`` is in tick-lots; see :meth:`OrderBook.submit`.
        """
        fills = self.book.submit(order, time_in_force, budget)
        trades = []
        if fills:
            now_ns = time.time_ns()
            self.close_candles(now_ns // 10**9)
            for fill in fills:
                self.trade_id += 1
                trade = Trade(self.trade_id, order.side, fill.price, fill.quantity, now_ns, fill.maker)
                self.last_price = fill.price
                for candle in self.candles.values():
                    candle.add(trade)
                trades.append(trade)
                self._sink.on_trade(self, trade)
        self._after_change()
        return trades

    def cancel(self, order_id: int) -> Order | None:
        """Take a resting order out; ``None`` when it is not in the book."""
        order = self.book.cancel(order_id)
        if order is not None:
            self._after_change()
        return order

    def candle(self, interval_s: int, now_s: int) -> Candle:
        """The candle that is open now, kept up to date from the first call on."""
        candle = self.candles.get(interval_s)
        if candle is None:
            open_s = now_s - now_s % interval_s
            candle = self.candles[interval_s] = Candle(interval_s, open_s, self.last_price)
        return candle

    def close_candles(self, now_s: int) -> None:
        """Give off the candles whose interval is over and start the next ones."""
        for candle in list(self.candles.values()):
            while now_s >= candle.end_s:
                self._sink.push_candle(self, candle, True)
                candle = Candle(candle.interval_s, candle.end_s, self.last_price)
                self.candles[candle.interval_s] = candle

    def _after_change(self) -> None:
        book = self.book
        if not book.changed:
            return
        for feed in self.feeds.values():
            feed.note(book.changed)
        book.changed.clear()
        now = (*book.top(BUY), *book.top(SELL))
        if now != self.ticker:
            self.ticker = Ticker(*now)
            self._sink.on_ticker(self, self.ticker)
