"""The matching book against an obvious, slow one: a plain list searched every time."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from cexnet.simulator.book import BUY, SELL, Order, OrderBook

PRICES = st.integers(min_value=1, max_value=12)
LOTS = st.integers(min_value=1, max_value=9)


@dataclass
class Resting:
    order_id: int
    side: int
    price: int
    lots: int


class SlowBook:
    """Keeps orders in one list by arrival; finds the best by looking at all of them."""

    def __init__(self) -> None:
        self.orders: list[Resting] = []

    def submit(
        self, order_id: int, side: int, price: int | None, lots: int, rule: str, budget: int | None
    ) -> list[tuple[int, int, int]]:
        if rule == "fok" and self.reachable(side, price) < lots:
            return []
        fills = []
        while lots:
            makers = [o for o in self.orders if o.side == -side and self.meets(side, price, o.price)]
            if not makers:
                break
            best = min(o.price * side for o in makers)
            maker = next(o for o in makers if o.price * side == best)
            take = min(lots, maker.lots)
            if budget is not None:
                take = min(take, budget // maker.price)
                if take == 0:
                    break
                budget -= take * maker.price
            fills.append((maker.order_id, maker.price, take))
            lots -= take
            maker.lots -= take
            self.orders = [o for o in self.orders if o.lots]
        if lots and price is not None and rule == "gtc":
            self.orders.append(Resting(order_id, side, price, lots))
        return fills

    def meets(self, side: int, price: int | None, other: int) -> bool:
        return price is None or price * side >= other * side

    def reachable(self, side: int, price: int | None) -> int:
        return sum(o.lots for o in self.orders if o.side == -side and self.meets(side, price, o.price))

    def levels(self, side: int) -> list[tuple[int, int]]:
        totals: dict[int, int] = {}
        for order in self.orders:
            if order.side == side:
                totals[order.price] = totals.get(order.price, 0) + order.lots
        return sorted(totals.items(), reverse=side == BUY)


PLACE = st.tuples(
    st.sampled_from([BUY, SELL]),
    st.none() | PRICES,
    LOTS,
    st.sampled_from(["gtc", "ioc", "fok"]),
    st.none() | st.integers(min_value=0, max_value=80),
)
CANCEL = st.integers(min_value=1, max_value=40)


@given(st.lists(PLACE | CANCEL, max_size=60))
def test_matches_as_the_slow_book_does(actions: list[object]) -> None:
    book, slow = OrderBook(sequence=100), SlowBook()
    for order_id, action in enumerate(actions, start=1):
        before = book.sequence
        if isinstance(action, int):
            known = any(o.order_id == action for o in slow.orders)
            slow.orders = [o for o in slow.orders if o.order_id != action]
            assert (book.cancel(action) is not None) == known
        else:
            side, price, lots, rule, budget = action
            order = Order(order_id, side, price, lots, lots)
            fills = book.submit(order, rule, budget)
            expected = slow.submit(order_id, side, price, lots, rule, budget)
            assert [(f.maker.order_id, f.price, f.quantity) for f in fills] == expected
            assert order.remaining == lots - sum(take for *_, take in expected)
        for side in (BUY, SELL):
            assert book.levels(side, 1000) == slow.levels(side)
            assert book.best(side) == next(iter(p for p, _ in slow.levels(side)), None)
        assert len(book) == len(slow.orders)
        assert book.sequence >= before
        assert bool(book.changed) == (book.sequence > before)
        book.changed.clear()


@given(st.lists(st.tuples(st.sampled_from([BUY, SELL]), PRICES, LOTS), max_size=30), PRICES, LOTS)
def test_available_is_what_an_order_would_take(
    orders: list[tuple[int, int, int]], limit: int, wanted: int
) -> None:
    book = OrderBook()
    for order_id, (side, price, lots) in enumerate(orders):
        book.submit(Order(order_id, side, price, lots, lots))
    lots, cost = book.available(BUY, limit, wanted)
    fills = book.submit(Order(1000, BUY, limit, wanted, wanted), "ioc")
    assert lots == sum(fill.quantity for fill in fills)
    assert cost == sum(fill.quantity * fill.price for fill in fills)


def test_price_time_priority() -> None:
    book = OrderBook()
    for order_id, price in ((1, 10), (2, 9), (3, 9)):
        book.submit(Order(order_id, SELL, price, 5, 5))
    fills = book.submit(Order(4, BUY, 10, 12, 12))
    assert [(fill.maker.order_id, fill.price, fill.quantity) for fill in fills] == [
        (2, 9, 5), (3, 9, 5), (1, 10, 2),
    ]  # fmt: skip
    assert book.levels(SELL, 5) == [(10, 3)]
