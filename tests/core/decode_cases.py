"""Messages to decode and ways to spoil them, for the decoder's tests."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from cexnet.exchanges import get_exchange
from cexnet.recording.capture import read_capture
from cexnet_core.decode import Decoder
from cexnet_core.schema import WireSchema
from tests.core.oracle import expect, observe, without_exact

CAPTURES = {
    "BINANCE.ws.1.0": "binance",
    "BINANCE_FUTURES.ws.1.0": "binance_usdm",
    "GATEIO.ws.1.0": "gateio",
    "OKX.ws.1.0": "okx",
}
EXCHANGES = tuple(CAPTURES.values())


def schema_of(exchange: str) -> WireSchema:
    return get_exchange(exchange).schema


class Jury:
    """Decoders of one schema that must agree with the oracle on every message.

    They live on from message to message, so whatever shapes they learn from one
    message, good or bad, must not spoil the next.
    """

    def __init__(self, schema: WireSchema) -> None:
        self.schema = schema
        self.shapes = Decoder(schema)
        self.portable = Decoder(schema, simd=False)
        self.exact = Decoder(schema, exact=True)
        self.ondemand = Decoder(schema, exact=True, max_shapes=0)
        self.few = Decoder(schema, max_shapes=2)

    def check(self, payload: bytes, is_text: bool = False) -> str:
        """Every decoder twice, since the first time may teach it. Returns the outcome."""
        expected = expect(self.schema, payload, is_text)
        plain = without_exact(expected)
        for decoder in (self.shapes, self.portable, self.exact, self.ondemand, self.few):
            for _ in range(2):
                got = observe(decoder.decode(payload, is_text), decoder.exact)
                assert got == (expected if decoder.exact else plain), payload
        return expected.outcome


def captured(folder: Path, name: str) -> list[bytes]:
    return [payload for _, payload in read_capture(folder / name).messages]


def varied(payloads: list[bytes], count: int, seed: int = 1) -> list[bytes]:
    """``count`` short messages that look as different as possible."""
    chosen = random.Random(seed).sample(payloads, len(payloads))
    by_form: dict[bytes, list[bytes]] = {}
    for payload in chosen:
        if len(payload) < 2000:
            form = bytes(byte for byte in payload if byte not in b"0123456789")[:60]
            by_form.setdefault(form, []).append(payload)
    rows = [row[:5] for row in by_form.values()]
    return [row[index] for index in range(5) for row in rows if index < len(row)][:count]


# ---- Spoiling


def flip(data: bytes, rng: random.Random) -> bytes:
    """One byte becomes another."""
    at = rng.randrange(len(data))
    return data[:at] + bytes([rng.choice((rng.randrange(256), *b'"\\{}[],:.-+e019 \n\0'))]) + data[at + 1 :]


def delete(data: bytes, rng: random.Random) -> bytes:
    """A few bytes vanish."""
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randint(1, 5) :]


def insert(data: bytes, rng: random.Random) -> bytes:
    """A fragment that means something to a parser appears."""
    at = rng.randrange(len(data) + 1)
    fragments = (b" ", b"\t\r\n", b"0", b"-", b"e1", b"E+2", b".", b'"', b"\\", b"\\u0041", b",", b":")
    fragments += (b"[]", b"{}", b"null", b"true", b"\xff", b"\xc3\xa9", b"99999999999999999999", b"\0")
    return data[:at] + rng.choice(fragments) + data[at:]


def duplicate(data: bytes, rng: random.Random) -> bytes:
    """A stretch of the message comes twice, or once more at its end."""
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.randint(1, 40))
    if rng.random() < 0.3:
        return data + data[start:end]
    return data[:end] + data[start:end] + data[end:]


def swap(data: bytes, rng: random.Random) -> bytes:
    """Two members change places."""
    parts = data.split(b",")
    a, b = rng.randrange(len(parts)), rng.randrange(len(parts))
    parts[a], parts[b] = parts[b], parts[a]
    return b",".join(parts)


def respell(data: bytes, rng: random.Random) -> bytes:
    """A character of a string or key is written as an escape."""
    at = rng.randrange(len(data))
    if data[at : at + 1].isalnum():
        return data[:at] + b"\\u%04x" % data[at] + data[at + 1 :]
    return data


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip,
    delete,
    insert,
    duplicate,
    swap,
    respell,
)


def mutants(data: bytes, count: int, rng: random.Random) -> Iterator[bytes]:
    for _ in range(count):
        mutant = data
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            mutant = rng.choice(MUTATIONS)(mutant, rng) or b" "
        yield mutant


# ---- Inventing

ODD_TEXTS = (
    *("", "NaN", "Infinity", "-Infinity", "nan", "inf", " 1", "1 ", "1.", ".5", "+1", "01", "-01", "--1"),
    *(
        "-",
        ".",
        "e5",
        "1e",
        "1e+",
        "1.e5",
        "0x10",
        "1_000",
        "1,5",
        "١",
        "null",
        "true",
        "1\\u0030",
        "\\u0031",
    ),
    *("0", "-0", "-0.0", "0.0", "0e0", "0e999999", "1e400", "-1e400", "1e-400", "5e-324", "2.5e-324"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *("18446744073709551615", "18446744073709551616", "9007199254740993", "9007199254740993.0"),
    *("1.7976931348623157e308", "1.7976931348623159e308", "2.2250738585072011e-308", "1e22", "1e23"),
    *("0.1", "0.10000000000000000000000000000000000001", "123456789012345678901234567890.123456789"),
    *("0." + "0" * 30 + "1", "1" + "0" * 30, "8.41", "12345678.12345678", "0.00000001", "99999999.99999999"),
    *("9007199254740992.5", "1.000", "1.5e3", "1E3", "100e-2", "1e-2", "92233720368547758.07", "1" * 400),
)

decimal_texts = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,10})?", fullmatch=True),
    st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][-+]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(ODD_TEXTS),
)
numbers = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,12})?([eE][-+]?[0-9]{1,2})?", fullmatch=True),
    st.integers(-(2**64), 2**64).map(str),
)
texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["BTCUSDT", "btcusdt@trade", "é", "💰", "\u2028", "a" * 16, "a" * 17, "a" * 70, "", "*"]),
).map(json.dumps)
unescaped = st.text(
    st.characters(exclude_characters='"\\', exclude_categories=("Cc", "Cs")), max_size=40
).map('"{}"'.format)
scalars = st.one_of(
    decimal_texts.map('"{}"'.format),
    numbers,
    texts,
    unescaped,
    st.sampled_from(["null", "true", "false", "{}", "[]", '{"a":[1,{"b":null}]}', "[[],[[]]]", "01", "nul"]),
)
levels = st.lists(st.tuples(decimal_texts, decimal_texts), max_size=60).map(
    lambda pairs: "[" + ",".join(f'["{price}","{size}"]' for price, size in pairs) + "]"
)
good_decimals = st.from_regex(r"(0|[1-9][0-9]{0,5})\.[0-9]{2,8}", fullmatch=True)
good_levels = st.lists(st.tuples(good_decimals, good_decimals), max_size=60).map(
    lambda pairs: "[" + ",".join(f'["{price}","{size}"]' for price, size in pairs) + "]"
)
spaces = st.sampled_from(["", "", "", " ", "\n", "\t \r"])


def render(value: Any, draw: Callable[[Any], Any], odd: float, rng: random.Random) -> str:
    """``value`` as JSON text: some leaves replaced, members moved, dropped, added or doubled."""
    gap = draw(spaces) if rng.random() < odd else ""
    if isinstance(value, dict):
        members = [(key, render(inner, draw, odd, rng)) for key, inner in value.items()]
        if rng.random() < odd:
            rng.shuffle(members)
        if rng.random() < odd and members:
            del members[rng.randrange(len(members))]
        if rng.random() < odd:
            key = rng.choice([*value, "zz", "e"])
            members.insert(rng.randint(0, len(members)), (key, draw(scalars)))
        return "{" + gap + ",".join(f"{json.dumps(key)}{gap}:{text}" for key, text in members) + gap + "}"
    if isinstance(value, list):
        if all(isinstance(each, list) and len(each) == 2 for each in value):
            return draw(levels if rng.random() < odd else good_levels)
        return "[" + ("," + gap).join(render(each, draw, odd, rng) for each in value) + "]"
    if rng.random() < odd:
        return draw(scalars)
    if isinstance(value, str) and value.replace(".", "").isdigit() and "." in value:
        return f'"{draw(good_decimals)}"'
    return json.dumps(value) + gap


@st.composite
def invented(draw: st.DrawFn, examples: tuple[Any, ...], odd: float) -> bytes:
    """A message like one of ``examples``; ``odd`` is the share of what is unusual."""
    rng = draw(st.randoms(use_true_random=False))
    example = draw(st.sampled_from(examples))
    return render(example, draw, odd, rng).encode()
