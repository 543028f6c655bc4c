"""Binance USD-M futures, public market data over WebSocket.

Source: Binance derivatives docs, "Websocket Market Streams" (2026-06). Since 2026-04-23
order-book streams live under ``/public`` and the others under ``/market``, so one
manager needs a connection to each.
"""

from __future__ import annotations

from cexnet.exchanges.binance import (
    ACK_MESSAGES,
    STREAM_SUFFIX,
    BinanceConnection,
    BinanceSubscription,
)
from cexnet.exchanges.binance import market_messages as spot_messages
from cexnet.exchanges.exchange import Exchange
from cexnet.types import Channel, Subscription
from cexnet.websocket.strategies import MessageParser, WebSocketStrategySet
from cexnet_core.schema import Field, Message, WireSchema

URLS = {
    "public": "wss://fstream.binance.com/public/stream",
    "market": "wss://fstream.binance.com/market/stream",
}

_BOOK_SUFFIXES = (STREAM_SUFFIX[Channel.BOOK_TICKER], STREAM_SUFFIX[Channel.DEPTH])


def market_messages(p: str) -> tuple[Message, ...]:
    """Messages that differ from spot, then spot's own, under the path prefix ``p``."""
    return (
        Message(
            "DepthUpdate",
            when={f"{p}e": "depthUpdate"},
            sequence="previous",
            fields=(
                Field("symbol", f"{p}s"),
                Field("exchange_ts_ns", f"{p}E", unit="ms"),
                Field("first_sequence", f"{p}U"),
                Field("sequence", f"{p}u"),
                Field("prev_sequence", f"{p}pu"),
                Field("bids", f"{p}b"),
                Field("asks", f"{p}a"),
            ),
        ),
        *(message for message in spot_messages(p) if message.event != "DepthUpdate"),
    )


SCHEMA = WireSchema(
    name="binance_usdm",
    json=(*market_messages("data."), *market_messages(""), *ACK_MESSAGES),
    channel_paths=("stream", "data.e", "e"),
)


class UsdmSubscription(BinanceSubscription):
    """Spot's protocol; trades are aggregated and topics are split by route."""

    max_messages_per_s = 10

    def topic(self, subscription: Subscription) -> str:
        """As on spot, but trades come as ``@aggTrade``: ``@trade`` is not documented here."""
        topic = super().topic(subscription)
        return topic.replace("@trade", "@aggTrade") if subscription.channel is Channel.TRADES else topic

    def group(self, topic: str) -> str:
        """``public`` for order-book topics, ``market`` for the others."""
        suffix = topic.partition("@")[2]
        return "public" if suffix in _BOOK_SUFFIXES else "market"


def websocket_strategies(base_url: str | None = None) -> WebSocketStrategySet:
    """Strategies for Binance USD-M's public streams."""
    subscription = UsdmSubscription()
    return WebSocketStrategySet(
        connection=BinanceConnection(URLS, subscription.group, base_url=base_url),
        subscription=subscription,
        parser=MessageParser(SCHEMA),
    )


EXCHANGE = Exchange(
    name="binance_usdm",
    schema=SCHEMA,
    websocket_strategies=websocket_strategies,
    symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"),
)
