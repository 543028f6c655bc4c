"""Routing: the right handler, in order, with every gap, duplicate and reorder counted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet_core.decode import Decoder
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import BookTicker, DepthUpdate, Event, EventKind, SymbolTable
from cexnet_core.hotlog import process_log
from cexnet_core.route import Receiver, Router
from cexnet_core.schema import Field, Message, SequenceRule, WireSchema
from cexnet_core.stream import Stream


def schema(rule: SequenceRule) -> WireSchema:
    return WireSchema(
        name="test",
        json=(
            Message(
                "DepthUpdate",
                when={"e": "depth"},
                sequence=rule,
                fields=(
                    Field("symbol", "s"),
                    Field("first_sequence", "U", optional=True),
                    Field("sequence", "u"),
                    Field("prev_sequence", "pu", optional=True),
                    Field("bids", "b"),
                    Field("asks", "a"),
                ),
            ),
            Message(
                "BookTicker",
                when={"e": "ticker"},
                sequence="increasing",
                fields=(
                    Field("symbol", "s"),
                    Field("sequence", "u"),
                    Field("bid_price", "b"),
                    Field("bid_size", "B"),
                    Field("ask_price", "a"),
                    Field("ask_size", "A"),
                ),
            ),
        ),
    )


class Line:
    """Decoder, router and receiver of one connection, fed by hand."""

    def __init__(self, rule: SequenceRule = "range") -> None:
        wire = schema(rule)
        symbols = SymbolTable()
        self.router = Router(wire, symbols)
        self.receiver = Receiver(Decoder(wire, symbols=symbols), self.router, 7)
        self.seen: list[Event] = []

    def listen(self, kind: EventKind, symbol: str) -> Stream:
        return self.router.add(kind, symbol, self.seen.append)

    def depth(self, symbol: str, first: int, last: int, previous: int | None = None) -> None:
        message: dict[str, Any] = {"e": "depth", "s": symbol, "U": first, "u": last}
        if previous is not None:
            message["pu"] = previous
        message |= {"b": [["1.5", "2"]], "a": []}
        self.receiver.feed(json.dumps(message, separators=(",", ":")).encode())

    def ticker(self, symbol: str, sequence: int) -> None:
        message = {"e": "ticker", "s": symbol, "u": sequence, "b": "1", "B": "2", "a": "3", "A": "4"}
        self.receiver.feed(json.dumps(message, separators=(",", ":")).encode())


def test_each_stream_reaches_its_own_handler() -> None:
    line = Line()
    bitcoin: list[Event] = []
    ether: list[Event] = []
    line.router.add(EventKind.BOOK_TICKER, "BTCUSDT", bitcoin.append)
    line.router.add(EventKind.BOOK_TICKER, "ETHUSDT", ether.append)
    for sequence in range(1, 4):
        line.ticker("BTCUSDT", sequence)
        line.ticker("ETHUSDT", sequence)
    assert [e.symbol for e in bitcoin] == ["BTCUSDT"] * 3
    assert [e.symbol for e in ether] == ["ETHUSDT"] * 3
    assert all(isinstance(e, BookTicker) and e.connection_id == 7 for e in bitcoin)
    assert [e.sequence for e in bitcoin] == [1, 2, 3]


def test_events_nobody_asked_for_are_counted_and_not_delivered() -> None:
    line = Line()
    line.listen(EventKind.BOOK_TICKER, "BTCUSDT")
    line.ticker("DOGEUSDT", 1)
    line.ticker("DOGEUSDT", 2)
    line.depth("BTCUSDT", 1, 1)
    assert line.seen == []
    assert line.router.unrouted == {("BookTicker", "DOGEUSDT"): 2, ("DepthUpdate", "BTCUSDT"): 1}


def test_hundreds_of_symbols_grow_the_table() -> None:
    line = Line()
    for index in range(500):
        line.listen(EventKind.BOOK_TICKER, f"S{index}")
    for index in range(500):
        line.ticker(f"S{index}", 1)
    assert [e.symbol for e in line.seen] == [f"S{index}" for index in range(500)]


def test_removed_stream_counts_as_unrouted() -> None:
    line = Line()
    line.listen(EventKind.BOOK_TICKER, "BTCUSDT")
    line.ticker("BTCUSDT", 1)
    line.router.remove(EventKind.BOOK_TICKER, "BTCUSDT")
    line.ticker("BTCUSDT", 2)
    assert len(line.seen) == 1
    assert line.router.unrouted == {("BookTicker", "BTCUSDT"): 1}


def test_range_gap_is_reported_with_what_is_missing_and_delivery_goes_on() -> None:
    line = Line()
    gaps: list[tuple[str, int, int]] = []
    line.router.on_gap = lambda stream, first, last: gaps.append((stream.symbol, first, last))
    stream = line.listen(EventKind.DEPTH_UPDATE, "BTCUSDT")
    other = line.listen(EventKind.DEPTH_UPDATE, "ETHUSDT")
    line.depth("BTCUSDT", 10, 12)
    line.depth("ETHUSDT", 1, 1)
    line.depth("BTCUSDT", 15, 16)
    line.depth("ETHUSDT", 2, 2)
    assert gaps == [("BTCUSDT", 13, 14)]
    assert (stream.gaps, other.gaps) == (1, 0)
    assert [e.sequence for e in line.seen] == [12, 1, 16, 2]


def test_range_overlap_is_no_gap_and_old_data_is_dropped_as_duplicate() -> None:
    line = Line()
    stream = line.listen(EventKind.DEPTH_UPDATE, "BTCUSDT")
    line.depth("BTCUSDT", 10, 12)
    line.depth("BTCUSDT", 11, 14)
    line.depth("BTCUSDT", 11, 14)
    line.depth("BTCUSDT", 3, 5)
    assert [e.sequence for e in line.seen] == [12, 14]
    assert (stream.gaps, stream.duplicates, stream.reorders) == (0, 2, 0)


def test_late_filler_of_a_gap_is_a_reorder() -> None:
    line = Line()
    stream = line.listen(EventKind.DEPTH_UPDATE, "BTCUSDT")
    line.depth("BTCUSDT", 1, 1)
    line.depth("BTCUSDT", 3, 3)
    line.depth("BTCUSDT", 2, 2)
    line.depth("BTCUSDT", 4, 4)
    assert [e.sequence for e in line.seen] == [1, 3, 4]
    assert (stream.gaps, stream.duplicates, stream.reorders) == (1, 0, 1)


def test_previous_rule() -> None:
    line = Line("previous")
    stream = line.listen(EventKind.DEPTH_UPDATE, "BTCUSDT")
    line.depth("BTCUSDT", 100, 110, previous=90)
    line.depth("BTCUSDT", 130, 140, previous=110)
    line.depth("BTCUSDT", 160, 170, previous=150)
    line.depth("BTCUSDT", 160, 170, previous=150)
    line.depth("BTCUSDT", 171, 180, previous=170)
    assert [e.sequence for e in line.seen] == [110, 140, 170, 180]
    assert (stream.gaps, stream.duplicates) == (1, 1)


def test_increasing_rule_drops_equal_and_delivers_late_ones_counted() -> None:
    line = Line()
    stream = line.listen(EventKind.BOOK_TICKER, "BTCUSDT")
    for sequence in (5, 5, 9, 7, 10):
        line.ticker("BTCUSDT", sequence)
    assert [e.sequence for e in line.seen] == [5, 9, 7, 10]
    assert (stream.duplicates, stream.reorders, stream.last_sequence) == (1, 1, 10)


def test_reset_forgets_sequences_and_keeps_counters() -> None:
    line = Line()
    stream = line.listen(EventKind.DEPTH_UPDATE, "BTCUSDT")
    line.depth("BTCUSDT", 10, 12)
    line.router.reset()
    line.depth("BTCUSDT", 500, 501)
    assert stream.gaps == 0
    assert stream.delivered == 2


def test_handler_exception_is_counted_reported_and_isolated() -> None:
    line = Line()
    failures: list[tuple[str, int, str]] = []

    def on_error(stream: Stream, event: Event, error: Exception) -> None:
        failures.append((stream.symbol, event.sequence, str(error)))

    def fail(event: Event) -> None:
        raise RuntimeError("strategy bug")

    line.router.on_error = on_error
    bad = line.router.add(EventKind.BOOK_TICKER, "BTCUSDT", fail)
    good = line.listen(EventKind.BOOK_TICKER, "ETHUSDT")
    line.ticker("BTCUSDT", 1)
    line.ticker("ETHUSDT", 1)
    line.ticker("BTCUSDT", 2)
    assert failures == [("BTCUSDT", 1, "strategy bug"), ("BTCUSDT", 2, "strategy bug")]
    assert (bad.handler_errors, bad.delivered) == (2, 0)
    assert (good.handler_errors, good.delivered) == (0, 1)


def test_handler_exception_without_callback_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    line = Line()

    def fail(event: Event) -> None:
        raise RuntimeError("strategy bug")

    line.router.add(EventKind.BOOK_TICKER, "BTCUSDT", fail)
    line.ticker("BTCUSDT", 1)
    assert process_log.flush()
    assert "BookTicker BTCUSDT" in caplog.text
    assert "strategy bug" in caplog.text


def test_gaps_are_logged_within_a_bound(caplog: pytest.LogCaptureFixture) -> None:
    line = Line()
    stream = line.router.add(EventKind.DEPTH_UPDATE, "BTCUSDT", print)
    for sequence in range(1, 2001, 2):
        line.depth("BTCUSDT", sequence, sequence)
    assert stream.gaps == 999
    assert process_log.flush()
    gaps = [record for record in caplog.records if record.name == "cexnet.route"]
    assert 0 < len(gaps) < 999  # ten a second
    held_back = sum(record.args[0] for record in caplog.records if record.name == "cexnet.hotlog")  # type: ignore[index, misc]
    assert len(gaps) + held_back == 999


def test_failing_gap_and_error_callbacks_do_not_escape() -> None:
    line = Line()

    def fail(*_: object) -> None:
        raise RuntimeError("callback bug")

    line.router.on_gap = fail
    line.router.on_error = fail
    line.router.add(EventKind.DEPTH_UPDATE, "BTCUSDT", fail)
    line.depth("BTCUSDT", 1, 1)
    line.depth("BTCUSDT", 5, 5)


@pytest.mark.parametrize("handler", [None, 3, "name"])
def test_wrong_handler_is_refused_by_name(handler: Any) -> None:
    with pytest.raises(ConfigurationError, match="BookTicker 'BTCUSDT'"):
        Line().router.add(EventKind.BOOK_TICKER, "BTCUSDT", handler)


def test_a_full_symbol_table_refuses_more_streams_and_harms_none() -> None:
    wire = schema("range")
    symbols = SymbolTable(2)
    router = Router(wire, symbols)
    receiver = Receiver(Decoder(wire, symbols=symbols), router, 0)
    seen: list[Event] = []
    router.add(EventKind.BOOK_TICKER, "AAA", seen.append)
    router.add(EventKind.BOOK_TICKER, "BBB", seen.append)
    for index in range(200):
        with pytest.raises(ConfigurationError, match="symbols is full"):
            router.add(EventKind.BOOK_TICKER, f"C{index}", seen.append)
        router.remove(EventKind.BOOK_TICKER, f"C{index}")
    for symbol in ("AAA", "CCC", "BBB"):
        receiver.feed(
            json.dumps({"e": "ticker", "s": symbol, "u": 1, "b": "1", "B": "2", "a": "3", "A": "4"}).encode()
        )
    assert [event.symbol for event in seen] == ["AAA", "BBB"]


@pytest.mark.parametrize("kind", [12, 10**6])
@pytest.mark.parametrize("symbol", ["", "BTCUSDT"])
def test_an_event_kind_that_does_not_exist_is_refused(kind: int, symbol: str) -> None:
    with pytest.raises(ConfigurationError, match="choose one of EventKind"):
        Line().router.add(kind, symbol, print)  # type: ignore[arg-type]


def test_a_router_cannot_be_its_own_handler() -> None:
    router = Line().router
    with pytest.raises(ConfigurationError, match="its own handler"):
        router.add(EventKind.TRADE, "BTCUSDT", router)


def test_a_receiver_is_made_whole_or_not_at_all() -> None:
    with pytest.raises(TypeError):
        Receiver.__new__(Receiver)  # type: ignore[call-arg]


def test_a_cancelled_future_in_a_handler_is_isolated_like_any_error() -> None:
    line = Line()

    def fail(event: Event) -> None:
        raise asyncio.CancelledError

    stream = line.router.add(EventKind.BOOK_TICKER, "BTCUSDT", fail)
    line.ticker("BTCUSDT", 1)
    line.ticker("BTCUSDT", 2)
    assert (stream.handler_errors, stream.delivered) == (2, 0)


async def test_an_exit_in_a_handler_is_raised_by_the_loop_with_nothing_half_delivered() -> None:
    line = Line()
    raised: list[BaseException] = []

    def leave(event: Event) -> None:
        raise GeneratorExit

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: raised.append(context["exception"]))
    stream = line.router.add(EventKind.BOOK_TICKER, "BTCUSDT", leave)
    other = line.listen(EventKind.BOOK_TICKER, "ETHUSDT")
    line.ticker("BTCUSDT", 1)
    line.ticker("ETHUSDT", 1)
    assert (stream.handler_errors, other.delivered) == (1, 1)
    await asyncio.sleep(0)
    assert [type(error) for error in raised] == [GeneratorExit]


def test_coroutine_handler_is_refused() -> None:
    async def handler(event: Event) -> None: ...

    class Awaiting:
        async def __call__(self, event: Event) -> None: ...

    for wrong in (handler, Awaiting()):
        with pytest.raises(ConfigurationError, match="coroutine function"):
            Line().router.add(EventKind.BOOK_TICKER, "BTCUSDT", wrong)


def test_a_broken_handler_is_logged_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    line = Line()

    def fail(event: Event) -> None:
        raise RuntimeError("strategy bug")

    stream = line.router.add(EventKind.BOOK_TICKER, "BTCUSDT", fail)
    for sequence in range(1, 101):
        line.ticker("BTCUSDT", sequence)
    assert stream.handler_errors == 100
    assert process_log.flush()
    failed = [record for record in caplog.records if record.name == "cexnet.route"]
    assert len(failed) == 7  # the 1st, 2nd, 4th ... 64th


def test_latency_of_every_event_is_recorded_and_stages_are_sampled() -> None:
    line = Line()
    line.listen(EventKind.BOOK_TICKER, "BTCUSDT")
    for sequence in range(1, 49):
        line.ticker("BTCUSDT", sequence)
    router = line.router
    assert router.total.count == 48
    assert router.decoded.count == router.handled.count == 3


def judge_range(updates: list[tuple[int, int]]) -> tuple[list[int], int]:
    """Slow oracle of the range rule: what is delivered, and how many gaps."""
    last: int | None = None
    delivered: list[int] = []
    gaps = 0
    for first, final in updates:
        if last is not None and final <= last:
            continue
        if last is not None and first > last + 1:
            gaps += 1
        last = final
        delivered.append(final)
    return delivered, gaps


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(0, 4)).map(lambda t: (t[0], t[0] + t[1])),
        max_size=30,
    )
)
def test_range_rule_agrees_with_the_oracle(updates: list[tuple[int, int]]) -> None:
    line = Line()
    stream = line.listen(EventKind.DEPTH_UPDATE, "BTCUSDT")
    for first, last in updates:
        line.depth("BTCUSDT", first, last)
    delivered, gaps = judge_range(updates)
    assert [e.sequence for e in line.seen] == delivered
    assert stream.gaps == gaps
    assert stream.delivered + stream.duplicates + stream.reorders == len(updates)
    assert all(isinstance(e, DepthUpdate) for e in line.seen)


def test_streams_cannot_be_made_by_hand() -> None:
    make: Callable[[], object] = Stream
    with pytest.raises(TypeError, match=r"Router\.add"):
        make()
