"""Hostile input: it becomes counted DecodeErrors, costs bounded memory and never a crash."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from cexnet_core import build_info
from cexnet_core.decode import Decoder
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import BookTicker, DecodeError, DepthUpdate, RawMessage, SymbolTable
from cexnet_core.schema import Field, Message, WireSchema
from tests.core.schemas import BINANCE_SPOT, BINANCE_USDM, GATE, OKX

TICKER = (
    b'{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}'
)


def reason_of(decoder: Decoder, payload: bytes | str) -> str:
    event = decoder.decode(payload)
    assert isinstance(event, DecodeError), event
    return event.reason


@pytest.mark.parametrize("schema", [BINANCE_SPOT, BINANCE_USDM, GATE, OKX], ids=lambda schema: schema.name)
def test_one_byte_and_nothing(schema: WireSchema) -> None:
    decoder = Decoder(schema)
    for _ in range(2):
        assert isinstance(decoder.decode(b""), DecodeError)
        for byte in range(256):
            event = decoder.decode(bytes([byte]), True)
            assert isinstance(event, RawMessage if byte in b"0123456789" else DecodeError)
        decoder.decode(TICKER)


def test_errors_carry_their_bytes_and_are_counted() -> None:
    decoder = Decoder(BINANCE_SPOT)
    event = decoder.decode(TICKER[:-1])
    assert isinstance(event, DecodeError)
    assert event.payload == TICKER[:-1]
    assert (event.symbol, event.symbol_id, event.message_id) == ("", -1, -1)
    assert decoder.counters.errors == decoder.counters.events["DecodeError"] == 1


def test_reasons_name_message_field_and_path() -> None:
    decoder = Decoder(BINANCE_SPOT)
    for old, new, words in (
        (b'"25.35190000"', b'"nan"', "BookTicker: 'b' for bid_price is not a decimal"),
        (b'"25.35190000"', b"null", "'b' is null"),
        (b'"25.35190000"', b"true", "'b' for bid_price"),
        (b'"25.35190000"', b'"1e999"', "out of range"),
        (b"400900217", b"99999999999999999999", "'u' for sequence is out of range"),
        (b"400900217", b"1.5", "'u' for sequence"),
        (b'"b":"25.35190000",', b"", "'b' is absent, but bid_price needs it"),
        (b'"s":"BNBUSDT"', b'"s":["BNBUSDT"]', "'s' for symbol"),
        (b'"u":', b'"u":1,"u":', "twice"),
        (b'"b":', b'"b":"1","b":', "BookTicker: a key of the schema occurs twice"),
    ):
        assert words in reason_of(decoder, TICKER.replace(old, new)), new
    assert "empty" in reason_of(decoder, b"")
    assert "after the end" in reason_of(decoder, TICKER + b"{}")
    assert "64 levels" in reason_of(decoder, b"[" * 100 + b"]" * 100)
    assert "grammar" in reason_of(decoder, TICKER.replace(b"400900217", b"01"))


def test_text_that_is_no_unicode() -> None:
    assert isinstance(Decoder(BINANCE_SPOT).decode('{"s":"\ud800"}'), DecodeError)


def test_nesting_attack() -> None:
    decoder = Decoder(BINANCE_SPOT)
    decoder.decode(TICKER)
    for depth in (63, 64, 65, 100_000):
        for opening, closing in ((b"[", b"]"), (b'{"x":', b"}")):
            payload = opening * depth + b"1" + closing * depth
            wanted = RawMessage if depth <= 64 else DecodeError
            assert isinstance(decoder.decode(payload), wanted), depth
            hidden = TICKER.replace(b"}", b',"x":' + opening * depth + b"1" + closing * depth + b"}")
            for _ in range(2):
                event = decoder.decode(hidden)
                assert isinstance(event, BookTicker if depth < 64 else DecodeError), depth


def test_huge_messages() -> None:
    decoder = Decoder(BINANCE_SPOT)
    level = b'["12.34000000","5.60000000"]'
    head = b'{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":['
    for levels in (5_000, 350_000):
        payload = head + b",".join([level] * levels) + b'],"a":[]}'
        event = decoder.decode(payload)
        assert isinstance(event, DepthUpdate)
        assert event.bids.shape == (levels, 2)
        assert (event.bids == [12.34, 5.6]).all()
        assert isinstance(decoder.decode(payload[:-1]), DecodeError)
    assert isinstance(decoder.decode(b'{"x":"' + b"y" * 10_000_000 + b'"}'), RawMessage)
    assert isinstance(decoder.decode(b'"' + b"\\" * 10_000_001), DecodeError)
    assert isinstance(decoder.decode(b"1" * 10_000_000), RawMessage)
    assert isinstance(
        decoder.decode(TICKER.replace(b"25.35190000", b"0." + b"0" * 5_000_000 + b"1")), BookTicker
    )
    assert isinstance(decoder.decode(TICKER), BookTicker)


def test_a_storm_of_shapes_neither_grows_nor_blinds_the_cache() -> None:
    decoder = Decoder(BINANCE_SPOT, max_shapes=8)
    rng = random.Random(5)
    for number in range(20_000):
        decoder.decode(TICKER.replace(b"{", b'{"x%d":%d,' % (rng.randrange(10**9), number), 1))
    assert decoder.counters.shapes <= 8
    assert decoder.counters.shape_resets > 0
    before = decoder.counters.shape
    for _ in range(20_000):
        decoder.decode(TICKER)
    assert decoder.counters.shape - before > 10_000  # learned again after the storm
    assert decoder.counters.errors == 0


def test_max_shapes_zero_never_uses_shapes() -> None:
    decoder = Decoder(BINANCE_SPOT, max_shapes=0)
    for _ in range(10):
        decoder.decode(TICKER)
    assert (decoder.counters.shape, decoder.counters.ondemand) == (0, 10)


def test_a_storm_of_symbols_is_bounded() -> None:
    symbols = SymbolTable(capacity=100)
    decoder = Decoder(BINANCE_SPOT, symbols=symbols)
    for number in range(1_000):
        event = decoder.decode(TICKER.replace(b"BNBUSDT", b"S%d" % number))
        assert isinstance(event, BookTicker)
        assert event.symbol == f"S{number}"
        assert event.symbol_id == (number if number < 100 else -1)
    assert len(symbols) == 100
    assert decoder.counters.text_overflow == 900
    kept = decoder.decode(TICKER.replace(b"BNBUSDT", b"S7"))
    assert (kept.symbol, kept.symbol_id) == ("S7", 7)  # type: ignore[union-attr]
    with pytest.raises(ConfigurationError):
        SymbolTable(capacity=0)


def test_a_long_text_is_passed_on_and_not_kept() -> None:
    decoder = Decoder(BINANCE_SPOT)
    name = "S" * 100_000
    for _ in range(3):
        event = decoder.decode(TICKER.replace(b"BNBUSDT", name.encode()))
        assert (event.symbol, event.symbol_id) == (name, -1)  # type: ignore[union-attr]
    assert len(decoder.symbols) == 0


@pytest.mark.parametrize("symbol", ["币安人生USDT", 'A"B', "A\\B", "A\nB", "é", "", "S" * 16, "S" * 17, "😀"])
def test_any_symbol_by_any_path(symbol: str) -> None:
    for ascii_only in (True, False):
        decoder = Decoder(BINANCE_SPOT)
        wire = json.dumps(symbol, ensure_ascii=ascii_only).encode()
        seen = {decoder.decode(TICKER.replace(b'"BNBUSDT"', wire)).symbol for _ in range(4)}  # type: ignore[union-attr]
        assert seen == {symbol}
        assert decoder.symbols.names == [symbol]


def test_a_text_that_needs_escapes_is_not_found_unescaped() -> None:
    decoder = Decoder(BINANCE_SPOT)
    decoder.decode(TICKER)
    assert isinstance(decoder.decode(TICKER.replace(b"BNBUSDT", b"A\\nB")), BookTicker)
    assert isinstance(decoder.decode(TICKER.replace(b"BNBUSDT", b"A\nB")), DecodeError)


def test_normalize_runs_once_a_text_and_may_fail() -> None:
    calls: list[str] = []

    def normalize(text: str) -> str:
        calls.append(text)
        if text == "BAD":
            raise ValueError("no such market")
        return text.lower()

    schema = WireSchema(
        "test",
        json=(
            Message(
                "BookTicker", (Field("symbol", "s", normalize=normalize), Field("bid_price", "b")), has=("b",)
            ),
        ),
    )
    decoder = Decoder(schema)
    for _ in range(5):
        for symbol in ("ONE", "TWO"):
            event = decoder.decode(f'{{"s":"{symbol}","b":"1"}}')
            assert event.symbol == symbol.lower()  # type: ignore[union-attr]
    assert calls == ["ONE", "TWO"]
    for _ in range(3):
        reason = reason_of(decoder, '{"s":"BAD","b":"1"}')
        assert "'symbol'" in reason
        assert "no such market" in reason
    assert decoder.decode('{"s":"ONE","b":"1"}').symbol == "one"  # type: ignore[union-attr]


def test_unknown_channels_are_counted_by_name_and_bounded() -> None:
    decoder = Decoder(OKX)
    for _ in range(3):
        event = decoder.decode('{"arg":{"channel":"funding-rate"},"data":[]}')
        assert isinstance(event, RawMessage)
        assert event.channel == "funding-rate"
    assert decoder.unknown_channels == {"funding-rate": 3}
    for number in range(3_000):
        decoder.decode(f'{{"arg":{{"channel":"c{number}"}}}}')
    assert len(decoder.unknown_channels) <= 1025
    assert sum(decoder.unknown_channels.values()) == decoder.counters.unknown == 3_003


_MEMORY = """
import resource, sys
from cexnet_core.decode import Decoder
from tests.core.schemas import BINANCE_SPOT
from tests.core.test_decode_hardening import TICKER
import random
decoder = Decoder(BINANCE_SPOT)
rng = random.Random(1)
level = '["%d.5","1"]'
depth = '{"e":"depthUpdate","E":1,"s":"A","U":1,"u":2,"b":[%s],"a":[]}'
good = [(depth % ",".join(level % n for n in range(number % 60))).encode() for number in range(500)]
huge = b'{"x":[' + b",".join([b'{"y":"z"}'] * 100_000) + b"]}"
def spend(rounds):
    for number in range(rounds):
        for payload in good:
            decoder.decode(payload)
        for payload in good[:50]:
            decoder.decode(payload[: rng.randrange(len(payload))] + bytes([rng.randrange(256)]))
        decoder.decode(TICKER.replace(b"BNBUSDT", b"S%d" % rng.randrange(10**9)))
        decoder.decode(TICKER.replace(b"{", b'{"k%d":1,' % rng.randrange(10**9), 1))
        if number % 20 == 0:
            decoder.decode(huge)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
first = spend(200)
print(first, spend(800))
"""


@pytest.mark.slow
@pytest.mark.skipif(build_info.MODE != "release", reason="sanitizers keep freed memory on purpose")
def test_memory_stays_flat() -> None:
    answer = subprocess.run([sys.executable, "-c", _MEMORY], capture_output=True, text=True, check=True)
    first, later = map(int, answer.stdout.split())
    assert later - first <= 1024, "KiB more after five times as many messages"
