"""Binance spot user data: what the account's own stream says, in Binance's short names.

Source: binance-spot-api-docs, user-data-stream.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cexnet.simulator.account import ASSET_DECIMALS, BalanceChange, Execution
from cexnet.simulator.book import BUY
from cexnet.simulator.connection import text_frame
from cexnet.simulator.decimals import format_units
from cexnet.simulator.personas.base import compact, now_ms
from cexnet.simulator.personas.binance_formats import money_text, price_text, size_text

if TYPE_CHECKING:
    from cexnet.simulator.server import Simulator

_EXECUTION_TYPES = {"new": "NEW", "trade": "TRADE", "canceled": "CANCELED", "expired": "EXPIRED"}


class UserStreams:
    """Subscriptions by their number; sessions count their own, so numbers are shared."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self._numbers = 0

    def topic(self, number: int) -> str:
        """The topic of every session's subscription ``number``."""
        self._numbers = max(self._numbers, number + 1)
        return f"user data:{number}"

    def publish(self, kind: str, event: dict[str, Any]) -> None:
        """Send one event to all subscriptions, each under its own number."""
        for number in range(self._numbers):
            topic = self.topic(number)
            if topic in self._sim.topics:
                self._sim.topics.publish(kind, topic, text_frame(wrapped(number, event)))


def wrapped(number: int, event: dict[str, Any]) -> str:
    """An event of the subscription ``number``."""
    return compact({"subscriptionId": number, "event": event})


def execution_report(execution: Execution) -> dict[str, Any]:
    """``executionReport``: an order as it stands and what just happened to it."""
    ours, trade = execution.ours, execution.trade
    market, order = ours.market, ours.order
    by_value = execution.happening == "new" and bool(ours.wire["quote"])  # quantity not known yet
    original_id = ours.client_id if execution.happening == "canceled" else ""
    return {
        "e": "executionReport", "E": now_ms(), "s": market.spec.symbol,
        "c": ours.wire.get("cancel_id", f"cancel{order.order_id}") if original_id else ours.client_id,
        "S": "BUY" if order.side == BUY else "SELL", "o": ours.wire["type"],
        "f": ours.wire["timeInForce"], "q": size_text(market, 0 if by_value else order.quantity),
        "p": price_text(market, order.price or 0), "P": "0.00000000", "F": "0.00000000", "g": -1,
        "C": original_id, "x": _EXECUTION_TYPES[execution.happening], "X": _status(execution),
        "r": "NONE", "i": order.order_id, "l": size_text(market, trade.quantity if trade else 0),
        "z": size_text(market, ours.booked), "L": price_text(market, trade.price if trade else 0),
        "n": format_units(execution.fee, ASSET_DECIMALS, 8) if trade else "0",
        "N": execution.fee_asset if trade else None, "T": execution.at_ms,
        "t": trade.trade_id if trade else -1, "I": order.order_id * 2 + len(ours.trades),
        "w": execution.happening == "new" and order.price is not None,
        "m": execution.is_maker, "M": False, "O": ours.created_ms,
        "Z": money_text(market, ours.cost),
        "Y": money_text(market, trade.price * trade.quantity if trade else 0),
        "Q": ours.wire["quote"] or "0.00000000", "W": ours.created_ms, "V": "EXPIRE_MAKER",
    }  # fmt: skip


def account_position(changes: list[BalanceChange], at_ms: int) -> dict[str, Any]:
    """``outboundAccountPosition``: the balances that changed."""
    balances = [{"a": c.asset, "f": _amount(c.free), "l": _amount(c.locked)} for c in changes]
    return {"e": "outboundAccountPosition", "E": now_ms(), "u": at_ms, "B": balances}


def balance_update(change: BalanceChange) -> dict[str, Any]:
    """``balanceUpdate``: money from outside."""
    at_ms = now_ms()
    sign = "-" if change.free_change < 0 else ""
    delta = sign + _amount(abs(change.free_change))
    return {"e": "balanceUpdate", "E": at_ms, "a": change.asset, "d": delta, "T": at_ms}


def _status(execution: Execution) -> str:
    if execution.happening == "trade":
        return "FILLED" if execution.is_filled else "PARTIALLY_FILLED"
    return _EXECUTION_TYPES[execution.happening]


def _amount(units: int) -> str:
    return format_units(units, ASSET_DECIMALS, 8)
