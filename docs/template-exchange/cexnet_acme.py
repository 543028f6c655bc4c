"""Acme Exchange: tables first. Source: the Acme API documents, which are made up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from cexnet import Channel, Credentials, Order, OrderRequest, OrderStatus, Side, Subscription
from cexnet.exchanges.exchange import Endpoints, Exchange, Rest, chunked, not_public, settle_by_id
from cexnet.http.answers import OrderBook
from cexnet.http.auth import SignedHeaders, with_query
from cexnet.http.classify import ErrorTable, TableErrors
from cexnet.http.endpoint import Call, Endpoint, Priority, WireRequest
from cexnet.http.intents import ClientOrderIds, TableRequests, limit_price
from cexnet.http.keys import Sign, hmac_sign
from cexnet.http.limits import LimitScope, ScopedLimiter
from cexnet.http.retry import FullJitterRetry
from cexnet.http.strategies import RestStrategySet
from cexnet.websocket.strategies import (
    ControlRequest,
    Heartbeat,
    MessageParser,
    Settlement,
    SubscriptionStrategy,
    WebSocketStrategySet,
)
from cexnet_core.events import SubscriptionAck
from cexnet_core.query import encode
from cexnet_core.schema import Field, Message, WireSchema

# --- streams: the tables ---

STREAM_URL = "wss://stream.acme.example/v1"

TOPICS = {
    Channel.TRADES: "trades",
    Channel.BOOK_TICKER: "ticker",
    Channel.DEPTH: "book",
}

_MARKET = Field("symbol", "market")
_TIME = Field("exchange_ts_ns", "ts", unit="ms")

SCHEMA = WireSchema(
    name="acme",
    json=(
        Message(
            "BookTicker",
            when={"type": "ticker"},
            sequence="increasing",
            fields=(
                _MARKET,
                _TIME,
                Field("sequence", "seq"),
                Field("bid_price", "bid.0"),
                Field("bid_size", "bid.1"),
                Field("ask_price", "ask.0"),
                Field("ask_size", "ask.1"),
            ),
        ),
        Message(
            "DepthUpdate",
            when={"type": "book"},
            sequence="range",  # "from" of an update follows "to" of the one before
            fields=(
                _MARKET,
                _TIME,
                Field("first_sequence", "from"),
                Field("sequence", "to"),
                Field("bids", "bids"),
                Field("asks", "asks"),
            ),
        ),
        Message(
            "Trade",
            when={"type": "trade"},
            fields=(
                _MARKET,
                _TIME,
                Field("trade_id", "id"),
                Field("price", "px"),
                Field("size", "qty"),
                Field("side", "taker", values={"B": "buy", "S": "sell"}),
            ),
        ),
        Message("Pong", when={"type": "pong"}),
        Message(
            "SubscriptionAck",
            has=("id", "error.code"),
            constants={"ok": False},
            fields=(
                Field("request_id", "id"),
                Field("code", "error.code"),
                Field("message", "error.reason"),
            ),
        ),
        Message(
            "SubscriptionAck",
            has=("id", "done"),
            constants={"ok": True},
            fields=(Field("request_id", "id"),),
        ),
    ),
    channel_paths=("type",),
)


# --- streams: how topics are asked for ---


class AcmeTopics(SubscriptionStrategy):
    """``{"op": "subscribe", "id": 1, "topics": [...]}``, answered under that id."""

    max_topics_per_connection = 200
    max_topics_per_message = 20
    max_messages_per_s = 10

    def topic(self, subscription: Subscription) -> str:
        """``trades:BTC-USD``. Raises ConfigurationError for what Acme does not stream."""
        if subscription.channel not in TOPICS:
            raise not_public(subscription)
        return f"{TOPICS[subscription.channel]}:{subscription.symbol}"

    def subscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """Messages of at most 20 topics."""
        return self._requests("subscribe", topics, request_id)

    def unsubscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """Messages of at most 20 topics."""
        return self._requests("unsubscribe", topics, request_id)

    def settle(self, ack: SubscriptionAck, pending: Sequence[ControlRequest]) -> Settlement | None:
        """All topics of the request with the answer's id."""
        return settle_by_id(ack, pending)

    def _requests(self, op: str, topics: Sequence[str], first_id: int) -> list[ControlRequest]:
        return [
            ControlRequest(msgspec.json.encode({"op": op, "id": number, "topics": chunk}), str(number), chunk)
            for number, chunk in enumerate(chunked(topics, self.max_topics_per_message), first_id)
        ]


