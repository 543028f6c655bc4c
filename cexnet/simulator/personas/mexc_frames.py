"""MEXC spot v3 push messages in protobuf, by field number.

Source: mexcdevelop/websocket-proto. Numbers are decimal text; removing a level sends a
zero with eight decimals.
"""

from __future__ import annotations

from collections.abc import Iterable

from cexnet.simulator.protobuf import integer, message, text

KLINE = 308
LIMIT_DEPTHS = 303
AGGRE_DEPTHS = 313
AGGRE_DEALS = 314
AGGRE_BOOK_TICKER = 315
BOOK_TICKER_BATCH = 311

ZERO = "0.00000000"


def wrapper(
    channel: str, symbol: str, send_ms: int, body_field: int, body: bytes, create_ms: int | None = None
) -> bytes:
    """``PushDataV3ApiWrapper`` around one body; ``symbol`` and ``create_ms`` where MEXC sends them."""
    named = text(3, symbol) if symbol else b""
    created = integer(5, create_ms) if create_ms is not None else b""
    return text(1, channel) + named + created + integer(6, send_ms) + message(body_field, body)


def deal(price: str, quantity: str, trade_type: int, time_ms: int, trade_id: str = "") -> bytes:
    """One ``PublicAggreDealsItem``; ``trade_type`` 1 is a buy, 2 a sell."""
    identity = text(5, trade_id) if trade_id else b""
    return text(1, price) + text(2, quantity) + integer(3, trade_type) + integer(4, time_ms) + identity


def aggre_deals(deals: Iterable[bytes], event_type: str) -> bytes:
    """``PublicAggreDeals``."""
    return b"".join([message(1, item) for item in deals]) + text(2, event_type)


def depth_item(price: str, quantity: str) -> bytes:
    """One level of any depth message."""
    return text(1, price) + text(2, quantity)


def aggre_depths(
    asks: Iterable[bytes], bids: Iterable[bytes], event_type: str, from_version: int, to_version: int
) -> bytes:
    """``PublicAggreDepths``; versions are decimal text on the wire."""
    return (
        b"".join([message(1, item) for item in asks])
        + b"".join([message(2, item) for item in bids])
        + text(3, event_type)
        + text(4, str(from_version))
        + text(5, str(to_version))
    )


def limit_depths(asks: Iterable[bytes], bids: Iterable[bytes], event_type: str, version: int) -> bytes:
    """``PublicLimitDepths``: the best levels, whole."""
    return (
        b"".join([message(1, item) for item in asks])
        + b"".join([message(2, item) for item in bids])
        + text(3, event_type)
        + text(4, str(version))
    )


def book_ticker(bid: str, bid_quantity: str, ask: str, ask_quantity: str, version: int | None) -> bytes:
    """``PublicAggreBookTicker``; without ``version`` also an item of the batch message."""
    number = text(5, str(version)) if version is not None else b""
    return text(1, bid) + text(2, bid_quantity) + text(3, ask) + text(4, ask_quantity) + number


def kline(
    interval: str, start_s: int, prices: tuple[str, str, str, str], volume: str, amount: str, end_s: int
) -> bytes:
    """``PublicSpotKline``; ``prices`` are open, close, high, low."""
    opening, closing, highest, lowest = prices
    return (
        text(1, interval)
        + integer(2, start_s)
        + text(3, opening)
        + text(4, closing)
        + text(5, highest)
        + text(6, lowest)
        + text(7, volume)
        + text(8, amount)
        + integer(9, end_s)
    )
