"""Recovery of books: one alone, exactly, whatever is lost, however old the snapshots are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cexnet.websocket.books import BookGuard, BookRecovered, Snapshot
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import EventKind
from cexnet_core.schema import SequenceRule
from tests.websocket.venue import Venue


def guard_of(
    venue: Venue, provider: Callable[[str], Awaitable[Snapshot | None]] | None = None, **options: Any
) -> tuple[BookGuard, list[BookRecovered]]:
    recovered: list[BookRecovered] = []
    options = {"requests": 10_000, "backoff_s": 0.0, "backoff_cap_s": 0.0, **options}
    guard = BookGuard(venue.router, provider or venue.provide, on_recovered=recovered.append, **options)
    venue.router.on_gap = guard.on_gap
    venue.router.on_restart = guard.on_restart
    return guard, recovered


async def settle(guard: BookGuard) -> None:
    """Let every recovery finish."""
    while guard.recovering:
        await asyncio.sleep(0)


@pytest.mark.parametrize("rule", ["range", "previous"])
async def test_gap_mends_one_book_and_touches_no_other(rule: SequenceRule) -> None:
    venue = Venue(rule)
    bitcoin, ether = venue.list_symbol("BTC"), venue.list_symbol("ETH")
    guard, recovered = guard_of(venue)
    for symbol in ("BTC", "ETH"):
        guard.watch(symbol, begin=False)
        venue.send(symbol, 3)
    venue.send("BTC", 2, lose=True)
    venue.send("BTC", 2)
    venue.send("ETH", 1)
    assert (bitcoin.kinds, ether.kinds) == (["u"], ["u", "u"])
    assert guard.recovering == ("BTC",)
    await settle(guard)
    venue.send("BTC")
    venue.send("ETH")
    assert bitcoin.kinds == ["u", "S", "u"]
    assert ether.kinds == ["u", "u", "u"]
    assert venue.asked == ["BTC"]
    assert (bitcoin.levels, bitcoin.holes) == (venue.book_at("BTC", 8), 0)
    (report,) = recovered
    assert (report.symbol, report.gap_first, report.gap_last) == ("BTC", 4, 5)
    assert report.took_ns > 0
    assert guard.recovered == 1
    assert guard.superseded == 1
    await guard.close()


@pytest.mark.parametrize("rule", ["range", "previous"])
async def test_watching_begins_with_a_snapshot_and_what_follows_it(rule: SequenceRule) -> None:
    venue = Venue(rule)
    replica = venue.list_symbol("BTC")
    asked, answer = asyncio.Event(), asyncio.Event()

    async def provide(symbol: str) -> Snapshot:
        snapshot = venue.snapshot(symbol)
        asked.set()
        await answer.wait()
        return snapshot

    guard, recovered = guard_of(venue, provide)
    venue.send("BTC", 4)
    guard.watch("BTC")
    venue.send("BTC", 2)
    venue.change("BTC")  # the snapshot falls into the middle of the next update
    await asked.wait()
    venue.send("BTC", 2)
    venue.send("BTC")
    assert replica.kinds == ["u"]
    answer.set()
    await settle(guard)
    venue.send("BTC")
    assert replica.kinds == ["u", "S", "u", "u", "u"]
    assert (replica.levels, replica.sequence) == (venue.book_at("BTC", 11), 11)
    assert recovered == []  # nothing had been lost
    await guard.close()


async def test_snapshots_that_are_too_old_or_fail_are_asked_for_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    venue = Venue()
    replica = venue.list_symbol("BTC")
    answers: list[Any] = [RuntimeError("503"), 4, 2, 0]

    async def provide(symbol: str) -> Snapshot:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return venue.snapshot(symbol, age=answer)

    guard, recovered = guard_of(venue, provide)
    guard.watch("BTC", begin=False)
    venue.send("BTC")
    venue.send("BTC", 2, lose=True)
    venue.send("BTC", 2)
    await settle(guard)
    assert answers == [0]  # age 2 joins: the update after it begins right there
    assert replica.kinds == ["u", "S", "u"]
    assert len(recovered) == 1
    assert guard.failures == 1
    assert "503" in caplog.text
    await guard.close()


async def test_second_gap_while_recovering_needs_a_newer_snapshot() -> None:
    venue = Venue()
    replica = venue.list_symbol("BTC")
    answer = asyncio.Event()
    asked = asyncio.Event()

    async def provide(symbol: str) -> Snapshot:
        snapshot = venue.snapshot(symbol)
        asked.set()
        await answer.wait()
        return snapshot

    guard, recovered = guard_of(venue, provide)
    guard.watch("BTC", begin=False)
    venue.send("BTC")
    venue.send("BTC", lose=True)
    venue.send("BTC")
    await asked.wait()
    venue.send("BTC", lose=True)
    venue.send("BTC")
    answer.set()
    await settle(guard)
    assert replica.kinds == ["u", "S"]
    assert (replica.sequence, replica.holes) == (5, 0)
    assert [(each.gap_first, each.gap_last) for each in recovered] == [(2, 4)]
    await guard.close()


async def test_buffer_is_bounded() -> None:
    venue = Venue()
    replica = venue.list_symbol("BTC")
    answer = asyncio.Event()

    async def provide(symbol: str) -> Snapshot:
        await answer.wait()
        return venue.snapshot(symbol, age=1)

    guard, _ = guard_of(venue, provide, buffered=3)
    guard.watch("BTC")
    for _ in range(10):
        venue.send("BTC")
    answer.set()
    await settle(guard)
    assert replica.kinds == ["S", "u"]
    assert guard.superseded == 9
    await guard.close()
    with pytest.raises(ConfigurationError):
        guard_of(venue, buffered=0)


async def test_drop_behind_the_router_is_mended_on_demand() -> None:
    venue = Venue()
    replica = venue.list_symbol("BTC")
    guard, recovered = guard_of(venue)
    guard.watch("BTC", begin=False)
    guard.recover("UNKNOWN")
    venue.send("BTC", 5)
    guard.recover("BTC")
    guard.recover("BTC")
    await settle(guard)
    assert venue.asked == ["BTC"]
    assert replica.kinds == ["u", "S"]
    assert [(each.gap_first, each.gap_last) for each in recovered] == [(6, 5)]
    await guard.close()


async def test_drop_while_joining_starts_over() -> None:
    venue = Venue()
    replica = venue.list_symbol("BTC")
    guard, recovered = guard_of(venue)

    def overflowing(event: Any) -> None:
        replica(event)
        if len(replica.kinds) == 1:
            guard.recover("BTC")

    venue.router.add(EventKind.DEPTH_UPDATE, "BTC", overflowing)
    guard.watch("BTC")
    venue.change("BTC", 3)
    await settle(guard)
    assert replica.kinds == ["S", "S"]
    assert recovered == []
    await guard.close()


async def test_snapshot_in_the_stream_ends_a_recovery() -> None:
    venue = Venue("previous")
    replica = venue.list_symbol("BTC")
    asked = asyncio.Event()

    async def resubscribe(symbol: str) -> None:
        asked.set()

    guard, recovered = guard_of(venue, resubscribe)
    venue.send_snapshot("BTC")
    guard.watch("BTC", begin=False)
    venue.send("BTC")
    venue.send("BTC", lose=True)
    venue.send("BTC")
    await asked.wait()
    venue.send_snapshot("BTC")
    venue.send("BTC")
    await settle(guard)
    assert replica.kinds == ["S", "u", "S", "u"]
    assert (replica.levels, replica.holes) == (venue.book_at("BTC", 4), 0)
    assert [(each.gap_first, each.gap_last) for each in recovered] == [(2, 2)]
    await guard.close()


async def test_gap_right_after_a_snapshot_in_the_stream_is_mended_too() -> None:
    venue = Venue("previous")
    replica = venue.list_symbol("BTC")
    asked = 0

    async def resubscribe(symbol: str) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            venue.send_snapshot(symbol)
            venue.send(symbol, lose=True)
            venue.send(symbol)
        else:
            venue.send_snapshot(symbol)

    guard, _ = guard_of(venue, resubscribe)
    venue.send_snapshot("BTC")
    guard.watch("BTC", begin=False)
    venue.send("BTC", lose=True)
    venue.send("BTC")
    await settle(guard)
    assert asked == 2
    assert (replica.levels, replica.holes) == (venue.book_at("BTC", 4), 0)
    await guard.close()


async def test_close_and_unwatch_end_tasks_and_let_updates_through() -> None:
    venue = Venue()
    replicas = [venue.list_symbol(symbol) for symbol in ("BTC", "ETH")]

    async def never(symbol: str) -> Snapshot:
        await asyncio.Event().wait()
        raise AssertionError("not reached")

    guard, recovered = guard_of(venue, never)
    for symbol in ("BTC", "ETH"):
        guard.watch(symbol)
        venue.send(symbol)
    assert set(guard.recovering) == {"BTC", "ETH"}
    await guard.unwatch("BTC")
    await guard.unwatch("BTC")
    await guard.close()
    await guard.close()
    for symbol in ("BTC", "ETH"):
        venue.send(symbol)
    assert [replica.kinds for replica in replicas] == [["u"], ["u"]]
    assert recovered == []
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("cexnet-book")]


async def test_only_books_that_exist_can_be_watched() -> None:
    venue = Venue()
    guard, _ = guard_of(venue)
    with pytest.raises(ConfigurationError, match="BTC"):
        guard.watch("BTC")


async def test_snapshot_requests_are_paced_over_all_books() -> None:
    venue = Venue()
    symbols = [f"S{index}" for index in range(6)]
    for symbol in symbols:
        venue.list_symbol(symbol)
    guard, _ = guard_of(venue, requests=2, window_s=30.0)
    for symbol in symbols:
        guard.watch(symbol)
    while len(venue.asked) < 2:
        await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(venue.asked) == 2
    assert len(guard.recovering) == 4
    await guard.close()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(1, 3)),
        st.tuples(st.just("lose"), st.integers(1, 3)),
        st.tuples(st.just("turn"), st.integers(1, 4)),
        st.tuples(st.just("recover"), st.just(0)),
    ),
    max_size=40,
)


@pytest.mark.parametrize("rule", ["range", "previous"])
@settings(max_examples=150, deadline=None)
@given(steps=STEPS, ages=st.lists(st.integers(0, 6), max_size=8), slow=st.integers(0, 3))
def test_book_is_always_that_of_the_exchange(
    rule: SequenceRule, steps: list[tuple[str, int]], ages: list[int], slow: int
) -> None:
    """Whatever gets lost: what the handler builds is the exchange's book at that sequence."""

    async def run() -> None:
        venue = Venue(rule)
        replica = venue.list_symbol("BTC")
        pending = list(ages)

        async def provide(symbol: str) -> Snapshot:
            snapshot = venue.snapshot(symbol, age=pending.pop() if pending else 0)
            for _ in range(slow):
                await asyncio.sleep(0)
            return snapshot

        guard, _ = guard_of(venue, provide)
        guard.watch("BTC")
        for step, count in steps:
            if step == "turn":
                for _ in range(count):
                    await asyncio.sleep(0)
            elif step == "recover":
                guard.recover("BTC")
            else:
                venue.send("BTC", count, lose=step == "lose")
            if replica.sequence >= 0:
                assert replica.levels == venue.book_at("BTC", replica.sequence)
        venue.send("BTC")
        await settle(guard)
        assert replica.holes == 0
        assert replica.sequence == len(venue.changes["BTC"])
        assert replica.levels == venue.book_at("BTC", replica.sequence)
        await guard.close()

    asyncio.run(run())
