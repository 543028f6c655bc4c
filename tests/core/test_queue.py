"""The bounded queue: order, bounds, and every event in exactly one count."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cexnet_core.decode import Decoder
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import EventKind, SymbolTable
from cexnet_core.hotlog import process_log
from cexnet_core.queue import POLICIES, EventQueue
from cexnet_core.route import Receiver, Router
from cexnet_core.schema import Field, Message, WireSchema

SCHEMA = WireSchema(
    name="test",
    json=(
        Message(
            "DepthUpdate",
            when={"e": "depth"},
            fields=(
                Field("symbol", "s"),
                Field("sequence", "u"),
                Field("bids", "b"),
                Field("asks", "a"),
            ),
        ),
        Message(
            "BookTicker",
            when={"e": "ticker"},
            fields=(Field("symbol", "s"), Field("sequence", "u")),
        ),
        Message("Trade", when={"e": "trade"}, fields=(Field("symbol", "s"), Field("sequence", "u"))),
    ),
)
KIND_NAMES = {"depth": "DepthUpdate", "ticker": "BookTicker", "trade": "Trade"}
KINDS = {"depth": EventKind.DEPTH_UPDATE, "ticker": EventKind.BOOK_TICKER, "trade": EventKind.TRADE}
SYMBOLS = ("A", "B", "C")


class Source:
    """A receive line that ends in one queue."""

    def __init__(self, queue: EventQueue) -> None:
        symbols = SymbolTable()
        router = Router(SCHEMA, symbols)
        for kind in KINDS.values():
            for symbol in SYMBOLS:
                router.add(kind, symbol, queue)
        self.router = router
        self._receiver = Receiver(Decoder(SCHEMA, symbols=symbols), router, 0)

    def put(self, kind: str, symbol: str, sequence: int) -> None:
        body = {"e": kind, "s": symbol, "u": sequence, "b": [], "a": []}
        self._receiver.feed(json.dumps(body, separators=(",", ":")).encode())


class Model:
    """The slow, obvious queue."""

    def __init__(self, capacity: int, policy: str, reserve: int) -> None:
        self.capacity, self.policy, self.reserve = capacity, policy, reserve
        self.waiting: list[tuple[str, str, int]] = []
        self.drops: Counter[tuple[str, str]] = Counter()
        self.gapped: list[str] = []
        self.calls: list[str] = []
        self.is_full = False

    def put(self, event: tuple[str, str, int]) -> None:
        kind, symbol, _ = event
        if self.policy == "conflate" and kind == "ticker":
            for place, (other_kind, other_symbol, _) in enumerate(self.waiting):
                if (other_kind, other_symbol) == (kind, symbol):
                    self.waiting[place] = event
                    self.drops[KIND_NAMES[kind], symbol] += 1
                    return
        room = self.capacity + (self.reserve if self.policy == "pause" else 0)
        if len(self.waiting) < room:
            self.waiting.append(event)
        elif self.policy in ("conflate", "drop_oldest"):
            self.drop(self.waiting.pop(0))
            self.waiting.append(event)
        else:
            self.drop(event)
            if self.policy == "disconnect":
                self.fill()
        if self.policy == "pause" and len(self.waiting) >= self.capacity:
            self.fill()

    def drop(self, event: tuple[str, str, int]) -> None:
        kind, symbol, _ = event
        self.drops[KIND_NAMES[kind], symbol] += 1
        if kind == "depth":
            self.gapped.append(symbol)

    def fill(self) -> None:
        if not self.is_full:
            self.is_full = True
            self.calls.append("full")

    def switch(self, capacity: int, policy: str) -> None:
        still_full = self.is_full and policy == self.policy and len(self.waiting) > capacity // 2
        self.capacity, self.policy = capacity, policy
        if policy == "conflate":
            waiting, self.waiting = self.waiting, []
            for event in waiting:
                places = [p for p, other in enumerate(self.waiting) if other[:2] == event[:2]]
                if event[0] == "ticker" and places:
                    self.waiting[places[0]] = event
                    self.drops[KIND_NAMES["ticker"], event[1]] += 1
                else:
                    self.waiting.append(event)
            still_full = still_full and len(self.waiting) > capacity // 2
        is_full = still_full or (policy == "pause" and len(self.waiting) >= capacity)
        if is_full != self.is_full:
            self.is_full = is_full
            self.calls.append("full" if is_full else "room")

    def take(self, most: int) -> list[tuple[str, str, int]]:
        taken, self.waiting = self.waiting[:most], self.waiting[most:]
        if self.is_full and len(self.waiting) <= self.capacity // 2:
            self.is_full = False
            self.calls.append("room")
        return taken


def plain(event: Any) -> tuple[str, str, int]:
    kinds = {name: kind for kind, name in KIND_NAMES.items()}
    return kinds[type(event).__name__], event.symbol, event.sequence


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["depth", "ticker", "trade"]), st.sampled_from(SYMBOLS)),
        st.tuples(st.just("pop"), st.just("")),
        st.tuples(st.just("take"), st.sampled_from(["1", "2", "9"])),
    ),
    max_size=80,
)


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=150, deadline=None)
@given(steps=STEPS, capacity=st.integers(1, 5), reserve=st.integers(0, 3))
def test_queue_agrees_with_the_model(policy: Any, steps: Any, capacity: int, reserve: int) -> None:
    queue = EventQueue(capacity, policy, reserve=reserve)
    model = Model(capacity, policy, reserve)
    calls: list[str] = []
    gapped: list[str] = []
    queue.on_full = lambda: calls.append("full")
    queue.on_room = lambda: calls.append("room")
    queue.on_gap = gapped.append
    source = Source(queue)
    put = 0
    taken: list[Any] = []
    expected: list[Any] = []
    for number, (step, argument) in enumerate(steps):
        if step == "pop":
            event = queue.pop()
            taken += [] if event is None else [event]
            expected += model.take(1)
        elif step == "take":
            taken += queue.take(int(argument))
            expected += model.take(int(argument))
        else:
            put += 1
            source.put(step, argument, number)
            model.put((step, argument, number))
        assert len(queue) == len(model.waiting) <= capacity + reserve
        assert queue.received == put == queue.taken + queue.dropped + queue.conflated + len(queue)
    assert [plain(event) for event in taken] == expected
    assert queue.drops == dict(model.drops)
    assert sum(queue.drops.values()) == queue.dropped + queue.conflated
    assert (calls, gapped) == (model.calls, model.gapped)
    assert queue.waited.count == len(taken)
    assert [plain(event) for event in queue.take(99)] == model.waiting


SWITCHES = st.tuples(st.just("switch"), st.tuples(st.integers(1, 5), st.sampled_from(POLICIES)))


@settings(max_examples=400, deadline=None)
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["depth", "ticker", "trade"]), st.sampled_from(SYMBOLS)),
            st.tuples(st.just("take"), st.integers(1, 3)),
            SWITCHES,
        ),
        max_size=80,
    ),
    reserve=st.integers(0, 3),
)
def test_a_queue_that_is_switched_agrees_with_the_model(steps: Any, reserve: int) -> None:
    queue, model = EventQueue(3, reserve=reserve), Model(3, "drop_oldest", reserve)
    calls: list[str] = []
    gapped: list[str] = []
    queue.on_full = lambda: calls.append("full")
    queue.on_room = lambda: calls.append("room")
    queue.on_gap = gapped.append
    source = Source(queue)
    put = 0
    for number, (step, argument) in enumerate(steps):
        if step == "switch":
            dropped = queue.dropped
            queue.switch(*argument)
            model.switch(*argument)
            assert (queue.capacity, queue.policy) == argument
            assert queue.dropped == dropped
        elif step == "take":
            assert [plain(event) for event in queue.take(argument)] == model.take(argument)
        else:
            put += 1
            source.put(step, argument, number)
            model.put((step, argument, number))
        assert len(queue) == len(model.waiting)
        assert queue.received == put == queue.taken + queue.dropped + queue.conflated + len(queue)
        assert queue.is_full == model.is_full
    assert queue.drops == dict(model.drops)
    assert (calls, gapped) == (model.calls, model.gapped)
    assert [plain(event) for event in queue.take(999)] == model.waiting


def test_a_refused_switch_changes_nothing() -> None:
    queue = EventQueue(2, "pause", reserve=1)
    source = Source(queue)
    for sequence in range(3):
        source.put("trade", "A", sequence)
    for capacity, policy in ((0, "pause"), (5, "drop_all")):
        with pytest.raises(ConfigurationError, match="EventQueue"):
            queue.switch(capacity, policy)  # type: ignore[arg-type]
    assert (queue.capacity, queue.policy, queue.is_full) == (2, "pause", True)
    assert [event.sequence for event in queue.take(9)] == [0, 1, 2]


def test_waker_is_called_once_for_the_next_event() -> None:
    queue = EventQueue(4)
    source = Source(queue)
    woken: list[int] = []
    source.put("trade", "A", 1)
    queue.wake(lambda: woken.append(len(queue)))
    source.put("trade", "A", 2)
    source.put("trade", "A", 3)
    assert woken == [2]


def test_failing_callbacks_do_not_lose_events(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("callback bug")

    queue = EventQueue(1, "pause", reserve=0)
    queue.on_full = queue.on_room = queue.on_gap = fail
    queue.wake(fail)
    source = Source(queue)
    source.put("depth", "A", 1)
    source.put("depth", "A", 2)
    assert [event.sequence for event in queue.take(5)] == [1]
    assert process_log.flush()
    assert caplog.text.count("RuntimeError: callback bug") == 4
    assert sum(stream.handler_errors for stream in source.router.streams()) == 0


def test_events_end_with_the_queue() -> None:
    queue = EventQueue(3)
    source = Source(queue)
    for sequence in range(5):
        source.put("trade", "A", sequence)
    (event, *_) = queue.take(1)
    count = sys.getrefcount(event)
    assert event.sequence == 2
    source.put("trade", "B", 9)
    assert sys.getrefcount(event) == count
    del source, queue
    gc.collect()
    assert event.sequence == 2


def test_queue_in_a_cycle_is_collected() -> None:
    class Owner:
        def full(self) -> None:
            """Nothing: only the cycle matters."""

    owner = Owner()
    queue = EventQueue(1)
    queue.on_full = owner.full
    owner.queue = queue  # type: ignore[attr-defined]
    gone = weakref.ref(owner)
    del owner, queue
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("arguments", [(0,), (-1,), (5, "drop_all"), (5, "")])
def test_nonsense_is_refused(arguments: Any) -> None:
    with pytest.raises(ConfigurationError, match="EventQueue"):
        EventQueue(*arguments)
