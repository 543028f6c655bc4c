"""Invented messages: shape, On-Demand and portable paths agree with the oracle to the bit."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cexnet_core import build_info
from cexnet_core.decode import Decoder
from cexnet_core.schema import Field, Message, WireSchema
from tests.core.decode_cases import (
    EXCHANGES,
    ODD_TEXTS,
    Jury,
    decimal_texts,
    invented,
    mutants,
    numbers,
    schema_of,
    unescaped,
)
from tests.core.decode_examples import EXAMPLES
from tests.core.oracle import expect, observe, without_exact

MANY = settings(max_examples=200 if build_info.MODE == "release" else 40)

# They keep what they learn from one example to the next, as in a long life.
JURIES = {exchange: Jury(schema_of(exchange)) for exchange in EXAMPLES}
NUMBERS = WireSchema(
    name="numbers",
    json=(
        Message(
            "Candle",
            has=("d",),
            fields=(
                Field("open", "d"),
                Field("high", "h", optional=True),
                Field("exchange_ts_ns", "ms", unit="ms", optional=True),
                Field("open_ts_ns", "s", unit="s", optional=True),
                Field("close_ts_ns", "us", unit="us", optional=True),
                Field("sequence", "n", optional=True),
                Field("interval", "t", optional=True),
                Field("is_closed", "f", values={"1": True, "true": True, "*": False}, optional=True),
            ),
        ),
    ),
)
NUMBERS_JURY = Jury(NUMBERS)


def compact(example: object) -> bytes:
    return json.dumps(example, separators=(",", ":")).encode()


@pytest.mark.parametrize("exchange", EXAMPLES)
def test_documented_examples(exchange: str) -> None:
    jury = Jury(schema_of(exchange))
    for example in EXAMPLES[exchange]:
        text = compact(example)
        assert jury.check(text, is_text=True) in ("events", "raw")
        jury.check(json.dumps(example, indent=1).encode())
        jury.check(json.dumps(example).encode())


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("odd", [0.0, 0.02, 0.2])
def test_invented_messages(exchange: str, odd: float) -> None:
    @MANY
    @given(invented(EXAMPLES[exchange], odd))
    def agree(payload: bytes) -> None:
        JURIES[exchange].check(payload)

    agree()


@pytest.mark.parametrize("exchange", EXAMPLES)
def test_mutants_of_documented_examples(exchange: str) -> None:
    jury = JURIES[exchange]
    rng = random.Random(4)
    for example in EXAMPLES[exchange]:
        for mutant in mutants(compact(example), 100, rng):
            jury.check(mutant, is_text=True)


@MANY
@given(
    st.one_of(decimal_texts, numbers), st.booleans(), st.sampled_from(["h", "ms", "s", "us", "n", "f", "t"])
)
def test_any_number_anywhere(text: str, quoted: bool, key: str) -> None:
    value = f'"{text}"' if quoted else text
    NUMBERS_JURY.check(f'{{"d":{value}}}'.encode())
    NUMBERS_JURY.check(f'{{"d":"1.5","{key}":{value}}}'.encode())


@pytest.mark.parametrize("key", ["d", "h", "ms", "s", "us", "n", "f", "t"])
def test_odd_numbers_in_a_learned_shape(key: str) -> None:
    jury = Jury(NUMBERS)
    keys = ("d", "h", "ms", "s", "us", "n", "f", "t")
    for quote in ('"', ""):
        good = {each: f"{quote}{12345 + index}{quote}" for index, each in enumerate(keys)}
        for text in ODD_TEXTS:
            jury.check(("{" + ",".join(f'"{name}":{value}' for name, value in good.items()) + "}").encode())
            spoiled = {**good, key: f"{quote}{text}{quote}"}
            body = ",".join(f'"{name}":{value}' for name, value in spoiled.items())
            jury.check(("{" + body + "}").encode())


@pytest.mark.parametrize("whole", range(21))
def test_every_count_of_digits(whole: int) -> None:
    """Digits before and after the point, around every register's width, and one junk byte."""
    rng = random.Random(whole)
    jury = Jury(NUMBERS)
    for fraction in range(25):
        for sign in ("", "-"):
            head = "".join(rng.choices("123456789", k=1)) + "".join(
                rng.choices("0123456789", k=max(whole - 1, 0))
            )
            text = sign + (head if whole else "0") + ("." if fraction else "")
            text += "".join(rng.choices("0123456789", k=fraction))
            jury.check(f'{{"d":"{text}"}}'.encode())
            at = rng.randrange(len(text))
            jury.check(f'{{"d":"{text[:at]}{rng.choice("/:;.-e+ x")}{text[at + 1 :]}"}}'.encode())


@MANY
@given(unescaped, unescaped)
def test_texts_of_any_length(symbol: str, interval: str) -> None:
    NUMBERS_JURY.check(f'{{"d":1,"t":{interval}}}'.encode())
    body = f'{{"u":1,"s":{symbol},"b":"1.5","B":"2","a":"3.25","A":"4"}}'
    JURIES["binance"].check(body.encode())


def test_a_storm_of_shapes_and_symbols() -> None:
    """More shapes and symbols than a decoder remembers: slower, never wrong, and it recovers."""
    schema = schema_of("binance")
    decoder = Decoder(schema)
    rng = random.Random(5)
    good = compact(EXAMPLES["binance"][0])
    for index in range(20_000):
        keys = ["u", "s", "b", "B", "a", "A", f"x{index % 3000}"]
        rng.shuffle(keys)
        values = {"u": str(index), "s": f'"SYMBOL{index}"'}
        body = ",".join(f'"{key}":' + values.get(key, f'"{index}.5"') for key in keys)
        payload = ("{" + body + "}").encode()
        event = decoder.decode(payload)
        if index % 50 == 0:
            assert observe(event) == without_exact(expect(schema, payload))
            assert observe(decoder.decode(good)) == without_exact(expect(schema, good))
    for _ in range(10_000):
        decoder.decode(good)
    before = decoder.counters.shape
    for _ in range(100):
        assert observe(decoder.decode(good)) == without_exact(expect(schema, good))
    assert decoder.counters.shape == before + 100


def test_more_texts_than_the_tables_hold() -> None:
    schema = schema_of("gateio")
    decoder = Decoder(schema)
    symbols = decoder.symbols
    for index in range(70_000):
        payload = (
            b'{"channel":"spot.candlesticks","event":"update","result":{"t":"1606292580","v":"2.5",'
            b'"c":"1","h":"1","l":"1","o":"1","n":"i%d_S%d","a":"3","w":true}}' % (index, index)
        )
        event = decoder.decode(payload)
        assert (event.symbol, event.interval) == (f"S{index}", f"i{index}")  # type: ignore[union-attr]
    assert len(symbols) <= symbols.capacity
    assert decoder.counters.text_overflow > 0
    assert decoder.counters.errors == 0


@pytest.mark.parametrize("word", ["true", "false", "null", "12"])
def test_a_bare_word_is_not_the_text_that_reads_alike(word: str) -> None:
    """Regression: once ``"true"`` was interned, a shape learned from a number took ``true``."""
    jury = Jury(NUMBERS)
    for value in (f'"{word}"', "12", "12", word, f'"{word}"', "13"):
        jury.check(f'{{"d":1,"t":{value}}}'.encode())