class AcmeConnection(Endpoints):
    """Ends after a day, announced by ``{"type": "goodbye"}``; opens 5 a second at most."""

    lifetime_s = 24 * 3600.0
    max_connects = 5
    connects_window_s = 1.0
    farewells = frozenset({"goodbye"})


def websocket_strategies(base_url: str | None = None) -> WebSocketStrategySet:
    """Strategies for Acme's public streams."""
    topics = AcmeTopics()
    heartbeat = Heartbeat(20.0, lambda: b'{"op":"ping"}')
    return WebSocketStrategySet(
        connection=AcmeConnection({"": STREAM_URL}, topics.group, base_url=base_url, heartbeat=heartbeat),
        subscription=topics,
        parser=MessageParser(SCHEMA),
    )


# --- REST: the tables ---

REST_URL = "https://api.acme.example"

LIMITS = (
    LimitScope("weight", 1200, 60, counts="weight", used_header="X-Acme-Used", guard_s=1.0),
    LimitScope("orders", 50, 10, by="account", guard_s=0.5),
)

_IP = ("weight",)
_ORDERS = ("weight", "orders")
_signed = partial(Endpoint, signed=True)
# Sent again, it would trade again: cexnet never does that.
_trade = partial(_signed, idempotent=False)

ENDPOINTS = (
    Endpoint("ping", "GET", "/v1/ping", 1, _IP),
    Endpoint("time", "GET", "/v1/time", 1, _IP),
    Endpoint("depth", "GET", "/v1/book", 5, _IP),
    _trade("place", "POST", "/v1/orders", 1, _ORDERS, priority=Priority.PLACE),
    _trade("cancel", "DELETE", "/v1/orders", 1, _IP, priority=Priority.CANCEL),
    _signed("query", "GET", "/v1/orders", 2, _IP),
)

ERRORS = ErrorTable(
    code_field="code",
    message_field="reason",
    codes={
        "bad_key": "auth",
        "bad_signature": "auth",
        "bad_time": "clock",
        "slow_down": "rate",
        "bad_request": "invalid",
        "no_funds": "funds",
        "no_such_order": "not_found",
        "order_done": "terminal",
        "id_taken": "duplicate",
        "maintenance": "retry",  # surely not executed
    },
)

STATUSES = {
    "resting": OrderStatus.NEW,
    "partial": OrderStatus.PARTIALLY_FILLED,
    "filled": OrderStatus.FILLED,
    "cancelled": OrderStatus.CANCELED,
    "rejected": OrderStatus.REJECTED,
}


# --- REST: signature and intents ---


