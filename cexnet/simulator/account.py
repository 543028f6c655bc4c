"""The one client account: balances, orders and their fills."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cexnet.simulator.book import BUY, Order, TimeInForce
from cexnet.simulator.flow import Flow
from cexnet.simulator.market import Market, Trade
from cexnet_core.errors import CexnetError

ASSET_DECIMALS = 18  # balances are integers of 10**-18
FEE_PPM = 1_000  # 0.1 % of what is received, taken from it
_FUNDS_QUOTE = 10_000_000
_FUNDS_BASE = 10_000

ClientIdScope = Literal["open", "always"]
Happening = Literal["new", "trade", "canceled", "expired"]
RefusalReason = Literal["duplicate", "funds", "would_match", "not_filled", "unknown", "finished"]


class Refused(CexnetError):
    """The account refuses an order or cancel; the persona says so in its own words."""

    def __init__(self, reason: RefusalReason) -> None:
        super().__init__(f"order refused: {reason}")
        self.reason: RefusalReason = reason


@dataclass(slots=True)
class Balance:
    """Free and locked amounts of one asset, in 10**-18 units."""

    free: int = 0
    locked: int = 0


@dataclass(slots=True, eq=False)
class AccountOrder:
    """A client's order with its life. Price in ticks, quantities in lots, cost in tick-lots.

    ``status`` is ``open``, ``filled``, ``canceled`` or ``expired`` (IOC, FOK and market
    orders that could not be filled). ``wire`` holds what the persona wants echoed.
    """

    market: Market
    order: Order
    client_id: str
    time_in_force: TimeInForce
    created_ms: int
    updated_ms: int
    wire: dict[str, str] = field(default_factory=dict)
    status: Literal["open", "filled", "canceled", "expired"] = "open"
    booked: int = 0  # lots of the fills told so far; ``filled`` runs ahead while one order matches
    cost: int = 0
    fee: int = 0
    trades: list[Trade] = field(default_factory=list)

    @property
    def filled(self) -> int:
        """Lots filled so far."""
        return self.order.quantity - self.order.remaining


@dataclass(frozen=True, slots=True)
class Execution:
    """Something that happened to one of the account's orders, as of that moment.

    ``trade`` is the fill of a ``trade``; ``fee`` is in 10**-18 of ``fee_asset``.
    """

    ours: AccountOrder
    happening: Happening
    at_ms: int
    trade: Trade | None = None
    fee: int = 0
    is_maker: bool = False

    @property
    def fee_asset(self) -> str:
        """What the fee is taken from: what the order receives."""
        spec = self.ours.market.spec
        return spec.base if self.ours.order.side == BUY else spec.quote

    @property
    def is_filled(self) -> bool:
        """Whether nothing is left to fill after it."""
        return self.happening == "trade" and self.ours.booked == self.ours.order.quantity


@dataclass(frozen=True, slots=True)
class BalanceChange:
    """One asset's balance after a change, and by how much it changed (10**-18 units)."""

    asset: str
    free: int
    locked: int
    free_change: int
    locked_change: int


class AccountSink(Protocol):
    """Whoever tells the account's private streams."""

    def on_execution(self, execution: Execution, changes: list[BalanceChange]) -> None:
        """An order was accepted, filled or ended, and the balances changed with it."""

    def on_deposit(self, change: BalanceChange) -> None:
        """Money came in (or went out, when negative) from outside."""


