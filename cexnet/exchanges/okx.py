"""OKX v5, public market data over WebSocket.

Source: OKX API docs, "WebSocket" and "Order Book Trading" (2026-06). Candles live on
the business route, everything else on the public one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cexnet.exchanges.exchange import Endpoints, Exchange, chunked, not_public
from cexnet.types import ACCOUNT_CHANNELS, Channel, Subscription
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

URLS = {
    "public": "wss://ws.okx.com:8443/ws/v5/public",
    "business": "wss://ws.okx.com:8443/ws/v5/business",
}

# Docs: 30 s without a message ends the connection.
PING_INTERVAL_S = 20.0

_CHANNELS = {
    Channel.TRADES: "trades",
    Channel.BOOK_TICKER: "tickers",
    Channel.DEPTH: "books",
}
# Minutes are spelled as ours; from hours on, the exchange capitalises the unit.
_CANDLES = {"1h": "1H", "2h": "2H", "4h": "4H", "6h": "6H", "12h": "12H", "1d": "1D", "1w": "1W"}
_OUR_CANDLES = {wire: ours for ours, wire in _CANDLES.items()}
_BOOK_CHANNELS = ("books", "books5", "books-l2-tbt", "books50-l2-tbt")
_CANDLE_CHANNELS = tuple(
    f"candle{interval}" for interval in ("1m", "3m", "5m", "15m", "30m", *_CANDLES.values())
)


def _interval_of(channel: str) -> str:
    """``candle1m`` -> ``1m``."""
    wire = channel.removeprefix("candle")
    return _OUR_CANDLES.get(wire, wire)


def _depth(event: str, when: dict[str, str | tuple[str, ...]]) -> Message:
    return Message(
        event,
        when=when,
        has=("data",),
        sequence="previous",
        fields=(
            Field("symbol", "arg.instId"),
            Field("exchange_ts_ns", "data.*.ts", unit="ms"),
            Field("bids", "data.*.bids"),
            Field("asks", "data.*.asks"),
            # Absent from recordings older than the checksum's retirement.
            Field("sequence", "data.*.seqId", optional=True),
            Field("prev_sequence", "data.*.prevSeqId", optional=True),
        ),
    )


SCHEMA = WireSchema(
    name="okx",
    json=(
        Message("Pong", literal="pong"),
        _depth("DepthUpdate", {"arg.channel": _BOOK_CHANNELS, "action": "update"}),
        _depth("DepthSnapshot", {"arg.channel": _BOOK_CHANNELS, "action": "snapshot"}),
        Message(
            "Trade",
            when={"arg.channel": ("trades", "trades-all")},
            has=("data",),
            fields=(
                Field("symbol", "arg.instId"),
                Field("exchange_ts_ns", "data.*.ts", unit="ms"),
                Field("trade_id", "data.*.tradeId"),
                Field("price", "data.*.px"),
                Field("size", "data.*.sz"),
                Field("side", "data.*.side", values={"buy": "buy", "sell": "sell"}),
            ),
        ),
        Message(
            "BookTicker",
            when={"arg.channel": "tickers"},
            has=("data",),
            fields=(
                Field("symbol", "arg.instId"),
                Field("exchange_ts_ns", "data.*.ts", unit="ms"),
                Field("bid_price", "data.*.bidPx"),
                Field("bid_size", "data.*.bidSz"),
                Field("ask_price", "data.*.askPx"),
                Field("ask_size", "data.*.askSz"),
            ),
        ),
        Message(
            "Candle",
            when={"arg.channel": _CANDLE_CHANNELS},
            has=("data",),
            fields=(
                Field("symbol", "arg.instId"),
                Field("interval", "arg.channel", normalize=_interval_of),
                Field("open_ts_ns", "data.*.0", unit="ms"),
                Field("open", "data.*.1"),
                Field("high", "data.*.2"),
                Field("low", "data.*.3"),
                Field("close", "data.*.4"),
                Field("volume", "data.*.5"),
                Field("quote_volume", "data.*.7"),
                Field("is_closed", "data.*.8", values={"0": False, "1": True}),
            ),
        ),
        Message(
            "SubscriptionAck",
            when={"event": "error"},
            constants={"ok": False},
            fields=(
                Field("request_id", "id", optional=True),
                Field("code", "code"),
                Field("message", "msg"),
            ),
        ),
        Message(
            "SubscriptionAck",
            when={"event": ("subscribe", "unsubscribe")},
            constants={"ok": True},
            fields=(
                Field("request_id", "id", optional=True),
                Field("symbol", "arg.instId"),
                Field("topic", "arg.channel"),
            ),
        ),
    ),
    channel_paths=("arg.channel", "event", "op"),
)


def _ping() -> bytes:
    return b"ping"


class OkxSubscription(SubscriptionStrategy):
    """Several topics a message; each is answered by itself, under the message's id."""

    # Docs: 480 subscribe, unsubscribe and login requests an hour and connection.
    max_topics_per_connection = 240
    max_topics_per_message = 20
    max_messages_per_s = 3
    depth_begins_with_snapshot = True

    def topic(self, subscription: Subscription) -> str:
        """``trades|BTC-USDT`` and the like."""
        if subscription.channel in ACCOUNT_CHANNELS:
            raise not_public(subscription)
        interval = _CANDLES.get(subscription.interval, subscription.interval)
        channel = _CHANNELS.get(subscription.channel, f"candle{interval}")
        return f"{channel}|{subscription.symbol}"

    def group(self, topic: str) -> str:
        """Candles on ``business``, the rest on ``public``."""
        return "business" if topic.startswith("candle") else "public"

    def subscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """``subscribe`` messages of at most ``max_topics_per_message`` arguments."""
        return self._requests("subscribe", topics, request_id)

    def unsubscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """``unsubscribe`` messages of at most ``max_topics_per_message`` arguments."""
        return self._requests("unsubscribe", topics, request_id)

    def settle(self, ack: SubscriptionAck, pending: Sequence[ControlRequest]) -> Settlement | None:
        """The one topic that the answer names; an error without a name refuses its request."""
        topic = f"{ack.topic}|{ack.symbol}"
        for request in pending:
            if ack.request_id and ack.request_id != request.request_id:
                continue
            if ack.ok and topic in request.topics:
                return Settlement(request, confirmed=(topic,))
            if not ack.ok:
                named = [t for t in request.topics if t.partition("|")[2] in ack.message]
                why = f"{ack.message} (code {ack.code})"
                return Settlement(request, refused=dict.fromkeys(named or request.topics, why))
        return None

    def _requests(self, op: str, topics: Sequence[str], first_id: int) -> list[ControlRequest]:
        requests = []
        for request_id, chunk in enumerate(chunked(topics, self.max_topics_per_message), first_id):
            args = [
                {"channel": channel, "instId": symbol}
                for channel, _, symbol in (topic.partition("|") for topic in chunk)
            ]
            payload = msgspec.json.encode({"id": str(request_id), "op": op, "args": args})
            requests.append(ControlRequest(payload, str(request_id), chunk))
        return requests


class OkxConnection(Endpoints):
    """At most three new connections a second and address; notice 64008 precedes upgrades."""

    max_connects = 3
    connects_window_s = 1.0
    farewells = frozenset({"notice"})


def websocket_strategies(base_url: str | None = None) -> WebSocketStrategySet:
    """Strategies for OKX's public channels."""
    subscription = OkxSubscription()
    return WebSocketStrategySet(
        connection=OkxConnection(
            URLS,
            subscription.group,
            base_url=base_url,
            heartbeat=Heartbeat(PING_INTERVAL_S, _ping, only_when_quiet=True),
        ),
        subscription=subscription,
        parser=MessageParser(SCHEMA),
    )


EXCHANGE = Exchange(
    name="okx",
    schema=SCHEMA,
    websocket_strategies=websocket_strategies,
    symbols=("BTC-USDT", "ETH-USDT", "SOL-USDT"),
)
