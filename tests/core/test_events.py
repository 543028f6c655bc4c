"""Events: what they show, how long they live, and what cannot be done to them."""

from __future__ import annotations

import copy
import gc
import json
import math
import pickle
import sys
from typing import Any

import numpy as np
import pytest

from cexnet_core import events as module
from cexnet_core.decode import Decoder
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import (
    BookTicker,
    Candle,
    DepthUpdate,
    Event,
    EventKind,
    EventSink,
    SymbolTable,
    Trade,
)
from cexnet_core.layout import COMMON, EVENTS, attributes
from cexnet_core.schema import Field, Message, WireSchema

UNITS = {"time": "ns"}
SKIPPED_BY_CONSTANT = {"SubscriptionAck": "ok"}


def everything_schema() -> WireSchema:
    """Every event, told by its name; every field optional, under its own name."""
    return WireSchema(
        name="everything",
        json=tuple(
            Message(
                event,
                when={"event": event},
                fields=tuple(
                    Field(name, name, unit="ns" if type_ == "time" else None, optional=True)
                    for name, type_ in {**COMMON, **types}.items()
                ),
            )
            for event, types in EVENTS.items()
        ),
        channel_paths=("event",),
    )


SCHEMA = everything_schema()
SAMPLE: dict[str, Any] = {
    "decimal": "1.5",
    "integer": 7,
    "time": 1_700_000_000_000_000_001,
    "symbol": "BTCUSDT",
    "name": "new",
    "side": "sell",
    "flag": True,
    "text": "id-1",
    "levels": [["1.5", "2"], ["1.25", "3"]],
}


def message(event: str, **changed: object) -> bytes:
    fields = {name: SAMPLE[type_] for name, type_ in {**COMMON, **EVENTS[event]}.items()}
    return json.dumps({"event": event, **fields, **changed}).encode()


def decode(event: str, decoder: Decoder | None = None, **changed: object) -> Any:
    return (decoder or Decoder(SCHEMA)).decode(message(event, **changed))


def depth(decoder: Decoder, count: int, start: float = 0.0) -> DepthUpdate:
    side = [[str(start + index), str(index)] for index in range(count)]
    event = decode("DepthUpdate", decoder, bids=side, asks=side)
    assert isinstance(event, DepthUpdate)
    return event


@pytest.mark.parametrize("name", EVENTS)
def test_every_field_is_readable_and_shown(name: str) -> None:
    event = decode(name)
    assert type(event).__name__ == name
    assert isinstance(event, Event)
    shown = repr(event)
    assert shown.startswith(f"{name}(symbol='BTCUSDT', ")
    for field, type_ in {**COMMON, **EVENTS[name]}.items():
        value = getattr(event, field)
        if type_ == "levels":
            assert value.tolist() == [[1.5, 2.0], [1.25, 3.0]]
        else:
            assert value == (1.5 if type_ == "decimal" else SAMPLE[type_])
        assert f"{field}={value!r}" in shown
    assert event.receive_ts_ns == event.connection_id == -1
    assert event.kind == list(EVENTS).index(name)
    assert EventKind(event.kind).name.replace("_", "").lower() == name.lower()


@pytest.mark.parametrize("name", EVENTS)
def test_what_is_not_given(name: str) -> None:
    event: Any = Decoder(SCHEMA).decode(json.dumps({"event": name}).encode())
    for field, type_ in {**COMMON, **EVENTS[name]}.items():
        value = getattr(event, field)
        if type_ == "decimal":
            assert math.isnan(value)
        elif type_ == "levels":
            assert value.shape == (0, 2)
        else:
            assert value == {"integer": -1, "time": -1, "flag": False}.get(type_, "")
    assert repr(event)
    assert event.symbol_id == -1


