"""The decoder's Python face: kinds of payload, batches, counters, and the way in from C."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from cexnet_core.decode import DecodeCounters, Decoder, EventBatch
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import BookTicker, DecodeError, Event, EventKind, Pong, SymbolTable, Trade
from cexnet_core.route import Receiver, Router
from tests.core.decode_cases import schema_of
from tests.core.decode_examples import EXAMPLES

TICKER = b'{"u":1,"s":"BTCUSDT","b":"1.5","B":"2","a":"3.25","A":"4"}'
TRADES = json.dumps(EXAMPLES["okx"][1]).encode()
NO_TRADES = json.dumps(EXAMPLES["okx"][2]).encode()


@pytest.mark.parametrize(
    "given",
    [
        TICKER,
        TICKER.decode(),
        bytearray(TICKER),
        memoryview(TICKER),
        memoryview(b"xx" + TICKER + b"yy")[2:-2],
    ],
    ids=lambda given: type(given).__name__,
)
def test_kinds_of_payload(given: Any) -> None:
    decoder = Decoder(schema_of("binance"))
    wanted = repr(Decoder(schema_of("binance")).decode(TICKER))
    for _ in range(3):
        assert repr(decoder.decode(given)) == wanted
        assert [repr(event) for event in decoder.decode_all([given])] == [wanted]


def test_text_that_is_not_ascii() -> None:
    text = TICKER.decode().replace("BTC", "é💰")
    event = Decoder(schema_of("binance")).decode(text)
    assert isinstance(event, BookTicker)
    assert event.symbol == "é💰USDT"
    assert isinstance(Decoder(schema_of("binance")).decode(text + "\ud800"), DecodeError)


@pytest.mark.parametrize("given", [None, 5, 1.5, [], {}, object()], ids=lambda given: type(given).__name__)
def test_other_types_are_refused(given: Any) -> None:
    decoder = Decoder(schema_of("binance"))
    with pytest.raises(TypeError):
        decoder.decode(given)
    with pytest.raises(TypeError):
        decoder.decode_all([TICKER, given])
    assert decoder.counters.errors == 0


def test_payloads_at_every_place_of_a_page() -> None:
    """Reading past a payload's end must not depend on where it lies."""
    decoder = Decoder(schema_of("binance"))
    wanted = repr(decoder.decode(TICKER))
    buffer = bytearray(3 * 4096)
    for start in range(0, 4200, 7):
        buffer[start : start + len(TICKER)] = TICKER
        assert repr(decoder.decode(memoryview(buffer)[start : start + len(TICKER)])) == wanted


def test_what_follows_the_payload_is_not_read_as_part_of_it() -> None:
    decoder = Decoder(schema_of("binance"))
    decoder.decode(TICKER)
    for size in range(len(TICKER)):
        event = decoder.decode(memoryview(TICKER)[:size])
        assert isinstance(event, DecodeError)
        assert event.payload == TICKER[:size]


def test_several_events_are_a_batch() -> None:
    decoder = Decoder(schema_of("okx"))
    for _ in range(3):
        batch = decoder.decode(TRADES)
        assert isinstance(batch, EventBatch)
        first, second = batch
        assert isinstance(first, Trade)
        assert isinstance(second, Trade)
        assert (len(batch), batch[0], batch[-1], batch.events) == (2, first, second, (first, second))
        assert batch[:1] == (first,)
        assert (first.side, second.side, second.trade_id) == ("buy", "sell", "x" * 50)
        assert repr(batch).startswith("EventBatch([Trade(")
        with pytest.raises(IndexError):
            batch[2]


def test_no_event_is_an_empty_batch() -> None:
    decoder = Decoder(schema_of("okx"))
    batch = decoder.decode(NO_TRADES)
    assert isinstance(batch, EventBatch)
    assert (len(batch), list(batch), repr(batch)) == (0, [], "EventBatch([])")
    assert len(decoder.decode_all([TRADES, NO_TRADES, TRADES])) == 4
    assert decoder.counters.errors == 0


def test_counters_by_path() -> None:
    decoder = Decoder(schema_of("binance"))
    assert decoder.counters == DecodeCounters(0, 0, 0, 0, 0, 0, decoder.counters.events)
    assert set(decoder.counters.events.values()) == {0}
    for _ in range(10):
        decoder.decode(TICKER)
    decoder.decode(b"[]")
    decoder.decode(b"")
    counters = decoder.counters
    assert counters.shape + counters.ondemand == 10
    assert counters.shape >= 8
    assert (counters.protobuf, counters.unknown, counters.errors) == (0, 1, 1)
    assert counters.events["BookTicker"] == 10
    assert counters.events["RawMessage"] == counters.events["DecodeError"] == 1
    assert decoder.counters == pickle.loads(pickle.dumps(counters))  # noqa: S301 - our own bytes


def test_without_shapes_all_is_ondemand() -> None:
    decoder = Decoder(schema_of("binance"), max_shapes=0)
    decoder.decode_all([TICKER] * 10)
    assert (decoder.counters.shape, decoder.counters.ondemand) == (0, 10)


def test_literals_are_exact() -> None:
    decoder = Decoder(schema_of("okx"))
    for _ in range(3):
        event = decoder.decode("pong")
        assert isinstance(event, Pong)
        assert event.payload == b"pong"
    assert isinstance(decoder.decode("pong "), DecodeError)
    assert isinstance(decoder.decode("PONG"), DecodeError)


def test_a_decoder_without_init_is_whole() -> None:
    """Regression: one made by ``__new__`` alone had no schema and crashed."""
    decoder = Decoder.__new__(Decoder, schema_of("binance"))
    assert isinstance(decoder.decode(TICKER), BookTicker)
    with pytest.raises(TypeError):
        Decoder.__new__(Decoder)
    with pytest.raises(ConfigurationError):
        Decoder.__new__(Decoder, None)


def test_a_decoder_is_neither_copied_nor_subclassed() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Decoder(schema_of("binance")))
    with pytest.raises(TypeError):
        type("Mine", (Decoder,), {})


def test_fed_from_c_it_gives_the_same_events() -> None:
    symbols = SymbolTable()
    schema = schema_of("okx")
    router = Router(schema, symbols)
    receiver = Receiver(Decoder(schema, symbols=symbols), router, 3)
    seen: list[Event] = []
    router.add(EventKind.TRADE, "BTC-USDT", seen.append)
    for _ in range(3):
        receiver.feed(TRADES, receive_ts_ns=99)
        receiver.feed(NO_TRADES)
    wanted = Decoder(schema).decode_all([TRADES] * 3)
    assert [(e.symbol, e.receive_ts_ns, e.connection_id) for e in seen] == [("BTC-USDT", 99, 3)] * 6
    shown = [repr(event) for event in wanted]
    assert [repr(event) for event in seen] == shown


def test_a_sink_may_raise_and_the_next_message_is_decoded() -> None:
    symbols = SymbolTable()
    schema = schema_of("binance")
    router = Router(schema, symbols)
    receiver = Receiver(Decoder(schema, symbols=symbols), router, 0)
    seen: list[Event] = []

    def handler(event: BookTicker) -> None:
        seen.append(event)
        raise ValueError("the handler's own")

    router.on_error = lambda stream, event, error: None
    router.add(EventKind.BOOK_TICKER, "BTCUSDT", handler)
    for index in range(1, 4):
        receiver.feed(TICKER.replace(b'"u":1', b'"u":%d' % index))
    assert [event.sequence for event in seen] == [1, 2, 3]
