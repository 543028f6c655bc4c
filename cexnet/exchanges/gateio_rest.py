"""Gate.io spot v4 over REST: tables first. Source: Gate API v4 documents, 2026-06."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

import msgspec

from cexnet.credentials import Credentials
from cexnet.http.answers import OrderBook
from cexnet.http.auth import SignedHeaders, with_query
from cexnet.http.classify import ErrorClass, ErrorTable, TableErrors
from cexnet.http.endpoint import Call, Endpoint, Priority, WireRequest
from cexnet.http.intents import ClientOrderIds, EpochMs, TableRequests, any_json, limit_price
from cexnet.http.keys import Sign, hmac_sign
from cexnet.http.limits import LimitScope, ScopedLimiter
from cexnet.http.retry import FullJitterRetry
from cexnet.http.strategies import RestStrategySet
from cexnet.types import Order, OrderRequest, OrderStatus, OrderType, Side, TimeInForce
from cexnet_core.errors import ConfigurationError
from cexnet_core.query import encode_pairs, pairs, plain

REST_URL = "https://api.gateio.ws"
REST_URL_TESTNET = "https://api-testnet.gateapi.io"

_REMAIN = "X-Gate-RateLimit-Requests-Remain"
LIMITS = (
    LimitScope("public", 200, 10, per="endpoint", remaining_header=_REMAIN, guard_s=0.5),
    LimitScope("place", 10, 1, by="account", per="symbol", remaining_header=_REMAIN, guard_s=0.1),
    LimitScope("cancel", 200, 1, by="account", remaining_header=_REMAIN, guard_s=0.1),
    LimitScope("private", 200, 10, by="account", per="endpoint", remaining_header=_REMAIN, guard_s=0.5),
)

_SPOT = "/api/v4/spot"

_signed = partial(Endpoint, signed=True)
# Sent again, it would trade again.
_trade = partial(_signed, idempotent=False)

ENDPOINTS = (
    Endpoint("time", "GET", f"{_SPOT}/time", 1, ("public",)),
    Endpoint("pairs", "GET", f"{_SPOT}/currency_pairs", 1, ("public",)),
    Endpoint("tickers", "GET", f"{_SPOT}/tickers", 1, ("public",)),
    Endpoint("depth", "GET", f"{_SPOT}/order_book", 1, ("public",)),
    Endpoint("trades", "GET", f"{_SPOT}/trades", 1, ("public",)),
    Endpoint("klines", "GET", f"{_SPOT}/candlesticks", 1, ("public",)),
    _trade("place", "POST", f"{_SPOT}/orders", 1, ("place",), priority=Priority.PLACE),
    _trade("cancel", "DELETE", f"{_SPOT}/orders/{{order_id}}", 1, ("cancel",), priority=Priority.CANCEL),
    _signed("query", "GET", f"{_SPOT}/orders/{{order_id}}", 1, ("private",)),
    _signed("orders", "GET", f"{_SPOT}/orders", 1, ("private",)),
    _signed("open_orders", "GET", f"{_SPOT}/open_orders", 1, ("private",)),
    _signed("account", "GET", f"{_SPOT}/accounts", 1, ("private",)),
    _signed("my_trades", "GET", f"{_SPOT}/my_trades", 1, ("private",)),
)

_CODES: dict[ErrorClass, str] = {
    "auth": (
        "INVALID_CREDENTIALS INVALID_KEY IP_FORBIDDEN READ_ONLY INVALID_SIGNATURE"
        " MISSING_REQUIRED_HEADER ACCOUNT_LOCKED FORBIDDEN"
    ),
    "clock": "REQUEST_EXPIRED",
    "rate": "TOO_MANY_REQUESTS TOO_FAST",
    "invalid": (
        "MISSING_REQUIRED_PARAM BAD_REQUEST NOT_ACCEPTABLE METHOD_NOT_ALLOWED NOT_FOUND"
        " AMOUNT_TOO_LITTLE AMOUNT_TOO_MUCH POC_FILL_IMMEDIATELY FOK_NOT_FILL"
    ),
    "funds": (
        "BALANCE_NOT_ENOUGH MARGIN_BALANCE_NOT_ENOUGH FUTURES_BALANCE_NOT_ENOUGH"
        " INSUFFICIENT_AVAILABLE QUANTITY_NOT_ENOUGH"
    ),
    "not_found": "ORDER_NOT_FOUND",
    "terminal": "ORDER_CLOSED ORDER_CANCELLED ORDER_FINISHED",
    "duplicate": "REPEATED_CREATION ORDER_EXISTS DUPLICATE_REQUEST",
    "retry": "TOO_BUSY",
    "unknown": "INTERNAL SERVER_ERROR SERVER_TIMEOUT",
}
ERRORS = ErrorTable(
    code_field="label",
    message_field="message",
    codes={code: kind for kind, codes in _CODES.items() for code in codes.split()},
    prefixes=(("INVALID_", "invalid"),),
    # 202 is "accepted, not finished".
    statuses={202: "unknown"},
    reset_header="X-Gate-RateLimit-Reset-Timestamp",
)

CLIENT_ORDER_IDS = ClientOrderIds(
    prefix="t-cx",
    pattern=r"t-[0-9A-Za-z_.\-]{1,28}",
    rule="'t-' and then 1 to 28 of letters, digits, '_', '-' and '.'",
)


class _Time(msgspec.Struct):
    server_time: EpochMs


class _Depth(msgspec.Struct):
    id: int
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]
    current: int = 0  # absent from answers recorded in 2021


class _NewOrder(msgspec.Struct, omit_defaults=True):
    text: str
    currency_pair: str
    type: str
    account: str
    side: str
    amount: str
    time_in_force: str
    price: str | None = None


class _Order(msgspec.Struct):
    id: str
    text: str
    currency_pair: str
    status: str
    side: str
    amount: str
    left: str
    price: str = "0"
    finish_as: str = ""
    filled_amount: str = ""
    avg_deal_price: str = ""


_time = msgspec.json.Decoder(_Time).decode
_depth = msgspec.json.Decoder(_Depth).decode
_order = msgspec.json.Decoder(_Order).decode


class GateioSignature(SignedHeaders):
    """Method, path, unescaped query, body hash and time in s, one a line (APIv4 signed request)."""

    # A time may be 60 s off either way: of a clock that is 60 s ahead, an order stays good for 120 s.
    validity_s = 120.0
    _EMPTY_HASH = hashlib.sha512().hexdigest()

    def signer(self, credentials: Credentials) -> Sign:
        """See SignedHeaders."""
        return hmac_sign(credentials, "sha512", "hex")

    def signed(self, call: Call[Any], sign: Sign, now_ns: int) -> WireRequest:
        """See SignedHeaders. The query is sent escaped and signed unescaped."""
        given = pairs(call.params, self.arrays)
        body_hash = hashlib.sha512(call.body).hexdigest() if call.body else self._EMPTY_HASH
        seconds = now_ns // 1_000_000_000
        signature = sign(f"{call.endpoint.method}\n{call.path}\n{plain(given)}\n{body_hash}\n{seconds}")
        headers = {"KEY": self._key, "Timestamp": str(seconds), "SIGN": signature}
        return self.wire(call, with_query(call.path, encode_pairs(given)), headers, (signature,))


class GateioRequests(TableRequests):
    """Gate.io's intents. Orders carry a JSON body; their ids are part of the path."""

    ids = CLIENT_ORDER_IDS

    def ping(self) -> Call[None]:
        """See RequestStrategy. There is no ping; the time is as cheap."""
        return self.intent("time", any_json)

    def server_time(self) -> Call[int]:
        """See RequestStrategy."""
        return self.intent("time", lambda body: _time(body).server_time * 1_000_000)

    def depth(self, symbol: str, limit: int) -> Call[OrderBook]:
        """See RequestStrategy."""

        def parse(body: bytes) -> OrderBook:
            book = _depth(body)
            ts_ns = book.current * 1_000_000 if book.current else -1
            return OrderBook(symbol, book.id, book.bids, book.asks, ts_ns)

        return self.intent("depth", parse, [("currency_pair", symbol), ("limit", limit), ("with_id", True)])

    def place_order(self, order: OrderRequest) -> Call[Order]:
        """See RequestStrategy.

        Raises ConfigurationError for a market buy: Gate.io reads its amount as money to
        spend, not as the quantity that an OrderRequest means.
        """
        market = order.type is OrderType.MARKET
        if market and order.side is Side.BUY:
            raise ConfigurationError(
                "Gate.io sizes a market buy in the quote currency, an OrderRequest in the base"
                " currency: place a limit order with time in force IOC instead"
            )
        client_order_id = self.ids.resolve(order.client_order_id)
        body = _NewOrder(
            text=client_order_id,
            currency_pair=order.symbol,
            type=order.type.value,
            account="spot",
            side=order.side.value,
            amount=order.quantity,
            price=limit_price(order),
            # A market order rests nowhere, and gtc is refused for it.
            time_in_force="ioc"
            if market and order.time_in_force is TimeInForce.GTC
            else order.time_in_force.value,
        )
        return self.intent(
            "place",
            _to_order,
            body=msgspec.json.encode(body),
            scope_key=order.symbol,
            client_order_id=client_order_id,
        )

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
            _to_order,
            [("currency_pair", symbol)],
            path_values={"order_id": order_id or client_order_id},
            scope_key=symbol,
            client_order_id=client_order_id,
        )


