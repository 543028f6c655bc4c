"""Binance spot REST: how markets and orders look, and how parameters are read."""

from __future__ import annotations

from typing import Any

from cexnet.simulator.account import FEE_PPM, AccountOrder
from cexnet.simulator.book import BUY
from cexnet.simulator.decimals import format_units, parse_units, whole
from cexnet.simulator.market import Market

_STATUS = {"open": "NEW", "filled": "FILLED", "canceled": "CANCELED", "expired": "EXPIRED"}
_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50), (5000, 250))


class Answer(Exception):
    """A refusal on its way to the client: HTTP status, Binance code and text."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


def bad(code: int, text: str) -> Answer:
    """A refusal with HTTP status 400."""
    return Answer(400, code, text)


def missing(name: str) -> Answer:
    """The refusal of a request without the parameter ``name``."""
    return bad(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def depth_weight(params: dict[str, str]) -> int:
    """Request weight of a depth snapshot by its ``limit``."""
    wanted = whole(params.get("limit", "100")) or 100
    return next((weight for most, weight in _DEPTH_WEIGHTS if wanted <= most), 250)


def number(params: dict[str, str], name: str, decimals: int, filter_failure: str) -> int:
    """A decimal parameter in units of 10**-decimals. Raises :class:`Answer`."""
    text = params.get(name, "")
    if not text:
        raise missing(name)
    try:
        parse_units(text, 20)
    except ValueError as error:
        legal = "legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'."
        raise bad(-1100, f"Illegal characters found in parameter '{name}'; {legal}") from error
    try:
        parse_units(text, 8)
    except ValueError as error:
        raise bad(-1111, f"Parameter '{name}' has too much precision.") from error
    try:
        units = parse_units(text, decimals)
    except ValueError as error:
        raise bad(-1013, filter_failure) from error
    if not units:
        raise bad(-1013, f"Invalid {name}.")
    return units


def check_notional(market: Market, price: int | None, quantity: int, budget: int | None) -> None:
    """Refuse an order below the symbol's least value. Raises :class:`Answer`."""
    spec = market.spec
    least = parse_units(spec.min_notional, spec.price_decimals + spec.quantity_decimals)
    value = budget if budget is not None else (price or market.last_price) * quantity
    if value < least:
        raise bad(-1013, "Filter failure: NOTIONAL")


def price_text(market: Market, ticks: int) -> str:
    """A price as Binance writes it, 8 decimals."""
    return format_units(ticks, market.spec.price_decimals, 8)


def size_text(market: Market, lots: int) -> str:
    """A quantity as Binance writes it, 8 decimals."""
    return format_units(lots, market.spec.quantity_decimals, 8)


def money_text(market: Market, tick_lots: int) -> str:
    """An amount of quote currency, 8 decimals."""
    spec = market.spec
    return format_units(tick_lots, spec.price_decimals + spec.quantity_decimals, 8)


def level(market: Market, entry: tuple[int, int]) -> list[str]:
    """One book level as [price, quantity]."""
    return [price_text(market, entry[0]), size_text(market, entry[1])]


def book_ticker(market: Market) -> dict[str, Any]:
    """Answer of ``ticker/bookTicker`` for one symbol."""
    ticker = market.ticker
    return {
        "symbol": market.spec.symbol,
        "bidPrice": price_text(market, ticker.bid),
        "bidQty": size_text(market, ticker.bid_lots),
        "askPrice": price_text(market, ticker.ask),
        "askQty": size_text(market, ticker.ask_lots),
    }


def symbol_info(market: Market) -> dict[str, Any]:
    """A symbol's entry in ``exchangeInfo``."""
    spec = market.spec
    tick = format_units(1, spec.price_decimals, 8)
    step = format_units(1, spec.quantity_decimals, 8)
    return {
        "symbol": spec.symbol,
        "status": "TRADING",
        "baseAsset": spec.base,
        "baseAssetPrecision": 8,
        "quoteAsset": spec.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000",
             "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000000.00000000",
             "stepSize": step},
            {"filterType": "NOTIONAL", "minNotional": f"{spec.min_notional}",
             "applyMinToMarket": True, "maxNotional": "9000000.00000000",
             "applyMaxToMarket": False, "avgPriceMins": 5},
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
    }  # fmt: skip


def _common(ours: AccountOrder) -> dict[str, Any]:
    market, order = ours.market, ours.order
    partly = ours.status == "open" and ours.filled
    return {
        "symbol": market.spec.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": ours.client_id,
        "price": price_text(market, order.price or 0),
        "origQty": size_text(market, order.quantity),
        "executedQty": size_text(market, ours.filled),
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": money_text(market, ours.cost),
        "status": "PARTIALLY_FILLED" if partly else _STATUS[ours.status],
        "timeInForce": ours.wire["timeInForce"],
        "type": ours.wire["type"],
        "side": "BUY" if order.side == BUY else "SELL",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }


def order_result(ours: AccountOrder, response_type: str) -> dict[str, Any]:
    """Answer of placing an order: ``ACK``, ``RESULT`` or (default) ``FULL`` with fills."""
    common = {**_common(ours), "transactTime": ours.created_ms, "workingTime": ours.created_ms}
    if response_type == "ACK":
        names = ("symbol", "orderId", "orderListId", "clientOrderId", "transactTime")
        return {name: common[name] for name in names}
    if response_type != "RESULT":
        market = ours.market
        paid_in = market.spec.base if ours.order.side == BUY else market.spec.quote
        common["fills"] = [
            {
                "price": price_text(market, trade.price),
                "qty": size_text(market, trade.quantity),
                "commission": _commission(ours, trade.price, trade.quantity),
                "commissionAsset": paid_in,
                "tradeId": trade.trade_id,
            }
            for trade in ours.trades
        ]
    return common


def _commission(ours: AccountOrder, price: int, lots: int) -> str:
    spec = ours.market.spec
    if ours.order.side == BUY:
        return format_units(lots * FEE_PPM, spec.quantity_decimals + 6, 8)
    decimals = spec.price_decimals + spec.quantity_decimals + 6
    return format_units(price * lots * FEE_PPM, decimals, 8)


def order_info(ours: AccountOrder) -> dict[str, Any]:
    """Answer of querying an order."""
    return {
        **_common(ours),
        "stopPrice": "0.00000000",
        "icebergQty": "0.00000000",
        "time": ours.created_ms,
        "updateTime": ours.updated_ms,
        "isWorking": True,
        "workingTime": ours.created_ms,
    }


def canceled(ours: AccountOrder, cancel_id: str | None) -> dict[str, Any]:
    """Answer of cancelling an order: ``clientOrderId`` is the cancel's own id."""
    return {
        **_common(ours),
        "origClientOrderId": ours.client_id,
        "clientOrderId": cancel_id or f"cancel{ours.order.order_id}",
        "transactTime": ours.updated_ms,
    }
