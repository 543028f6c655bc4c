"""MEXC spot v3 REST: signed requests, orders and limits, in the exchange's words.

Source: mexcdevelop/apidocs (spot v3). Requests are signed as on Binance; codes differ.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from cexnet.simulator.account import ASSET_DECIMALS, AccountOrder, Refused
from cexnet.simulator.book import BUY, SELL, TimeInForce
from cexnet.simulator.decimals import format_short, format_units, parse_units, whole
from cexnet.simulator.limits import Verdict, WindowLimit
from cexnet.simulator.market import Market
from cexnet.simulator.personas.base import compact, now_ms
from cexnet.simulator.personas.mexc_private import ORDER_PREFIX, ListenKeys

if TYPE_CHECKING:
    from cexnet.simulator.server import Simulator

_SIGNATURE = re.compile(r"(?:^|&)signature=[^&]*")
_LOT_MAX = 10**12  # "no quantity bound" for an order given in quote currency
_STATUS = {"open": "NEW", "filled": "FILLED", "canceled": "CANCELED", "expired": "CANCELED"}
_TIME_IN_FORCE: dict[str, TimeInForce] = {
    "LIMIT": "gtc", "LIMIT_MAKER": "gtc", "MARKET": "ioc",
    "IMMEDIATE_OR_CANCEL": "ioc", "FILL_OR_KILL": "fok",
}  # fmt: skip
_REFUSALS = {
    "duplicate": (603, "Repeated request"),
    "funds": (30004, "Insufficient position"),
    "would_match": (30005, "Oversold"),
    "not_filled": (30005, "Oversold"),
    "unknown": (-2011, "Unknown order sent."),
    "finished": (-2011, "Unknown order sent."),
}


class _Answer(Exception):  # control flow of this module only, always answered
    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


def _missing(name: str) -> _Answer:
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return _Answer(400, 700004, text)


class MexcRest:
    """The endpoints of ``/api/v3``."""

    def __init__(self, sim: Simulator, listen_keys: ListenKeys) -> None:
        self._sim = sim
        self._listen_keys = listen_keys

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Register everything under ``/api/v3``. 500 weight per 10 s and endpoint."""
        endpoints = (
            ("GET", "ping", 1, self._ping, False),
            ("GET", "time", 1, self._time, False),
            ("GET", "defaultSymbols", 1, self._default_symbols, False),
            ("GET", "exchangeInfo", 10, self._exchange_info, False),
            ("GET", "depth", 1, self._depth, False),
            ("GET", "ticker/bookTicker", 1, self._book_ticker, False),
            ("POST", "order", 1, self._place, True),
            ("POST", "order/test", 1, self._test, True),
            ("DELETE", "order", 1, self._cancel, True),
            ("GET", "order", 2, self._query, True),
            ("GET", "openOrders", 3, self._open_orders, True),
            ("DELETE", "openOrders", 1, self._cancel_all, True),
            ("GET", "account", 10, self._account, True),
            ("GET", "capital/config/getall", 10, self._coins, True),
            ("POST", "userDataStream", 1, self._create_key, True),
            ("PUT", "userDataStream", 1, self._keep_key, True),
            ("DELETE", "userDataStream", 1, self._close_key, True),
            ("GET", "userDataStream", 1, self._list_keys, True),
        )
        for method, path, weight, call, signed in endpoints:
            limit = self._sim.limit(500, 10, bans=True)
            router.add_route(method, f"/api/v3/{path}", self._handler(call, limit, weight, signed))
        contracts = self._handler(self._no_contracts, self._sim.limit(500, 10), 1, False)
        router.add_get("/api/v1/contract/detail", contracts)  # peers list these with the spot markets

    def _handler(self, call: Any, limit: WindowLimit, weight: int, signed: bool) -> Any:
        async def handle(request: web.Request) -> web.Response:
            self._sim.stats.rest_requests += 1
            query = request.raw_path.partition("?")[2]
            body = (await request.read()).decode(errors="replace")
            params = dict(parse_qsl(query, keep_blank_values=True))
            params.update(parse_qsl(body, keep_blank_values=True))
            verdict = limit.take(request.remote or "", weight)
            if verdict.state != "ok":
                return self._limited(verdict)
            try:
                if signed:
                    self._check_signature(request.headers.get("X-MEXC-APIKEY", ""), query, body, params)
                return _json(200, call(params))
            except Refused as refusal:
                code, text = _REFUSALS[refusal.reason]
                return _json(400, {"code": code, "msg": text})
            except _Answer as answer:
                return _json(answer.status, {"code": answer.code, "msg": answer.text})

        return handle

    def _limited(self, verdict: Verdict) -> web.Response:
        self._sim.stats.rate_limited += 1
        words = self._sim.persona.words
        return (words.banned if verdict.state == "banned" else words.throttled)(verdict.reset_s)

    def _check_signature(self, key: str, query: str, body: str, params: dict[str, str]) -> None:
        if not key:
            raise _Answer(400, 400, "api key required")
        if not hmac.compare_digest(key.encode(errors="surrogateescape"), self._sim.api_key.encode()):
            self._sim.stats.signature_failures += 1
            raise _Answer(400, 10072, "Api key info invalid")
        if not params.get("signature"):
            raise _missing("signature")
        stamp = params.get("timestamp", "")
        sent_ms = whole(stamp)
        if sent_ms is None:
            raise _missing("timestamp")
        window_ms = whole(params.get("recvWindow", "5000"))
        if window_ms is None or window_ms > 60_000:
            raise _Answer(400, 700005, "recvWindow must less than 60000")
        late_ms = self._sim.server_ms() - sent_ms
        if late_ms <= -1000 or late_ms > window_ms:
            text = "Timestamp for this request is outside of the recvWindow."
            raise _Answer(400, 700003, text)
        payload = _SIGNATURE.sub("", query) + _SIGNATURE.sub("", body)
        expected = hmac.new(self._sim.api_secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), params["signature"].encode()):
            self._sim.stats.signature_failures += 1
            raise _Answer(400, 700002, "Signature for this request is not valid.")

    def _ping(self, params: dict[str, str]) -> Any:
        return {}

    def _time(self, params: dict[str, str]) -> Any:
        return {"serverTime": self._sim.server_ms()}

    def _default_symbols(self, params: dict[str, str]) -> Any:
        return {"code": 200, "data": list(self._sim.markets), "msg": None}

    def _no_contracts(self, params: dict[str, str]) -> Any:
        return {"success": True, "code": 0, "data": []}

    def _exchange_info(self, params: dict[str, str]) -> Any:
        wanted = [self._market(params)] if params.get("symbol") else self._sim.markets.values()
        return {
            "timezone": "CST",
            "serverTime": self._sim.server_ms(),
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [_symbol_info(market) for market in wanted],
        }

    def _depth(self, params: dict[str, str]) -> Any:
        market = self._market(params)
        spec = market.spec
        limit = whole(params.get("limit") or "100")
        if limit is None:
            raise _Answer(400, 33333, "param error")
        sides = {
            name: [
                [
                    format_units(p, spec.price_decimals, spec.price_decimals),
                    format_short(q, spec.quantity_decimals),
                ]
                for p, q in market.book.levels(side, min(5000, limit))
            ]
            for name, side in (("bids", BUY), ("asks", SELL))
        }
        return {"lastUpdateId": market.book.sequence, **sides, "timestamp": now_ms()}

    def _book_ticker(self, params: dict[str, str]) -> Any:
        if params.get("symbol"):
            return _ticker_info(self._market(params))
        return [_ticker_info(market) for market in self._sim.markets.values()]

    def _place(self, params: dict[str, str]) -> Any:
        market, fields = self._parse(params)
        self._sim.stats.orders += 1
        ours = self._sim.account.place(market, **fields)
        names = ("symbol", "orderId", "orderListId", "clientOrderId", "price", "origQty", "type", "side")
        info = _order_info(ours)
        return {**{name: info[name] for name in names}, "transactTime": ours.created_ms}

    def _test(self, params: dict[str, str]) -> Any:
        self._parse(params)
        return {}

    def _parse(self, params: dict[str, str]) -> tuple[Market, dict[str, Any]]:
        market = self._market(params)
        spec = market.spec
        for name in ("side", "type"):
            if not params.get(name):
                raise _missing(name)
        kind, side = params["type"], params["side"]
        if side not in ("BUY", "SELL") or kind not in _TIME_IN_FORCE:
            raise _Answer(400, 700004, "Invalid side or type.")
        price = budget = None
        quantity = _LOT_MAX
        if kind != "MARKET":
            price = _number(params, "price", spec.price_decimals)
        if kind == "MARKET" and side == "BUY" and params.get("quoteOrderQty"):
            budget = _number(params, "quoteOrderQty", spec.price_decimals + spec.quantity_decimals)
        else:
            quantity = _number(params, "quantity", spec.quantity_decimals)
        least = parse_units(spec.min_notional, spec.price_decimals + spec.quantity_decimals)
        value = budget if budget is not None else (price or market.last_price) * quantity
        if value < least:
            text = f"The minimum transaction volume cannot be less than：{spec.min_notional}{spec.quote}"
            raise _Answer(400, 30002, text)
        return market, {
            "side": BUY if side == "BUY" else SELL,
            "price": price,
            "quantity": quantity,
            "time_in_force": _TIME_IN_FORCE[kind],
            "budget": budget,
            "post_only": kind == "LIMIT_MAKER",
            "client_id": params.get("newClientOrderId", ""),
            "wire": {"type": kind, "quote": params.get("quoteOrderQty", "")},
        }

    def _cancel(self, params: dict[str, str]) -> Any:
        ours = self._find(params)
        self._sim.account.cancel(ours)
        self._sim.stats.cancels += 1
        return _order_info(ours)

    def _cancel_all(self, params: dict[str, str]) -> Any:
        orders = self._sim.account.open_orders(self._market(params).spec.symbol)
        for ours in orders:
            self._sim.account.cancel(ours)
        self._sim.stats.cancels += len(orders)
        return [_order_info(ours) for ours in orders]

    def _query(self, params: dict[str, str]) -> Any:
        return _order_info(self._find(params))

    def _open_orders(self, params: dict[str, str]) -> Any:
        orders = self._sim.account.open_orders(self._market(params).spec.symbol)
        return [_order_info(ours) for ours in orders]

    def _account(self, params: dict[str, str]) -> Any:
        balances = [
            {
                "asset": asset,
                "free": format_short(balance.free, ASSET_DECIMALS),
                "locked": format_short(balance.locked, ASSET_DECIMALS),
            }
            for asset, balance in self._sim.account.balances.items()
        ]
        return {
            "canTrade": True, "canWithdraw": True, "canDeposit": True, "updateTime": None,
            "accountType": "SPOT", "balances": balances, "permissions": ["SPOT"],
        }  # fmt: skip

    def _coins(self, params: dict[str, str]) -> Any:
        return [{"coin": asset, "name": asset, "networkList": []} for asset in self._sim.account.balances]

    def _create_key(self, params: dict[str, str]) -> Any:
        key = self._listen_keys.create()
        if key is None:  # MEXC documents the limit but no code for it
            raise _Answer(400, 33333, "too many listen keys")
        return {"listenKey": key}

    def _keep_key(self, params: dict[str, str]) -> Any:
        return self._with_key(params, self._listen_keys.keep_alive)

    def _close_key(self, params: dict[str, str]) -> Any:
        return self._with_key(params, self._listen_keys.close)

    def _list_keys(self, params: dict[str, str]) -> Any:
        return {"listenKey": self._listen_keys.live()}

    def _with_key(self, params: dict[str, str], action: Callable[[str], bool]) -> Any:
        if not params.get("listenKey"):
            raise _missing("listenKey")
        if not action(params["listenKey"]):
            raise _Answer(400, 33333, "listen key does not exist")
        return {"listenKey": params["listenKey"]}

    def _find(self, params: dict[str, str]) -> AccountOrder:
        symbol = self._market(params).spec.symbol
        order_id, client_id = params.get("orderId", ""), params.get("origClientOrderId", "")
        if not order_id and not client_id:
            raise _missing("orderId")
        number = whole(order_id.removeprefix(ORDER_PREFIX))
        if number is None and order_id:
            number = -1
        return self._sim.account.find(symbol, number, client_id)

    def _market(self, params: dict[str, str]) -> Market:
        if not params.get("symbol"):
            raise _missing("symbol")
        market = self._sim.markets.get(params["symbol"])
        if market is None:
            raise _Answer(400, -1121, "Invalid symbol.")
        return market


