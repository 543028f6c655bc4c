"""The meter against a list with times: what is recent, how much a second, and which were slowest."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder
from cexnet_core.meter import Meter, MetricsPolicy, rate_of, stages_of
from cexnet_core.summary import LatencySummary

S = 1_000_000_000


@dataclass(frozen=True)
class Record:
    at_ts_ns: int
    total_ns: int


class Source:
    """A manager that counts and times by hand; its clock is in its hand too."""

    def __init__(self, policy: MetricsPolicy) -> None:
        self.now_ns = 0
        self.count = 0
        self.recorder = LatencyRecorder(4)
        self.slow: list[Record] = []
        self.all: list[Record] = []
        self.meter = Meter(policy, self.read, self.drain, ticks=lambda: self.now_ns, wall=lambda: self.now_ns)

    def read(self) -> tuple[int, dict[str, LatencyRecorder]]:
        return self.count, {"total": self.recorder.copy()}

    def drain(self) -> list[Record]:
        taken, self.slow = self.slow, []
        return taken

    def record(self, total_ns: int) -> None:
        self.count += 1
        self.recorder.record(total_ns)
        self.slow.append(Record(self.now_ns, total_ns))
        self.all.append(self.slow[-1])


@given(
    steps=st.lists(st.lists(st.integers(1, 10_000), max_size=5), min_size=1, max_size=40),
    slices=st.integers(1, 6),
    asks=st.sets(st.integers(0, 39)),
)
def test_recent_is_the_window_to_the_precision_of_a_slice(
    steps: list[list[int]], slices: int, asks: set[int]
) -> None:
    """A second a step, and a slice a second: asking now and then changes nothing."""
    source = Source(MetricsPolicy(window_s=float(slices), slices=slices, slowest=4))
    for second, values in enumerate(steps):
        source.now_ns = second * S
        source.meter.advance(source.now_ns)
        for value in values:
            source.record(value)
        if second in asks:
            source.meter.measure()
            source.meter.slowest()
    measured = source.meter.measure()
    recent = measured.recent
    assert recent.seconds == min(len(steps) - 1, slices)
    wanted = [r.total_ns for r in source.all if r.at_ts_ns >= source.now_ns - recent.seconds * S]
    assert recent.count == recent.stages["total"].count == len(wanted)
    assert measured.since_start.count == measured.since_start.stages["total"].count == len(source.all)
    assert measured.since_start.seconds == len(steps) - 1
    slowest = [record.total_ns for record in source.meter.slowest()]
    # Each of the slices keeps its own four, so that none of an earlier one crowds out a later one.
    last = [r.total_ns for r in source.all if r.at_ts_ns > source.now_ns - slices * S]
    assert slowest == sorted(last, reverse=True)[:4]
    assert source.meter.slowest(2) == source.meter.slowest()[:2]


def test_where_nobody_came_by_the_seconds_say_how_far_back_recent_reaches() -> None:
    source = Source(MetricsPolicy(window_s=10.0, slices=2))
    source.record(100)
    source.now_ns = 100 * S
    source.record(200)
    first = source.meter.measure().recent
    assert (first.seconds, first.count) == (100.0, 2)
    source.now_ns = 101 * S
    source.record(300)
    second = source.meter.measure().recent
    assert (second.seconds, second.count, second.stages["total"].max) == (1.0, 1, 300)


def test_a_slow_record_is_forgotten_with_the_window() -> None:
    source = Source(MetricsPolicy(window_s=10.0, slices=5, slowest=2))
    source.record(9_000)
    source.record(8_000)
    for second in range(1, 10):
        source.now_ns = second * S
        source.meter.advance(source.now_ns)
        source.record(second)
    assert [record.total_ns for record in source.meter.slowest()] == [9_000, 8_000]
    source.now_ns = 11 * S
    assert [record.total_ns for record in source.meter.slowest()] == [9, 8]


def test_reset_and_a_recorder_that_was_reset_behind_our_back() -> None:
    source = Source(MetricsPolicy(window_s=10.0, slices=2))
    for value in (10, 20, 30):
        source.record(value)
    source.now_ns = 6 * S
    source.meter.measure()
    source.recorder.reset()
    source.record(7)
    assert source.meter.measure().recent.stages["total"].samples.size == 0  # a copy has no ring
    assert source.meter.measure().recent.stages["total"].max == 7
    source.recorder.reset()
    source.count = 0
    source.meter.reset()
    source.now_ns += S
    measured = source.meter.measure()
    assert (measured.since_start.seconds, measured.since_start.count, measured.recent.count) == (1.0, 0, 0)
    assert source.meter.slowest() == []


def test_several_managers_are_one_histogram_and_rates_add_up() -> None:
    one, two = Source(MetricsPolicy()), Source(MetricsPolicy())
    for value in range(1, 101):
        one.record(value)
        two.record(value + 100)
    one.now_ns, two.now_ns = 10 * S, 20 * S
    both = [one.meter.measure(), two.meter.measure()]
    stage = stages_of(both)["total"]
    everything = LatencyRecorder(1)
    for value in range(1, 201):
        everything.record(value)
    assert stage.since_start == stage.recent == LatencySummary.of(everything)
    assert (stage.since_start.p50_ns, stage.since_start.p90_ns) == (100, 180)
    assert stage.rate_per_s == 10.0 + 5.0
    rate = rate_of(both)
    assert (rate.count, rate.seconds, rate.per_s, rate.recent_seconds) == (200, 20.0, 15.0, 20.0)
    (alone,) = (stages_of([both[0]])["total"],)
    assert (alone.since_start.count, alone.since_start.max_ns, alone.rate_per_s) == (100, 100, 10.0)


def test_nothing_recorded_says_so() -> None:
    source = Source(MetricsPolicy())
    stage = stages_of([source.meter.measure()])["total"]
    assert stage.since_start == LatencySummary(0)
    assert (stage.since_start.p999_ns, stage.rate_per_s) == (-1, 0.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"window_s": 0.0},
        {"window_s": float("nan")},
        {"window_s": float("inf")},
        {"slices": 0},
        {"slices": 1001},
        {"slowest": -1},
    ],
)
def test_a_senseless_policy_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="MetricsPolicy"):
        MetricsPolicy(**wrong)  # type: ignore[arg-type]
