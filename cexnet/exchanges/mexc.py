"""MEXC spot v3, public market data over WebSocket: control in JSON, data in protobuf.

Source: mexcdevelop/apidocs (spot_v3_en, 2025-08) and mexcdevelop/websocket-proto
(2026-06). Field numbers below are those of ``PushDataV3ApiWrapper`` and its bodies.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cexnet.exchanges.exchange import (
    Endpoints,
    Exchange,
    Rest,
    not_public,
    private_schema_in,
    private_streams_in,
)
from cexnet.exchanges.mexc_rest import REST_URL, rest_strategies
from cexnet.types import Channel, Subscription
from cexnet.websocket.strategies import (
    ControlRequest,
    Heartbeat,
    MessageParser,
    Settlement,
    SubscriptionStrategy,
    WebSocketStrategySet,
)
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import SubscriptionAck
from cexnet_core.schema import Field, Message, WireSchema

SPOT_URL = "wss://wbs-api.mexc.com/ws"

# Docs: a connection without traffic for 60 s is closed; 20 s leaves room for two losses.
PING_INTERVAL_S = 20.0

INTERVALS = {
    "1m": "Min1",
    "5m": "Min5",
    "15m": "Min15",
    "30m": "Min30",
    "1h": "Min60",
    "4h": "Hour4",
    "8h": "Hour8",
    "1d": "Day1",
    "1w": "Week1",
    "1M": "Month1",
}
_OUR_INTERVAL = {wire: ours for ours, wire in INTERVALS.items()}

_SYMBOL = Field("symbol", "3")
_SEND_TIME = Field("exchange_ts_ns", "6", unit="ms", optional=True)
_SIDES = {"1": "buy", "2": "sell"}

CONTROL = (
    Message("Pong", when={"msg": "PONG"}),
    Message(
        "SubscriptionAck",
        has=("msg",),
        # Code 0 may accompany a refusal: only the topic in the text confirms (see settle).
        constants={"ok": False},
        fields=(
            Field("request_id", "id", optional=True),
            Field("code", "code", optional=True),
            Field("message", "msg"),
        ),
    ),
)

SCHEMA = WireSchema(
    name="mexc",
    json=CONTROL,
    protobuf=(
        Message(  # PublicAggreBookTicker
            "BookTicker",
            has=("315",),
            sequence="increasing",
            fields=(
                _SYMBOL,
                _SEND_TIME,
                Field("bid_price", "315.1"),
                Field("bid_size", "315.2"),
                Field("ask_price", "315.3"),
                Field("ask_size", "315.4"),
                Field("sequence", "315.5", optional=True),
            ),
        ),
        Message(  # PublicAggreDepths
            "DepthUpdate",
            has=("313",),
            sequence="range",
            fields=(
                _SYMBOL,
                _SEND_TIME,
                Field("asks", "313.1", level=("1", "2")),
                Field("bids", "313.2", level=("1", "2")),
                Field("first_sequence", "313.4"),
                Field("sequence", "313.5"),
            ),
        ),
        Message(  # PublicAggreDeals
            "Trade",
            has=("314",),
            fields=(
                _SYMBOL,
                Field("price", "314.1.*.1"),
                Field("size", "314.1.*.2"),
                Field("side", "314.1.*.3", values=_SIDES),
                Field("exchange_ts_ns", "314.1.*.4", unit="ms"),
                Field("trade_id", "314.1.*.5", optional=True),
            ),
        ),
        Message(  # PublicSpotKline
            "Candle",
            has=("308",),
            fields=(
                _SYMBOL,
                _SEND_TIME,
                Field("interval", "308.1", normalize=lambda wire: _OUR_INTERVAL.get(wire, wire)),
                Field("open_ts_ns", "308.2", unit="s"),
                Field("open", "308.3"),
                Field("close", "308.4"),
                Field("high", "308.5"),
                Field("low", "308.6"),
                Field("volume", "308.7"),
                Field("quote_volume", "308.8"),
                Field("close_ts_ns", "308.9", unit="s"),
            ),
        ),
        Message(  # PublicLimitDepths
            "DepthSnapshot",
            has=("303",),
            fields=(
                _SYMBOL,
                _SEND_TIME,
                Field("asks", "303.1", level=("1", "2")),
                Field("bids", "303.2", level=("1", "2")),
                Field("sequence", "303.4"),
            ),
        ),
        Message(  # PublicBookTickerBatch
            "BookTicker",
            has=("311",),
            fields=(
                _SYMBOL,
                _SEND_TIME,
                Field("bid_price", "311.1.*.1"),
                Field("bid_size", "311.1.*.2"),
                Field("ask_price", "311.1.*.3"),
                Field("ask_size", "311.1.*.4"),
                Field("sequence", "311.2", optional=True),
            ),
        ),
    ),
    channel_paths=("1", "msg"),
)


def _ping() -> bytes:
    return b'{"method":"PING"}'


HEARTBEAT = Heartbeat(PING_INTERVAL_S, _ping)


class MexcSubscription(SubscriptionStrategy):
    """One channel a message: answers carry no id of ours, only the channel's name.

    The exchange may refuse with code 0 and a sentence, so an answer confirms a topic
    only when its text *is* the topic.
    """

    max_topics_per_connection = 30
    max_messages_per_s = 100

    def topic(self, subscription: Subscription) -> str:
        """The channel name, as ``spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT``."""
        symbol = subscription.symbol
        match subscription.channel:
            case Channel.TRADES:
                return f"spot@public.aggre.deals.v3.api.pb@100ms@{symbol}"
            case Channel.BOOK_TICKER:
                return f"spot@public.aggre.bookTicker.v3.api.pb@100ms@{symbol}"
            case Channel.DEPTH:
                return f"spot@public.aggre.depth.v3.api.pb@100ms@{symbol}"
            case Channel.CANDLES:
                interval = INTERVALS.get(subscription.interval)
                if interval is None:
                    raise ConfigurationError(
                        f"mexc has no candles of {subscription.interval!r}: "
                        f"choose one of {', '.join(INTERVALS)}"
                    )
                return f"spot@public.kline.v3.api.pb@{symbol}@{interval}"
        raise not_public(subscription)

    def subscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """One ``SUBSCRIPTION`` message a topic."""
        return self._requests("SUBSCRIPTION", topics)

    def unsubscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """One ``UNSUBSCRIPTION`` message a topic."""
        return self._requests("UNSUBSCRIPTION", topics)

    def settle(self, ack: SubscriptionAck, pending: Sequence[ControlRequest]) -> Settlement | None:
        """The topic that the text equals, else the longest it names, else the oldest asked."""
        for request in pending:
            if ack.message == request.topics[0]:
                return Settlement(request, confirmed=request.topics)
        named = [request for request in pending if request.topics[0] in ack.message]
        refused = max(named, key=lambda r: len(r.topics[0])) if named else next(iter(pending), None)
        if refused is None:
            return None
        return Settlement(refused, refused={refused.topics[0]: ack.message})

    def _requests(self, method: str, topics: Sequence[str]) -> list[ControlRequest]:
        return [
            ControlRequest(msgspec.json.encode({"method": method, "params": [topic]}), "", (topic,))
            for topic in topics
        ]


class MexcConnection(Endpoints):
    """The exchange ends a connection after 24 hours (docs: "Websocket Market Streams")."""

    lifetime_s = 24 * 3600.0


def websocket_strategies(base_url: str | None = None) -> WebSocketStrategySet:
    """Strategies for MEXC's public spot channels."""
    subscription = MexcSubscription()
    return WebSocketStrategySet(
        connection=MexcConnection(
            {"": SPOT_URL},
            subscription.group,
            base_url=base_url,
            heartbeat=HEARTBEAT,
        ),
        subscription=subscription,
        parser=MessageParser(SCHEMA),
    )


EXCHANGE = Exchange(
    name="mexc",
    schema=SCHEMA,
    websocket_strategies=websocket_strategies,
    symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"),
    rest=Rest(REST_URL, rest_strategies),
    private_strategies=private_streams_in("cexnet.exchanges.mexc_private"),
    private_schema=private_schema_in("cexnet.exchanges.mexc_private"),
)