def _number(params: dict[str, str], name: str, decimals: int) -> int:
    if not params.get(name):
        raise _missing(name)
    try:
        units = parse_units(params[name], decimals)
    except ValueError as error:
        raise _Answer(400, 700004, f"Parameter '{name}' is invalid or has too much precision.") from error
    if not units:
        raise _Answer(400, 700004, f"Parameter '{name}' must be positive.")
    return units


def _symbol_info(market: Market) -> dict[str, Any]:
    spec = market.spec
    return {
        "symbol": spec.symbol, "status": "1", "baseAsset": spec.base,
        "baseAssetPrecision": spec.quantity_decimals, "quoteAsset": spec.quote,
        "quotePrecision": spec.price_decimals, "quoteAssetPrecision": spec.price_decimals,
        "baseCommissionPrecision": 8, "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"], "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False, "quoteAmountPrecision": spec.min_notional,
        "baseSizePrecision": format_short(1, spec.quantity_decimals), "permissions": ["SPOT"],
        "filters": [], "maxQuoteAmount": "5000000", "makerCommission": "0.001",
        "takerCommission": "0.001", "quoteAmountPrecisionMarket": spec.min_notional,
        "maxQuoteAmountMarket": "5000000", "fullName": spec.base, "tradeSideType": 1,
    }  # fmt: skip


