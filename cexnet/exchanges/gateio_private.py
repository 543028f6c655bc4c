"""Gate.io spot v4, the account's own events. Each subscription carries its own signature.

Source: Gate API docs v4.106.90, "Spot WebSocket v4", "Authentication" and the private
channels (2026-06).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import msgspec

from cexnet.credentials import Credentials
from cexnet.exchanges.exchange import ACCOUNT_LIVENESS, AccountTopics, settle_by_id
from cexnet.exchanges.gateio import ANSWERS, HEARTBEAT, SPOT_URL, GateConnection
from cexnet.http.keys import hmac_sign
from cexnet.types import Channel, OrderStatus
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

ALL_PAIRS = "!all"
AUTH_ERROR = "4"

_SIDES = {"buy": "buy", "sell": "sell"}
# "open" becomes new or partially filled; whatever else ends an order (ioc, fok, poc, stp,
# depth_not_enough ...) is its expiry.
_STATUSES = {
    "open": "open",
    "filled": str(OrderStatus.FILLED),
    "cancelled": str(OrderStatus.CANCELED),
    "*": str(OrderStatus.EXPIRED),
}

SCHEMA = WireSchema(
    name="gateio private",
    json=(
        Message(
            "OrderUpdate",
            when={"channel": "spot.orders", "event": "update"},
            fields=(
                Field("symbol", "result.*.currency_pair"),
                Field("exchange_ts_ns", "result.*.update_time_ms", unit="ms"),
                Field("price", "result.*.price"),
                Field("quantity", "result.*.amount"),
                Field("filled_quantity", "result.*.filled_amount", optional=True),
                Field("average_price", "result.*.avg_deal_price", optional=True),
                Field("side", "result.*.side", values=_SIDES),
                Field("status", "result.*.finish_as", values=_STATUSES),
                Field("order_id", "result.*.id"),
                Field("client_order_id", "result.*.text"),
            ),
        ),
        Message(
            "Fill",
            when={"channel": "spot.usertrades", "event": "update"},
            fields=(
                Field("symbol", "result.*.currency_pair"),
                Field("exchange_ts_ns", "result.*.create_time_ms", unit="ms"),
                Field("price", "result.*.price"),
                Field("size", "result.*.amount"),
                Field("fee", "result.*.fee"),
                Field("fee_currency", "result.*.fee_currency", optional=True),
                Field("side", "result.*.side", values=_SIDES),
                Field("is_maker", "result.*.role", values={"maker": True, "taker": False}),
                Field("trade_id", "result.*.id"),
                Field("order_id", "result.*.order_id"),
                Field("client_order_id", "result.*.text", optional=True),
            ),
        ),
        Message(
            "BalanceUpdate",
            when={"channel": "spot.balances", "event": "update"},
            fields=(
                Field("exchange_ts_ns", "result.*.timestamp_ms", unit="ms"),
                Field("asset", "result.*.currency"),
                Field("free", "result.*.available"),
                Field("locked", "result.*.freeze", optional=True),
                Field("total", "result.*.total", optional=True),
            ),
        ),
        *ANSWERS,
    ),
    channel_paths=("channel", "type"),
)


class GateAccountTopics(AccountTopics):
    """One signed message a topic, answered under our id."""

    names: ClassVar[Mapping[Channel, str]] = {
        Channel.ORDERS: "spot.orders",
        Channel.FILLS: "spot.usertrades",
        Channel.BALANCES: "spot.balances",
    }
    max_messages_per_s = 50

    def __init__(self, credentials: Credentials, clock_ns: Callable[[], int] = now_ns) -> None:
        self._key = credentials.api_key
        self._sign = hmac_sign(credentials, "sha512", "hex")
        self._clock_ns = clock_ns

    def subscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """One ``subscribe`` message a topic."""
        return self._requests("subscribe", topics, request_id)

    def unsubscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """One ``unsubscribe`` message a topic."""
        return self._requests("unsubscribe", topics, request_id)

    def settle(self, ack: SubscriptionAck, pending: Sequence[ControlRequest]) -> Settlement | None:
        """The request with the ack's id; error 4 refuses us, any other the topic."""
        settlement = settle_by_id(ack, pending)
        if settlement is not None and ack.code == AUTH_ERROR:
            return Settlement(settlement.request, refused=settlement.refused, unauthorized=True)
        return settlement

    def _requests(self, event: str, topics: Sequence[str], first_id: int) -> list[ControlRequest]:
        seconds = self._clock_ns() // 1_000_000_000
        requests = []
        for request_id, channel in enumerate(topics, first_id):
            sign = self._sign(f"channel={channel}&event={event}&time={seconds}")
            message: dict[str, object] = {
                "time": seconds,
                "id": request_id,
                "channel": channel,
                "event": event,
                "auth": {"method": "api_key", "KEY": self._key, "SIGN": sign},
            }
            if channel != self.names[Channel.BALANCES]:
                message["payload"] = [ALL_PAIRS]
            requests.append(ControlRequest(msgspec.json.encode(message), str(request_id), (channel,)))
        return requests


class GateAccountConnection(GateConnection):
    """As the public one; an error 4 that answers nothing of ours ends the authorisation."""

    liveness = ACCOUNT_LIVENESS

    def ends_login(self, event: SubscriptionAck | RawMessage) -> str:
        """The words of an authentication error that no request of ours waits for."""
        if isinstance(event, SubscriptionAck) and event.code == AUTH_ERROR:
            return f"{event.message} (code {event.code})"
        return ""


def private_strategies(
    base_url: str | None, credentials: Credentials, listen_key: Callable[[], ListenKey]
) -> WebSocketStrategySet:
    """Strategies for the account's spot channels on Gate.io."""
    topics = GateAccountTopics(credentials)
    return WebSocketStrategySet(
        connection=GateAccountConnection(
            {"": SPOT_URL}, topics.group, base_url=base_url, heartbeat=HEARTBEAT
        ),
        subscription=topics,
        parser=MessageParser(SCHEMA),
    )
