"""The clocks: right epoch, never back, and the tick clock keeps the pace of the kernel's."""

from __future__ import annotations

import threading
import time

import pytest

from cexnet_core import clock
from cexnet_core.errors import ConfigurationError


def test_wall_clock_is_the_systems() -> None:
    before = time.time_ns()
    ours = clock.now_ns()
    after = time.time_ns()
    assert before <= ours <= after


def test_monotonic_clock_is_the_event_loops() -> None:
    before = time.monotonic_ns()
    ours = clock.monotonic_ns()
    after = time.monotonic_ns()
    assert before <= ours <= after


def read_ticks_until(deadline_ns: int, failures: list[tuple[int, int]]) -> None:
    last = clock.ticks_ns()
    while time.monotonic_ns() < deadline_ns:
        for _ in range(1000):
            now = clock.ticks_ns()
            if now < last:
                failures.append((last, now))
            last = now


def test_ticks_never_go_back_while_threads_correct_the_rate() -> None:
    failures: list[tuple[int, int]] = []
    # Long enough for the rate to be measured anew, by whichever thread comes first.
    deadline_ns = time.monotonic_ns() + 1_300_000_000
    threads = [threading.Thread(target=read_ticks_until, args=(deadline_ns, failures)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_ticks_keep_the_monotonic_clocks_pace() -> None:
    outer_begin = time.monotonic_ns()
    ticks = -clock.ticks_ns()
    inner_begin = inner_end = time.monotonic_ns()
    while inner_end - inner_begin < 100_000_000:
        inner_end = time.monotonic_ns()
    ticks += clock.ticks_ns()
    outer_end = time.monotonic_ns()
    assert 0.99 * (inner_end - inner_begin) <= ticks <= 1.01 * (outer_end - outer_begin)


def test_source_says_what_ticks_are() -> None:
    assert clock.source().startswith(("invariant TSC", "monotonic clock"))


def test_cost_is_measured() -> None:
    assert 0 < clock.cost_ns(100) < 1e6
    with pytest.raises(ConfigurationError, match="rounds is 0"):
        clock.cost_ns(0)