def _ticker_info(market: Market) -> dict[str, Any]:
    spec, ticker = market.spec, market.ticker
    return {
        "symbol": spec.symbol,
        "bidPrice": format_units(ticker.bid, spec.price_decimals, spec.price_decimals),
        "bidQty": format_short(ticker.bid_lots, spec.quantity_decimals),
        "askPrice": format_units(ticker.ask, spec.price_decimals, spec.price_decimals),
        "askQty": format_short(ticker.ask_lots, spec.quantity_decimals),
    }


def _order_info(ours: AccountOrder) -> dict[str, Any]:
    order, spec = ours.order, ours.market.spec
    status = _STATUS[ours.status]
    if ours.filled and ours.status != "filled":
        status = "PARTIALLY_FILLED" if ours.status == "open" else "PARTIALLY_CANCELED"
    return {
        "symbol": spec.symbol,
        "orderId": f"{ORDER_PREFIX}{order.order_id}",
        "orderListId": -1,
        "clientOrderId": ours.client_id or None,
        "price": format_short(order.price or 0, spec.price_decimals),
        "origQty": format_short(order.quantity, spec.quantity_decimals),
        "executedQty": format_short(ours.filled, spec.quantity_decimals),
        "cummulativeQuoteQty": format_short(ours.cost, spec.price_decimals + spec.quantity_decimals),
        "status": status,
        "timeInForce": None,
        "type": ours.wire["type"],
        "side": "BUY" if order.side == BUY else "SELL",
        "stopPrice": None,
        "icebergQty": None,
        "time": ours.created_ms,
        "updateTime": ours.updated_ms,
        "isWorking": True,
        "origQuoteOrderQty": ours.wire["quote"] or "0",
    }


def _json(status: int, body: Any) -> web.Response:
    return web.Response(status=status, text=compact(body), content_type="application/json")