class Account:
    """Places and cancels orders against the markets, and keeps the books straight.

    ``client_ids`` is the exchange's rule: a client order id must be unique among open
    orders only (``open``) or for good (``always``). ``sink`` hears what happens.
    """

    def __init__(self, client_ids: ClientIdScope, flow: Flow, sink: AccountSink) -> None:
        self.balances: dict[str, Balance] = {}
        self.orders: dict[int, AccountOrder] = {}
        self._by_client_id: dict[tuple[str, str], AccountOrder] = {}
        self._client_ids = client_ids
        self._flow = flow
        self._sink = sink
        self._told: dict[str, tuple[int, int]] = {}

    def fund(self, markets: Iterable[Market]) -> None:
        """Give the account plenty of every asset that is traded."""
        for market in markets:
            for asset, amount in (
                (market.spec.base, _FUNDS_BASE),
                (market.spec.quote, _FUNDS_QUOTE),
            ):
                self.balances.setdefault(asset, Balance(free=amount * 10**ASSET_DECIMALS))
        self._changes()

    def deposit(self, asset: str, amount: int) -> None:
        """Money from outside, in 10**-18 units; negative takes some out."""
        self.balances.setdefault(asset, Balance()).free += amount
        for change in self._changes():
            self._sink.on_deposit(change)

    def place(
        self,
        market: Market,
        *,
        side: int,
        price: int | None,
        quantity: int,
        time_in_force: TimeInForce = "gtc",
        budget: int | None = None,
        post_only: bool = False,
        client_id: str = "",
        wire: dict[str, str] | None = None,
    ) -> AccountOrder:
        """Place an order; ``price`` ``None`` is at market, ``budget`` in tick-lots bounds it.

        Raises :class:`Refused` when the client id is taken, funds are short, or a
        post-only order would match at once.
        """
        known = self._by_client_id.get((market.spec.symbol, client_id)) if client_id else None
        if known is not None and (self._client_ids == "always" or known.status == "open"):
            raise Refused("duplicate")
        if post_only and price is not None and market.book.crosses(side, price):
            raise Refused("would_match")
        self._check_funds(market, side, price, quantity, budget)
        now_ms = time.time_ns() // 1_000_000
        order = Order(self._flow.next_order_id(), side, price, quantity, quantity, owned=True)
        ours = AccountOrder(market, order, client_id, time_in_force, now_ms, now_ms, dict(wire or {}))
        self.orders[order.order_id] = ours
        if client_id:
            self._by_client_id[market.spec.symbol, client_id] = ours
        if price is not None:
            self._lock(ours, order.remaining)
        self._tell(Execution(ours, "new", now_ms))
        trades = market.submit(order, time_in_force, budget)
        if budget is not None:
            order.quantity, order.remaining = ours.filled, 0  # what the money bought: done
        for trade in trades:
            self._book_fill(ours, trade)
        if ours.status == "open" and order.order_id not in market.book:
            self._end(ours, "expired")
        return ours

    def on_public_trade(self, trade: Trade) -> None:
        """Book a fill of one of our resting orders; other trades are none of our business."""
        if trade.maker.owned:
            self._book_fill(self.orders[trade.maker.order_id], trade, is_maker=True)

    def find(self, symbol: str, order_id: int | None, client_id: str) -> AccountOrder:
        """An order by its id, or else by its client id. Raises :class:`Refused`."""
        if order_id is not None:
            ours = self.orders.get(order_id)
        else:
            ours = self._by_client_id.get((symbol, client_id))
        if ours is None or ours.market.spec.symbol != symbol:
            raise Refused("unknown")
        return ours

    def cancel(self, ours: AccountOrder) -> None:
        """Cancel an open order. Raises :class:`Refused` (``finished``) when it has ended."""
        if ours.market.cancel(ours.order.order_id) is None:
            raise Refused("finished")
        self._end(ours, "canceled")

    def open_orders(self, symbol: str | None = None) -> list[AccountOrder]:
        """Orders still in the book, oldest first; of one symbol when given."""
        return [
            ours
            for ours in self.orders.values()
            if ours.status == "open" and symbol in (None, ours.market.spec.symbol)
        ]

    def _check_funds(
        self, market: Market, side: int, price: int | None, quantity: int, budget: int | None
    ) -> None:
        if side != BUY:
            needed, asset = quantity * base_unit(market), market.spec.base
        else:
            if price is not None:
                cost = price * quantity
            elif budget is not None:
                cost = budget
            else:
                _, cost = market.book.available(side, None, quantity)
            needed, asset = cost * quote_unit(market), market.spec.quote
        if needed > self.balances[asset].free:
            raise Refused("funds")

    def _lock(self, ours: AccountOrder, lots: int) -> None:
        market, order = ours.market, ours.order
        if order.side == BUY:
            assert order.price is not None  # market orders lock nothing
            asset, amount = market.spec.quote, order.price * lots * quote_unit(market)
        else:
            asset, amount = market.spec.base, lots * base_unit(market)
        balance = self.balances[asset]
        balance.free -= amount
        balance.locked += amount

    def _book_fill(self, ours: AccountOrder, trade: Trade, *, is_maker: bool = False) -> None:
        market, order = ours.market, ours.order
        if order.price is not None:
            self._lock(ours, -trade.quantity)
        base = trade.quantity * base_unit(market)
        quote = trade.price * trade.quantity * quote_unit(market)
        received = base if order.side == BUY else quote
        fee = received * FEE_PPM // 10**6
        if order.side == BUY:
            self.balances[market.spec.quote].free -= quote
            self.balances[market.spec.base].free += base - fee
        else:
            self.balances[market.spec.base].free -= base
            self.balances[market.spec.quote].free += quote - fee
        ours.trades.append(trade)
        ours.booked += trade.quantity
        ours.cost += trade.price * trade.quantity
        ours.fee += fee
        ours.updated_ms = trade.time_ns // 1_000_000
        if ours.booked == order.quantity:
            ours.status = "filled"
        self._tell(Execution(ours, "trade", ours.updated_ms, trade, fee, is_maker))

    def _end(self, ours: AccountOrder, status: Literal["canceled", "expired"]) -> None:
        if ours.order.price is not None and ours.order.remaining:
            self._lock(ours, -ours.order.remaining)
        ours.status = status
        ours.updated_ms = time.time_ns() // 1_000_000
        self._tell(Execution(ours, status, ours.updated_ms))

    def _tell(self, execution: Execution) -> None:
        self._sink.on_execution(execution, self._changes())

    def _changes(self) -> list[BalanceChange]:
        """What changed since the last call."""
        changes = []
        for asset, balance in self.balances.items():
            free, locked = self._told.get(asset, (0, 0))
            if (free, locked) != (balance.free, balance.locked):
                self._told[asset] = balance.free, balance.locked
                changes.append(
                    BalanceChange(
                        asset, balance.free, balance.locked, balance.free - free, balance.locked - locked
                    )
                )
        return changes


def base_unit(market: Market) -> int:
    """One lot in 10**-18 of the base asset."""
    return int(10 ** (ASSET_DECIMALS - market.spec.quantity_decimals))


def quote_unit(market: Market) -> int:
    """One tick-lot in 10**-18 of the quote asset."""
    spec = market.spec
    return int(10 ** (ASSET_DECIMALS - spec.price_decimals - spec.quantity_decimals))
