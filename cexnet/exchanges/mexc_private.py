"""MEXC spot v3, the account's own events, in protobuf. A listen key in the URL is the login.

Source: mexcdevelop/apidocs (spot_v3_en, "Websocket User Data Streams", 2025-08) and
mexcdevelop/websocket-proto (2026-06).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar
from urllib.parse import quote

from cexnet.credentials import Credentials
from cexnet.exchanges.exchange import ACCOUNT_LIVENESS, AccountTopics
from cexnet.exchanges.mexc import CONTROL, HEARTBEAT, SPOT_URL, MexcConnection, MexcSubscription
from cexnet.types import Channel, OrderStatus
from cexnet.websocket.listen_key import ListenKey
from cexnet.websocket.strategies import (
    ControlRequest,
    Endpoint,
    MessageParser,
    Renewal,
    Settlement,
    WebSocketStrategySet,
)
from cexnet_core.events import SubscriptionAck
from cexnet_core.schema import Field, Message, WireSchema

# Docs: a key lives 60 minutes, "keep it alive every 30 minutes".
RENEWAL_S = 30 * 60.0

_SIDES = {"1": "buy", "2": "sell"}
_STATUSES = {
    "1": str(OrderStatus.NEW),
    "2": str(OrderStatus.FILLED),
    "3": str(OrderStatus.PARTIALLY_FILLED),
    "4": str(OrderStatus.CANCELED),
    "5": str(OrderStatus.CANCELED),  # partially filled before
}

SCHEMA = WireSchema(
    name="mexc private",
    json=CONTROL,
    protobuf=(
        Message(  # PrivateOrders
            "OrderUpdate",
            has=("304",),
            fields=(
                Field("symbol", "3"),
                Field("exchange_ts_ns", "5", unit="ms", optional=True),
                Field("order_id", "304.1"),
                Field("client_order_id", "304.2", optional=True),
                Field("price", "304.3"),
                Field("quantity", "304.4"),
                Field("average_price", "304.6", optional=True),
                Field("side", "304.8", values=_SIDES),
                Field("filled_quantity", "304.13", optional=True),
                Field("status", "304.15", values=_STATUSES),
            ),
        ),
        Message(  # PrivateDeals; proto3 leaves out a flag that is false
            "Fill",
            has=("306",),
            fields=(
                Field("symbol", "3"),
                Field("price", "306.1"),
                Field("size", "306.2"),
                Field("side", "306.4", values=_SIDES),
                Field("is_maker", "306.5", optional=True, values={"1": True, "0": False}),
                Field("trade_id", "306.7"),
                Field("client_order_id", "306.8", optional=True),
                Field("order_id", "306.9"),
                Field("fee", "306.10", optional=True),
                Field("fee_currency", "306.11", optional=True),
                Field("exchange_ts_ns", "306.12", unit="ms"),
            ),
        ),
        Message(  # PrivateAccount
            "BalanceUpdate",
            has=("307",),
            fields=(
                Field("asset", "307.1"),
                Field("free", "307.3"),
                Field("locked", "307.5", optional=True),
                Field("exchange_ts_ns", "307.8", unit="ms"),
            ),
        ),
    ),
    channel_paths=("1", "msg"),
)


class MexcAccountTopics(AccountTopics):
    """The private channels, asked for and answered as the public ones."""

    names: ClassVar[Mapping[Channel, str]] = {
        Channel.ORDERS: "spot@private.orders.v3.api.pb",
        Channel.FILLS: "spot@private.deals.v3.api.pb",
        Channel.BALANCES: "spot@private.account.v3.api.pb",
    }
    max_messages_per_s = MexcSubscription.max_messages_per_s

    def __init__(self) -> None:
        self._wire = MexcSubscription()

    def subscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """One ``SUBSCRIPTION`` message a topic."""
        return self._wire.subscribe(topics, request_id)

    def unsubscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """One ``UNSUBSCRIPTION`` message a topic."""
        return self._wire.unsubscribe(topics, request_id)

    def settle(self, ack: SubscriptionAck, pending: Sequence[ControlRequest]) -> Settlement | None:
        """As for public channels."""
        return self._wire.settle(ack, pending)


class MexcAccountConnection(MexcConnection):
    """Every attempt begins with a listen key that the exchange says is good."""

    liveness = ACCOUNT_LIVENESS

    def __init__(self, key: ListenKey, group: Callable[[str], str], *, base_url: str | None = None) -> None:
        super().__init__({"": SPOT_URL}, group, base_url=base_url, heartbeat=HEARTBEAT)
        self._key = key
        self.renewal = Renewal(RENEWAL_S, key.renew)

    async def prepare(self) -> None:
        """Get a listen key, or have the present one confirmed."""
        await self._key.ensure()

    async def release(self) -> None:
        """Close the listen key."""
        await self._key.close()

    def endpoint(self, topics: Sequence[str]) -> Endpoint:
        """The URL with the key; channels of all markets are asked for on it."""
        plain = super().endpoint(topics)
        return replace(plain, url=f"{plain.url}?listenKey={quote(self._key.reveal())}")


def private_strategies(
    base_url: str | None, credentials: Credentials, listen_key: Callable[[], ListenKey]
) -> WebSocketStrategySet:
    """Strategies for the account's spot channels on MEXC."""
    topics = MexcAccountTopics()
    return WebSocketStrategySet(
        connection=MexcAccountConnection(listen_key(), topics.group, base_url=base_url),
        subscription=topics,
        parser=MessageParser(SCHEMA),
    )
