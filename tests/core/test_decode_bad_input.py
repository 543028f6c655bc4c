"""Bad input: a counted ``DecodeError`` with the raw bytes, never a crash or a wrong number."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet_core.decode import Decoder
from cexnet_core.events import DecodeError, RawMessage
from tests.core.decode_cases import Jury, schema_of
from tests.core.decode_examples import EXAMPLES

TICKER = b'{"u":1,"s":"BTCUSDT","b":"1.5","B":"2","a":"3.25","A":"4"}'
DEPTH = b'{"e":"depthUpdate","E":1,"s":"X","U":1,"u":2,"b":[["1","2"]],"a":[["3","4"]]}'


def nested(depth: int, opened: bytes = b'{"x":', closed: bytes = b"}") -> bytes:
    return TICKER[:-1] + b',"z":' + opened * depth + b"1" + closed * depth + b"}"


BAD = {
    "empty": b"",
    "white space": b" \n",
    "a zero byte": b"\0",
    "zero bytes": b"\0" * 100,
    "text": b"hello",
    "half a literal": b"tru",
    "two values": b"{}{}",
    "bytes after the end": TICKER + b" x",
    "another brace": TICKER + b"}",
    "no end": TICKER[:-1],
    "a colon too many": b'{"a":"b":"c"}}',
    "a colon for a comma": b'{"error": "code":2,"msg":"Invalid request"},"id":"a1"}',
    "a comma too many": TICKER[:-1] + b",}",
    "a comma first": b"{," + TICKER[1:],
    "no comma": TICKER.replace(b',"b"', b'"b"'),
    "single quotes": TICKER.replace(b'"', b"'"),
    "a byte order mark": b"\xef\xbb\xbf" + TICKER,
    "utf-16": TICKER.decode().encode("utf-16"),
    "not utf-8 in a value": TICKER.replace(b"BTC", b"\xff\xfe\xfd"),
    "not utf-8 in a value unread": TICKER[:-1] + b',"z":"\xc0\xaf"}',
    "overlong utf-8": TICKER.replace(b"BTC", b"\xe0\x80\xaf"),
    "a surrogate in utf-8": TICKER.replace(b"BTC", b"\xed\xa0\x80"),
    "a lone surrogate escape": TICKER.replace(b"BTC", b"\\ud800"),
    "a bad escape": TICKER.replace(b"BTC", b"\\x41"),
    "half an escape": TICKER.replace(b"BTCUSDT", b"\\u00"),
    "a control character": TICKER.replace(b"BTC", b"B\nC"),
    "nested too deeply": nested(64),
    "arrays too deep": nested(64, b"[", b"]"),
    "nested absurdly": b"[" * 200_000,
    "nested absurdly and closed": b"[" * 200_000 + b"]" * 200_000,
    "objects opened for ever": b'{"a":' * 100_000,
    "nan": TICKER.replace(b'"1.5"', b"NaN"),
    "nan as text": TICKER.replace(b"1.5", b"NaN"),
    "infinity as text": TICKER.replace(b"1.5", b"Infinity"),
    "an infinite number": TICKER.replace(b"1.5", b"1e999"),
    "minus infinity": TICKER.replace(b"1.5", b"-1e999"),
    "four hundred digits": TICKER.replace(b"1.5", b"9" * 400),
    "no digits": TICKER.replace(b"1.5", b""),
    "a sign alone": TICKER.replace(b"1.5", b"-"),
    "a space first": TICKER.replace(b"1.5", b" 1.5"),
    "a space last": TICKER.replace(b"1.5", b"1.5 "),
    "a plus sign": TICKER.replace(b"1.5", b"+1.5"),
    "a leading zero": TICKER.replace(b"1.5", b"01.5"),
    "a point last": TICKER.replace(b"1.5", b"1."),
    "a point first": TICKER.replace(b"1.5", b".5"),
    "two points": TICKER.replace(b"1.5", b"1.5.5"),
    "hexadecimal": TICKER.replace(b"1.5", b"0x15"),
    "a decimal comma": TICKER.replace(b"1.5", b"1,5"),
    "other digits": TICKER.replace(b"1.5", "١".encode()),
    "a price of true": TICKER.replace(b'"1.5"', b"true"),
    "a price of null": TICKER[:-1].replace(b'"u"', b'"e":"trade","p":null,"u"') + b"}",
    "a price of objects": TICKER.replace(b'"1.5"', b"{}"),
    "a sequence beyond int64": TICKER.replace(b'"u":1', b'"u":9223372036854775808'),
    "a sequence with a fraction": TICKER.replace(b'"u":1', b'"u":1.5'),
    "a price twice": TICKER[:-1] + b',"b":"1.5"}',
    "an escaped price twice": TICKER[:-1] + b',"\\u0062":"1.5"}',
    "a type twice": b'{"e":"trade","e":"kline"}',
    "a level without size": DEPTH.replace(b'["1","2"]', b'["1"]'),
    "a level that is a number": DEPTH.replace(b'["1","2"]', b"1"),
    "a level of null": DEPTH.replace(b'["1","2"]', b"null"),
    "a null size": DEPTH.replace(b'"2"]', b"null]"),
    "levels of null": DEPTH.replace(b'[["1","2"]]', b"null"),
    "levels in an object": DEPTH.replace(b'[["1","2"]]', b"{}"),
    "no levels": DEPTH.replace(b',"a":[["3","4"]]', b""),
    "half the levels bad": DEPTH.replace(b'["1","2"]', b'["1","2"],["1","x"]'),
    "a time below zero": DEPTH.replace(b'"E":1', b'"E":-1'),
    "a time beyond int64": DEPTH.replace(b'"E":1', b'"E":9223372036855'),
}


@pytest.mark.parametrize("payload", BAD.values(), ids=BAD)
@pytest.mark.parametrize("options", [{}, {"simd": False}, {"max_shapes": 0}, {"exact": True}], ids=str)
def test_bad_input_is_an_event(payload: bytes, options: dict[str, bool]) -> None:
    decoder = Decoder(schema_of("binance"), **options)  # type: ignore[arg-type]
    for good in (TICKER, TICKER, DEPTH, DEPTH):
        assert not isinstance(decoder.decode(good), DecodeError)
    for count in (1, 2):
        event = decoder.decode(payload)
        assert isinstance(event, DecodeError)
        assert event.payload == payload
        assert event.reason
        assert event.symbol == ""
        assert event.message_id == event.sequence == event.exchange_ts_ns == -1
        assert decoder.counters.errors == decoder.counters.events["DecodeError"] == count
    assert not isinstance(decoder.decode(TICKER), DecodeError)


@pytest.mark.parametrize("payload", BAD.values(), ids=BAD)
def test_the_oracle_refuses_it_too(payload: bytes) -> None:
    assert Jury(schema_of("binance")).check(payload, is_text=True) == "error"


GOOD = {
    "nested as deeply as allowed": nested(63),
    "arrays as deep as allowed": nested(63, b"[", b"]"),
    "escaped digits": TICKER.replace(b"1.5", b"\\u0031.5"),
    "escaped keys": TICKER.replace(b'"b"', b'"\\u0062"'),
    "an unread key twice": TICKER[:-1] + b',"z":1,"z":{"z":[]}}',
    "a surrogate pair": TICKER.replace(b"BTC", b"\\ud83d\\udcb0"),
    "subnormal": TICKER.replace(b"1.5", b"5e-324"),
    "underflow": TICKER.replace(b"1.5", b"1e-999"),
    "minus zero": TICKER.replace(b"1.5", b"-0.0"),
    "a number, not text": TICKER.replace(b'"1.5"', b"1.5"),
    "hundreds of digits": TICKER.replace(b"1.5", b"0." + b"123456789" * 60),
    "halfway between two doubles": TICKER.replace(b"1.5", b"9007199254740993"),
    "just above halfway": TICKER.replace(b"1.5", b"9007199254740993.0000000000000000000000001"),
    "a whole exponent": TICKER.replace(b'"u":1', b'"u":12e3'),
    "int64 at its end": TICKER.replace(b'"u":1', b'"u":9223372036854775807'),
    "white space around": b" \r\n\t" + TICKER + b"\n ",
    "no level at all": DEPTH.replace(b'["1","2"]', b""),
    "longer levels": DEPTH.replace(b'["1","2"]', b'["1","2","0",null,{}]'),
    "a mebibyte unread": TICKER[:-1] + b',"z":"' + b"x" * (1 << 20) + b'"}',
    "thousands of levels": DEPTH.replace(b'["1","2"]', b",".join([b'["1.25","2"]'] * 5000)),
}


@pytest.mark.parametrize("payload", GOOD.values(), ids=GOOD)
def test_odd_but_good(payload: bytes) -> None:
    jury = Jury(schema_of("binance"))
    jury.check(TICKER)
    jury.check(DEPTH)
    assert jury.check(payload) == "events"
    assert jury.check(TICKER) == "events"


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_at_all(payload: bytes, is_text: bool) -> None:
    for jury in JURIES.values():
        jury.check(payload, is_text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)))
def test_any_json_at_all(document: object) -> None:
    for jury in JURIES.values():
        assert jury.check(json.dumps(document).encode(), is_text=True) == "raw"


JURIES = {exchange: Jury(schema_of(exchange)) for exchange in EXAMPLES}


def test_unknown_channels_are_counted_by_name() -> None:
    decoder = Decoder(schema_of("binance"))
    for channel in ("a@ticker", "b@ticker", "a@ticker"):
        event = decoder.decode(json.dumps({"stream": channel, "data": {}}).encode())
        assert isinstance(event, RawMessage)
        assert event.channel == channel
        assert json.loads(event.payload)["stream"] == channel
    decoder.decode(b"[]")
    assert dict(decoder.unknown_channels) == {"a@ticker": 2, "b@ticker": 1, "": 1}
    assert decoder.counters.unknown == decoder.counters.events["RawMessage"] == 4
    assert decoder.counters.errors == 0


def test_names_of_unknown_channels_do_not_fill_the_memory() -> None:
    decoder = Decoder(schema_of("binance"))
    for index in range(5000):
        decoder.decode(json.dumps({"stream": f"{index}" + "x" * 500}).encode())
    assert len(decoder.unknown_channels) <= 1025
    assert max(map(len, decoder.unknown_channels)) <= 64
    assert sum(decoder.unknown_channels.values()) == 5000


def test_a_flood_of_rubbish_leaves_the_decoder_sound() -> None:
    decoder = Decoder(schema_of("binance"))
    rng = random.Random(6)
    for _ in range(20_000):
        decoder.decode(rng.randbytes(rng.randrange(200)), is_text=True)
        decoder.decode(TICKER[: rng.randrange(len(TICKER))] + rng.randbytes(3), is_text=True)
    assert decoder.counters.errors > 39_000
    assert Jury(schema_of("binance")).check(TICKER) == "events"
