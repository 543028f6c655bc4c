"""The latency recorder against numpy, a sorted list and exact arithmetic."""

from __future__ import annotations

import gc
import weakref
from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder

HOUR_NS = 3_600_000_000_000
# Evenly over the orders of magnitude, and the edges of the buckets.
latencies = st.one_of(
    st.integers(0, 41).flatmap(lambda bit: st.integers(1 << bit, min((2 << bit) - 1, HOUR_NS))),
    st.sampled_from([1, 127, 128, 255, 256, 257, 511, 512, (1 << 41) - 1, 1 << 41, HOUR_NS]),
)
percents = st.one_of(
    st.sampled_from(["0", "50", "90", "99", "99.9", "99.99", "100"]), st.decimals(0, 100, places=3)
)


def recorded(values: list[int], capacity: int = 64) -> LatencyRecorder:
    recorder = LatencyRecorder(capacity)
    for value in values:
        recorder.record(value)
    return recorder


@given(values=st.lists(latencies, min_size=1, max_size=300), percent=percents)
def test_percentile_is_within_half_a_percent(values: list[int], percent: object) -> None:
    recorder = recorded(values)
    rank = max(1, ceil(Fraction(str(percent)) * len(values) / 100))
    exact = sorted(values)[rank - 1]
    found = recorder.percentile(float(str(percent)))
    assert abs(found - exact) <= exact * 0.005
    assert min(values) <= found <= max(values)


@given(values=st.lists(latencies, min_size=1, max_size=300), percent=st.integers(0, 100))
def test_percentile_agrees_with_numpys_nearest_rank(values: list[int], percent: int) -> None:
    exact = np.percentile(values, percent, method="inverted_cdf")
    assert recorded(values).percentile(percent) == pytest.approx(exact, rel=0.005)


@given(value=st.integers(1, HOUR_NS))
def test_every_value_has_a_bucket_around_it(value: int) -> None:
    bounds, counts = recorded([value]).histogram()
    assert counts.tolist() == [1]
    low, high = bounds.tolist()
    assert low <= value < high
    middle = (low + high - 1) // 2
    assert abs(middle - value) <= value * 0.005


def test_buckets_meet_without_a_gap() -> None:
    bounds, counts = recorded([1, HOUR_NS]).histogram()
    assert counts.sum() == 2
    assert counts[0] == counts[-1] == 1
    assert (np.diff(bounds) > 0).all()
    assert bounds[0] == 1
    assert bounds[-2] <= HOUR_NS < bounds[-1]
    assert bounds.size == counts.size + 1


@given(values=st.lists(latencies, max_size=200))
def test_extremes_mean_and_count(values: list[int]) -> None:
    recorder = recorded(values)
    assert recorder.count == len(values)
    assert recorder.min == min(values, default=0)
    assert recorder.max == max(values, default=0)
    assert recorder.mean == pytest.approx(sum(values) / len(values) if values else 0.0)


def test_values_outside_are_clamped_and_counted() -> None:
    recorder = recorded([0, -5, -(2**63), 7, HOUR_NS + 1, 2**63 - 1])
    assert (recorder.below, recorder.above, recorder.count) == (3, 2, 6)
    assert (recorder.min, recorder.max) == (1, HOUR_NS)
    assert recorder.samples.tolist() == [1, 1, 1, 7, HOUR_NS, HOUR_NS]
    assert recorder.percentile(100) == HOUR_NS
    with pytest.raises(OverflowError):
        recorder.record(2**63)


@given(values=st.lists(latencies, max_size=40), capacity=st.integers(1, 12))
def test_samples_hold_the_newest(values: list[int], capacity: int) -> None:
    recorder = recorded(values, capacity)
    in_time = np.roll(recorder.samples, -recorder.oldest)
    assert in_time.tolist() == values[-capacity:]


@given(
    parts=st.lists(st.lists(latencies, max_size=90), max_size=6),
    capacity=st.integers(1, 100),
    part=st.floats(0, 100),
)
def test_what_is_read_is_complete_however_often_it_is_read(
    parts: list[list[int]], capacity: int, part: float
) -> None:
    """Records wait in the ring for a few others: no reading may miss, nor double, one of them."""
    often, values = LatencyRecorder(capacity), list[int]()
    for each in parts:
        for value in each:
            often.record(value)
        values += each
        once = recorded(values, capacity)
        assert (often.count, often.min, often.max) == (
            len(values),
            min(values, default=0),
            max(values, default=0),
        )
        assert often.mean == pytest.approx(sum(values) / len(values) if values else 0.0)
        assert np.roll(often.samples, -often.oldest).tolist() == values[-capacity:]
        assert [row.tolist() for row in often.histogram()] == [row.tolist() for row in once.histogram()]
        assert often.percentile(part) == once.percentile(part)