@pytest.mark.parametrize("name", EVENTS)
def test_a_reused_event_forgets_its_last_values(name: str) -> None:
    decoder = Decoder(SCHEMA)
    fresh = repr(Decoder(SCHEMA).decode(json.dumps({"event": name}).encode()))
    for _ in range(4):
        decode(name, decoder)
        assert (
            repr(decoder.decode(json.dumps({"event": name}).encode())).split("payload")[0]
            == (fresh.split("payload")[0])
        )


CLASSES = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Event)]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_only_a_decoder_makes_events(cls: type[Event]) -> None:
    with pytest.raises(TypeError, match="made by a Decoder"):
        cls()
    with pytest.raises(TypeError):
        cls(1, price=2)  # type: ignore[call-arg]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_event_made_by_force_is_harmless(cls: type[Event]) -> None:
    event = cls.__new__(cls)
    assert repr(event).startswith(cls.__name__)
    with pytest.raises(ConfigurationError):
        event.exact("price")
    for name in attributes(cls.__name__):
        getattr(event, name)
    del event
    gc.collect()


@pytest.mark.parametrize("name", EVENTS)
def test_leaves_are_final(name: str) -> None:
    with pytest.raises(TypeError):
        type("Mine", (getattr(module, name),), {})


@pytest.mark.parametrize("name", EVENTS)
def test_no_pickle_no_copy_no_writing(name: str) -> None:
    event = decode(name)
    for refused in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            refused(event)
    for attribute in ("symbol", "sequence", *attributes(name), "new_attribute"):
        with pytest.raises(AttributeError):
            setattr(event, attribute, 1)


def test_an_event_nobody_holds_is_used_again() -> None:
    decoder = Decoder(SCHEMA)
    place = id(decode("BookTicker", decoder))
    assert {id(decode("BookTicker", decoder, bid_price=str(index))) for index in range(100)} == {place}


@pytest.mark.parametrize("name", EVENTS)
def test_a_kept_event_never_changes(name: str) -> None:
    decoder = Decoder(SCHEMA)
    kept, shown = [], []
    for index in range(300):
        event = decode(name, decoder, symbol=f"S{index % 5}", sequence=index)
        if index % 3:
            kept.append(event)
            shown.append(repr(event))
        del event
    assert [repr(event) for event in kept] == shown
    assert len({id(event) for event in kept}) == len(kept)


def test_references_are_counted_right() -> None:
    decoder = Decoder(SCHEMA)
    event = decode("Trade", decoder)
    first = sys.getrefcount(event)
    same = [event] * 10
    assert sys.getrefcount(event) == first + 10
    del same
    other = decode("Trade", decoder, price="2.5")
    assert other is not event
    assert sys.getrefcount(event) == first - 1  # the decoder let go of it
    assert (event.price, other.price) == (1.5, 2.5)


def test_the_decoder_may_go_before_its_events() -> None:
    decoder = Decoder(SCHEMA)
    ticker, book, trade = decode("BookTicker", decoder), depth(decoder, 50), decode("Trade", decoder)
    shown = [repr(ticker), repr(book), repr(trade)]
    del decoder
    gc.collect()
    assert [repr(ticker), repr(book), repr(trade)] == shown


def test_levels_are_a_read_only_view_without_copy() -> None:
    event = depth(Decoder(SCHEMA), 20)
    bids = event.bids
    assert (bids.shape, bids.dtype, bids.flags.c_contiguous) == ((20, 2), np.float64, True)
    assert not bids.flags.owndata
    assert not bids.flags.writeable
    with pytest.raises(ValueError):
        bids[0, 0] = 1.0
    with pytest.raises(ValueError):
        bids.flags.writeable = True
    assert np.shares_memory(bids, event.bids)
    assert not np.shares_memory(bids, event.asks)


def test_a_view_outlives_its_event_and_decoder() -> None:
    decoder = Decoder(SCHEMA)
    view = depth(decoder, 40, start=100.0).bids
    rows = depth(decoder, 3, start=500.0).asks[1:, 0]
    wanted = [[100.0 + index, float(index)] for index in range(40)]
    for index in range(200):
        depth(decoder, index % 60)
    assert view.tolist() == wanted
    del decoder
    gc.collect()
    assert view.tolist() == wanted
    assert rows.tolist() == [501.0, 502.0]


