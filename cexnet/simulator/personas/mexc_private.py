"""MEXC's private push messages in protobuf, and the listen keys that open them.

Source: mexcdevelop/apidocs "Websocket User Data Streams", mexcdevelop/websocket-proto.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from cexnet.simulator.account import ASSET_DECIMALS, BalanceChange, Execution
from cexnet.simulator.book import BUY
from cexnet.simulator.connection import binary_frame
from cexnet.simulator.decimals import format_short, format_signed
from cexnet.simulator.personas import mexc_frames as frames
from cexnet.simulator.personas.base import now_ms
from cexnet.simulator.protobuf import integer, text

if TYPE_CHECKING:
    from cexnet.simulator.server import Simulator

ORDERS = "spot@private.orders.v3.api.pb"
DEALS = "spot@private.deals.v3.api.pb"
ACCOUNT = "spot@private.account.v3.api.pb"
CHANNELS = (ORDERS, DEALS, ACCOUNT)
ORDER_PREFIX = "C02__"
MOST_CONNECTIONS = 5  # per listen key
_MOST_KEYS = 60
_LIFE_S = 60 * 60
_ORDER_TYPES = {"LIMIT": 1, "LIMIT_MAKER": 2, "IMMEDIATE_OR_CANCEL": 3, "FILL_OR_KILL": 4, "MARKET": 5}
_CHANGE_TYPES = {
    "new": "ENTRUST_PLACE", "trade": "ENTRUST", "canceled": "ENTRUST_CANCEL", "expired": "ENTRUST_CANCEL",
}  # fmt: skip


class ListenKeys:
    """The account's listen keys; each lives 60 minutes from its last keep-alive."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._ends_s: dict[str, float] = {}
        self._made = 0

    def create(self) -> str | None:
        """A fresh key, or ``None`` when there are 60 already."""
        if len(self.live()) >= _MOST_KEYS:
            return None
        self._made += 1
        key = hashlib.sha256(f"listen key {self._made}".encode()).hexdigest()
        self._ends_s[key] = self._clock_s() + _LIFE_S
        return key

    def keep_alive(self, key: str) -> bool:
        """Give a key 60 minutes more; False when there is none such."""
        if not self.is_live(key):
            return False
        self._ends_s[key] = self._clock_s() + _LIFE_S
        return True

    def close(self, key: str) -> bool:
        """End a key; False when there is none such."""
        was_live = self.is_live(key)
        self._ends_s.pop(key, None)
        return was_live

    def is_live(self, key: str) -> bool:
        """Whether a key is good now."""
        return self._clock_s() < self._ends_s.get(key, 0.0)

    def live(self) -> list[str]:
        """The keys that are good now, oldest first."""
        return [key for key in self._ends_s if self.is_live(key)]


class PrivateChannels:
    """Tells subscribers of the account what happens to it."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim

    def on_execution(self, execution: Execution, changes: list[BalanceChange]) -> None:
        """Orders, then deals for a fill, then one account message an asset."""
        symbol = execution.ours.market.spec.symbol
        self._send("order", ORDERS, symbol, 304, _order(execution), execution.at_ms)
        if execution.trade is not None:
            self._send("fill", DEALS, symbol, 306, _deal(execution), execution.at_ms)
        for change in changes:
            body = _account(change, _CHANGE_TYPES[execution.happening])
            self._send("balance", ACCOUNT, "", 307, body, execution.at_ms)

    def on_deposit(self, change: BalanceChange) -> None:
        """One account message."""
        self._send("balance", ACCOUNT, "", 307, _account(change, "DEPOSIT"), now_ms())

    def _send(self, kind: str, channel: str, symbol: str, field: int, body: bytes, at_ms: int) -> None:
        if channel in self._sim.topics:
            whole = frames.wrapper(channel, symbol, now_ms(), field, body, at_ms)
            self._sim.topics.publish(kind, channel, binary_frame(whole))


def _order(execution: Execution) -> bytes:
    ours, trade = execution.ours, execution.trade
    spec, order = ours.market.spec, ours.order
    money = spec.price_decimals + spec.quantity_decimals
    by_value = execution.happening == "new" and bool(ours.wire["quote"])  # quantity not known yet
    quantity = 0 if by_value else order.quantity
    price = order.price or 0
    left = 0 if execution.happening == "trade" and execution.is_filled else quantity - ours.booked
    average = ours.cost * 10**8 // ours.booked if ours.booked else 0
    return (
        text(1, f"{ORDER_PREFIX}{order.order_id}")
        + (text(2, ours.client_id) if ours.client_id else b"")
        + text(3, format_short(price, spec.price_decimals))
        + text(4, format_short(quantity, spec.quantity_decimals))
        + text(5, ours.wire["quote"] or format_short(price * quantity, money))
        + text(6, format_short(average, spec.price_decimals + 8))
        + integer(7, _ORDER_TYPES[ours.wire["type"]])
        + integer(8, 1 if order.side == BUY else 2)
        + (integer(9, 1) if execution.is_maker else b"")
        + text(10, format_short(price * left, money))
        + text(11, format_short(left, spec.quantity_decimals))
        + (text(12, format_short(trade.quantity, spec.quantity_decimals)) if trade else b"")
        + text(13, format_short(ours.booked, spec.quantity_decimals))
        + text(14, format_short(ours.cost, money))
        + integer(15, _status(execution))
        + integer(16, ours.created_ms)
    )


def _status(execution: Execution) -> int:
    match execution.happening:
        case "new":
            return 1
        case "trade":
            return 2 if execution.is_filled else 3
        case _:
            return 5 if execution.ours.booked else 4


def _deal(execution: Execution) -> bytes:
    ours, trade = execution.ours, execution.trade
    assert trade is not None
    spec = ours.market.spec
    money = spec.price_decimals + spec.quantity_decimals
    return (
        text(1, format_short(trade.price, spec.price_decimals))
        + text(2, format_short(trade.quantity, spec.quantity_decimals))
        + text(3, format_short(trade.price * trade.quantity, money))
        + integer(4, 1 if ours.order.side == BUY else 2)
        + (integer(5, 1) if execution.is_maker else b"")
        + text(7, str(trade.trade_id))
        + (text(8, ours.client_id) if ours.client_id else b"")
        + text(9, f"{ORDER_PREFIX}{ours.order.order_id}")
        + text(10, format_short(execution.fee, ASSET_DECIMALS))
        + text(11, execution.fee_asset)
        + integer(12, execution.at_ms)
    )


def _account(change: BalanceChange, kind: str) -> bytes:
    return (
        text(1, change.asset)
        + text(2, hashlib.md5(change.asset.encode(), usedforsecurity=False).hexdigest())
        + text(3, format_short(change.free, ASSET_DECIMALS))
        + text(4, format_signed(change.free_change, ASSET_DECIMALS))
        + text(5, format_short(change.locked, ASSET_DECIMALS))
        + text(6, format_signed(change.locked_change, ASSET_DECIMALS))
        + text(7, kind)
        + integer(8, now_ms())
    )
