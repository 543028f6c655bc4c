"""Gate.io v4 spot REST: how pairs and orders look."""

from __future__ import annotations

from typing import Any

from cexnet.simulator.account import ASSET_DECIMALS, AccountOrder
from cexnet.simulator.book import BUY
from cexnet.simulator.decimals import format_short
from cexnet.simulator.market import Market

_STATUS = {"open": "open", "filled": "closed", "canceled": "cancelled", "expired": "cancelled"}


def currency(asset: str) -> dict[str, Any]:
    """A row of ``spot/currencies``."""
    flags = ("delisted", "withdraw_disabled", "withdraw_delayed", "deposit_disabled", "trade_disabled")
    return {"currency": asset, "name": asset, **dict.fromkeys(flags, False), "chain": asset, "chains": []}


def pair_info(market: Market) -> dict[str, Any]:
    """A row of ``spot/currency_pairs``."""
    spec = market.spec
    return {
        "id": spec.symbol,
        "base": spec.base,
        "base_name": spec.base,
        "quote": spec.quote,
        "quote_name": spec.quote,
        "fee": "0.1",
        "min_base_amount": format_short(1, spec.quantity_decimals),
        "min_quote_amount": spec.min_notional,
        "max_quote_amount": "5000000",
        "amount_precision": spec.quantity_decimals,
        "precision": spec.price_decimals,
        "trade_status": "tradable",
        "sell_start": 0,
        "buy_start": 0,
        "type": "normal",
    }


def ticker_info(market: Market) -> dict[str, Any]:
    """A row of ``spot/tickers``."""
    spec, ticker = market.spec, market.ticker
    return {
        "currency_pair": spec.symbol,
        "last": format_short(market.last_price, spec.price_decimals),
        "lowest_ask": format_short(ticker.ask, spec.price_decimals),
        "lowest_size": format_short(ticker.ask_lots, spec.quantity_decimals),
        "highest_bid": format_short(ticker.bid, spec.price_decimals),
        "highest_size": format_short(ticker.bid_lots, spec.quantity_decimals),
    }


def order_info(ours: AccountOrder) -> dict[str, Any]:
    """An order. ``amount`` and ``left`` of a market buy are in quote currency."""
    market, order, spec = ours.market, ours.order, ours.market.spec
    scale = spec.price_decimals + spec.quantity_decimals
    by_value = ours.wire["type"] == "market" and order.side == BUY
    amount = ours.wire["amount"] if by_value else format_short(order.quantity, spec.quantity_decimals)
    left = "0" if by_value else format_short(order.remaining, spec.quantity_decimals)
    average = "0"
    if ours.filled:
        average = format_short(ours.cost * 10**8 // ours.filled, spec.price_decimals + 8)
    finished_as = {"canceled": "cancelled", "expired": ours.wire["time_in_force"]}
    return {
        "id": str(order.order_id),
        "text": ours.wire["text"],
        "amend_text": "-",
        "create_time": str(ours.created_ms // 1000),
        "update_time": str(ours.updated_ms // 1000),
        "create_time_ms": ours.created_ms,
        "update_time_ms": ours.updated_ms,
        "status": _STATUS[ours.status],
        "currency_pair": spec.symbol,
        "type": ours.wire["type"],
        "account": ours.wire["account"],
        "side": "buy" if order.side == BUY else "sell",
        "amount": amount,
        "price": format_short(order.price or 0, spec.price_decimals),
        "time_in_force": ours.wire["time_in_force"],
        "iceberg": "0",
        "left": left,
        "filled_amount": format_short(ours.filled, spec.quantity_decimals),
        "fill_price": format_short(ours.cost, scale),
        "filled_total": format_short(ours.cost, scale),
        "avg_deal_price": average,
        "fee": format_short(ours.fee, ASSET_DECIMALS),
        "fee_currency": market.spec.base if order.side == BUY else market.spec.quote,
        "point_fee": "0",
        "gt_fee": "0",
        "gt_maker_fee": "0",
        "gt_taker_fee": "0",
        "gt_discount": False,
        "rebated_fee": "0",
        "rebated_fee_currency": market.spec.quote,
        "finish_as": finished_as.get(ours.status, ours.status),
    }
