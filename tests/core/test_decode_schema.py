"""A wrong schema is refused when it is compiled, in words that name the message and the path."""

from __future__ import annotations

from typing import Any

import pytest

from cexnet_core.decode import Decoder
from cexnet_core.errors import CexnetError, ConfigurationError, SchemaError
from cexnet_core.schema import Field, Message, WireSchema

WHEN = {"e": "x"}


def ticker(*fields: Field, **more: Any) -> Message:
    return Message("BookTicker", when=WHEN, fields=fields, **more)


WRONG: dict[str, tuple[Message, tuple[str, ...]]] = {
    "unknown event": (Message("Ticker", when=WHEN), ("Ticker", "BookTicker")),
    "unknown field": (ticker(Field("price", "p")), ("BookTicker", "'price'", "'p'")),
    "a field twice": (ticker(Field("bid_price", "b"), Field("bid_price", "c")), ("'bid_price'", "twice")),
    "an empty part": (ticker(Field("bid_price", "a..b")), ("'a..b'",)),
    "an empty path": (ticker(Field("bid_price", "")), ("''",)),
    "two stars": (ticker(Field("bid_price", "a.*.b.*")), ("'a.*.b.*'",)),
    "two arrays": (ticker(Field("bid_price", "a.*.p"), Field("bid_size", "b.*.q")), ("'b.*.q'",)),
    "a star in when": (Message("Pong", when={"a.*": "x"}), ("'a.*'", "when")),
    "a star in has": (Message("Pong", has=("a.*.b",)), ("'a.*.b'",)),
    "star and position": (
        ticker(Field("bid_price", "a.*.p"), Field("symbol", "a.0.s")),
        ("'a'", "position 0"),
    ),
    "no unit": (ticker(Field("exchange_ts_ns", "t")), ("'exchange_ts_ns'", "'t'", "unit")),
    "an unknown unit": (ticker(Field("exchange_ts_ns", "t", unit="h")), ("'h'",)),  # type: ignore[arg-type]
    "a unit too many": (ticker(Field("bid_price", "p", unit="ms")), ("'p'", "unit")),
    "normalize of a number": (ticker(Field("bid_price", "p", normalize=str)), ("'p'", "normalize")),
    "values of a decimal": (ticker(Field("bid_price", "p", values={"1": 2})), ("'p'", "values")),
    "values and normalize": (
        Message("Candle", when=WHEN, fields=(Field("interval", "i", values={"1": "1m"}, normalize=str),)),
        ("'interval'", "not both"),
    ),
    "a wrong side": (
        Message("Trade", when=WHEN, fields=(Field("side", "m", values={"true": "long"}),)),
        ("'side'", "'long'"),
    ),
    "no value": (Message("Trade", when=WHEN, fields=(Field("side", "m", values={}),)), ("'side'", "values")),
    "an integer too large": (ticker(Field("sequence", "u", values={"a": 2**63})), ("'sequence'",)),
    "one-part levels": (
        Message("DepthUpdate", when=WHEN, fields=(Field("bids", "b", level=("0", "0")),)),
        ("'bids'", "price and size"),
    ),
    "a deep level part": (
        Message("DepthUpdate", when=WHEN, fields=(Field("bids", "b", level=("a.b", "1")),)),
        ("'a.b'",),
    ),
    "levels outside the walk": (
        Message("DepthUpdate", when=WHEN, fields=(Field("bids", "b"), Field("sequence", "d.*.u"))),
        ("'bids'", "'b'"),
    ),
    "nothing to tell it by": (Message("Pong"), ("Pong", "when, has or literal")),
    "when without text": (Message("Pong", when={"a": ()}), ("'a'",)),
    "when of a number": (Message("Pong", when={"a": 5}), ("'a'",)),  # type: ignore[dict-item]
    "has of text": (Message("Pong", has="abc"), ("'abc'",)),  # type: ignore[arg-type]
    "literal with fields": (ticker(Field("symbol", "s"), literal="x"), ("literal",)),
    "an empty literal": (Message("Pong", literal=""), ("literal",)),
    "a decimal constant": (ticker(constants={"bid_price": 1}), ("'bid_price'", "constant")),
    "an unknown constant": (ticker(constants={"colour": 1}), ("'colour'",)),
    "constant and field": (
        ticker(Field("sequence", "u"), constants={"sequence": 1}),
        ("'sequence'", "twice"),
    ),
    "an ack without ok": (Message("SubscriptionAck", when=WHEN), ("SubscriptionAck", "ok")),
    "a sequence rule unknown": (ticker(sequence="weekly"), ("sequence",)),
    "a range without start": (
        Message("DepthUpdate", when=WHEN, sequence="range", fields=(Field("sequence", "u"),)),
        ("first_sequence",),
    ),
    "too many paths": (
        Message("Pong", has=tuple(f"a.k{index}" for index in range(65))),
        ("64",),
    ),
    "too many steps": (
        Message("Pong", has=tuple(f"{a}.{b}.{c}" for a in "abcd" for b in "abcd" for c in range(40))),
        ("512",),
    ),
}


@pytest.mark.parametrize("message, words", WRONG.values(), ids=WRONG)
def test_wrong_schema(message: Message, words: tuple[str, ...]) -> None:
    first = Message("Pong", literal="pong")
    with pytest.raises(SchemaError) as caught:
        Decoder(WireSchema("sample", json=(first, message)))
    assert isinstance(caught.value, CexnetError)
    text = str(caught.value)
    assert "'sample'" in text
    for word in words:
        assert word in text
    if "position" not in text:
        assert "message 1" in text


@pytest.mark.parametrize("path", ["a", "0", "-1", "01", "1.x", str(2**29), "1.0", "²"])
def test_protobuf_paths_are_field_numbers(path: str) -> None:
    with pytest.raises(SchemaError, match=r"message 0 .*no protobuf field number"):
        Decoder(WireSchema("sample", protobuf=(Message("BookTicker", (Field("symbol", path),), has=("1",)),)))


def test_protobuf_has_no_literals() -> None:
    with pytest.raises(SchemaError, match="literal is for text frames"):
        Decoder(WireSchema("sample", protobuf=(Message("Pong", literal="pong"),)))


def test_wrong_channel_paths() -> None:
    with pytest.raises(SchemaError, match=r"channel_paths.*'a\.\*'"):
        Decoder(WireSchema("sample", channel_paths=("a.*",)))


@pytest.mark.parametrize("given", [None, "binance", {}, ()])
def test_not_a_schema(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="WireSchema"):
        Decoder(given)


@pytest.mark.parametrize("max_shapes", [-1, 1025])
def test_too_many_shapes(max_shapes: int) -> None:
    with pytest.raises(ConfigurationError, match="max_shapes"):
        Decoder(WireSchema("sample"), max_shapes=max_shapes)
