"""Which events exist and what each field holds: the one table that the schema
compiler, the decoder and ``repr`` share.

A field's position is its slot: the decoder fills slots in this order and the
event classes read them in this order, so a new field goes at the end of its event.
"""

from __future__ import annotations

from typing import Final, Literal

FieldType = Literal[
    "decimal",  # float64, NaN when not given
    "integer",  # int64, -1 when not given
    "time",  # int64 nanoseconds since 1970, -1 when not given
    "symbol",  # interned in the decoder's SymbolTable
    "name",  # interned text of a small vocabulary
    "side",  # "buy", "sell" or ""
    "flag",  # bool
    "text",  # any short text, made into a str when it is asked for
    "levels",  # price and size pairs
]

COMMON: Final[dict[str, FieldType]] = {
    "symbol": "symbol",
    "exchange_ts_ns": "time",
    "sequence": "integer",
}

_DEPTH: Final[dict[str, FieldType]] = {
    "first_sequence": "integer",
    "prev_sequence": "integer",
    "bids": "levels",
    "asks": "levels",
}

EVENTS: Final[dict[str, dict[str, FieldType]]] = {
    "BookTicker": {
        "bid_price": "decimal",
        "bid_size": "decimal",
        "ask_price": "decimal",
        "ask_size": "decimal",
    },
    "Trade": {
        "price": "decimal",
        "size": "decimal",
        "side": "side",
        "trade_id": "text",
    },
    "DepthUpdate": _DEPTH,
    "DepthSnapshot": _DEPTH,
    "Candle": {
        "open": "decimal",
        "high": "decimal",
        "low": "decimal",
        "close": "decimal",
        "volume": "decimal",
        "quote_volume": "decimal",
        "open_ts_ns": "time",
        "close_ts_ns": "time",
        "interval": "name",
        "is_closed": "flag",
    },
    "OrderUpdate": {
        "price": "decimal",
        "quantity": "decimal",
        "filled_quantity": "decimal",
        "average_price": "decimal",
        "side": "side",
        "status": "name",
        "order_id": "text",
        "client_order_id": "text",
    },
    "Fill": {
        "price": "decimal",
        "size": "decimal",
        "fee": "decimal",
        "side": "side",
        "fee_currency": "name",
        "is_maker": "flag",
        "trade_id": "text",
        "order_id": "text",
        "client_order_id": "text",
    },
    "BalanceUpdate": {
        "free": "decimal",
        "locked": "decimal",
        "total": "decimal",
        "asset": "name",
    },
    "SubscriptionAck": {
        "ok": "flag",
        "request_id": "text",
        "topic": "text",
        "code": "text",
        "message": "text",
    },
    "Pong": {},
}
"""Events that a schema may declare, in the order of ``EventKind``."""

EXTRA: Final[dict[str, tuple[str, ...]]] = {
    "SubscriptionAck": ("payload",),
    "Pong": ("payload",),
    "RawMessage": ("channel", "payload"),
    "DecodeError": ("reason", "payload"),
}
"""Attributes that the decoder fills by itself, not from a schema path."""


def attributes(event: str) -> tuple[str, ...]:
    """Names of an event's own attributes, in the order ``repr`` shows them."""
    return (*EVENTS.get(event, ()), *EXTRA.get(event, ()))


# By EventKind, as events.pxd numbers them.
KIND_NAMES = (
    "BookTicker",
    "Trade",
    "DepthUpdate",
    "DepthSnapshot",
    "Candle",
    "OrderUpdate",
    "Fill",
    "BalanceUpdate",
    "SubscriptionAck",
    "Pong",
    "RawMessage",
    "DecodeError",
)
