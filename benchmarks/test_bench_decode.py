"""Bytes of one message -> fresh event, beside msgspec, orjson and json.

Each alternative does the same job: the fields that an event has, decimals as floats.
A round is several hundred messages that differ in symbol, digits and levels.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest

from benchmarks.conftest import Contestant, Interleaved
from benchmarks.line import book_ticker_messages
from cexnet.exchanges import get_exchange
from cexnet_core.decode import Decoder

MESSAGES = 400
KEPT = 1000
TIME_MS = 1_736_409_765_000


class Ticker(msgspec.Struct, gc=False):
    """msgspec's leanest: only the fields in use, numbers straight to float."""

    u: int
    s: str
    b: float
    B: float
    a: float
    A: float


class Combined(msgspec.Struct, gc=False):
    """The combined stream's envelope."""

    data: Ticker


class Depth(msgspec.Struct, gc=False):
    """A diff; fixed-length tuples are msgspec's fastest levels."""

    E: int
    s: str
    U: int
    u: int
    b: list[tuple[float, float]]
    a: list[tuple[float, float]]


class Trade(msgspec.Struct, gc=False):
    """One trade."""

    s: str
    t: int
    p: float
    q: float
    T: int
    m: bool


class Bar(msgspec.Struct, gc=False):
    """The inner object of a candle."""

    t: int
    T: int
    i: str
    o: float
    c: float
    h: float
    l: float  # noqa: E741 - the wire's name
    v: float
    q: float
    x: bool


class Kline(msgspec.Struct, gc=False):
    """One candle."""

    E: int
    s: str
    k: Bar


def ticker_fields(body: dict[str, Any]) -> tuple[Any, ...]:
    """What a ``BookTicker`` holds."""
    return (
        body["s"],
        body["u"],
        float(body["b"]),
        float(body["B"]),
        float(body["a"]),
        float(body["A"]),
    )


def combined_fields(body: dict[str, Any]) -> tuple[Any, ...]:
    """The same, in the combined stream's envelope."""
    return ticker_fields(body["data"])


def depth_fields(body: dict[str, Any]) -> tuple[Any, ...]:
    """What a ``DepthUpdate`` holds."""
    bids = [(float(price), float(size)) for price, size in body["b"]]
    asks = [(float(price), float(size)) for price, size in body["a"]]
    return (body["s"], body["E"], body["U"], body["u"], bids, asks)


def trade_fields(body: dict[str, Any]) -> tuple[Any, ...]:
    """What a ``Trade`` holds."""
    return (body["s"], body["T"], body["t"], float(body["p"]), float(body["q"]), body["m"])


def kline_fields(body: dict[str, Any]) -> tuple[Any, ...]:
    """What a ``Candle`` holds."""
    bar = body["k"]
    return (
        *(body["s"], body["E"], bar["t"], bar["T"], bar["i"], bar["x"]),
        *(float(bar[name]) for name in "ohlcvq"),
    )


def walk(rng: random.Random) -> tuple[str, float]:
    """A symbol and a price near its usual one."""
    symbol, price = rng.choice((("BTCUSDT", 67_000.0), ("ETHUSDT", 3_500.0), ("SOLUSDT", 180.0)))
    return symbol, price * (1 + rng.gauss(0, 1e-3))


def tickers() -> list[bytes]:
    """Raw book tickers, as they stand in the combined stream's envelope."""
    return [message.split(b'"data":')[1][:-1] for message in book_ticker_messages(MESSAGES)]


def depths() -> list[bytes]:
    """Diffs of 20 bids and 20 asks."""
    rng = random.Random(8)
    made = []
    for index in range(MESSAGES):
        symbol, price = walk(rng)

        def side(step: float, price: float = price) -> str:
            return ",".join(
                f'["{price + step * level:.8f}","{rng.choice((0.0, rng.uniform(0.001, 900))):.8f}"]'
                for level in range(20)
            )

        made.append(
            f'{{"e":"depthUpdate","E":{TIME_MS + index},"s":"{symbol}","U":{10**9 + 3 * index},'
            f'"u":{10**9 + 3 * index + 2},"b":[{side(-0.01)}],"a":[{side(0.01)}]}}'.encode()
        )
    return made