def _to_order(body: bytes) -> Order:
    answer = _order(body)
    try:
        filled = answer.filled_amount or format(Decimal(answer.amount) - Decimal(answer.left), "f")
        status = _status(answer, Decimal(filled))
    except InvalidOperation as error:
        raise msgspec.ValidationError("an amount of the order is not a number") from error
    return Order(
        symbol=answer.currency_pair,
        order_id=answer.id,
        client_order_id=answer.text,
        status=status,
        side=Side(answer.side),
        price=answer.price,
        quantity=answer.amount,
        filled_quantity=filled,
        average_price=answer.avg_deal_price if Decimal(filled) and answer.avg_deal_price else None,
    )


def _status(answer: _Order, filled: Decimal) -> OrderStatus:
    if answer.status == "open":
        return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW
    if answer.status == "cancelled":
        return OrderStatus.CANCELED
    if answer.status != "closed":
        raise msgspec.ValidationError(f"order status {answer.status!r} is not in the table")
    # Closed for another reason than being filled: ioc, fok, poc, stp, depth_not_enough...
    return OrderStatus.FILLED if answer.finish_as in ("", "filled") else OrderStatus.EXPIRED


def rest_strategies(
    *,
    credentials: Credentials | None = None,
    limits: Sequence[LimitScope] = LIMITS,
) -> RestStrategySet:
    """A fresh strategy set for Gate.io spot; without credentials for public data only."""
    return RestStrategySet(
        request=GateioRequests(ENDPOINTS, default_scopes=("private",)),
        auth=GateioSignature(credentials),
        limits=ScopedLimiter(limits, account=credentials.api_key if credentials else ""),
        retry=FullJitterRetry(),
        exceptions=TableErrors(ERRORS),
    )
