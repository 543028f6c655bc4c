"""One stream on several connections: delivered once, in order, without a hole that one of them filled."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cexnet_core.errors import ConfigurationError
from cexnet_core.events import BookTicker, Candle, Event, EventKind
from cexnet_core.stream import Stream
from tests.core.lines import MS, SYMBOL, Lines


@pytest.fixture
def depth() -> Lines:
    return Lines(kinds=(EventKind.DEPTH_UPDATE,))


@pytest.fixture
def trades() -> Lines:
    return Lines(kinds=(EventKind.TRADE,))


def test_first_arrival_wins_and_copies_are_redundant(depth: Lines) -> None:
    for sequence in range(1, 5):
        depth.depth(sequence % 2, sequence)
        depth.depth((sequence + 1) % 2, sequence)
    stream = depth.streams[EventKind.DEPTH_UPDATE]
    assert depth.sequences == [1, 2, 3, 4]
    assert (stream.redundant, stream.duplicates, stream.gaps) == (4, 0, 0)
    assert {event.connection_id for event in depth.seen} == {0, 1}


def test_repetition_by_one_connection_is_a_duplicate(depth: Lines) -> None:
    for sequence in (1, 2, 2):
        depth.depth(0, sequence)
        depth.depth(1, sequence)
    depth.depth(1, 3)
    depth.depth(1, 3)
    stream = depth.streams[EventKind.DEPTH_UPDATE]
    assert depth.sequences == [1, 2, 3]
    assert stream.duplicates + stream.redundant == 5
    assert stream.duplicates == 2


def test_what_one_connection_loses_the_other_fills_in(depth: Lines) -> None:
    depth.depth(0, 1)
    depth.depth(1, 1)
    depth.depth(0, 2)
    depth.depth(1, 3)  # lost 2, but that had come
    depth.depth(1, 5)  # lost 4, which connection 0 is about to bring
    assert depth.sequences == [1, 2, 3]
    depth.depth(0, 3)
    depth.depth(0, 4)
    depth.depth(0, 5)
    assert depth.sequences == [1, 2, 3, 4, 5]
    assert depth.gaps == []


def test_what_every_connection_loses_is_a_gap_at_once(depth: Lines) -> None:
    for connection in (0, 1):
        depth.depth(connection, 1)
    depth.depth(0, 4)
    assert depth.gaps == []
    depth.depth(1, 4)
    assert depth.gaps == [(2, 3)]
    depth.depth(1, 5)
    depth.depth(0, 5)
    assert depth.sequences == [1, 4, 5]
    assert depth.streams[EventKind.DEPTH_UPDATE].gaps == 1


def test_a_connection_that_leaves_is_not_waited_for(depth: Lines) -> None:
    depth.depth(0, 1)
    depth.depth(1, 1)
    depth.depth(1, 3)
    depth.router.leave(0)
    assert depth.gaps == [(2, 2)]
    assert depth.sequences == [1, 3]
    assert not depth.streams[EventKind.DEPTH_UPDATE].is_merged
    depth.depth(1, 4)
    assert depth.sequences == [1, 3, 4]


def test_a_silent_connection_is_waited_for_within_patience(depth: Lines) -> None:
    depth.depth(0, 1)
    depth.depth(1, 1)
    depth.depth(1, 3)
    depth.now_ns += depth.router.patience_ns
    depth.depth(1, 4)
    assert depth.sequences == [1]
    depth.now_ns += 1
    depth.depth(1, 5)
    assert depth.sequences == [1, 3, 4, 5]
    assert depth.gaps == [(2, 2)]


def test_what_waits_too_long_is_released_on_demand(depth: Lines) -> None:
    depth.depth(0, 1)
    depth.depth(1, 1)
    depth.depth(1, 3)
    depth.router.release_overdue(depth.now_ns + depth.router.patience_ns)
    assert depth.sequences == [1]
    depth.router.release_overdue(depth.now_ns + depth.router.patience_ns + 1)
    assert depth.sequences == [1, 3]


def test_gap_while_reconnecting_shows_on_the_next_connection(depth: Lines) -> None:
    depth.depth(0, 1)
    depth.router.leave(0)
    depth.depth(1, 2)
    depth.router.leave(1)
    depth.depth(2, 4)
    assert depth.gaps == [(3, 3)]
    assert depth.sequences == [1, 2, 4]


def test_new_connection_that_is_ahead_waits_for_the_old_one(trades: Lines) -> None:
    for number in range(1, 4):
        trades.trade(0, number)
    for number in range(6, 9):
        trades.trade(1, number)
    assert trades.ids == ["1", "2", "3"]
    for number in range(4, 8):
        trades.trade(0, number)
    assert trades.ids == [str(number) for number in range(1, 9)]
    trades.router.leave(0)
    trades.trade(1, 9)
    assert trades.ids[-1] == "9"
    assert trades.streams[EventKind.TRADE].duplicates == 0


def test_new_connection_that_is_behind_repeats_nothing(trades: Lines) -> None:
    for number in range(1, 8):
        trades.trade(0, number)
    for number in range(5, 10):
        trades.trade(1, number)
    assert trades.ids == [str(number) for number in range(1, 10)]
    assert trades.streams[EventKind.TRADE].redundant == 3


def test_trades_that_come_too_late_for_order_are_not_lost(trades: Lines) -> None:
    trades.trade(0, 1)
    trades.trade(1, 4)
    trades.now_ns += trades.router.patience_ns + 1
    trades.trade(1, 5)  # connection 0 is stuck: nobody waits any longer
    assert trades.ids == ["1", "4", "5"]
    for number in range(2, 7):
        trades.trade(0, number)
    assert trades.ids == ["1", "4", "5", "2", "3", "6"]
    assert trades.streams[EventKind.TRADE].reorders == 2


def test_trade_ids_without_order(trades: Lines) -> None:
    names = [f"{number * 7919 % 97}X{number % 3}" for number in range(12)]
    for name in names[:6]:
        trades.trade(0, name)
    for name in names[4:9]:  # joins late: nothing tells that its first was delivered
        trades.trade(1, name)
    for name in names[6:]:
        trades.trade(0, name)
    for name in names[9:]:
        trades.trade(1, name)
    assert trades.ids == names


def test_numbers_that_do_not_grow_are_told_by_the_newest_ids(trades: Lines) -> None:
    for number in (1, 2, 3):
        trades.trade(0, number)
        trades.trade(1, number)
    for number in (10, 9, 8, 11):
        trades.trade(0, number)
    for number in (10, 9, 8, 11):
        trades.trade(1, number)
    assert trades.ids == ["1", "2", "3", "10", "9", "8", "11"]


def test_tickers_by_sequence() -> None:
    lines = Lines(kinds=(EventKind.BOOK_TICKER,))
    for sequence in (1, 4):
        lines.ticker(0, sequence)
    for sequence in (3, 4, 6):
        lines.ticker(1, sequence)
    lines.ticker(0, 5)
    lines.ticker(0, 7)
    assert all(type(event) is BookTicker for event in lines.seen)
    assert lines.sequences == [1, 4, 6, 7]


def test_candles_by_content() -> None:
    lines = Lines(kinds=(EventKind.CANDLE,))
    for volume in (1, 2):
        lines.candle(0, volume)
    for volume in (1, 2, 3):
        lines.candle(1, volume)
    for volume in (3, 4):
        lines.candle(0, volume)
    assert all(type(event) is Candle for event in lines.seen)
    assert [event.volume for event in lines.seen] == [1, 2, 3, 4]


def test_what_nothing_tells_apart_comes_from_one_connection() -> None:
    lines = Lines(kinds=(EventKind.BOOK_TICKER,))
    for price in ("1", "2"):
        for connection in (0, 1):
            lines.feed(connection, e="bare", b=price)
    assert [event.bid_price for event in lines.seen] == [1, 2]
    assert lines.streams[EventKind.BOOK_TICKER].redundant == 2
    lines.router.leave(0)
    lines.feed(1, e="bare", b="3")
    assert [event.bid_price for event in lines.seen] == [1, 2, 3]


def test_timed_tickers_of_a_new_connection_reach_us_though_the_old_one_is_frozen() -> None:
    lines = Lines(kinds=(EventKind.BOOK_TICKER,))
    for number in (3, 4):
        lines.send("timed ticker", 0, number)
    for number in (4, 5, 6):
        lines.send("timed ticker", 1, number)
    lines.router.leave(0)
    for number in (6, 7):
        lines.send("timed ticker", 2, number)
    assert lines.numbers("timed ticker") == [3, 4, 5, 6, 7]


def test_partial_books_by_sequence() -> None:
    lines = Lines(kinds=(EventKind.DEPTH_SNAPSHOT,))
    for connection, sequence in ((0, 10), (1, 10), (1, 12), (0, 12), (0, 15)):
        lines.feed(connection, e="partial", u=sequence, b=[], a=[])
    assert lines.sequences == [10, 12, 15]


def test_snapshot_of_a_second_connection_does_not_restart_a_whole_book() -> None:
    lines = Lines("previous", kinds=(EventKind.DEPTH_UPDATE, EventKind.DEPTH_SNAPSHOT))
    lines.feed(0, e="snapshot", u=10, b=[], a=[])
    lines.depth(0, 11, pu=10)
    lines.feed(1, e="snapshot", u=10, b=[], a=[])
    for sequence in (11, 12):
        lines.depth(1, sequence, pu=sequence - 1)
    lines.depth(0, 12, pu=11)
    assert lines.sequences == [10, 11, 12]
    lines.router.leave(0)
    lines.feed(2, e="snapshot", u=13, b=[], a=[])
    lines.depth(1, 13, pu=12)
    lines.depth(2, 14, pu=13)
    assert lines.sequences == [10, 11, 12, 13, 14]
    assert lines.gaps == []


def test_snapshot_in_the_stream_mends_a_gapped_book() -> None:
    lines = Lines("previous", kinds=(EventKind.DEPTH_UPDATE, EventKind.DEPTH_SNAPSHOT))
    restarted: list[tuple[str, list[int]]] = []
    lines.router.on_restart = lambda stream: restarted.append((stream.symbol, lines.sequences))
    stream = lines.streams[EventKind.DEPTH_UPDATE]
    lines.feed(0, e="snapshot", u=10, b=[], a=[])
    lines.depth(0, 15, pu=14)
    assert stream.is_gapped
    lines.feed(0, e="snapshot", u=20, b=[], a=[])
    assert not stream.is_gapped
    assert restarted == [(SYMBOL, [10, 15])]
    lines.depth(0, 21, pu=20)
    assert lines.gaps == [(11, 14)]


def test_stream_can_be_diverted_marked_and_resumed() -> None:
    lines = Lines(kinds=(EventKind.DEPTH_UPDATE,))
    stream: Stream = lines.streams[EventKind.DEPTH_UPDATE]
    aside: list[Event] = []

    def on_gap(stream: Stream, first: int, last: int) -> None:
        stream.divert(aside.append)

    lines.router.on_gap = on_gap
    for sequence in (1, 3, 4):
        lines.depth(0, sequence)
    assert (lines.sequences, [event.sequence for event in aside]) == ([1], [3, 4])
    assert stream.is_diverted
    assert stream.is_gapped
    assert stream.delivered == 1
    later: list[Event] = []
    assert lines.router.add(EventKind.DEPTH_UPDATE, SYMBOL, later.append) is stream
    for event in aside:
        lines.router.deliver(stream, event)
    stream.resume(6)
    stream.restore()
    lines.depth(0, 5)
    lines.depth(0, 7)
    assert [event.sequence for event in later] == [3, 4, 7]
    assert (stream.delivered, stream.gaps, stream.duplicates) == (4, 1, 1)
    assert not stream.is_gapped
    stream.mark_gapped()
    assert stream.is_gapped
    with pytest.raises(ConfigurationError, match="DepthUpdate"):
        stream.divert(3)


def test_trades_of_a_lagging_server_are_not_repeated_after_a_reconnect(trades: Lines) -> None:
    for number in range(1, 6):
        trades.trade(0, number)
    trades.router.leave(0)
    for number in range(4, 9):
        trades.trade(1, number)
    assert trades.ids == [str(number) for number in range(1, 9)]
    assert not trades.streams[EventKind.TRADE].is_merged


def test_sequence_that_begins_anew_after_a_reconnect_is_taken_up(depth: Lines) -> None:
    depth.depth(0, 900)
    depth.router.leave(0)
    depth.depth(1, 5)
    depth.now_ns += 5_000 * MS
    depth.depth(1, 6)
    assert depth.sequences == [900]
    depth.now_ns += 1
    depth.depth(1, 7)
    depth.depth(1, 8)
    assert depth.sequences == [900, 7, 8]
    assert depth.gaps == [(6, 6)]  # a gap, so that the book is mended


def test_reset_forgets_which_connection_brings_what(depth: Lines) -> None:
    depth.depth(0, 5)
    depth.depth(1, 5)
    depth.router.reset()
    depth.depth(1, 1)
    assert depth.sequences == [5, 1]
    assert not depth.streams[EventKind.DEPTH_UPDATE].is_merged


def test_events_of_many_symbols_in_one_stream_are_not_judged() -> None:
    lines = Lines()
    lines.router.add(EventKind.BOOK_TICKER, "", lines.seen.append)
    for symbol, sequence in (("A", 9), ("B", 3), ("A", 10), ("B", 3)):
        lines.feed(0, e="ticker", s=symbol, u=sequence, b="1", a="2")
    assert lines.sequences == [9, 3, 10, 3]


# Connections as offsets into one feed: each reads on by itself, dies and comes back.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 2), st.integers(1, 4)),
        st.tuples(st.just("kill"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("open"), st.integers(0, 2), st.integers(0, 5)),
    ),
    max_size=60,
)


KINDS = ["depth", "trade", "named trade", "ticker", "timed ticker"]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_nothing_is_lost_or_doubled_while_one_connection_holds_on(kind: str, steps: list[Any]) -> None:
    """Connection 0 never dies; the others come and go, ahead of it or behind."""
    lines = Lines(kinds=(EventKind.DEPTH_UPDATE, EventKind.TRADE, EventKind.BOOK_TICKER))

    position = {0: 1}
    ids = {0: 0}
    next_id = 1
    lines.send(kind, 0, 1)
    for verb, index, count in steps:
        if verb == "open" and index and index not in position:
            # Not subscribed yet: it begins somewhere around the place of connection 0.
            position[index] = max(0, position[0] + count - 3)
            ids[index], next_id = next_id, next_id + 1
        elif verb == "kill" and index and index in position:
            del position[index]
            lines.router.leave(ids[index])
        elif verb == "read" and index in position:
            for _ in range(count):
                position[index] += 1
                lines.send(kind, ids[index], position[index])
    end = max(position.values()) + 1
    for _ in range(position[0], end):
        position[0] += 1
        lines.send(kind, 0, position[0])
    delivered = lines.numbers(kind)
    assert delivered == list(range(1, len(delivered) + 1))
    assert len(delivered) >= end
    assert lines.gaps == []


@pytest.mark.parametrize("kind", KINDS)
def test_either_of_two_connections_dies_two_hundred_times(kind: str) -> None:
    """Each reads the same feed at its own pace; a dead one comes back at the feed's live end."""
    lines = Lines(kinds=(EventKind.DEPTH_UPDATE, EventKind.TRADE, EventKind.BOOK_TICKER))
    random = Random(kind)
    live_end = 1
    read = {0: 0, 1: 0}  # connection -> last number it has read

    def read_on(connection: int, count: int) -> None:
        for _ in range(count):
            read[connection] += 1
            lines.send(kind, connection, read[connection])

    for next_connection in range(2, 202):
        for _ in range(random.randrange(1, 8)):
            live_end += random.randrange(4)
            for connection in random.sample(sorted(read), 2):
                read_on(connection, random.randint(0, live_end - read[connection]))
        for connection in random.sample(sorted(read), 2):
            read_on(connection, live_end - read[connection])
        victim = random.choice(sorted(read))
        live_end += random.randrange(4)
        read_on(victim, random.randint(0, live_end - read[victim]))
        del read[victim]
        lines.router.leave(victim)
        read[next_connection] = live_end
        live_end += 1
    for connection in sorted(read):
        read_on(connection, live_end - read[connection])
    assert lines.numbers(kind) == list(range(1, live_end + 1))
    assert lines.gaps == []
    (stream,) = (stream for stream in lines.streams.values() if stream.delivered)
    assert (stream.duplicates, stream.reorders) == (0, 0)
    assert stream.redundant > 100
