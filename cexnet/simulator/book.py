"""A limit order book with price-time priority, in integer ticks and lots."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

BUY = 1
SELL = -1

TimeInForce = Literal["gtc", "ioc", "fok"]


@dataclass(slots=True, eq=False)
class Order:
    """One order. ``price`` is in ticks (``None``: at market), quantities in lots.

    ``side`` is :data:`BUY` or :data:`SELL`. ``owned`` marks a client's order, which
    the random flow leaves alone.
    """

    order_id: int
    side: int
    price: int | None
    quantity: int
    remaining: int
    owned: bool = False


class Fill(NamedTuple):
    """One match: the resting order, at its price in ticks, for ``quantity`` lots."""

    maker: Order
    price: int
    quantity: int


class _Side:
    """One side. Keys sort so that the best price is last: price for bids, -price for asks."""

    __slots__ = ("keys", "queues", "sign", "totals")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.queues: dict[int, dict[int, Order]] = {}
        self.totals: dict[int, int] = {}

    def best(self) -> int | None:
        return self.keys[-1] * self.sign if self.keys else None

    def prices(self) -> Iterator[int]:
        return (key * self.sign for key in reversed(self.keys))

    def add(self, order: Order, price: int) -> None:
        queue = self.queues.get(price)
        if queue is None:
            insort(self.keys, price * self.sign)
            queue = self.queues[price] = {}
            self.totals[price] = 0
        queue[order.order_id] = order
        self.totals[price] += order.remaining

    def reduce(self, order: Order, price: int, lots: int) -> None:
        order.remaining -= lots
        self.totals[price] -= lots
        if not order.remaining:
            self._remove(order.order_id, price)

    def take_out(self, order: Order, price: int) -> None:
        self.totals[price] -= order.remaining
        self._remove(order.order_id, price)

    def _remove(self, order_id: int, price: int) -> None:
        queue = self.queues[price]
        del queue[order_id]
        if not queue:
            del self.queues[price], self.totals[price]
            del self.keys[bisect_left(self.keys, price * self.sign)]


class OrderBook:
    """Matches orders and remembers which levels changed.

    ``sequence`` grows by one with every change of a level; ``changed`` collects the
    ``(side, price)`` of levels touched since its owner last cleared it.
    """

    __slots__ = ("_asks", "_bids", "_orders", "changed", "sequence")

    def __init__(self, sequence: int = 0) -> None:
        self._bids = _Side(1)
        self._asks = _Side(-1)
        self._orders: dict[int, Order] = {}
        self.sequence = sequence
        self.changed: set[tuple[int, int]] = set()

    def __contains__(self, order_id: int) -> bool:
        return order_id in self._orders

    def __len__(self) -> int:
        return len(self._orders)

    def best(self, side: int) -> int | None:
        """Best price of ``side`` in ticks, or ``None`` when it is empty."""
        return self._side(side).best()

    def top(self, side: int) -> tuple[int, int]:
        """Best price of ``side`` and its lots; zeros when it is empty."""
        book_side = self._side(side)
        if not book_side.keys:
            return 0, 0
        price = book_side.keys[-1] * book_side.sign
        return price, book_side.totals[price]

    def total(self, side: int, price: int) -> int:
        """Lots resting on ``side`` at ``price``; 0 when there is no such level."""
        return self._side(side).totals.get(price, 0)

    def level_count(self, side: int) -> int:
        """Number of price levels on ``side``."""
        return len(self._side(side).keys)

    def price_at(self, side: int, index: int) -> int:
        """Price of the level ``index`` steps from the best (0). Raises ``IndexError``."""
        book_side = self._side(side)
        return book_side.keys[-1 - index] * book_side.sign

    def orders_at(self, side: int, price: int) -> Iterator[Order]:
        """The orders of one level, oldest first."""
        return iter(self._side(side).queues.get(price, {}).values())

    def levels(self, side: int, limit: int) -> list[tuple[int, int]]:
        """The best ``limit`` levels as ``(price, lots)``, best first."""
        book_side = self._side(side)
        keys, sign, totals = book_side.keys, book_side.sign, book_side.totals
        return [(key * sign, totals[key * sign]) for key in keys[: -limit - 1 : -1]]

    def crosses(self, side: int, price: int) -> bool:
        """Whether an order of ``side`` at ``price`` would match at once."""
        best = self.best(-side)
        return best is not None and (price - best) * side >= 0

    def available(self, side: int, price: int | None, wanted: int) -> tuple[int, int]:
        """Lots (at most ``wanted``) that an order could take now, and their cost.

        The cost is in tick-lots: the sum of price times quantity.
        """
        lots = cost = 0
        opposite = self._side(-side)
        for level in opposite.prices():
            if lots == wanted or (price is not None and (price - level) * side < 0):
                break
            take = min(wanted - lots, opposite.totals[level])
            lots += take
            cost += take * level
        return lots, cost

    def submit(
        self,
        order: Order,
        time_in_force: TimeInForce = "gtc",
        budget: int | None = None,
    ) -> list[Fill]:
        """Match ``order``; what is left of a GTC limit order rests in the book.

        ``budget`` bounds the money spent, in tick-lots (market orders given in quote
        currency). An order that ends here keeps its unfilled part in ``remaining``.
        """
        if time_in_force == "fok":
            lots, _ = self.available(order.side, order.price, order.remaining)
            if lots < order.remaining:
                return []
        fills = self._match(order, budget)
        if order.remaining and order.price is not None and time_in_force == "gtc":
            self._side(order.side).add(order, order.price)
            self._orders[order.order_id] = order
            self._touch(order.side, order.price)
        return fills

    def cancel(self, order_id: int) -> Order | None:
        """Take a resting order out; ``None`` when it is not in the book."""
        order = self._orders.pop(order_id, None)
        if order is None:
            return None
        assert order.price is not None  # only limit orders rest
        self._side(order.side).take_out(order, order.price)
        self._touch(order.side, order.price)
        return order

    def _match(self, order: Order, budget: int | None) -> list[Fill]:
        fills: list[Fill] = []
        opposite = self._side(-order.side)
        while order.remaining and opposite.keys:
            price = opposite.keys[-1] * opposite.sign
            if order.price is not None and (order.price - price) * order.side < 0:
                break
            maker = next(iter(opposite.queues[price].values()))
            lots = min(order.remaining, maker.remaining)
            if budget is not None:
                lots = min(lots, budget // price)
                if not lots:
                    break
                budget -= lots * price
            opposite.reduce(maker, price, lots)
            order.remaining -= lots
            if not maker.remaining:
                del self._orders[maker.order_id]
            self._touch(-order.side, price)
            fills.append(Fill(maker, price, lots))
        return fills

    def _touch(self, side: int, price: int) -> None:
        self.sequence += 1
        self.changed.add((side, price))

    def _side(self, side: int) -> _Side:
        return self._bids if side == BUY else self._asks