class AcmeSignature(SignedHeaders):
    """Time in ms + method + path?query + body, HMAC-SHA256 in hexadecimal."""

    validity_s = 10.0  # how long Acme accepts what was signed

    def signer(self, credentials: Credentials) -> Sign:
        """See SignedHeaders."""
        return hmac_sign(credentials, "sha256", "hex")

    def signed(self, call: Call[Any], sign: Sign, now_ns: int) -> WireRequest:
        """See SignedHeaders."""
        time_ms = str(now_ns // 1_000_000)
        target = with_query(call.path, encode(call.params, self.arrays))
        signature = sign(f"{time_ms}{call.endpoint.method}{target}".encode() + call.body)
        headers = {"X-Acme-Key": self._key, "X-Acme-Time": time_ms, "X-Acme-Sign": signature}
        return self.wire(call, target, headers, hidden=(signature,))


class _Time(msgspec.Struct):
    ms: int


class _Book(msgspec.Struct):
    to: int
    ts: int
    bids: tuple[tuple[str, str], ...]
    asks: tuple[tuple[str, str], ...]


class _Order(msgspec.Struct):
    id: str
    client_id: str
    market: str
    state: str
    side: str
    px: str
    qty: str
    filled: str


_time = msgspec.json.Decoder(_Time).decode
_book = msgspec.json.Decoder(_Book).decode
_order = msgspec.json.Decoder(_Order).decode


class AcmeRequests(TableRequests):
    """What an engine asks for, as requests to Acme, and Acme's answers as cexnet's types."""

    ids = ClientOrderIds(prefix="cx", pattern=r"[a-z0-9]{1,32}", rule="1 to 32 lower-case letters and digits")

    def server_time(self) -> Call[int]:
        """See RequestStrategy."""
        return self.intent("time", lambda body: _time(body).ms * 1_000_000)

    def depth(self, symbol: str, limit: int) -> Call[OrderBook]:
        """See RequestStrategy."""

        def parse(body: bytes) -> OrderBook:
            book = _book(body)
            return OrderBook(symbol, book.to, book.bids, book.asks, book.ts * 1_000_000)

        return self.intent("depth", parse, [("market", symbol), ("levels", limit)])

    def place_order(self, order: OrderRequest) -> Call[Order]:
        """See RequestStrategy."""
        client_order_id = self.ids.resolve(order.client_order_id)
        body = {
            "market": order.symbol,
            "side": order.side.value,
            "type": order.type.value,
            "tif": order.time_in_force.value,
            "qty": order.quantity,
            "px": limit_price(order),
            "client_id": client_order_id,
        }
        return self.intent(
            "place", _to_order, body=msgspec.json.encode(body), client_order_id=client_order_id
        )

    def cancel_order(self, symbol: str, order_id: str, client_order_id: str) -> Call[Order]:
        """See RequestStrategy."""
        return self._by_id("cancel", symbol, order_id, client_order_id)

    def query_order(self, symbol: str, order_id: str, client_order_id: str) -> Call[Order]:
        """See RequestStrategy."""
        return self._by_id("query", symbol, order_id, client_order_id)

    def _by_id(self, name: str, symbol: str, order_id: str, client_order_id: str) -> Call[Order]:
        params = [("market", symbol), ("id", order_id or None), ("client_id", client_order_id or None)]
        return self.intent(name, _to_order, params, client_order_id=client_order_id)


def _to_order(body: bytes) -> Order:
    order = _order(body)
    if order.state not in STATUSES:
        raise msgspec.ValidationError(f"order state {order.state!r} is not in the table")
    return Order(
        symbol=order.market,
        order_id=order.id,
        client_order_id=order.client_id,
        status=STATUSES[order.state],
        side=Side(order.side),
        price=order.px,
        quantity=order.qty,
        filled_quantity=order.filled,
    )


def rest_strategies(*, credentials: Credentials | None) -> RestStrategySet:
    """Strategies for Acme's REST interface; without credentials for public data only."""
    return RestStrategySet(
        request=AcmeRequests(ENDPOINTS, default_scopes=_IP),
        auth=AcmeSignature(credentials),
        limits=ScopedLimiter(LIMITS, account=credentials.api_key if credentials else ""),
        retry=FullJitterRetry(),
        exceptions=TableErrors(ERRORS),
    )


EXCHANGE = Exchange(
    name="acme",
    schema=SCHEMA,
    websocket_strategies=websocket_strategies,
    symbols=("BTC-USD", "ETH-USD", "SOL-USD"),
    rest=Rest(REST_URL, rest_strategies),
    snapshot_levels=500,
)