def trades() -> list[bytes]:
    """Trades."""
    rng = random.Random(9)
    made = []
    for index in range(MESSAGES):
        symbol, price = walk(rng)
        made.append(
            f'{{"e":"trade","E":{TIME_MS + index},"s":"{symbol}","t":{3_000_000_000 + index},'
            f'"p":"{price:.8f}","q":"{rng.uniform(0.0001, 50):.8f}","T":{TIME_MS + index - 1},'
            f'"m":{rng.choice(("true", "false"))},"M":true}}'.encode()
        )
    return made


def klines() -> list[bytes]:
    """Candles."""
    rng = random.Random(10)
    made = []
    for index in range(MESSAGES):
        symbol, price = walk(rng)
        start = TIME_MS - TIME_MS % 60_000
        o, c, h, low = (price * (1 + rng.gauss(0, 1e-4)) for _ in range(4))
        made.append(
            f'{{"e":"kline","E":{TIME_MS + index},"s":"{symbol}","k":{{"t":{start},"T":{start + 59_999},'
            f'"s":"{symbol}","i":"1m","f":{10**9 + index},"L":{10**9 + index + 50},"o":"{o:.8f}",'
            f'"c":"{c:.8f}","h":"{h:.8f}","l":"{low:.8f}","v":"{rng.uniform(1, 9000):.8f}","n":51,'
            f'"x":{rng.choice(("true", "false"))},"q":"{rng.uniform(1e4, 5e7):.8f}",'
            f'"V":"{rng.uniform(1, 9000):.8f}","Q":"{rng.uniform(1e4, 5e7):.8f}","B":"0"}}}}'.encode()
        )
    return made


KINDS: dict[str, tuple[list[bytes], type, Callable[[dict[str, Any]], Any], float | None]] = {
    "book ticker": (tickers(), Ticker, ticker_fields, 4.5),
    "book ticker, combined stream": (book_ticker_messages(MESSAGES), Combined, combined_fields, 4.5),
    "depth 20+20": (depths(), Depth, depth_fields, 5.0),
    "trade": (trades(), Trade, trade_fields, None),
    "kline": (klines(), Kline, kline_fields, None),
}


def dropping(decode: Callable[[bytes], object], messages: list[bytes]) -> Callable[[], None]:
    """Each result is gone before the next message."""

    def run() -> None:
        for message in messages:
            decode(message)

    return run


def keeping(decode: Callable[[bytes], object], messages: list[bytes]) -> Callable[[], None]:
    """The last results are kept."""
    kept: deque[object] = deque(maxlen=KEPT)

    def run() -> None:
        for message in messages:
            kept.append(decode(message))

    return run


def through(loads: Callable[[bytes], Any], fields: Callable[[dict[str, Any]], Any]) -> Callable[[bytes], Any]:
    """A dict first, then the fields."""

    def decode(message: bytes) -> Any:
        return fields(loads(message))

    return decode


@pytest.mark.parametrize("consume", [dropping, keeping], ids=["events dropped", "last 1000 kept"])
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_to_event(interleaved: Interleaved, kind: str, consume: Callable[..., Any]) -> None:
    """Goals: 4.5x on a book ticker, 5x on 20+20 levels, over the best alternative."""
    messages, struct, fields, goal = KINDS[kind]
    decoder = Decoder(get_exchange("binance").schema)
    decoder.decode_all(messages)
    assert decoder.counters.shape > 0.95 * MESSAGES
    rivals: dict[str, Callable[[bytes], object]] = {
        "msgspec Struct": msgspec.json.Decoder(struct, strict=False).decode,
        "orjson + float": through(orjson.loads, fields),
        "json + float": through(json.loads, fields),
    }
    title = f"bytes -> event: {kind}" + (", last 1000 kept" if consume is keeping else "")
    interleaved(
        title,
        Contestant("cexnet", consume(decoder.decode, messages), operations=MESSAGES),
        *(Contestant(name, consume(call, messages), operations=MESSAGES) for name, call in rivals.items()),
        goal=goal if consume is dropping else None,
    )
    assert decoder.counters.errors == decoder.counters.unknown == 0
