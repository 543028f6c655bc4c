"""Binance spot over REST: tables first. Source: binance/binance-spot-api-docs, 2026-07."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from cexnet.credentials import Credentials
from cexnet.http.answers import OrderBook
from cexnet.http.auth import QuerySignature, SignedQuery
from cexnet.http.classify import ErrorClass, ErrorTable, TableErrors
from cexnet.http.endpoint import Call, Endpoint, Param, Priority
from cexnet.http.intents import (
    ClientOrderIds,
    EpochMs,
    TableRequests,
    any_json,
    average_price,
    limit_price,
)
from cexnet.http.limits import LimitScope, ScopedLimiter
from cexnet.http.retry import FullJitterRetry
from cexnet.http.strategies import RestStrategySet
from cexnet.types import Order, OrderRequest, OrderStatus, OrderType, Side

REST_URL = "https://api.binance.com"
REST_URL_TESTNET = "https://testnet.binance.vision"

SIGNATURE = QuerySignature(key_header="X-MBX-APIKEY", private_keys=True)

# "Limits" of the general API information; exchangeInfo tells an account's own. Binance
# counts in windows of the clock; a rolling window is never looser, wherever they begin.
LIMITS = (
    LimitScope("ip_weight", 6000, 60, counts="weight", used_header="X-MBX-USED-WEIGHT-1M", guard_s=1.0),
    LimitScope("ip_requests", 61_000, 300, guard_s=1.0),
    LimitScope("orders_10s", 100, 10, by="account", used_header="X-MBX-ORDER-COUNT-10S", guard_s=0.5),
    LimitScope("orders_1d", 200_000, 86_400, by="account", used_header="X-MBX-ORDER-COUNT-1D", guard_s=1.0),
)
# -1015 is "too many new orders": market data may go on.
CODE_SCOPES = {"-1015": ("orders_10s", "orders_1d")}

_IP = ("ip_weight", "ip_requests")
_ORDERS = ("ip_weight", "ip_requests", "orders_10s", "orders_1d")


def _depth_weight(params: Mapping[str, str]) -> int:
    limit = int(params.get("limit", "100"))
    return 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250


def _book_ticker_weight(params: Mapping[str, str]) -> int:
    return 2 if "symbol" in params else 4


def _open_orders_weight(params: Mapping[str, str]) -> int:
    return 6 if "symbol" in params else 80


_signed = partial(Endpoint, signed=True)
# Sent again, it would trade again.
_trade = partial(_signed, idempotent=False)

ENDPOINTS = (
    Endpoint("ping", "GET", "/api/v3/ping", 1, _IP),
    Endpoint("time", "GET", "/api/v3/time", 1, _IP),
    Endpoint("info", "GET", "/api/v3/exchangeInfo", 20, _IP, priority=Priority.BACKGROUND),
    Endpoint("depth", "GET", "/api/v3/depth", 5, _IP, weigh=_depth_weight),
    Endpoint("trades", "GET", "/api/v3/trades", 25, _IP),
    Endpoint("agg_trades", "GET", "/api/v3/aggTrades", 4, _IP),
    Endpoint("klines", "GET", "/api/v3/klines", 2, _IP),
    Endpoint("avg_price", "GET", "/api/v3/avgPrice", 2, _IP),
    Endpoint("book_ticker", "GET", "/api/v3/ticker/bookTicker", 4, _IP, weigh=_book_ticker_weight),
    _trade("place", "POST", "/api/v3/order", 1, _ORDERS, priority=Priority.PLACE),
    _trade("cancel", "DELETE", "/api/v3/order", 1, _IP, priority=Priority.CANCEL),
    _signed("query", "GET", "/api/v3/order", 4, _IP),
    _signed("open_orders", "GET", "/api/v3/openOrders", 80, _IP, weigh=_open_orders_weight),
    _trade("cancel_all", "DELETE", "/api/v3/openOrders", 1, _IP, priority=Priority.CANCEL),
    _signed("all_orders", "GET", "/api/v3/allOrders", 20, _IP),
    _signed("account", "GET", "/api/v3/account", 20, _IP),
    _signed("my_trades", "GET", "/api/v3/myTrades", 20, _IP),
    _signed("order_limits", "GET", "/api/v3/rateLimit/order", 40, _IP),
)

_CODES: dict[ErrorClass, tuple[str, ...]] = {
    "auth": ("-1002", "-1022", "-2014", "-2015"),
    "clock": ("-1021",),
    "rate": ("-1003", "-1015", "-1034"),
    "invalid": ("-1013",),
    "not_found": ("-2013", "-2026"),
    "retry": ("-1001", "-1008", "-1016"),
    "unknown": ("-1000", "-1006", "-1007"),
}
ERRORS = ErrorTable(
    code_field="code",
    message_field="msg",
    codes={code: kind for kind, codes in _CODES.items() for code in codes},
    texts=(
        ("-2010", "insufficient balance", "funds"),
        ("-2010", "duplicate order sent", "duplicate"),
        ("-2011", "unknown order sent", "not_found"),
    ),
    ranges=((-1130, -1100, "invalid"),),
    # "Internal error; unable to process your request": says nothing about an order.
    order_unknown=frozenset({"-1001"}),
    # The web application firewall answers 403 before the API sees the request; 409 is a
    # cancel-and-replace of which one half was done.
    statuses={403: "rate", 409: "unknown"},
)

CLIENT_ORDER_IDS = ClientOrderIds(
    prefix="cx",
    pattern=r"[a-zA-Z0-9\-_]{1,36}",
    rule="1 to 36 of letters, digits, '-' and '_'",
)

STATUSES = {
    "NEW": OrderStatus.NEW,
    "PENDING_NEW": OrderStatus.NEW,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "PENDING_CANCEL": OrderStatus.CANCELED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}


class _Time(msgspec.Struct):
    serverTime: EpochMs


class _Depth(msgspec.Struct):
    lastUpdateId: int
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]


class _Order(msgspec.Struct):
    """An order in any of the answers; the ACK answer leaves out what has a default."""

    symbol: str
    orderId: int | str
    clientOrderId: str = ""
    origClientOrderId: str = ""
    price: str = ""
    origQty: str = ""
    executedQty: str = "0"
    cummulativeQuoteQty: str = ""  # the documents' own spelling; negative: not known
    status: str = "NEW"
    side: str = ""


_time = msgspec.json.Decoder(_Time).decode
_depth = msgspec.json.Decoder(_Depth).decode
_order = msgspec.json.Decoder(_Order).decode


class BinanceRequests(TableRequests):
    """Intents in the form of Binance's REST v3, which MEXC's v3 follows."""

    statuses: Mapping[str, OrderStatus] = STATUSES
    ids = CLIENT_ORDER_IDS

    def ping(self) -> Call[None]:
        """See RequestStrategy."""
        return self.intent("ping", any_json)

    def server_time(self) -> Call[int]:
        """See RequestStrategy."""
        return self.intent("time", lambda body: _time(body).serverTime * 1_000_000)

    def depth(self, symbol: str, limit: int) -> Call[OrderBook]:
        """See RequestStrategy."""

        def parse(body: bytes) -> OrderBook:
            book = _depth(body)
            return OrderBook(symbol, book.lastUpdateId, book.bids, book.asks)

        return self.intent("depth", parse, [("symbol", symbol), ("limit", limit)])

    def place_order(self, order: OrderRequest) -> Call[Order]:
        """See RequestStrategy."""
        client_order_id = self.ids.resolve(order.client_order_id)
        return self.intent(
            "place",
            lambda body: self._order_of(body, client_order_id, order),
            self.order_params(order, client_order_id),
            scope_key=order.symbol,
            client_order_id=client_order_id,
        )

    def order_params(self, order: OrderRequest, client_order_id: str) -> list[Param]:
        """The parameters of a new order, in the documents' order."""
        limit = order.type is OrderType.LIMIT
        return [
            ("symbol", order.symbol),
            ("side", order.side.upper()),
            ("type", order.type.upper()),
            ("timeInForce", order.time_in_force.upper() if limit else None),
            ("quantity", order.quantity),
            ("price", limit_price(order)),
            ("newClientOrderId", client_order_id),
            ("newOrderRespType", "RESULT"),
        ]

    def cancel_order(self, symbol: str, order_id: str, client_order_id: str) -> Call[Order]:
        """See RequestStrategy."""
        return self._by_id("cancel", symbol, order_id, client_order_id)

    def query_order(self, symbol: str, order_id: str, client_order_id: str) -> Call[Order]:
        """See RequestStrategy."""
        return self._by_id("query", symbol, order_id, client_order_id)

    def _by_id(self, name: str, symbol: str, order_id: str, client_order_id: str) -> Call[Order]:
        if client_order_id:
            self.ids.resolve(client_order_id)
        return self.intent(
            name,
            lambda body: self._order_of(body, client_order_id, None),
            [
                ("symbol", symbol),
                ("orderId", order_id or None),
                ("origClientOrderId", client_order_id or None),
            ],
            scope_key=symbol,
            client_order_id=client_order_id,
        )

    def _order_of(self, body: bytes, client_order_id: str, asked: OrderRequest | None) -> Order:
        """The order in ``body``; what the answer leaves out is as it was asked for."""
        answer = _order(body)
        status = self.statuses.get(answer.status)
        if status is None:
            raise msgspec.ValidationError(f"order status {answer.status!r} is not in the table")
        return Order(
            symbol=answer.symbol,
            order_id=str(answer.orderId),
            client_order_id=answer.origClientOrderId or answer.clientOrderId or client_order_id,
            status=status,
            side=Side(answer.side.lower() or (asked.side if asked else "")),
            price=answer.price or (asked.price if asked else None) or "0",
            quantity=answer.origQty or (asked.quantity if asked else "0"),
            filled_quantity=answer.executedQty,
            average_price=average_price(answer.cummulativeQuoteQty, answer.executedQty),
        )


def rest_strategies(
    *,
    credentials: Credentials | None = None,
    limits: Sequence[LimitScope] = LIMITS,
    recv_window_ms: int = 5000,
) -> RestStrategySet:
    """A fresh strategy set for Binance spot; without credentials for public data only."""
    return RestStrategySet(
        request=BinanceRequests(ENDPOINTS, default_scopes=_IP),
        auth=SignedQuery(SIGNATURE, credentials, recv_window_ms=recv_window_ms),
        limits=ScopedLimiter(
            limits, account=credentials.api_key if credentials else "", code_scopes=CODE_SCOPES
        ),
        retry=FullJitterRetry(),
        exceptions=TableErrors(ERRORS),
    )
