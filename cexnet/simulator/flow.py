"""Seeded random order flow: what moves the book when no client does."""

from __future__ import annotations

import random
from itertools import islice

from cexnet.simulator.book import BUY, SELL, Order
from cexnet.simulator.decimals import parse_units
from cexnet.simulator.market import Market
from cexnet.simulator.symbols import typical_lots

_LEVELS = 60  # levels a side is filled with at the start
_MOST_LEVELS = 250  # beyond this the far end is cancelled
_MOST_AT_BEST = 6  # orders at the best price before cancels win over adds
_WIDEST_TICKS = 12  # a wider spread draws an order inside


class Flow:
    """Places, cancels and crosses orders at random, the same way for the same seed.

    ``next_order_id`` is shared with client orders so that ids never collide.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed).random
        self._typical: dict[str, int] = {}
        self._next_order_id = 1_000_000

    def next_order_id(self) -> int:
        """A fresh order id."""
        self._next_order_id += 1
        return self._next_order_id

    def populate(self, market: Market) -> None:
        """Fill an empty book around the start price."""
        spec = market.spec
        middle = max(_LEVELS + 2, parse_units(spec.start_price, spec.price_decimals))
        market.last_price = middle
        self._typical[spec.symbol] = typical_lots(spec, middle)
        for side in (BUY, SELL):
            price = middle - side
            for _ in range(_LEVELS):
                self._rest(market, side, price)
                price -= side * self._pick(1, 3)
                if price < 1:
                    break

    def step(self, market: Market) -> None:
        """One random action: most change the best level, some trade, some go deep."""
        chance = self._chance()
        side = BUY if self._chance() < 0.5 else SELL
        best, opposite = market.book.best(side), market.book.best(-side)
        if best is None or market.book.level_count(side) < _LEVELS // 3:
            self._refill(market, side, opposite)
        elif opposite is not None and abs(opposite - best) > _WIDEST_TICKS:
            self._rest(market, side, best + side * self._pick(1, _WIDEST_TICKS // 2))
        elif chance < 0.15:
            self._trade(market, side)
        elif chance < 0.70:
            self._move_best(market, side, best, opposite)
        elif market.book.level_count(side) > _MOST_LEVELS:
            self._cancel_at(market, side, market.book.level_count(side) - 1)
        elif chance < 0.85:
            self._rest(market, side, max(1, best - side * self._pick(1, _LEVELS)))
        else:
            depth = min(market.book.level_count(side) - 1, _LEVELS)
            self._cancel_at(market, side, self._pick(1, depth))

    def _refill(self, market: Market, side: int, opposite: int | None) -> None:
        edge = market.book.best(side)
        if edge is None:
            edge = (opposite or market.last_price) - side
        self._rest(market, side, max(1, edge - side * self._pick(0, _LEVELS // 2)))

    def _move_best(self, market: Market, side: int, best: int, opposite: int | None) -> None:
        waiting = sum(1 for _ in islice(market.book.orders_at(side, best), _MOST_AT_BEST))
        if opposite is not None and abs(opposite - best) > 1 and self._chance() < 0.25:
            self._rest(market, side, best + side)
        elif self._pick(0, _MOST_AT_BEST) >= waiting:
            self._rest(market, side, best)
        else:
            self._cancel_at(market, side, 0)

    def _trade(self, market: Market, side: int) -> None:
        lots = self._lots(market) // 2 + 1
        market.submit(Order(self.next_order_id(), side, None, lots, lots), "ioc")

    def _rest(self, market: Market, side: int, price: int) -> None:
        lots = self._lots(market)
        market.submit(Order(self.next_order_id(), side, price, lots, lots))

    def _cancel_at(self, market: Market, side: int, index: int) -> None:
        price = market.book.price_at(side, index)
        ours = (order for order in market.book.orders_at(side, price) if not order.owned)
        order = next(ours, None)
        if order is not None:
            market.cancel(order.order_id)

    def _lots(self, market: Market) -> int:
        return 1 + int(self._chance() * self._typical[market.spec.symbol] * 1.25)

    def _pick(self, least: int, most: int) -> int:
        return least + int(self._chance() * (most - least + 1))
