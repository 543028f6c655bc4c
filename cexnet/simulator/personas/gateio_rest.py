"""Gate.io v4 spot REST: signed requests, orders and limits, in the exchange's words.

Source: Gate API v4 docs. Every refusal is ``{"label", "message"}`` with an HTTP status.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from aiohttp import web

from cexnet.simulator.account import ASSET_DECIMALS, AccountOrder, Refused
from cexnet.simulator.book import BUY, SELL, TimeInForce
from cexnet.simulator.decimals import format_short, parse_units, whole
from cexnet.simulator.limits import Verdict, WindowLimit
from cexnet.simulator.market import Market
from cexnet.simulator.personas.base import compact, now_ms
from cexnet.simulator.personas.gateio_formats import currency, order_info, pair_info, ticker_info

if TYPE_CHECKING:
    from cexnet.simulator.server import Simulator

_CLOCK_TOLERANCE_S = 60
_TEXT = re.compile(r"t-[0-9A-Za-z_.\-]{1,28}\Z")
_TIME_IN_FORCE: dict[str, TimeInForce] = {"gtc": "gtc", "ioc": "ioc", "fok": "fok", "poc": "gtc"}
_LOT_MAX = 10**12  # "no amount bound" for a market buy, which is given in quote currency
_REFUSALS = {
    "duplicate": (400, "REPEATED_CREATION", "Order with the same text was already created"),
    "funds": (400, "BALANCE_NOT_ENOUGH", "Not enough balance"),
    "would_match": (400, "POC_FILL_IMMEDIATELY", "Order would match and take immediately so its cancelled"),
    "not_filled": (400, "FOK_NOT_FILL", "Order cannot be fully filled"),
    "unknown": (404, "ORDER_NOT_FOUND", "Order not found"),
    "finished": (400, "ORDER_CLOSED", "Order already closed"),
}


class _Answer(Exception):  # control flow of this module only, always answered
    def __init__(self, status: int, label: str, message: str) -> None:
        super().__init__(message)
        self.status, self.label, self.message = status, label, message


def _invalid(message: str) -> _Answer:
    return _Answer(400, "INVALID_PARAM_VALUE", message)


class GateRest:
    """The endpoints of ``/api/v4`` that spot trading needs."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self._public = sim.limit(200, 10)
        self._place_limit = sim.limit(10, 1)
        self._cancel_limit = sim.limit(200, 1)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Register everything under ``/api/v4``, and what peers list beside the spot pairs."""
        public, private, place, cancel = (
            self._public,
            self._sim.limit(200, 10),
            self._place_limit,
            self._cancel_limit,
        )
        endpoints = (
            ("GET", "spot/time", public, self._time, False),
            ("GET", "spot/currencies", public, self._currencies, False),
            ("GET", "spot/currency_pairs", public, self._pairs, False),
            ("GET", "spot/currency_pairs/{pair}", public, self._pair, False),
            ("GET", "spot/order_book", public, self._order_book, False),
            ("GET", "spot/tickers", public, self._tickers, False),
            ("GET", "margin/currency_pairs", public, self._nothing, False),
            ("GET", "futures/{settle}/contracts", public, self._nothing, False),
            ("GET", "delivery/{settle}/contracts", public, self._nothing, False),
            ("GET", "options/underlyings", public, self._nothing, False),
            ("POST", "spot/orders", place, self._place, True),
            ("GET", "spot/orders", private, self._list, True),
            ("DELETE", "spot/orders", cancel, self._cancel_all, True),
            ("GET", "spot/orders/{order_id}", private, self._query, True),
            ("DELETE", "spot/orders/{order_id}", cancel, self._cancel, True),
            ("GET", "spot/open_orders", private, self._open_orders, True),
            ("GET", "spot/accounts", private, self._accounts, True),
        )  # fmt: skip
        for method, path, limit, call, signed in endpoints:
            router.add_route(method, f"/api/v4/{path}", self._handler(path, limit, call, signed))

    def _handler(self, path: str, limit: WindowLimit, call: Any, signed: bool) -> Any:
        async def handle(request: web.Request) -> web.Response:
            self._sim.stats.rest_requests += 1
            in_us = time.time_ns() // 1000
            body = await request.read()
            params: dict[str, str] = dict(
                parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True)
            )
            params.update(request.match_info)
            try:
                params.update(_read_body(body))
                who = "account" if signed else (request.remote or "")
                market = params.get("currency_pair", "") if limit is self._place_limit else ""
                verdict = limit.take(f"{request.method} {path} {who} {market}")
                headers = _limit_headers(limit, verdict, in_us, self._sim.server_ms() / 1000)
                if verdict.state != "ok":
                    self._sim.stats.rate_limited += 1
                    text = f"Request Rate Limit Exceeded, limit {limit.limit}r/{limit.window_s}s"
                    return _json(429, {"label": "TOO_MANY_REQUESTS", "message": text}, headers)
                if signed:
                    self._check_signature(request, body)
                created = request.method == "POST"
                return _json(201 if created else 200, call(params), headers)
            except Refused as refusal:
                status, label, message = _REFUSALS[refusal.reason]
                return _json(status, {"label": label, "message": message}, {})
            except _Answer as answer:
                return _json(answer.status, {"label": answer.label, "message": answer.message}, {})

        return handle

    def _check_signature(self, request: web.Request, body: bytes) -> None:
        for name in ("KEY", "SIGN", "Timestamp"):
            if not request.headers.get(name):
                raise _Answer(401, "MISSING_REQUIRED_HEADER", f"Missing required header: {name}")
        if not hmac.compare_digest(
            request.headers["KEY"].encode(errors="surrogateescape"), self._sim.api_key.encode()
        ):
            self._sim.stats.signature_failures += 1
            raise _Answer(401, "INVALID_KEY", "Invalid key provided")
        stamp = request.headers["Timestamp"]
        try:
            skew_s = abs(self._sim.server_ms() / 1000 - float(stamp))
        except ValueError as error:
            raise _Answer(401, "INVALID_PARAM_VALUE", "Invalid Timestamp header") from error
        if not skew_s <= _CLOCK_TOLERANCE_S:  # NaN neither
            text = f"gap between request Timestamp and server time exceeds {_CLOCK_TOLERANCE_S}"
            raise _Answer(403, "REQUEST_EXPIRED", text)
        path, _, query = request.raw_path.partition("?")
        digest = hashlib.sha512(body).hexdigest()
        secret = self._sim.api_secret.encode()
        expected = {  # the query is signed unencoded; clients that sign it as sent are right too
            hmac.new(secret, text.encode(), hashlib.sha512).hexdigest()
            for text in (
                f"{request.method}\n{path}\n{unquote(query)}\n{digest}\n{stamp}",
                f"{request.method}\n{path}\n{query}\n{digest}\n{stamp}",
            )
        }
        if request.headers["SIGN"].lower() not in expected:
            self._sim.stats.signature_failures += 1
            raise _Answer(401, "INVALID_SIGNATURE", "Signature mismatch")

    def _time(self, params: dict[str, str]) -> Any:
        return {"server_time": self._sim.server_ms()}

    def _nothing(self, params: dict[str, str]) -> Any:
        return []

    def _currencies(self, params: dict[str, str]) -> Any:
        return [currency(asset) for asset in self._sim.account.balances]

    def _pairs(self, params: dict[str, str]) -> Any:
        return [pair_info(market) for market in self._sim.markets.values()]

    def _pair(self, params: dict[str, str]) -> Any:
        return pair_info(self._market(params, "pair"))

    def _tickers(self, params: dict[str, str]) -> Any:
        if "currency_pair" in params:
            return [ticker_info(self._market(params))]
        return [ticker_info(market) for market in self._sim.markets.values()]

    def _order_book(self, params: dict[str, str]) -> Any:
        recorded = self._sim.recorded_snapshot(params.get("currency_pair", ""))
        if recorded is not None:
            return recorded
        market = self._market(params)
        limit = whole(params.get("limit", "10"))
        if limit is None or not 0 < limit <= 1000:
            raise _invalid("Invalid limit")
        spec, at_ms = market.spec, now_ms()
        answer: dict[str, Any] = {"id": market.book.sequence} if params.get("with_id") == "true" else {}
        answer |= {"current": at_ms, "update": at_ms}
        for name, side in (("asks", SELL), ("bids", BUY)):
            answer[name] = [
                [format_short(price, spec.price_decimals), format_short(lots, spec.quantity_decimals)]
                for price, lots in market.book.levels(side, limit)
            ]
        return answer

    def _place(self, params: dict[str, str]) -> Any:
        market = self._market(params)
        spec = market.spec
        side, kind, text = params.get("side", ""), params.get("type") or "limit", params.get("text", "")
        if side not in ("buy", "sell"):
            raise _invalid("Invalid side")
        if kind not in ("limit", "market"):
            raise _invalid("Invalid type")
        if text and text != "apiv4" and not _TEXT.match(text):
            raise _Answer(
                400, "INVALID_CLIENT_ORDER_ID", "Invalid text: must start with t-, at most 28 bytes after"
            )
        in_force = params.get("time_in_force") or ("gtc" if kind == "limit" else "ioc")
        if in_force not in _TIME_IN_FORCE or (kind == "market" and in_force not in ("ioc", "fok")):
            raise _invalid("Invalid time_in_force")
        price = budget = None
        if kind == "limit":
            price = _number(params, "price", spec.price_decimals)
        if kind == "market" and side == "buy":
            budget = _number(params, "amount", spec.price_decimals + spec.quantity_decimals)
            quantity = _LOT_MAX
        else:
            quantity = _number(params, "amount", spec.quantity_decimals)
        scale = spec.price_decimals + spec.quantity_decimals
        value = budget if budget is not None else (price or market.last_price) * quantity
        if value < parse_units(spec.min_notional, scale):
            text = f"Your order size {format_short(value, scale)} {spec.quote} is too small"
            raise _Answer(
                400, "INVALID_PARAM_VALUE", f"{text}. The minimum is {spec.min_notional} {spec.quote}"
            )
        sign = BUY if side == "buy" else SELL
        if in_force == "fok" and price and market.book.available(sign, price, quantity)[0] < quantity:
            raise Refused("not_filled")
        self._sim.stats.orders += 1
        ours = self._sim.account.place(
            market, side=sign, price=price, quantity=quantity, budget=budget,
            time_in_force=_TIME_IN_FORCE[in_force], post_only=in_force == "poc",
            client_id=text if text.startswith("t-") else "",
            wire={"type": kind, "time_in_force": in_force, "text": text or "apiv4",
                  "account": params.get("account") or "spot", "amount": params["amount"]},
        )  # fmt: skip
        return order_info(ours)

    def _query(self, params: dict[str, str]) -> Any:
        return order_info(self._find(params))

    def _cancel(self, params: dict[str, str]) -> Any:
        ours = self._find(params)
        if ours.status == "canceled":
            raise _Answer(400, "ORDER_CANCELLED", "Order already cancelled")
        self._sim.account.cancel(ours)
        self._sim.stats.cancels += 1
        return order_info(ours)

    def _cancel_all(self, params: dict[str, str]) -> Any:
        symbol = self._market(params).spec.symbol if params.get("currency_pair") else None
        orders = self._sim.account.open_orders(symbol)
        for ours in orders:
            self._sim.account.cancel(ours)
        self._sim.stats.cancels += len(orders)
        return [order_info(ours) for ours in orders]

    def _list(self, params: dict[str, str]) -> Any:
        symbol = self._market(params).spec.symbol
        if params.get("status") == "open":
            return [order_info(ours) for ours in self._sim.account.open_orders(symbol)]
        if params.get("status") != "finished":
            raise _invalid("Invalid status")
        orders = self._sim.account.orders.values()
        done = [o for o in orders if o.status != "open" and o.market.spec.symbol == symbol]
        return [order_info(ours) for ours in reversed(done)]

    def _open_orders(self, params: dict[str, str]) -> Any:
        answer = []
        for symbol in self._sim.markets:
            orders = self._sim.account.open_orders(symbol)
            if orders:
                rows = [order_info(ours) for ours in orders]
                answer.append({"currency_pair": symbol, "total": len(rows), "orders": rows})
        return answer

    def _accounts(self, params: dict[str, str]) -> Any:
        return [
            {
                "currency": asset,
                "available": format_short(balance.free, ASSET_DECIMALS),
                "locked": format_short(balance.locked, ASSET_DECIMALS),
                "update_id": 1,
            }
            for asset, balance in self._sim.account.balances.items()
            if params.get("currency", asset) == asset
        ]

    def _find(self, params: dict[str, str]) -> AccountOrder:
        symbol, wanted = self._market(params).spec.symbol, params["order_id"]
        return self._sim.account.find(symbol, whole(wanted), wanted)

    def _market(self, params: dict[str, str], name: str = "currency_pair") -> Market:
        pair = params.get(name)
        if not pair:
            raise _Answer(400, "MISSING_REQUIRED_PARAM", f"Missing required parameter: {name}")
        market = self._sim.markets.get(pair)
        if market is None:
            raise _Answer(400, "INVALID_CURRENCY_PAIR", f"Invalid currency pair {pair}")
        return market


def _read_body(body: bytes) -> dict[str, str]:
    if not body:
        return {}
    try:
        value = json.loads(body)
    except ValueError as error:
        raise _Answer(400, "INVALID_REQUEST_BODY", "Invalid request body") from error
    if not isinstance(value, dict):
        raise _Answer(400, "INVALID_REQUEST_BODY", "Invalid request body")
    return {name: str(item) for name, item in value.items() if item is not None}


def _number(params: dict[str, str], name: str, decimals: int) -> int:
    if not params.get(name):
        raise _Answer(400, "MISSING_REQUIRED_PARAM", f"Missing required parameter: {name}")
    try:
        parse_units(params[name], 20)
    except ValueError as error:
        raise _invalid(f"Invalid {name}") from error
    try:
        units = parse_units(params[name], decimals)
    except ValueError as error:
        raise _Answer(400, "INVALID_PRECISION", f"Invalid {name} precision") from error
    if not units:
        raise _invalid(f"Invalid {name}")
    return units


def _limit_headers(limit: WindowLimit, verdict: Verdict, in_us: int, server_s: float) -> dict[str, str]:
    out_us = time.time_ns() // 1000
    return {
        "X-Gate-RateLimit-Requests-Remain": str(max(0, limit.limit - verdict.used)),
        "X-Gate-RateLimit-Limit": str(limit.limit),
        "X-Gate-RateLimit-Reset-Timestamp": str(int(server_s + verdict.reset_s) + 1),
        "X-In-Time": str(in_us),
        "X-Out-Time": str(out_us),
        "X-Gate-Trace-ID": f"{out_us:032x}",
    }


def _json(status: int, body: Any, headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, text=compact(body), headers=headers, content_type="application/json")
