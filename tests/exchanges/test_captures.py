"""The exchanges' wire schemas on real traffic: counts, paths and sequences."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from cexnet.exchanges import get_exchange
from cexnet.recording.capture import read_capture
from cexnet_core.decode import Decoder
from cexnet_core.events import DecodeError, Event, EventKind, SymbolTable
from cexnet_core.route import Receiver, Router

# Counted from the files' lines; docs/overview.md explains where the recording
# project's own counts differ (it counts its snapshots and skips what precedes them).
LINES = {
    "BINANCE.ws.1.0": (
        "binance",
        {"DepthUpdate": 177, "BookTicker": 84, "Trade": 2, "Candle": 2},
    ),
    "BINANCE_FUTURES.ws.1.0": (
        "binance_usdm",
        {"DepthUpdate": 764, "BookTicker": 613, "Trade": 91, "Candle": 67},
    ),
    "GATEIO.ws.1.0": (
        "gateio",
        {"DepthUpdate": 172, "BookTicker": 22, "Trade": 9, "Candle": 14},
    ),
    "OKX.ws.1.0": (
        "okx",
        {"DepthUpdate": 287, "DepthSnapshot": 3, "BookTicker": 28, "Trade": 74},
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_counts_and_paths(captures: Path, name: str) -> None:
    exchange, expected = LINES[name]
    capture = read_capture(captures / name)
    assert capture.exchange == exchange
    decoder = Decoder(get_exchange(exchange).schema)
    seen: Counter[str] = Counter()
    market = 0
    for _, payload in capture.messages:
        events = decoder.decode_all([payload])
        assert not any(isinstance(event, DecodeError) for event in events)
        kinds = Counter(type(event).__name__ for event in events)
        seen += kinds
        market += any(kind in expected for kind in kinds)
    assert {kind: seen[kind] for kind in expected} == expected
    assert decoder.counters.errors == 0
    assert dict(decoder.unknown_channels) == {}
    assert decoder.counters.shape / market >= 0.9


@pytest.mark.parametrize("name", LINES)
def test_real_traffic_has_no_gap(captures: Path, name: str) -> None:
    schema = get_exchange(LINES[name][0]).schema
    symbols = SymbolTable()
    router = Router(schema, symbols)
    receiver = Receiver(Decoder(schema, symbols=symbols), router, 0)
    capture = read_capture(captures / name)
    delivered: list[Event] = []
    kinds = (EventKind.DEPTH_UPDATE, EventKind.DEPTH_SNAPSHOT, EventKind.BOOK_TICKER)
    for symbol in capture.symbols(schema):
        for kind in (*kinds, EventKind.TRADE, EventKind.CANDLE):
            router.add(kind, symbol, delivered.append)
    for _, payload in capture.messages:
        receiver.feed(payload)
    streams = router.streams()
    assert sum(stream.gaps for stream in streams) == 0
    assert sum(stream.duplicates + stream.reorders for stream in streams) == 0
    assert len(delivered) == sum(LINES[name][1].values())
