"""Binance spot REST: signed requests, orders, limits, in the exchange's words.

Source: binance-spot-api-docs, rest-api.md, errors.md and filters.md.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from cexnet.simulator.account import ASSET_DECIMALS, AccountOrder, Refused
from cexnet.simulator.book import BUY, SELL, TimeInForce
from cexnet.simulator.decimals import format_units, whole
from cexnet.simulator.limits import Verdict
from cexnet.simulator.market import Market
from cexnet.simulator.personas.base import now_ms
from cexnet.simulator.personas.binance_auth import BinanceAuth
from cexnet.simulator.personas.binance_formats import (
    Answer,
    bad,
    book_ticker,
    canceled,
    check_notional,
    depth_weight,
    level,
    missing,
    number,
    order_info,
    order_result,
    symbol_info,
)
from cexnet.simulator.personas.words import BinanceWords, json_answer

if TYPE_CHECKING:
    from cexnet.simulator.server import Simulator

_SIGNATURE = re.compile(r"(?:^|&)signature=[^&]*")
_CLIENT_ID = re.compile(r"[a-zA-Z0-9-_]{1,36}\Z")
_LOT_MAX = 10**12  # "no quantity bound" for an order given in quote currency
_TIME_IN_FORCE: dict[str, TimeInForce] = {"GTC": "gtc", "IOC": "ioc", "FOK": "fok"}
REFUSALS = {
    "duplicate": (-2010, "Duplicate order sent."),
    "funds": (-2010, "Account has insufficient balance for requested action."),
    "would_match": (-2010, "Order would immediately match and take."),
    "not_filled": (-2010, "Order would not fill."),
    "unknown": (-2013, "Order does not exist."),
    "finished": (-2011, "Unknown order sent."),
}


class BinanceRest:
    """The endpoints of ``/api/v3``; the WebSocket API shares ``weight`` and the orders."""

    def __init__(self, sim: Simulator, auth: BinanceAuth) -> None:
        self._sim = sim
        self._auth = auth
        self.weight = sim.limit(6000, 60, bans=True)
        self._raw = sim.limit(61_000, 300, bans=True)
        self._orders_10s = sim.limit(100, 10)
        self._orders_1d = sim.limit(200_000, 86_400)
        self.words = BinanceWords(sim.server_ms, self.weight.limit)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Register everything under ``/api/v3``, and what peers list beside the spot markets."""
        endpoints = (
            ("GET", "ping", 1, self._ping, False),
            ("GET", "time", 1, self._time, False),
            ("GET", "exchangeInfo", 20, self._exchange_info, False),
            ("GET", "depth", 0, self._depth, False),
            ("GET", "ticker/bookTicker", 2, self._book_ticker, False),
            ("POST", "order", 1, self.place, True),
            ("POST", "order/test", 1, self.test, True),
            ("DELETE", "order", 1, self.cancel, True),
            ("GET", "order", 4, self.query, True),
            ("GET", "openOrders", 6, self.open_orders, True),
            ("DELETE", "openOrders", 1, self.cancel_all, True),
            ("GET", "account", 20, self.account, True),
        )
        for method, path, weight, call, signed in endpoints:
            router.add_route(method, f"/api/v3/{path}", self._handler(call, weight, signed))
        for path, call, signed in (
            ("/sapi/v1/capital/config/getall", self._coins, True),
            ("/sapi/v1/margin/allPairs", self._no_pairs, False),
            ("/sapi/v1/margin/isolated/allPairs", self._no_pairs, False),
            ("/fapi/v1/exchangeInfo", self._no_futures, False),
            ("/dapi/v1/exchangeInfo", self._no_futures, False),
        ):
            router.add_get(path, self._handler(call, 1, signed))

    def _handler(self, call: Any, weight: int, signed: bool) -> Any:
        async def handle(request: web.Request) -> web.Response:
            self._sim.stats.rest_requests += 1
            query = request.raw_path.partition("?")[2]
            body = (await request.read()).decode(errors="replace")
            params = dict(parse_qsl(query, keep_blank_values=True))
            params.update(parse_qsl(body, keep_blank_values=True))
            host = request.remote or ""
            cost = weight or depth_weight(params)
            verdict = self.weight.take(host, cost)
            raw = self._raw.take(host)
            headers = {"X-MBX-USED-WEIGHT": str(verdict.used)}
            headers["X-MBX-USED-WEIGHT-1M"] = str(verdict.used)
            if verdict.state == "ok" and raw.state != "ok":
                verdict = raw
            if verdict.state != "ok":
                return self._limited(verdict, headers)
            try:
                if signed:
                    payload = _SIGNATURE.sub("", query) + _SIGNATURE.sub("", body)
                    self._auth.check(request.headers.get("X-MBX-APIKEY", ""), params, payload)
                    if request.method == "POST" and call == self.place:
                        self._count_order(headers)
                return json_answer(200, call(params), headers)
            except Refused as refusal:
                code, text = REFUSALS[refusal.reason]
                return json_answer(400, {"code": code, "msg": text}, headers)
            except Answer as answer:
                return json_answer(answer.status, {"code": answer.code, "msg": answer.text}, headers)

        return handle

    def _limited(self, verdict: Verdict, headers: dict[str, str]) -> web.Response:
        self._sim.stats.rate_limited += 1
        refuse = self.words.banned if verdict.state == "banned" else self.words.throttled
        answer = refuse(verdict.reset_s)
        answer.headers.update(headers)
        return answer

    def _count_order(self, headers: dict[str, str]) -> None:
        day, ten = self._orders_1d.take("account"), self._orders_10s.take("account")
        headers["X-MBX-ORDER-COUNT-10S"] = str(ten.used)
        headers["X-MBX-ORDER-COUNT-1D"] = str(day.used)
        if ten.state != "ok" or day.state != "ok":
            self._sim.stats.rate_limited += 1
            headers["Retry-After"] = str(int(ten.reset_s) + 1)
            text = f"Too many new orders; current limit is {self._orders_10s.limit} orders per 10 SECOND."
            raise Answer(429, -1015, text)

    def _ping(self, params: dict[str, str]) -> Any:
        return {}

    def _time(self, params: dict[str, str]) -> Any:
        return {"serverTime": self._sim.server_ms()}

    def _exchange_info(self, params: dict[str, str]) -> Any:
        symbols = [symbol_info(market) for market in self._sim.markets.values()]
        if "symbol" in params:
            self._market(params)
            symbols = [info for info in symbols if info["symbol"] == params["symbol"]]
        limits = (
            ("REQUEST_WEIGHT", "MINUTE", 1, self.weight.limit),
            ("ORDERS", "SECOND", 10, self._orders_10s.limit),
            ("ORDERS", "DAY", 1, self._orders_1d.limit),
            ("RAW_REQUESTS", "MINUTE", 5, self._raw.limit),
        )
        return {
            "timezone": "UTC",
            "serverTime": self._sim.server_ms(),
            "rateLimits": [
                {"rateLimitType": kind, "interval": unit, "intervalNum": count, "limit": limit}
                for kind, unit, count, limit in limits
            ],
            "exchangeFilters": [],
            "symbols": symbols,
        }

    def _depth(self, params: dict[str, str]) -> Any:
        recorded = self._sim.recorded_snapshot(params.get("symbol", ""))
        if recorded is not None:
            return recorded
        market = self._market(params)
        limit = whole(params.get("limit") or "100")
        if not limit:
            text = "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."
            raise bad(-1100, text)
        return {
            "lastUpdateId": market.book.sequence,
            "bids": [level(market, entry) for entry in market.book.levels(BUY, min(5000, limit))],
            "asks": [level(market, entry) for entry in market.book.levels(SELL, min(5000, limit))],
        }

    def _book_ticker(self, params: dict[str, str]) -> Any:
        if "symbol" in params:
            return book_ticker(self._market(params))
        return [book_ticker(market) for market in self._sim.markets.values()]

    def place(self, params: dict[str, str]) -> Any:
        """Place an order. Raises :class:`Answer` or :class:`Refused`, as the others do."""
        return order_result(self._submit(params), params.get("newOrderRespType", ""))

    def test(self, params: dict[str, str]) -> Any:
        """Check an order without placing it."""
        self._parse(params)
        return {}

    def _submit(self, params: dict[str, str]) -> AccountOrder:
        market, fields = self._parse(params)
        self._sim.stats.orders += 1
        return self._sim.account.place(market, **fields)

    def _parse(self, params: dict[str, str]) -> tuple[Market, dict[str, Any]]:
        market = self._market(params)
        spec = market.spec
        if params.get("side") not in ("BUY", "SELL"):
            raise bad(-1117, "Invalid side.") if params.get("side") else missing("side")
        kind = params.get("type", "")
        if kind not in ("LIMIT", "MARKET", "LIMIT_MAKER"):
            raise bad(-1116, "Invalid orderType.") if kind else missing("type")
        if kind == "LIMIT" and params.get("timeInForce") not in ("GTC", "IOC", "FOK"):
            if params.get("timeInForce"):
                raise bad(-1115, "Invalid timeInForce.")
            raise missing("timeInForce")
        client_id = params.get("newClientOrderId") or f"sim{time.time_ns():x}"
        if not _CLIENT_ID.match(client_id):
            text = "Illegal characters found in parameter 'newClientOrderId'; "
            raise bad(-1100, text + "legal range is '^[a-zA-Z0-9-_]{1,36}$'.")
        budget = None
        quantity = _LOT_MAX
        if kind == "MARKET" and params.get("quoteOrderQty"):
            scale = spec.price_decimals + spec.quantity_decimals
            budget = number(params, "quoteOrderQty", scale, "Filter failure: LOT_SIZE")
        else:
            quantity = number(params, "quantity", spec.quantity_decimals, "Filter failure: LOT_SIZE")
        price = None
        if kind != "MARKET":
            price = number(params, "price", spec.price_decimals, "Filter failure: PRICE_FILTER")
        check_notional(market, price, quantity, budget)
        in_force = "IOC" if kind == "MARKET" else params.get("timeInForce", "GTC")
        return market, {
            "side": BUY if params["side"] == "BUY" else SELL,
            "price": price,
            "quantity": quantity,
            "time_in_force": _TIME_IN_FORCE[in_force],
            "budget": budget,
            "post_only": kind == "LIMIT_MAKER",
            "client_id": client_id,
            "wire": {
                "type": kind,
                "timeInForce": params.get("timeInForce", "GTC"),
                "quote": params.get("quoteOrderQty", ""),
            },
        }

    def cancel(self, params: dict[str, str]) -> Any:
        """Cancel an order."""
        try:
            ours = self._find(params)
            if params.get("newClientOrderId"):
                ours.wire["cancel_id"] = params["newClientOrderId"]
            self._sim.account.cancel(ours)
        except Refused as refusal:
            raise bad(-2011, "Unknown order sent.") from refusal
        self._sim.stats.cancels += 1
        return canceled(ours, params.get("newClientOrderId"))

    def cancel_all(self, params: dict[str, str]) -> Any:
        """Cancel every open order of a symbol."""
        market = self._market(params)
        orders = self._sim.account.open_orders(market.spec.symbol)
        if not orders:
            raise bad(-2011, "Unknown order sent.")
        for ours in orders:
            self._sim.account.cancel(ours)
        self._sim.stats.cancels += len(orders)
        return [canceled(ours, None) for ours in orders]

    def query(self, params: dict[str, str]) -> Any:
        """An order as it stands."""
        return order_info(self._find(params))

    def open_orders(self, params: dict[str, str]) -> Any:
        """The open orders, of one symbol or of all."""
        symbol = self._market(params).spec.symbol if "symbol" in params else None
        return [order_info(ours) for ours in self._sim.account.open_orders(symbol)]

    def account(self, params: dict[str, str]) -> Any:
        """The account with its balances."""
        balances = [
            {
                "asset": asset,
                "free": format_units(balance.free, ASSET_DECIMALS, 8),
                "locked": format_units(balance.locked, ASSET_DECIMALS, 8),
            }
            for asset, balance in self._sim.account.balances.items()
        ]
        return {
            "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0,
            "sellerCommission": 0, "canTrade": True, "canWithdraw": True, "canDeposit": True,
            "updateTime": now_ms(), "accountType": "SPOT", "balances": balances,
            "permissions": ["SPOT"], "uid": 1,
        }  # fmt: skip

    def _coins(self, params: dict[str, str]) -> Any:
        return [
            {"coin": asset, "name": asset, "trading": True, "networkList": []}
            for asset in self._sim.account.balances
        ]

    def _no_pairs(self, params: dict[str, str]) -> Any:
        return []

    def _no_futures(self, params: dict[str, str]) -> Any:
        return {"timezone": "UTC", "serverTime": self._sim.server_ms(), "rateLimits": [], "symbols": []}

    def _find(self, params: dict[str, str]) -> AccountOrder:
        symbol = self._market(params).spec.symbol
        order_id, client_id = params.get("orderId", ""), params.get("origClientOrderId", "")
        if not order_id and not client_id:
            text = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            raise bad(-1102, text)
        number = whole(order_id)
        if order_id and number is None:
            text = "Illegal characters found in parameter 'orderId'; legal range is '^[0-9]{1,20}$'."
            raise bad(-1100, text)
        return self._sim.account.find(symbol, number, client_id)

    def _market(self, params: dict[str, str]) -> Market:
        if not params.get("symbol"):
            raise missing("symbol")
        market = self._sim.markets.get(params["symbol"])
        if market is None:
            raise bad(-1121, "Invalid symbol.")
        return market