def test_samples_are_a_live_read_only_view_that_keeps_the_recorder() -> None:
    recorder = recorded([1, 2, 3], capacity=4)
    view = recorder.samples
    assert view.dtype == np.int64
    assert not view.flags.writeable
    assert not view.flags.owndata
    assert np.shares_memory(view, recorder.samples)
    recorder.record(4)
    recorder.record(5)
    assert view.tolist() == [5, 2, 3]
    del recorder
    gc.collect()
    assert view.tolist() == [5, 2, 3]


@given(left=st.lists(latencies, max_size=100), right=st.lists(latencies, max_size=100))
def test_merge_equals_recording_both(left: list[int], right: list[int]) -> None:
    merged, both = recorded(left), recorded(left + right)
    merged.merge(recorded(right))
    assert merged.count == both.count
    assert (merged.min, merged.max) == (both.min, both.max)
    assert merged.mean == pytest.approx(both.mean)
    for ours, theirs in zip(merged.histogram(), both.histogram(), strict=True):
        assert ours.tolist() == theirs.tolist()


def test_merge_with_itself_doubles_the_counts() -> None:
    recorder = recorded([5, 10**9, -1])
    recorder.merge(recorder)
    assert (recorder.count, recorder.below) == (6, 2)
    assert recorder.percentile(50) == 5


def test_reset_forgets_everything() -> None:
    recorder = recorded([5, -1, 2**50], capacity=2)
    recorder.reset()
    assert (recorder.count, recorder.below, recorder.above) == (0, 0, 0)
    assert (recorder.min, recorder.max, recorder.mean, recorder.percentile(99)) == (0, 0, 0.0, 0)
    assert recorder.samples.size == recorder.histogram()[0].size == recorder.histogram()[1].size == 0
    recorder.record(9)
    assert (recorder.samples.tolist(), recorder.oldest, recorder.max) == ([9], 0, 9)


def test_wrong_arguments() -> None:
    with pytest.raises(ConfigurationError, match="capacity is 0"):
        LatencyRecorder(0)
    for percent in (-0.1, 100.1, float("nan")):
        with pytest.raises(ConfigurationError, match="0 to 100"):
            LatencyRecorder(1).percentile(percent)
    with pytest.raises(TypeError):
        LatencyRecorder(1).merge(None)  # type: ignore[arg-type]


def test_recorder_is_not_leaked_by_its_views() -> None:
    recorder = recorded([1])
    base = weakref.ref(recorder.samples)
    gc.collect()
    assert base() is None
    assert repr(recorder) == "LatencyRecorder(count=1, p50=1 ns, p99=1 ns, max=1 ns)"


@given(before=st.lists(latencies, max_size=100), after=st.lists(latencies, max_size=100))
def test_since_is_what_came_after_the_copy(before: list[int], after: list[int]) -> None:
    recorder = recorded(before)
    copy = recorder.copy()
    for value in after:
        recorder.record(value)
    recent, alone = recorder.since(copy), recorded(after)
    assert recent.count == alone.count
    assert recent.mean == pytest.approx(alone.mean, abs=1.0, rel=1e-6)
    for percent in (0, 50, 90, 99, 100):
        assert recent.percentile(percent) == pytest.approx(alone.percentile(percent), rel=0.008)
    assert recorder.since(recorder.copy()).count == 0


@given(values=st.lists(latencies, max_size=100), limit=st.one_of(latencies, st.integers(-5, 5)))
def test_within_counts_to_the_precision_of_a_bucket(values: list[int], limit: int) -> None:
    found = recorded(values).within(limit)
    assert sum(value <= limit for value in values) <= found
    assert found <= sum(value <= max(limit * 1.008, limit) for value in values)


def test_since_refuses_what_is_no_earlier_copy() -> None:
    recorder = recorded([5, 6])
    copy = recorder.copy()
    recorder.reset()
    with pytest.raises(ConfigurationError, match="reset"):
        recorder.since(copy)


def test_since_notices_a_reset_that_later_records_hide() -> None:
    recorder = recorded([5] * 100)
    copy = recorder.copy()
    recorder.reset()
    for _ in range(150):
        recorder.record(5)
    with pytest.raises(ConfigurationError, match="reset"):
        recorder.since(copy)
    assert recorder.since(recorder.copy()).count == 0