def test_a_view_keeps_its_event_from_being_used_again() -> None:
    decoder = Decoder(SCHEMA)
    event = depth(decoder, 2)
    place, view = id(event), event.bids
    del event
    other = depth(decoder, 2, start=9.0)
    assert id(other) != place
    del other, view
    depth(decoder, 2)


def test_the_levels_buffer_gives_no_writable_view() -> None:
    view = depth(Decoder(SCHEMA), 2).bids
    base = view.base
    assert base is not None
    shown = memoryview(base)  # type: ignore[arg-type]
    assert (shown.readonly, shown.shape, shown.format) == (True, (2, 2), "d")
    empty = depth(Decoder(SCHEMA), 0).bids
    assert (empty.shape, empty.tolist()) == ((0, 2), [])


def test_exact_values() -> None:
    decoder = Decoder(SCHEMA, exact=True)
    event = decode("BookTicker", decoder, bid_price="0.10", ask_price="-12.345e1", bid_size="1" * 30)
    assert event.exact("bid_price") == (10, 2)
    assert event.exact("ask_price") == (-12345, 2)
    assert event.exact("bid_size") == (0, -1)
    book = decode("DepthUpdate", decoder, bids=[["67000.10", "0.50"]])
    mantissas, scales = book.bids_exact
    assert (mantissas.tolist(), scales.tolist()) == ([[6700010, 50]], [[2, 2]])
    assert (mantissas.dtype, scales.dtype) == (np.int64, np.int8)


def test_exact_values_must_be_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="exact=True"):
        decode("BookTicker").exact("bid_price")
    with pytest.raises(ConfigurationError, match="exact=True"):
        _ = decode("DepthUpdate").bids_exact
    with pytest.raises(ConfigurationError, match="no decimal field 'colour'"):
        decode("Trade", Decoder(SCHEMA, exact=True)).exact("colour")


def test_trade_ids_of_any_length() -> None:
    decoder = Decoder(SCHEMA)
    kept = [decode("Trade", decoder, trade_id="é" * length) for length in range(100)]
    assert [trade.trade_id for trade in kept] == ["é" * length for length in range(100)]
    assert isinstance(decode("Trade", decoder, trade_id="é" * 90), Trade)
    assert decode("Trade", decoder, trade_id="x").trade_id == "x"


def test_symbols_are_interned_and_shared() -> None:
    symbols = SymbolTable()
    first, second = Decoder(SCHEMA, symbols=symbols), Decoder(SCHEMA, symbols=symbols)
    a, b = decode("BookTicker", first), decode("Candle", second)
    assert isinstance(a, BookTicker)
    assert isinstance(b, Candle)
    assert a.symbol is b.symbol
    assert a.symbol_id == b.symbol_id == symbols.id_of("BTCUSDT") == 0
    assert (len(symbols), "BTCUSDT" in symbols, symbols.names) == (1, True, ["BTCUSDT"])


def test_a_full_symbol_table_still_tells_the_symbol() -> None:
    symbols = SymbolTable(capacity=2)
    decoder = Decoder(SCHEMA, symbols=symbols)
    seen = [decode("BookTicker", decoder, symbol=name) for name in ("A", "B", "C", "A", "D", "C")]
    assert [event.symbol for event in seen] == ["A", "B", "C", "A", "D", "C"]
    assert [event.symbol_id for event in seen] == [0, 1, -1, 0, -1, -1]
    assert "2 of 2" in repr(symbols)
    with pytest.raises(ConfigurationError):
        SymbolTable(0)
    with pytest.raises(TypeError):
        symbols.id_of(None)  # type: ignore[arg-type]


def test_a_bare_sink_cannot_be_fed() -> None:
    assert isinstance(EventSink(), EventSink)
