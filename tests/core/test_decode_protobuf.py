"""Protobuf messages: known frames, any field, spoiled bytes, and JSON in between."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet_core.decode import Decoder, EventBatch
from cexnet_core.events import BookTicker, Candle, DecodeError, DepthUpdate, Event, Pong, RawMessage, Trade
from cexnet_core.schema import Field, Message, WireSchema
from tests.core.decode_cases import Jury, decimal_texts, mutants, schema_of

# Synthetic frames, encoded from the exchange's published field numbers.
FRAMES = {
    name: bytes.fromhex(text)
    for name, text in {
        "aggre deals": (
            "0a2f73706f74407075626c69632e61676772652e6465616c732e76332e6170692e7062403130306d73404254"
            "43555344541a074254435553445430bca9d9d0c432d2134a0a1f0a0839333232302e3030120a302e30343433"
            "38323433180220bba9d9d0c432122773706f74407075626c69632e61676772652e6465616c732e76332e6170"
            "692e7062403130306d73"
        ),
        "aggre deals with tradeId": (
            "0a2f73706f74407075626c69632e61676772652e6465616c732e76332e6170692e7062403130306d73404254"
            "43555344541a074254435553445430bda9d9d0c432d2136c0a230a0839333232302e3030120a302e30343433"
            "38323433180120bba9d9d0c4322a0254310a1c0a0839333232302e30311203302e35180220bca9d9d0c4322a"
            "025432122773706f74407075626c69632e61676772652e6465616c732e76332e6170692e7062403130306d73"
        ),
        "aggre depth, one bid removed": (
            "0a2f73706f74407075626c69632e61676772652e64657074682e76332e6170692e7062403130306d73404254"
            "43555344541a074254435553445430bad2c3d1c432ca135b12160a0839323837372e3538120a302e30303030"
            "303030301a2773706f74407075626c69632e61676772652e64657074682e76332e6170692e7062403130306d"
            "73220b31303538393633323335392a0b3130353839363332333539"
        ),
        "aggre bookTicker": (
            "0a3473706f74407075626c69632e61676772652e626f6f6b5469636b65722e76332e6170692e706240313030"
            "6d7340425443555344541a07425443555344543091b0e7d1c432da13270a0839333338372e32381207332e37"
            "333438351a0839333338372e32392208372e363639383735"
        ),
        "kline": (
            "0a2973706f74407075626c69632e6b6c696e652e76332e6170692e70624042544355534454404d696e31351a"
            "074254435553445428f3ec92d1c43230f3ec92d1c432a2134e0a054d696e313510848bfebb061a0539323932"
            "35220839333135382e34372a0839333135382e3437320539323830303a0b33362e3833383033323234420a33"
            "3432343831312e3035488892febb06"
        ),
        "private order new": (
            "0a1d73706f7440707269766174652e6f72646572732e76332e6170692e70621a074254435553445430a98095"
            "d4c4328213420a064330315f5f3112046d792d311a0539333030302204302e30312a03393330320130380140"
            "0152033933305a04302e30316a013072013078018001938095d4c432"
        ),
    }.items()
}
PONG = b'{"id":0,"code":0,"msg":"PONG"}'


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def one(decoded: Event | EventBatch) -> Event:
    assert isinstance(decoded, Event)
    return decoded


def events_of(name: str) -> list[Event]:
    return Decoder(schema_of("mexc")).decode_all([FRAMES[name]])


def test_deals() -> None:
    (trade,) = events_of("aggre deals")
    assert isinstance(trade, Trade)
    assert (trade.symbol, trade.price, trade.size, trade.side) == ("BTCUSDT", 93220.00, 0.04438243, "sell")
    assert (trade.exchange_ts_ns, trade.trade_id) == (1736409765051_000_000, "")


def test_deals_with_ids() -> None:
    first, second = events_of("aggre deals with tradeId")
    assert isinstance(first, Trade)
    assert isinstance(second, Trade)
    assert (first.price, first.side, first.trade_id) == (93220.00, "buy", "T1")
    assert (second.price, second.size, second.side, second.trade_id) == (93220.01, 0.5, "sell", "T2")
    assert (first.symbol, second.symbol) == ("BTCUSDT", "BTCUSDT")


def test_depth() -> None:
    (depth,) = events_of("aggre depth, one bid removed")
    assert isinstance(depth, DepthUpdate)
    assert depth.bids.tolist() == [[92877.58, 0.0]]
    assert depth.asks.shape == (0, 2)
    assert depth.first_sequence == depth.sequence == 10589632359
    assert depth.exchange_ts_ns == 1736411507002_000_000


def test_book_ticker() -> None:
    (ticker,) = events_of("aggre bookTicker")
    assert isinstance(ticker, BookTicker)
    assert (ticker.bid_price, ticker.bid_size) == (93387.28, 3.73485)
    assert (ticker.ask_price, ticker.ask_size) == (93387.29, 7.669875)


def test_candle() -> None:
    (candle,) = events_of("kline")
    assert isinstance(candle, Candle)
    assert (candle.open, candle.high, candle.low, candle.close) == (92925.0, 93158.47, 92800.0, 93158.47)
    assert (candle.volume, candle.quote_volume) == (36.83803224, 3424811.05)
    assert candle.open_ts_ns == 1736410500_000_000_000
    assert candle.close_ts_ns == 1736411400_000_000_000


def test_a_body_without_message_is_raw() -> None:
    (event,) = events_of("private order new")
    assert isinstance(event, RawMessage)
    assert event.payload == FRAMES["private order new"]


def test_every_frame_whole_cut_and_spoiled() -> None:
    jury = Jury(schema_of("mexc"))
    rng = random.Random(7)
    for frame in FRAMES.values():
        assert jury.check(frame) != "error"
        for size in range(len(frame)):
            jury.check(frame[:size])
        for mutant in mutants(frame, 1500, rng):
            jury.check(mutant)
    assert jury.shapes.counters.shape == 0


def test_unknown_fields_of_every_wire_type_are_skipped() -> None:
    jury = Jury(schema_of("mexc"))
    extras = [number(999, -1), chunk(998, b"\xff" * 300), varint(997 << 3 | 1) + b"\xff" * 8]
    extras += [varint(996 << 3 | 5) + b"\xff" * 4, number(2**29 - 1, 0)]
    frame = FRAMES["aggre bookTicker"]
    wanted = repr(one(Decoder(schema_of("mexc")).decode(frame)))
    for extra in extras:
        for payload in (extra + frame, frame + extra):
            assert jury.check(payload) == "events"
            assert repr(one(jury.shapes.decode(payload))) == wanted


@pytest.mark.parametrize(
    "spoiled",
    [
        chunk(3, b"\xff\xfe") + chunk(315, chunk(1, "1") + chunk(2, "1") + chunk(3, "1") + chunk(4, "1")),
        chunk(3, "X") + chunk(315, chunk(1, "1") + chunk(2, "1") + chunk(3, "1")),
        chunk(3, "X") + chunk(315, chunk(1, "1") + chunk(2, "NaN") + chunk(3, "1") + chunk(4, "1")),
        chunk(3, "X") + varint(3 << 3 | 3),
        b"\0\0",
        b"\xff" * 20,
        varint(3 << 3 | 2) + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        chunk(3, "X") + chunk(313, chunk(2, chunk(1, "1")) + chunk(4, "1") + chunk(5, "2")),
    ],
)
def test_bad_frames_are_errors(spoiled: bytes) -> None:
    jury = Jury(schema_of("mexc"))
    assert jury.check(spoiled) == "error"
    event = jury.shapes.decode(spoiled)
    assert isinstance(event, DecodeError)
    assert event.payload == spoiled


INVENTED = WireSchema(
    name="invented",
    protobuf=(
        Message(
            "DepthUpdate",
            has=("1",),
            fields=(
                Field("symbol", "1"),
                Field("exchange_ts_ns", "2", unit="ms", optional=True),
                Field("sequence", "3", optional=True),
                Field("bids", "4", level=("1", "2")),
                Field("asks", "5.1", level=("2", "7")),
            ),
        ),
        Message(
            "Trade",
            has=("6",),
            fields=(
                Field("symbol", "7", optional=True),
                Field("price", "6.1.*.1"),
                Field("size", "6.1.*.2", optional=True),
                Field("side", "6.1.*.3", values={"1": "buy", "*": "sell"}, optional=True),
                Field("trade_id", "6.1.*.4", optional=True),
            ),
        ),
    ),
)
INVENTED_JURY = Jury(INVENTED)
values = st.one_of(
    st.tuples(st.just(0), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(2), st.one_of(decimal_texts.map(str.encode), st.binary(max_size=4))),
)


def tree(depth: int) -> st.SearchStrategy[bytes]:
    leaf = st.builds(
        lambda field, value: chunk(field, value[1]) if value[0] else number(field, value[1]),
        st.integers(1, 8),
        values,
    )
    if depth == 0:
        return st.lists(leaf, max_size=4).map(b"".join)
    inner = st.builds(chunk, st.sampled_from([4, 5, 6, 1]), tree(depth - 1))
    return st.lists(leaf | inner, max_size=6).map(b"".join)


@given(tree(3))
def test_any_tree_of_fields(payload: bytes) -> None:
    INVENTED_JURY.check(payload)


def test_text_and_binary_frames_in_turns() -> None:
    """A JSON shape learned before and after protobuf belongs to the JSON messages."""
    jury = Jury(schema_of("mexc"))
    for _ in range(5):
        for frame in FRAMES.values():
            jury.check(frame)
            assert jury.check(PONG) == "events"
            assert jury.check(PONG, is_text=True) == "events"
    decoder = Decoder(schema_of("mexc"))
    for _ in range(5):
        assert isinstance(decoder.decode(FRAMES["aggre bookTicker"]), BookTicker)
        assert isinstance(decoder.decode(PONG), Pong)
    counters = decoder.counters
    assert (counters.protobuf, counters.shape + counters.ondemand, counters.errors) == (5, 5, 0)
    assert counters.shape >= 3


def test_a_text_frame_is_never_protobuf() -> None:
    event = Decoder(schema_of("mexc")).decode(FRAMES["kline"], is_text=True)
    assert isinstance(event, DecodeError)
