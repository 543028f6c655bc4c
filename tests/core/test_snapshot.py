"""Depth snapshots made by hand are events like those from the wire."""

from __future__ import annotations

from typing import Any

import pytest

from cexnet_core.errors import ConfigurationError
from cexnet_core.events import DepthSnapshot, EventKind, SymbolTable
from cexnet_core.snapshot import depth_snapshot


def test_fields_and_levels() -> None:
    symbols = SymbolTable()
    symbols.id_of("OTHER")
    event = depth_snapshot(
        symbols,
        "BTCUSDT",
        42,
        [("67000.10", "1.5"), ("66999", "2")],
        ((67000.2, 3),),
        exchange_ts_ns=7,
        receive_ts_ns=9,
    )
    assert isinstance(event, DepthSnapshot)
    assert (event.kind, event.symbol, event.symbol_id) == (EventKind.DEPTH_SNAPSHOT, "BTCUSDT", 1)
    assert (event.sequence, event.exchange_ts_ns, event.receive_ts_ns) == (42, 7, 9)
    assert (event.first_sequence, event.prev_sequence, event.connection_id) == (-1, -1, -1)
    assert event.bids.tolist() == [[67000.1, 1.5], [66999.0, 2.0]]
    assert event.asks.tolist() == [[67000.2, 3.0]]


def test_empty_sides_and_longer_levels() -> None:
    event = depth_snapshot(SymbolTable(), "A", 1, [], iter([["1", "2", "0", "4"]]))
    assert event.bids.shape == (0, 2)
    assert event.asks.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("bids", [[("1",)], [("x", "1")], [None], [1.0], 5])
def test_wrong_levels_are_refused_by_symbol(bids: Any) -> None:
    with pytest.raises(ConfigurationError, match="BTCUSDT"):
        depth_snapshot(SymbolTable(), "BTCUSDT", 1, bids, [])
