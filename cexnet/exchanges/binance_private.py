"""Binance spot, the account's own events: user data streams of the WebSocket API.

Source: binance-spot-api-docs, "web-socket-api.md" and "user-data-stream.md" (2026-07).
Listen keys are gone; ``userDataStream.subscribe.signature`` takes every kind of key and is
our login. The one stream carries orders, fills and balances alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import msgspec

from cexnet.credentials import Credentials
from cexnet.exchanges.binance import ACK_MESSAGES
from cexnet.exchanges.binance_rest import STATUSES
from cexnet.exchanges.exchange import ACCOUNT_LIVENESS, AccountTopics, Endpoints, settle_by_id
from cexnet.http.keys import secret_sign
from cexnet.types import Channel
from cexnet.websocket.listen_key import ListenKey
from cexnet.websocket.strategies import (
    ControlRequest,
    MessageParser,
    Settlement,
    WebSocketStrategySet,
)
from cexnet_core.clock import now_ns
from cexnet_core.events import RawMessage, SubscriptionAck
from cexnet_core.schema import Field, Message, WireSchema

API_URL = "wss://ws-api.binance.com:443/ws-api/v3"
RECV_WINDOW_MS = 5000

_SIDES = {"BUY": "buy", "SELL": "sell"}
_STATUSES = {wire: str(ours) for wire, ours in STATUSES.items()}


def _order(*, client_order_id: str, when: dict[str, str]) -> Message:
    return Message(
        "OrderUpdate",
        when={"event.e": "executionReport", **when},
        fields=(
            Field("symbol", "event.s"),
            Field("exchange_ts_ns", "event.T", unit="ms"),
            Field("price", "event.p"),
            Field("quantity", "event.q"),
            Field("filled_quantity", "event.z"),
            Field("side", "event.S", values=_SIDES),
            Field("status", "event.X", values=_STATUSES),
            Field("order_id", "event.i"),
            Field("client_order_id", client_order_id),
        ),
    )


SCHEMA = WireSchema(
    name="binance private",
    json=(
        # A cancel has an id of its own in "c"; the order's is in "C" then.
        _order(client_order_id="event.C", when={"event.x": "CANCELED"}),
        _order(client_order_id="event.c", when={}),
        Message(
            "BalanceUpdate",
            when={"event.e": "outboundAccountPosition"},
            fields=(
                Field("exchange_ts_ns", "event.u", unit="ms"),
                Field("asset", "event.B.*.a"),
                Field("free", "event.B.*.f"),
                Field("locked", "event.B.*.l"),
            ),
        ),
        *ACK_MESSAGES,
    ),
    # The report of a trade tells the order's new state and what filled it.
    also=(
        Message(
            "Fill",
            when={"event.e": "executionReport", "event.x": "TRADE"},
            fields=(
                Field("symbol", "event.s"),
                Field("exchange_ts_ns", "event.T", unit="ms"),
                Field("price", "event.L"),
                Field("size", "event.l"),
                Field("fee", "event.n"),
                Field("fee_currency", "event.N", optional=True),
                Field("side", "event.S", values=_SIDES),
                Field("is_maker", "event.m"),
                Field("trade_id", "event.t"),
                Field("order_id", "event.i"),
                Field("client_order_id", "event.c"),
            ),
        ),
    ),
    channel_paths=("event.e",),
)


class BinanceAccountTopics(AccountTopics):
    """The login has begun the stream that carries every topic: we ask whether it is there."""

    names: ClassVar[Mapping[Channel, str]] = {
        Channel.ORDERS: "orders",
        Channel.FILLS: "fills",
        Channel.BALANCES: "balances",
    }
    max_messages_per_s = 5

    def subscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """``session.subscriptions``, which lists the streams of this connection."""
        message = {"id": request_id, "method": "session.subscriptions"}
        return [ControlRequest(msgspec.json.encode(message), str(request_id), tuple(topics))]

    def unsubscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """The stream goes on for the other topics, so there is nothing to end."""
        return self.subscribe(topics, request_id)

    def settle(self, ack: SubscriptionAck, pending: Sequence[ControlRequest]) -> Settlement | None:
        """The request with the ack's id; an answer that names no stream is a refusal."""
        settlement = settle_by_id(ack, pending)
        if settlement is not None and ack.ok and b'"subscriptionId"' not in ack.payload:
            topics = settlement.request.topics
            return Settlement(settlement.request, refused=dict.fromkeys(topics, "no user data stream"))
        return settlement


class BinanceAccountConnection(Endpoints):
    """Logs in by subscribing the account's stream, signed afresh on every connection."""

    lifetime_s = 24 * 3600.0
    max_connects = 300
    connects_window_s = 300.0
    liveness = ACCOUNT_LIVENESS
    farewells = frozenset({"serverShutdown"})

    def __init__(
        self,
        credentials: Credentials,
        group: Callable[[str], str],
        *,
        base_url: str | None = None,
        clock_ns: Callable[[], int] = now_ns,
    ) -> None:
        super().__init__({"": API_URL}, group, base_url=base_url)
        self._key = credentials.api_key
        self._sign = secret_sign(credentials, "sha256")
        self._clock_ns = clock_ns

    def login(self, request_id: int) -> ControlRequest:
        """``userDataStream.subscribe.signature``; signed are its parameters, sorted by name."""
        params: dict[str, str | int] = {
            "apiKey": self._key,
            "recvWindow": RECV_WINDOW_MS,
            "timestamp": self._clock_ns() // 1_000_000,
        }
        params["signature"] = self._sign("&".join(f"{k}={params[k]}" for k in sorted(params)))
        message = {"id": request_id, "method": "userDataStream.subscribe.signature", "params": params}
        return ControlRequest(msgspec.json.encode(message), str(request_id), ("login",))

    def ends_login(self, event: SubscriptionAck | RawMessage) -> str:
        """``eventStreamTerminated``, or the notice of a revoked key: code -2015 without an id."""
        if isinstance(event, RawMessage):
            return event.channel if event.channel == "eventStreamTerminated" else ""
        return f"{event.message} (code {event.code})" if event.code == "-2015" else ""


def private_strategies(
    base_url: str | None, credentials: Credentials, listen_key: Callable[[], ListenKey]
) -> WebSocketStrategySet:
    """Strategies for the account's stream on Binance spot."""
    topics = BinanceAccountTopics()
    return WebSocketStrategySet(
        connection=BinanceAccountConnection(credentials, topics.group, base_url=base_url),
        subscription=topics,
        parser=MessageParser(SCHEMA),
    )
