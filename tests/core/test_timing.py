"""The line's timer: what it times, what it leaves out, and the slowest against the ring of totals."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from cexnet.exchanges import get_exchange
from cexnet_core.clock import now_ns
from cexnet_core.decode import Decoder
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import Event, EventKind, SymbolTable
from cexnet_core.route import Receiver, Router
from cexnet_core.slowest import SlowMessages
from cexnet_core.timing import LineTimer
from tests.core.lines import MS, SYMBOL, Lines

TICKERS = (EventKind.BOOK_TICKER,)


def test_the_slowest_are_those_of_all_totals() -> None:
    lines = Lines(kinds=TICKERS)
    timer = lines.router.timer
    for sequence in range(1, 301):
        lines.ticker(7, sequence)
    records = timer.slowest.records()
    totals = sorted(timer.total.samples.tolist(), reverse=True)
    assert [record.total_ns for record in records] == totals[:16]
    assert timer.slowest.threshold_ns == totals[15]
    assert len({record.sequence for record in records}) == len(timer.slowest) == 16
    for record in records:
        assert (record.kind, record.symbol, record.connection_id) == ("BookTicker", SYMBOL, 7)
        assert record.received_ts_ns == lines.now_ns
        assert not record.was_held
    assert timer.slowest.drain() == records
    assert (timer.slowest.records(), timer.slowest.threshold_ns) == ([], -1)
    lines.ticker(7, 301)
    assert [record.sequence for record in timer.slowest.records()] == [301]


@pytest.mark.parametrize("every", [2, 4, 16, 64])
def test_messages_that_come_in_turns_are_sampled_alike(every: int) -> None:
    lines = Lines(kinds=TICKERS)
    timer = lines.router.timer
    timer.every = every
    sampled = []
    messages = every * max(every, 32) * 16
    for number in range(messages):
        before = timer.handled.count
        lines.ticker(0, number + 1)
        if timer.handled.count > before:
            sampled.append(number)
    assert len(sampled) == messages // every
    assert [number // every for number in sampled] == list(range(messages // every))
    assert sampled[0] == 0, "the first of a connection"
    for period in (2, 3, 4, 8, 12, 16, every, 2 * every):
        share = [sum(number % period == turn for number in sampled) for turn in range(period)]
        assert min(share) > 0
        assert max(share) <= 2 * min(share) + 1, f"period {period}: {share}"


def test_stages_add_up_to_the_total() -> None:
    lines = Lines(kinds=TICKERS)
    timer = lines.router.timer
    timer.every = 1
    for sequence in range(1, 11):
        lines.ticker(0, sequence)
    for record in timer.slowest.records():
        assert None not in (record.decoded_ns, record.dispatched_ns, record.handled_ns)
        assert record.waited_ns == 0
        assert record.decoded_ns + record.dispatched_ns + record.handled_ns == record.total_ns  # type: ignore[operator]
    assert timer.decoded.count == timer.dispatched.count == timer.handled.count == timer.total.count == 10


def test_a_later_event_of_a_read_waited_for_the_earlier_ones() -> None:
    wire = get_exchange("okx").schema
    symbols = SymbolTable()
    router = Router(wire, symbols)
    router.timer.every = 1
    seen: list[Event] = []
    router.add(EventKind.TRADE, "BTC-USDT", seen.append)
    trades = [
        {"instId": "BTC-USDT", "tradeId": str(n), "px": "1", "sz": "2", "side": "buy", "ts": "1700000000000"}
        for n in range(5)
    ]
    message = {"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": trades}
    Receiver(Decoder(wire, symbols=symbols), router, 0).feed(json.dumps(message).encode())
    assert len(seen) == 5
    records = sorted(router.timer.slowest.records(), key=lambda record: record.total_ns)
    assert records[0].waited_ns == 0
    for before, record in pairwise(records):
        assert record.waited_ns == before.total_ns
    for each in records:
        stages = (each.waited_ns, each.decoded_ns, each.dispatched_ns, each.handled_ns)
        assert sum(ns for ns in stages if ns is not None) == each.total_ns


def test_the_way_from_the_exchange_is_told_where_it_gives_a_time() -> None:
    lines = Lines(kinds=TICKERS)
    lines.router.timer.every = 1
    lines.now_ns = 100 * MS
    lines.feed(0, e="timed", t=97, b="1")
    lines.feed(0, e="bare", b="1")
    timer = lines.router.timer
    assert timer.one_way.samples.tolist() == [3 * MS]
    assert sorted(str(record.one_way_ns) for record in timer.slowest.records()) == [str(3 * MS), "None"]
    lines.feed(0, e="timed", t=101, b="1")  # the exchange's clock is ahead of ours
    assert timer.one_way.below == 1
    assert min(record.one_way_ns or 0 for record in timer.slowest.records()) == -MS


def test_zero_times_nothing() -> None:
    lines = Lines(kinds=TICKERS)
    timer = lines.router.timer
    timer.every = 0
    lines.ticker(0, 1)
    lines.ticker(0, 2)
    assert (timer.total.count, timer.decoded.count, timer.handled.count, len(timer.slowest)) == (0, 0, 0, 0)
    assert (lines.sequences, lines.streams[EventKind.BOOK_TICKER].delivered) == ([1, 2], 2)
    timer.every = 4
    for sequence in range(3, 11):  # the third of the first run to the second of the third
        lines.ticker(0, sequence)
    assert (timer.every, timer.total.count) == (4, 8)
    assert 1 <= timer.handled.count <= 2


def test_a_handler_may_turn_the_timer() -> None:
    lines = Lines()
    timer = lines.router.timer
    choices = iter((0, 1, 0, 2))

    def turn(event: Event) -> None:
        timer.every = next(choices)

    lines.router.add(EventKind.BOOK_TICKER, SYMBOL, turn)
    for sequence in range(1, 5):
        lines.ticker(0, sequence)
    # Those that it was on for when their handler returned; stages only of whole messages.
    assert (timer.total.count, timer.handled.count) == (2, 0)
    assert timer.total.above == timer.total.below == 0


def test_an_event_that_was_held_is_timed_from_its_own_read() -> None:
    lines = Lines(kinds=(EventKind.DEPTH_UPDATE,))
    lines.router.patience_ns = 1 << 60
    lines.now_ns = began_ns = now_ns() - 5_000 * MS
    lines.depth(0, 1)
    lines.depth(1, 1)
    lines.depth(1, 3)  # ahead: it waits for what 0 has not brought yet
    assert lines.sequences == [1]
    lines.now_ns += 4_000 * MS
    lines.depth(0, 2)
    assert lines.sequences == [1, 2, 3]
    slowest, *others = lines.router.timer.slowest.records()
    assert (slowest.sequence, slowest.was_held) == (3, True)
    assert (slowest.waited_ns, slowest.handled_ns) == (None, None)
    assert 5_000 * MS <= slowest.total_ns <= now_ns() - began_ns
    assert not any(record.was_held for record in others)
    assert lines.router.timer.total.max == slowest.total_ns


@pytest.mark.parametrize("every", [3, -1, 1 << 21, 1.0, "8"])
def test_only_powers_of_two_are_taken(every: int) -> None:
    with pytest.raises(ConfigurationError, match="power of two"):
        LineTimer(every)
    timer = LineTimer()
    with pytest.raises(ConfigurationError, match="power of two"):
        timer.every = every
    assert timer.every == 16


def test_how_many_are_kept() -> None:
    lines = Lines(kinds=TICKERS)
    slowest = lines.router.timer.slowest
    slowest.keep(0)
    lines.ticker(0, 1)
    assert len(slowest) == 0
    slowest.keep(3)
    for sequence in range(2, 30):
        lines.ticker(0, sequence)
    totals = sorted(lines.router.timer.total.samples[1:].tolist(), reverse=True)
    assert [record.total_ns for record in slowest.records()] == totals[:3]
    with pytest.raises(ConfigurationError, match="capacity is -1"):
        slowest.keep(-1)
    with pytest.raises(ConfigurationError, match="capacity is 70000"):
        SlowMessages(70_000)
    assert len(slowest.records()) == 3
