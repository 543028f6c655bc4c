"""Binance spot, public market data over WebSocket.

Source: binance/binance-spot-api-docs, "WebSocket Streams" (2026-07). Market streams are
taken in their combined form ``{"stream": ..., "data": {...}}``; the raw form is
understood as well, so that recordings of either decode.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cexnet.exchanges.binance_rest import REST_URL, rest_strategies
from cexnet.exchanges.exchange import (
    Endpoints,
    Exchange,
    Rest,
    chunked,
    not_public,
    private_schema_in,
    private_streams_in,
    settle_by_id,
)
from cexnet.types import ACCOUNT_CHANNELS, Channel, Subscription
from cexnet.websocket.strategies import (
    ControlRequest,
    MessageParser,
    Settlement,
    SubscriptionStrategy,
    WebSocketStrategySet,
)
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import SubscriptionAck
from cexnet_core.schema import Field, Message, WireSchema

STREAM_URL = "wss://stream.binance.com:9443/stream"

STREAM_SUFFIX = {
    Channel.TRADES: "trade",
    Channel.BOOK_TICKER: "bookTicker",
    Channel.DEPTH: "depth@100ms",
}

# "m": the buyer is the maker, so the aggressor sold.
_AGGRESSOR = {"true": "sell", "false": "buy"}


def _symbol_of_stream(stream: str) -> str:
    """``btcusdt@depth20`` -> ``BTCUSDT``: partial books name their symbol nowhere else."""
    return stream.partition("@")[0].upper()


def market_messages(p: str) -> tuple[Message, ...]:
    """Market-data messages whose body stands under the path prefix ``p``."""
    return (
        Message(
            "DepthUpdate",
            when={f"{p}e": "depthUpdate"},
            sequence="range",
            fields=(
                Field("symbol", f"{p}s"),
                Field("exchange_ts_ns", f"{p}E", unit="ms"),
                Field("first_sequence", f"{p}U"),
                Field("sequence", f"{p}u"),
                Field("bids", f"{p}b"),
                Field("asks", f"{p}a"),
            ),
        ),
        *(
            Message(
                "Trade",
                when={f"{p}e": kind},
                fields=(
                    Field("symbol", f"{p}s"),
                    Field("exchange_ts_ns", f"{p}T", unit="ms"),
                    Field("trade_id", f"{p}{trade_id}"),
                    Field("price", f"{p}p"),
                    Field("size", f"{p}q"),
                    Field("side", f"{p}m", values=_AGGRESSOR),
                ),
            )
            for kind, trade_id in (("trade", "t"), ("aggTrade", "a"))
        ),
        Message(
            "Candle",
            when={f"{p}e": "kline"},
            fields=(
                Field("symbol", f"{p}s"),
                Field("exchange_ts_ns", f"{p}E", unit="ms"),
                Field("interval", f"{p}k.i"),
                Field("open_ts_ns", f"{p}k.t", unit="ms"),
                Field("close_ts_ns", f"{p}k.T", unit="ms"),
                Field("open", f"{p}k.o"),
                Field("high", f"{p}k.h"),
                Field("low", f"{p}k.l"),
                Field("close", f"{p}k.c"),
                Field("volume", f"{p}k.v"),
                Field("quote_volume", f"{p}k.q"),
                Field("is_closed", f"{p}k.x"),
            ),
        ),
        # Spot book tickers carry neither type nor time: they are told by their keys.
        Message(
            "BookTicker",
            has=(f"{p}u", f"{p}b", f"{p}B", f"{p}a", f"{p}A"),
            sequence="increasing",
            fields=(
                Field("symbol", f"{p}s"),
                Field("exchange_ts_ns", f"{p}E", unit="ms", optional=True),
                Field("sequence", f"{p}u"),
                Field("bid_price", f"{p}b"),
                Field("bid_size", f"{p}B"),
                Field("ask_price", f"{p}a"),
                Field("ask_size", f"{p}A"),
            ),
        ),
    )


ACK_MESSAGES = (
    Message(
        "SubscriptionAck",
        has=("error.code",),
        constants={"ok": False},
        fields=(
            Field("request_id", "id", optional=True),
            Field("code", "error.code"),
            Field("message", "error.msg"),
        ),
    ),
    Message(
        "SubscriptionAck",
        has=("code", "msg"),
        constants={"ok": False},
        fields=(
            Field("request_id", "id", optional=True),
            Field("code", "code"),
            Field("message", "msg"),
        ),
    ),
    Message(
        "SubscriptionAck",
        has=("id",),
        constants={"ok": True},
        fields=(Field("request_id", "id"),),
    ),
)

SCHEMA = WireSchema(
    name="binance",
    json=(
        *market_messages("data."),
        Message(
            "DepthSnapshot",
            has=("stream", "data.lastUpdateId"),
            fields=(
                Field("symbol", "stream", normalize=_symbol_of_stream),
                Field("sequence", "data.lastUpdateId"),
                Field("bids", "data.bids"),
                Field("asks", "data.asks"),
            ),
        ),
        *market_messages(""),
        *ACK_MESSAGES,
    ),
    channel_paths=("stream", "data.e", "e"),
)


class BinanceSubscription(SubscriptionStrategy):
    """``SUBSCRIBE`` with stream names; answers carry our id (docs: "Live subscribing")."""

    max_topics_per_connection = 1024
    max_topics_per_message = 100
    max_messages_per_s = 5
    counts_control_frames = True  # "WebSocket Limits": a ping, a pong and a JSON message each count

    def topic(self, subscription: Subscription) -> str:
        """``btcusdt@trade`` and the like; stream names are lower case, symbols are not."""
        if subscription.channel in ACCOUNT_CHANNELS:
            raise not_public(subscription)
        if subscription.symbol != subscription.symbol.upper():
            raise ConfigurationError(
                f"Binance spells symbols in upper case: {subscription.symbol.upper()}, "
                f"not {subscription.symbol}"
            )
        suffix = STREAM_SUFFIX.get(subscription.channel, f"kline_{subscription.interval}")
        return f"{subscription.symbol.lower()}@{suffix}"

    def subscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """``SUBSCRIBE`` messages of at most ``max_topics_per_message`` streams."""
        return self._requests("SUBSCRIBE", topics, request_id)

    def unsubscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """``UNSUBSCRIBE`` messages of at most ``max_topics_per_message`` streams."""
        return self._requests("UNSUBSCRIBE", topics, request_id)

    def settle(self, ack: SubscriptionAck, pending: Sequence[ControlRequest]) -> Settlement | None:
        """All topics of the request with the ack's id, confirmed or refused together."""
        return settle_by_id(ack, pending)

    def _requests(self, method: str, topics: Sequence[str], first_id: int) -> list[ControlRequest]:
        return [
            ControlRequest(
                msgspec.json.encode({"method": method, "params": chunk, "id": request_id}),
                str(request_id),
                chunk,
            )
            for request_id, chunk in enumerate(chunked(topics, self.max_topics_per_message), first_id)
        ]


class BinanceConnection(Endpoints):
    """The server pings every 20 s, so we need no heartbeat (docs: "General WSS information")."""

    lifetime_s = 24 * 3600.0
    max_connects = 300
    connects_window_s = 300.0
    farewells = frozenset({"serverShutdown"})


def websocket_strategies(base_url: str | None = None) -> WebSocketStrategySet:
    """Strategies for Binance spot's public streams."""
    subscription = BinanceSubscription()
    return WebSocketStrategySet(
        connection=BinanceConnection({"": STREAM_URL}, subscription.group, base_url=base_url),
        subscription=subscription,
        parser=MessageParser(SCHEMA),
    )


EXCHANGE = Exchange(
    name="binance",
    schema=SCHEMA,
    websocket_strategies=websocket_strategies,
    symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"),
    rest=Rest(REST_URL, rest_strategies),
    private_strategies=private_streams_in("cexnet.exchanges.binance_private"),
    private_schema=private_schema_in("cexnet.exchanges.binance_private"),
)
