"""Decimals, limits, symbols, protobuf: the simulator's small parts."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet.simulator import limits, protobuf
from cexnet.simulator.decimals import Formatter, format_short, format_units, parse_units
from cexnet.simulator.personas import mexc_frames as frames
from cexnet.simulator.symbols import make_spec
from cexnet_core.errors import ConfigurationError

UNITS = st.integers(min_value=0, max_value=10**14)
SCALES = st.integers(min_value=0, max_value=12)


@given(UNITS, SCALES, SCALES)
def test_formatting_agrees_with_decimal(units: int, decimals: int, shown: int) -> None:
    exact = Decimal(units).scaleb(-decimals)
    padded = format_units(units, decimals, shown)
    assert len(padded.partition(".")[2]) == shown
    assert Decimal(padded) <= exact < Decimal(padded) + Decimal(1).scaleb(-shown)
    short = format_short(units, decimals)
    assert Decimal(short) == exact
    assert not ("." in short and short[-1] in "0.")
    assert Formatter(decimals, None)(units) == short
    assert parse_units(short, decimals) == units


@pytest.mark.parametrize("text", ["", "1e5", "-1", "+1", ".5", "1.234", "NaN", "1 ", "１"])
def test_parsing_refuses_what_is_not_plain_or_too_fine(text: str) -> None:
    with pytest.raises(ValueError):
        parse_units(text, 2)


def test_a_window_refuses_then_bans_who_hammers(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000_000.0
    monkeypatch.setattr(limits.time, "time", lambda: now_s)
    limit = limits.WindowLimit(10, 60, bans=True)
    assert limit.take("a", 10).state == "ok"
    verdict = limit.take("a")
    assert verdict.state == "limited"
    assert verdict.reset_s == pytest.approx(60 - now_s % 60)
    assert limit.take("b").state == "ok"
    states = [limit.take("a").state for _ in range(60)]
    assert states[0] == "limited"
    assert states[-1] == "banned"
    now_s += 61
    assert limit.take("a").state == "banned"
    now_s += 121
    assert limit.take("a") == ("ok", 1, pytest.approx(60 - now_s % 60))


def test_rules_of_an_unlisted_symbol_follow_its_quote() -> None:
    assert make_spec("NKNUSDT", "").quote == "USDT"
    assert make_spec("BLZETH", "").base == "BLZ"
    assert make_spec("HAI_ETH", "_").quote == "ETH"
    assert make_spec("BTC-USDT-SWAP", "-").quote == "USDT"
    assert make_spec("btcusdt", "").symbol == "BTCUSDT"
    for nonsense in ("FOO", "USDT", ""):
        with pytest.raises(ConfigurationError):
            make_spec(nonsense, "")


# The frames below are the worked examples of our exchange facts sheet (MEXC), literally.
DEALS = (
    "0a2f73706f74407075626c69632e61676772652e6465616c732e76332e6170692e7062403130306d7340425443555344"
    "541a074254435553445430bca9d9d0c432d2134a0a1f0a0839333232302e3030120a302e3034343338323433180220bb"
    "a9d9d0c432122773706f74407075626c69632e61676772652e6465616c732e76332e6170692e7062403130306d73"
)
DEALS_WITH_ID = (
    "0a2f73706f74407075626c69632e61676772652e6465616c732e76332e6170692e7062403130306d7340425443555344"
    "541a074254435553445430bda9d9d0c432d2136c0a230a0839333232302e3030120a302e3034343338323433180120bb"
    "a9d9d0c4322a0254310a1c0a0839333232302e30311203302e35180220bca9d9d0c4322a025432122773706f74407075"
    "626c69632e61676772652e6465616c732e76332e6170692e7062403130306d73"
)
DEPTH = (
    "0a2f73706f74407075626c69632e61676772652e64657074682e76332e6170692e7062403130306d7340425443555344"
    "541a074254435553445430bad2c3d1c432ca135b12160a0839323837372e3538120a302e30303030303030301a277370"
    "6f74407075626c69632e61676772652e64657074682e76332e6170692e7062403130306d73220b313035383936333233"
    "35392a0b3130353839363332333539"
)
BOOK_TICKER = (
    "0a3473706f74407075626c69632e61676772652e626f6f6b5469636b65722e76332e6170692e7062403130306d734042"
    "5443555344541a07425443555344543091b0e7d1c432da13270a0839333338372e32381207332e37333438351a083933"
    "3338372e32392208372e363639383735"
)
KLINE = (
    "0a2973706f74407075626c69632e6b6c696e652e76332e6170692e70624042544355534454404d696e31351a07425443"
    "5553445428f3ec92d1c43230f3ec92d1c432a2134e0a054d696e313510848bfebb061a05393239323522083933313538"
    "2e34372a0839333135382e3437320539323830303a0b33362e3833383033323234420a333432343831312e3035488892"
    "febb06"
)
PRIVATE_ORDER = (
    "0a1d73706f7440707269766174652e6f72646572732e76332e6170692e70621a074254435553445430a98095d4c43282"
    "13420a064330315f5f3112046d792d311a0539333030302204302e30312a033933303201303801400152033933305a04"
    "302e30316a013072013078018001938095d4c432"
)

CHANNEL = "spot@public.aggre.{}.v3.api.pb@100ms"


def test_mexc_frames_are_the_published_ones() -> None:
    event = CHANNEL.format("deals")
    deals = [frames.deal("93220.00", "0.04438243", 2, 1736409765051)]
    body = frames.aggre_deals(deals, event)
    made = frames.wrapper(event + "@BTCUSDT", "BTCUSDT", 1736409765052, frames.AGGRE_DEALS, body)
    assert made.hex() == DEALS

    deals = [
        frames.deal("93220.00", "0.04438243", 1, 1736409765051, "T1"),
        frames.deal("93220.01", "0.5", 2, 1736409765052, "T2"),
    ]
    body = frames.aggre_deals(deals, event)
    made = frames.wrapper(event + "@BTCUSDT", "BTCUSDT", 1736409765053, frames.AGGRE_DEALS, body)
    assert made.hex() == DEALS_WITH_ID

    event = CHANNEL.format("depth")
    removed = frames.depth_item("92877.58", frames.ZERO)
    body = frames.aggre_depths([], [removed], event, 10589632359, 10589632359)
    made = frames.wrapper(event + "@BTCUSDT", "BTCUSDT", 1736411507002, frames.AGGRE_DEPTHS, body)
    assert made.hex() == DEPTH

    channel = CHANNEL.format("bookTicker") + "@BTCUSDT"
    body = frames.book_ticker("93387.28", "3.73485", "93387.29", "7.669875", None)
    made = frames.wrapper(channel, "BTCUSDT", 1736412092433, frames.AGGRE_BOOK_TICKER, body)
    assert made.hex() == BOOK_TICKER

    prices = ("92925", "93158.47", "93158.47", "92800")
    body = frames.kline("Min15", 1736410500, prices, "36.83803224", "3424811.05", 1736411400)
    channel = "spot@public.kline.v3.api.pb@BTCUSDT@Min15"
    made = frames.wrapper(channel, "BTCUSDT", 1736410707571, frames.KLINE, body, 1736410707571)
    assert made.hex() == KLINE


def test_a_private_frame_encodes_from_its_field_numbers() -> None:
    fields: list[tuple[int, str | int]] = [
        (1, "C01__1"), (2, "my-1"), (3, "93000"), (4, "0.01"), (5, "930"), (6, "0"), (7, 1),
        (8, 1), (10, "930"), (11, "0.01"), (13, "0"), (14, "0"), (15, 1), (16, 1736417034259),
    ]  # fmt: skip
    parts = [
        protobuf.text(number, value) if isinstance(value, str) else protobuf.integer(number, value)
        for number, value in fields
    ]
    made = frames.wrapper("spot@private.orders.v3.api.pb", "BTCUSDT", 1736417034281, 304, b"".join(parts))
    assert made.hex() == PRIVATE_ORDER


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_varints_read_back(value: int) -> None:
    encoded = protobuf.varint(value)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == value
    assert all(byte & 0x80 for byte in encoded[:-1])
    assert not encoded[-1] & 0x80
