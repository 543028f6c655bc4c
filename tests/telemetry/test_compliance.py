"""Windows against a list with times, verdicts against the rule spelled out, collections against gc."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet.telemetry.compliance import Condition, Judge, Target
from cexnet.telemetry.pauses import GcWatch, LoopWatch
from cexnet.telemetry.window import Percentiles, Window
from cexnet_core.clock import now_ns
from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder

STEPS = st.lists(st.lists(st.integers(1, 10_000), max_size=5), min_size=1, max_size=40)


@given(steps=STEPS, slices=st.integers(1, 5))
def test_a_window_holds_the_last_slices(steps: list[list[int]], slices: int) -> None:
    recorder = LatencyRecorder(16)
    window = Window(recorder, seconds=float(slices), slices=slices)
    for second, values in enumerate(steps):
        window.advance(float(second))
        for value in values:
            recorder.record(value)
    # The copy at the start of the newest step is one of the slices + 1 that are kept.
    wanted = [value for values in steps[-(slices + 1) :] for value in values]
    recent = window.recent()
    assert recent.count == len(wanted)
    if wanted:
        assert recent.max == pytest.approx(max(wanted), rel=0.008)
    assert sum(slice_.count for _, slice_ in window.timeline()) == sum(
        len(values) for values in steps[-(slices + 1) : -1]
    )


def test_a_reset_recorder_begins_anew() -> None:
    recorder = LatencyRecorder(16)
    window = Window(recorder, seconds=10.0, slices=2)
    for _ in range(5):
        recorder.record(1000)
    window.advance(0.0)
    recorder.reset()
    recorder.record(7)
    assert window.recent().count == 1
    window.advance(1.0)
    recorder.record(8)
    assert window.recent().count == 1


def test_a_reset_is_seen_when_as_much_has_been_recorded_since() -> None:
    recorder = LatencyRecorder(16)
    window = Window(recorder, seconds=10.0, slices=2)
    judge = Judge(Target("connect", 1000), window, patience=1, least=1)
    recorder.record(5000)
    window.advance(0.0)
    recorder.reset()
    recorder.record(7)
    assert window.recent().count == 1
    assert (judge.check(1.0).count, judge.check(9.0).total) == (0, 1)
    recorder.record(8)
    assert judge.check(10.0).within == 1


def test_percentiles_of_nothing_say_so() -> None:
    assert Percentiles.of(LatencyRecorder(4)) == Percentiles(0)


@given(
    looks=st.lists(st.sampled_from(["good", "bad", "few"]), max_size=40),
    patience=st.integers(1, 4),
)
def test_a_verdict_changes_after_enough_looks_in_a_row(looks: list[str], patience: int) -> None:
    recorder = LatencyRecorder(16)
    # One slice a look, so that each look sees its own records alone.
    judge = Judge(
        Target("handling", 1000, share=0.9),
        Window(recorder, seconds=1.0, slices=1),
        patience=patience,
        least=10,
    )
    judge.check(-1.0)
    condition, against = Condition.NORMAL, 0
    for second, look in enumerate(looks):
        recorder.reset()
        judge.check(second - 0.5)
        for _ in range(3 if look == "few" else 20):
            recorder.record(10 if look == "good" else 100_000)
        found = judge.check(float(second))
        changed = False
        if look != "few":
            agrees = (look == "bad") is (condition is Condition.DEGRADED)
            against = 0 if agrees else against + 1
            if against == patience:
                condition = Condition.DEGRADED if look == "bad" else Condition.NORMAL
                changed, against = True, 0
        assert (found.condition, found.changed) == (condition, changed)
        assert found.share == (1.0 if look == "good" else 0.0)


@given(
    parts=st.lists(st.lists(st.sampled_from([10, 100_000]), max_size=30), min_size=1, max_size=4),
)
def test_violations_are_counted_over_all_recorders_that_were_in_use(parts: list[list[int]]) -> None:
    recorders = [LatencyRecorder(4) for _ in parts]
    judge = Judge(Target("total", 1000), Window(recorders[0], seconds=1.0, slices=1))
    for second, (recorder, part) in enumerate(zip(recorders, parts, strict=True)):
        if second:
            judge.go_on_with(Window(recorder, seconds=1.0, slices=1))
        judge.check(float(second))
        for value in part:
            recorder.record(value)
        found = judge.check(second + 0.5)
    values = [value for part in parts for value in part]
    slow = values.count(100_000)
    assert (found.total, found.violations) == (len(values), slow)
    assert found.total_share == ((len(values) - slow) / len(values) if values else 1.0)


@pytest.mark.parametrize("limit_ns, share", [(0, 0.9), (1, 0.0), (1, 1.1)])
def test_a_senseless_target_is_refused(limit_ns: int, share: float) -> None:
    with pytest.raises(ConfigurationError, match="target connect"):
        Target("connect", limit_ns, share)


def test_collections_are_timed_and_found_by_time() -> None:
    began = now_ns()
    with GcWatch(notable_ns=0) as watch:
        gc.collect()
    gc.collect()
    collected = [pause for pause in watch.notable if pause.generation == 2]
    assert len(collected) == 1
    assert watch.recorder.count == len(watch.notable)
    assert watch.during(began, now_ns()) == list(watch.notable)
    assert watch.during(began - 2_000_000_000, began - 1_000_000_000) == []
    watch.stop()


async def test_a_blocked_loop_is_measured() -> None:
    watch = LoopWatch(every_s=0.001)
    watch.start()
    watch.start()
    await asyncio.sleep(0)  # it sleeps now
    time.sleep(0.1)  # noqa: ASYNC251 - that is what it is about
    while not watch.recorder.count:
        await asyncio.sleep(0.001)
    assert watch.recorder.max >= 99_000_000
    await watch.close()
    await watch.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "cexnet-loop-watch"]
    with pytest.raises(ConfigurationError, match="every_s"):
        LoopWatch(every_s=0)


def test_tame_gc_freezes_what_there_is() -> None:
    """In a process of its own: frozen objects stay frozen."""
    program = (
        "import gc; from cexnet.telemetry.pauses import tame_gc;"
        "frozen = tame_gc(young=12345);"
        "assert frozen > 1000 and gc.get_threshold()[0] == 12345, (frozen, gc.get_threshold())"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_window_that_makes_no_sense_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="must be above 0 and finite"):
        Window(LatencyRecorder(1), seconds=seconds)
