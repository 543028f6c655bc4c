"""Messages to decode: book tickers as Binance sends them, and what others make of them."""

from __future__ import annotations

import contextlib
import importlib
import json
import random
from collections.abc import Callable
from typing import Any

import msgspec

from cexnet.cli.benchmark.rounds import Contestant, Job, calling
from cexnet.exchanges import get_exchange
from cexnet_core.decode import Decoder
from cexnet_core.errors import CexnetError
from cexnet_core.events import EventKind, SymbolTable
from cexnet_core.route import Receiver, Router

COUNT = 200
MIDS = {"BTCUSDT": 67_000.0, "ETHUSDT": 3_500.0, "SOLUSDT": 180.0}


class _Ticker(msgspec.Struct, gc=False):
    """msgspec's leanest: only the fields in use, numbers straight to float."""

    u: int
    s: str
    b: float
    B: float
    a: float
    A: float


class _Combined(msgspec.Struct, gc=False):
    """The combined stream's envelope."""

    data: _Ticker


def book_tickers(count: int = COUNT, seed: int = 7) -> list[bytes]:
    """Combined-stream book tickers of three symbols, with prices that walk."""
    rng = random.Random(seed)  # noqa: S311 - made-up prices
    mids, messages = dict(MIDS), []
    for update_id in range(40_000_000_000, 40_000_000_000 + count):
        symbol = rng.choice(tuple(mids))
        mids[symbol] *= 1 + rng.gauss(0, 1e-5)
        messages.append(
            f'{{"stream":"{symbol.lower()}@bookTicker","data":{{"u":{update_id},"s":"{symbol}",'
            f'"b":"{mids[symbol]:.8f}","B":"{rng.uniform(0.01, 900):.8f}",'
            f'"a":"{mids[symbol] + 0.01:.8f}","A":"{rng.uniform(0.01, 900):.8f}"}}}}'.encode()
        )
    return messages


def decode_job() -> Job:
    """Bytes of a book ticker to its fields, decimals as floats."""
    messages = book_tickers()
    ways: dict[str, Callable[[bytes], Any]] = {
        "cexnet": Decoder(get_exchange("binance").schema).decode,
        "msgspec Struct": msgspec.json.Decoder(_Combined, strict=False).decode,
    }
    for name, loads in _parsers().items():
        ways[f"{name} and float()"] = _fields(loads)
    ours = [_numbers(ways["cexnet"](message)) for message in messages]
    for name, way in ways.items():
        if [_numbers(way(message)) for message in messages] != ours:
            raise CexnetError(f"bench: {name} and cexnet read the same messages differently")
    return Job(
        "decode",
        "a book ticker, from bytes to its fields",
        tuple(Contestant(name, calling(_each(way), messages), COUNT) for name, way in ways.items()),
    )


def receive_job() -> Job:
    """Bytes of a book ticker to the handler of its symbol, which uses two prices."""
    messages = book_tickers()
    schema, symbols = get_exchange("binance").schema, SymbolTable()
    router = Router(schema, symbols)
    spread = _Spread()
    for symbol in MIDS:
        router.add(EventKind.BOOK_TICKER, symbol, spread.on_event)
    receiver = Receiver(Decoder(schema, symbols=symbols), router, 0)

    def ours(given: list[bytes]) -> None:
        router.reset()  # the same sequences again would count as duplicates
        feed = receiver.feed
        for message in given:
            feed(message)

    decode = msgspec.json.Decoder(_Combined, strict=False).decode
    struct_handlers = dict.fromkeys(MIDS, spread.on_struct)

    def structs(given: list[bytes]) -> None:
        for message in given:
            ticker = decode(message).data
            struct_handlers[ticker.s](ticker)

    ways: dict[str, Callable[[list[bytes]], None]] = {"cexnet": ours, "msgspec Struct": structs}
    for name, loads in _parsers().items():
        ways[f"{name}, dict"] = _dispatching(loads, spread)
    return Job(
        "receive",
        "a book ticker, from bytes to the handler of its symbol",
        tuple(Contestant(name, calling(way, messages), COUNT) for name, way in ways.items()),
    )


class _Spread:
    """What all handlers do: add the difference of two prices to a sum."""

    def __init__(self) -> None:
        self.total = 0.0

    def on_event(self, ticker: Any) -> None:
        """Of a cexnet event."""
        self.total += ticker.ask_price - ticker.bid_price

    def on_struct(self, ticker: _Ticker) -> None:
        """Of a msgspec Struct."""
        self.total += ticker.a - ticker.b

    def on_dict(self, ticker: dict[str, Any]) -> None:
        """Of parsed JSON: only what is used is converted."""
        self.total += float(ticker["a"]) - float(ticker["b"])


def _parsers() -> dict[str, Callable[[bytes], Any]]:
    """The JSON parsers that are installed."""
    found: dict[str, Callable[[bytes], Any]] = {}
    for name in ("orjson", "ujson"):
        with contextlib.suppress(ImportError):
            found[name] = importlib.import_module(name).loads
    return {**found, "json": json.loads}


def _fields(loads: Callable[[bytes], Any]) -> Callable[[bytes], tuple[Any, ...]]:
    def read(message: bytes) -> tuple[Any, ...]:
        body = loads(message)["data"]
        prices = float(body["b"]), float(body["B"]), float(body["a"]), float(body["A"])
        return body["s"], body["u"], *prices

    return read


def _each(way: Callable[[bytes], Any]) -> Callable[[list[bytes]], None]:
    def run(messages: list[bytes]) -> None:
        for message in messages:
            way(message)

    return run


def _dispatching(loads: Callable[[bytes], Any], spread: _Spread) -> Callable[[list[bytes]], None]:
    handlers = dict.fromkeys(MIDS, spread.on_dict)

    def run(messages: list[bytes]) -> None:
        for message in messages:
            ticker = loads(message)["data"]
            handlers[ticker["s"]](ticker)

    return run


def _numbers(read: Any) -> tuple[Any, ...]:
    if isinstance(read, tuple):
        return read
    if isinstance(read, _Combined):
        ticker = read.data
        return ticker.s, ticker.u, ticker.b, ticker.B, ticker.a, ticker.A
    return read.symbol, read.sequence, read.bid_price, read.bid_size, read.ask_price, read.ask_size
