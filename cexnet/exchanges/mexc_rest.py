"""MEXC spot v3 over REST: Binance's request form with MEXC's own tables.

Source: mexcdevelop/apidocs (spot_v3_en, 2025-08). Its rate limits are disputed, so the
table starts at the lowest that anyone reports: 20 requests/s an endpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from cexnet.credentials import Credentials
from cexnet.exchanges.binance_rest import BinanceRequests
from cexnet.http.auth import QuerySignature, SignedQuery
from cexnet.http.classify import ErrorClass, ErrorTable, TableErrors
from cexnet.http.endpoint import Endpoint, Param, Priority
from cexnet.http.intents import ClientOrderIds, limit_price
from cexnet.http.limits import LimitScope, ScopedLimiter
from cexnet.http.retry import FullJitterRetry
from cexnet.http.strategies import RestStrategySet
from cexnet.types import OrderRequest, OrderStatus, OrderType, TimeInForce

REST_URL = "https://api.mexc.com"

# A signed request without this content type is refused with 700013.
SIGNATURE = QuerySignature(key_header="X-MEXC-APIKEY", content_type="application/json")

LIMITS = (
    LimitScope("endpoint_calls", 20, 1, per="endpoint", guard_s=0.1),
    LimitScope("endpoint_weight", 500, 10, per="endpoint", counts="weight", guard_s=0.5),
)

_SCOPES = ("endpoint_calls", "endpoint_weight")

_signed = partial(Endpoint, signed=True)
# Sent again, it would trade again.
_trade = partial(_signed, idempotent=False)

ENDPOINTS = (
    Endpoint("ping", "GET", "/api/v3/ping", 1, _SCOPES),
    Endpoint("time", "GET", "/api/v3/time", 1, _SCOPES),
    Endpoint("info", "GET", "/api/v3/exchangeInfo", 10, _SCOPES, priority=Priority.BACKGROUND),
    Endpoint("depth", "GET", "/api/v3/depth", 1, _SCOPES),
    Endpoint("trades", "GET", "/api/v3/trades", 5, _SCOPES),
    Endpoint("klines", "GET", "/api/v3/klines", 1, _SCOPES),
    Endpoint("book_ticker", "GET", "/api/v3/ticker/bookTicker", 1, _SCOPES),
    _trade("place", "POST", "/api/v3/order", 1, _SCOPES, priority=Priority.PLACE),
    _signed("place_test", "POST", "/api/v3/order/test", 1, _SCOPES),
    _trade("cancel", "DELETE", "/api/v3/order", 1, _SCOPES, priority=Priority.CANCEL),
    _signed("query", "GET", "/api/v3/order", 2, _SCOPES),
    _signed("open_orders", "GET", "/api/v3/openOrders", 3, _SCOPES),
    _signed("all_orders", "GET", "/api/v3/allOrders", 10, _SCOPES),
    _signed("account", "GET", "/api/v3/account", 10, _SCOPES),
    _signed("my_trades", "GET", "/api/v3/myTrades", 10, _SCOPES),
    # Asked for twice, there would be two of the 60 that an account may have.
    _trade("create_listen_key", "POST", "/api/v3/userDataStream", 1, _SCOPES),
    _signed("keep_listen_key", "PUT", "/api/v3/userDataStream", 1, _SCOPES),
    _signed("close_listen_key", "DELETE", "/api/v3/userDataStream", 1, _SCOPES),
)

_AUTH = "400 401 402 403 406 602 10072 140002 700001 700002 700006 700007 700013"
_INVALID = (
    "-1121 -1128 2011 10007 30002 30003 30014 30021 30026 30029 30041 30087 33333 44444"
    " 700004 700008 730001 730002"
)
_CODES: dict[ErrorClass, str] = {
    "auth": _AUTH,
    "clock": "10073 700003 700005",
    "rate": "429 510",
    "invalid": _INVALID,
    "funds": "2005 10101 30004 30005",
    # -2013 is not in MEXC's list; client libraries map it as Binance's.
    "not_found": "-2011 -2013 22222",
    "duplicate": "603",
    "retry": "500 501 503 504 604 801 11444 20002 30000 30016",
}
ERRORS = ErrorTable(
    code_field="code",
    message_field="msg",
    codes={code: kind for kind, codes in _CODES.items() for code in codes.split()},
    order_unknown=frozenset({"500", "501", "503", "504"}),
    statuses={403: "rate"},
    ok_codes=frozenset({"0", "200"}),
)

# The documents state neither charset nor length; these are what others use safely.
CLIENT_ORDER_IDS = ClientOrderIds(
    prefix="cx",
    pattern=r"[0-9A-Za-z_\-]{1,32}",
    rule="1 to 32 of letters, digits, '-' and '_'",
)

STATUSES = {
    "NEW": OrderStatus.NEW,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELED,
    "PARTIALLY_CANCELED": OrderStatus.CANCELED,
}

# MEXC has no timeInForce: the order type says it.
_LIMIT_TYPES = {
    TimeInForce.GTC: "LIMIT",
    TimeInForce.IOC: "IMMEDIATE_OR_CANCEL",
    TimeInForce.FOK: "FILL_OR_KILL",
}


class MexcRequests(BinanceRequests):
    """MEXC's intents: as Binance's but for new orders, ids and statuses."""

    statuses = STATUSES
    ids = CLIENT_ORDER_IDS

    def order_params(self, order: OrderRequest, client_order_id: str) -> list[Param]:
        """The parameters of a new order, in the documents' order."""
        limit = order.type is OrderType.LIMIT
        return [
            ("symbol", order.symbol),
            ("side", order.side.upper()),
            ("type", _LIMIT_TYPES[order.time_in_force] if limit else "MARKET"),
            ("quantity", order.quantity),
            ("price", limit_price(order)),
            ("newClientOrderId", client_order_id),
        ]


def rest_strategies(
    *,
    credentials: Credentials | None = None,
    limits: Sequence[LimitScope] = LIMITS,
    recv_window_ms: int = 5000,
) -> RestStrategySet:
    """A fresh strategy set for MEXC spot; without credentials for public data only."""
    return RestStrategySet(
        request=MexcRequests(ENDPOINTS, default_scopes=_SCOPES),
        auth=SignedQuery(SIGNATURE, credentials, recv_window_ms=recv_window_ms),
        limits=ScopedLimiter(limits, account=credentials.api_key if credentials else ""),
        retry=FullJitterRetry(),
        exceptions=TableErrors(ERRORS),
    )
