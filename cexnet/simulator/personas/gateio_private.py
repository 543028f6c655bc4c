"""Gate.io's private spot channels: orders, fills and balances of the account.

Source: Gate API v4 docs, spot WebSocket, "Authentication" and the private channels.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Any

from cexnet.simulator.account import ASSET_DECIMALS, BalanceChange, Execution
from cexnet.simulator.book import BUY
from cexnet.simulator.connection import text_frame
from cexnet.simulator.decimals import format_short, format_signed
from cexnet.simulator.personas.base import compact, now_ms
from cexnet.simulator.personas.gateio_formats import order_info

if TYPE_CHECKING:
    from cexnet.simulator.server import Simulator

ORDERS, TRADES, BALANCES = "spot.orders", "spot.usertrades", "spot.balances"
CHANNELS = (ORDERS, TRADES, BALANCES)
ALL_PAIRS = "!all"
_USER = "1000001"
_CHANGE_TYPES = {
    "new": "order-create", "trade": "order-match", "canceled": "order-cancel", "expired": "order-cancel",
}  # fmt: skip


def auth_error(sim: Simulator, request: dict[str, Any]) -> str:
    """What is wrong with a request's ``auth`` object; "" when it is right."""
    auth = request.get("auth")
    if not isinstance(auth, dict) or auth.get("method") != "api_key":
        return "authentication is required"
    text = f"channel={request['channel']}&event={request['event']}&time={request['time']}"
    expected = hmac.new(sim.api_secret.encode(), text.encode(), hashlib.sha512).hexdigest()
    key, sign = str(auth.get("KEY", "")), str(auth.get("SIGN", "")).lower()
    if not hmac.compare_digest(key.encode(), sim.api_key.encode()):
        sim.stats.signature_failures += 1
        return "invalid key provided"
    if not hmac.compare_digest(sign.encode(), expected.encode()):
        sim.stats.signature_failures += 1
        return "signature mismatch"
    return ""


class PrivateChannels:
    """Tells subscribers of the account what happens to it."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim

    def on_execution(self, execution: Execution, changes: list[BalanceChange]) -> None:
        """``spot.orders``, then ``spot.usertrades`` for a fill, then ``spot.balances``."""
        pair = execution.ours.market.spec.symbol
        self._send("order", ORDERS, pair, [_order(execution)])
        if execution.trade is not None:
            self._send("fill", TRADES, pair, [_fill(execution)])
        if changes:
            kind = _CHANGE_TYPES[execution.happening]
            self._send("balance", BALANCES, "", [_balance(change, kind) for change in changes])

    def on_deposit(self, change: BalanceChange) -> None:
        """``spot.balances``."""
        self._send("balance", BALANCES, "", [_balance(change, "deposit")])

    def _send(self, kind: str, channel: str, pair: str, result: list[dict[str, Any]]) -> None:
        at_ms = now_ms()
        body = {"time": at_ms // 1000, "time_ms": at_ms, "channel": channel, "event": "update"}
        topics = [f"{channel}:{pair}", f"{channel}:{ALL_PAIRS}"] if pair else [channel]
        frame = b""
        for topic in topics:
            if topic in self._sim.topics:
                frame = frame or text_frame(compact({**body, "result": result}))
                self._sim.topics.publish(kind, topic, frame)


def _order(execution: Execution) -> dict[str, Any]:
    ours = execution.ours
    info, spec, order = order_info(ours), ours.market.spec, ours.order
    ended = execution.happening in ("canceled", "expired") or execution.is_filled
    by_value = ours.wire["type"] == "market" and order.side == BUY
    average = "0"
    if ours.booked:
        average = format_short(ours.cost * 10**8 // ours.booked, spec.price_decimals + 8)
    return {
        **info,
        "user": int(_USER),
        "event": "put" if execution.happening == "new" else "finish" if ended else "update",
        "create_time_ms": str(ours.created_ms),
        "update_time_ms": str(execution.at_ms),
        "left": "0" if by_value else format_short(order.quantity - ours.booked, spec.quantity_decimals),
        "filled_amount": format_short(ours.booked, spec.quantity_decimals),
        "avg_deal_price": average,
        "finish_as": info["finish_as"] if ended else "open",
    }


def _fill(execution: Execution) -> dict[str, Any]:
    ours, trade = execution.ours, execution.trade
    assert trade is not None
    spec = ours.market.spec
    return {
        "id": trade.trade_id,
        "user_id": int(_USER),
        "order_id": str(ours.order.order_id),
        "currency_pair": spec.symbol,
        "create_time": trade.time_ns // 10**9,
        "create_time_ms": f"{trade.time_ns // 1_000_000}.{trade.time_ns // 1000 % 1000:03d}",
        "side": "buy" if ours.order.side == BUY else "sell",
        "amount": format_short(trade.quantity, spec.quantity_decimals),
        "role": "maker" if execution.is_maker else "taker",
        "price": format_short(trade.price, spec.price_decimals),
        "fee": format_short(execution.fee, ASSET_DECIMALS),
        "fee_currency": execution.fee_asset,
        "point_fee": "0",
        "gt_fee": "0",
        "text": ours.wire["text"],
        "amend_text": "-",
        "biz_info": "-",
    }


def _balance(change: BalanceChange, kind: str) -> dict[str, Any]:
    at_ms = time.time_ns() // 1_000_000
    return {
        "timestamp": str(at_ms // 1000),
        "timestamp_ms": str(at_ms),
        "user": _USER,
        "currency": change.asset,
        "change": format_signed(change.free_change + change.locked_change, ASSET_DECIMALS),
        "total": format_short(change.free + change.locked, ASSET_DECIMALS),
        "available": format_short(change.free, ASSET_DECIMALS),
        "freeze": format_short(change.locked, ASSET_DECIMALS),
        "freeze_change": format_signed(change.locked_change, ASSET_DECIMALS),
        "change_type": kind,
    }
