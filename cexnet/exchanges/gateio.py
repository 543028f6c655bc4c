"""Gate.io spot v4, public market data over WebSocket.

Source: Gate API docs v4.106.90, "Spot WebSocket v4" (2026-06).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from cexnet.exchanges.exchange import (
    Endpoints,
    Exchange,
    Rest,
    not_public,
    private_schema_in,
    private_streams_in,
    settle_by_id,
)
from cexnet.exchanges.gateio_rest import REST_URL, rest_strategies
from cexnet.types import Channel, Subscription
from cexnet.websocket.strategies import (
    ControlRequest,
    Heartbeat,
    MessageParser,
    Settlement,
    SubscriptionStrategy,
    WebSocketStrategySet,
)
from cexnet_core.events import SubscriptionAck
from cexnet_core.schema import Field, Message, WireSchema

SPOT_URL = "wss://api.gateio.ws/ws/v4/"

# Docs: 10-20 s between application pings; an idle connection ends after about 60 s.
PING_INTERVAL_S = 15.0

_UPDATE = {"event": "update"}
_SNAPSHOT_UPDATE = ("update", "all")
_ANSWER = {"event": ("subscribe", "unsubscribe")}
_ANSWER_FIELDS = (Field("request_id", "id", optional=True), Field("topic", "channel"))


ANSWERS = (
    Message("Pong", when={"channel": "spot.pong"}),
    Message(
        "SubscriptionAck",
        when=_ANSWER,
        has=("error.code",),
        constants={"ok": False},
        fields=(
            *_ANSWER_FIELDS,
            Field("code", "error.code"),
            Field("message", "error.message", optional=True),
        ),
    ),
    Message("SubscriptionAck", when=_ANSWER, constants={"ok": True}, fields=_ANSWER_FIELDS),
)


def _interval_of(name: str) -> str:
    """``1m_BTC_USDT`` -> ``1m``."""
    return name.partition("_")[0]


def _symbol_of(name: str) -> str:
    """``1m_BTC_USDT`` -> ``BTC_USDT``."""
    return name.partition("_")[2]


SCHEMA = WireSchema(
    name="gateio",
    json=(
        Message(
            "BookTicker",
            when={"channel": "spot.book_ticker", **_UPDATE},
            sequence="increasing",
            fields=(
                Field("symbol", "result.s"),
                Field("exchange_ts_ns", "result.t", unit="ms"),
                Field("sequence", "result.u"),
                Field("bid_price", "result.b"),
                Field("bid_size", "result.B"),
                Field("ask_price", "result.a"),
                Field("ask_size", "result.A"),
            ),
        ),
        Message(
            "DepthUpdate",
            when={"channel": "spot.order_book_update", **_UPDATE},
            sequence="range",
            fields=(
                Field("symbol", "result.s"),
                Field("exchange_ts_ns", "result.t", unit="ms"),
                Field("first_sequence", "result.U"),
                Field("sequence", "result.u"),
                Field("bids", "result.b"),
                Field("asks", "result.a"),
            ),
        ),
        Message(
            "Trade",
            when={"channel": "spot.trades", **_UPDATE},
            fields=(
                Field("symbol", "result.currency_pair"),
                Field("exchange_ts_ns", "result.create_time_ms", unit="ms"),
                Field("trade_id", "result.id"),
                Field("price", "result.price"),
                Field("size", "result.amount"),
                Field("side", "result.side", values={"buy": "buy", "sell": "sell"}),
            ),
        ),
        Message(
            "Candle",
            when={"channel": "spot.candlesticks", **_UPDATE},
            fields=(
                Field("symbol", "result.n", normalize=_symbol_of),
                Field("interval", "result.n", normalize=_interval_of),
                Field("open_ts_ns", "result.t", unit="s"),
                Field("open", "result.o"),
                Field("high", "result.h"),
                Field("low", "result.l"),
                Field("close", "result.c"),
                Field("volume", "result.a", optional=True),
                Field("quote_volume", "result.v"),
                Field("is_closed", "result.w", optional=True),
            ),
        ),
        # The 24-hour ticker names the best prices without sizes: those stay NaN.
        Message(
            "BookTicker",
            when={"channel": "spot.tickers", **_UPDATE},
            fields=(
                Field("symbol", "result.currency_pair"),
                Field("bid_price", "result.highest_bid"),
                Field("ask_price", "result.lowest_ask"),
            ),
        ),
        Message(
            "DepthSnapshot",
            when={"channel": "spot.order_book", "event": _SNAPSHOT_UPDATE},
            fields=(
                Field("symbol", "result.s"),
                Field("exchange_ts_ns", "result.t", unit="ms"),
                Field("sequence", "result.lastUpdateId"),
                Field("bids", "result.bids"),
                Field("asks", "result.asks"),
            ),
        ),
        *ANSWERS,
    ),
    channel_paths=("channel", "type"),
)


def _ping() -> bytes:
    return msgspec.json.encode({"time": int(time.time()), "channel": "spot.ping"})


HEARTBEAT = Heartbeat(PING_INTERVAL_S, _ping)


class GateSubscription(SubscriptionStrategy):
    """One message a topic, answered under our id.

    A topic reads ``channel|payload,payload``. Trades and book tickers of many pairs
    could share a message, but then one bad pair would refuse them all.
    """

    # No limit is documented; a small share of one connection keeps a slow reader at bay.
    max_topics_per_connection = 200
    max_messages_per_s = 50

    def topic(self, subscription: Subscription) -> str:
        """``spot.trades|BTC_USDT`` and the like."""
        symbol = subscription.symbol
        match subscription.channel:
            case Channel.TRADES:
                return f"spot.trades|{symbol}"
            case Channel.BOOK_TICKER:
                return f"spot.book_ticker|{symbol}"
            case Channel.DEPTH:
                return f"spot.order_book_update|{symbol},100ms"
            case Channel.CANDLES:
                return f"spot.candlesticks|{subscription.interval},{symbol}"
        raise not_public(subscription)

    def subscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """One ``subscribe`` message a topic."""
        return self._requests("subscribe", topics, request_id)

    def unsubscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """One ``unsubscribe`` message a topic."""
        return self._requests("unsubscribe", topics, request_id)

    def settle(self, ack: SubscriptionAck, pending: Sequence[ControlRequest]) -> Settlement | None:
        """The request with the ack's id; an ``error`` object is a refusal."""
        return settle_by_id(ack, pending)

    def _requests(self, event: str, topics: Sequence[str], first_id: int) -> list[ControlRequest]:
        requests = []
        for request_id, topic in enumerate(topics, first_id):
            channel, _, payload = topic.partition("|")
            message = {
                "time": int(time.time()),
                "id": request_id,
                "channel": channel,
                "event": event,
                "payload": payload.split(","),
            }
            requests.append(ControlRequest(msgspec.json.encode(message), str(request_id), (topic,)))
        return requests


class GateConnection(Endpoints):
    """No lifetime is documented; a message of type ``upgrade`` asks to reconnect soon."""

    farewells = frozenset({"upgrade"})


def websocket_strategies(base_url: str | None = None) -> WebSocketStrategySet:
    """Strategies for Gate.io's public spot channels."""
    subscription = GateSubscription()
    return WebSocketStrategySet(
        connection=GateConnection(
            {"": SPOT_URL},
            subscription.group,
            base_url=base_url,
            heartbeat=HEARTBEAT,
        ),
        subscription=subscription,
        parser=MessageParser(SCHEMA),
    )


EXCHANGE = Exchange(
    name="gateio",
    schema=SCHEMA,
    websocket_strategies=websocket_strategies,
    symbols=("BTC_USDT", "ETH_USDT", "SOL_USDT"),
    rest=Rest(REST_URL, rest_strategies),
    private_strategies=private_streams_in("cexnet.exchanges.gateio_private"),
    private_schema=private_schema_in("cexnet.exchanges.gateio_private"),
    snapshot_levels=100,  # docs: as many as the 100 ms channel carries
)
