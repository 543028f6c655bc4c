"""The estimate without a socket: true clocks, any network, and bounds that must hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet.http.clock_sync import ClockSync

MS = 1_000_000
S = 1000 * MS
LEGS = st.lists(st.tuples(st.integers(0, S), st.integers(0, S)), min_size=1, max_size=20)


def test_starts_at_our_own_clock() -> None:
    clock = ClockSync()
    assert (clock.offset_ns, clock.drift, clock.offset_at_ns(S)) == (0, 0, 0)
    assert (clock.age_ns(S), clock.error_bound_ns(S), clock.is_stale(S)) == (-1, -1, True)


def test_assumes_the_stamp_was_made_half_way() -> None:
    clock = ClockSync()
    clock.add(received_ns=1_000 * MS, round_trip_ns=20 * MS, server_ns=5_990 * MS)
    assert clock.offset_ns == 5_000 * MS


def test_the_quickest_of_the_last_samples_counts() -> None:
    clock = ClockSync(window=2)
    clock.add(received_ns=0, round_trip_ns=2 * MS, server_ns=7 * MS)
    clock.add(received_ns=0, round_trip_ns=90 * MS, server_ns=-30 * MS)
    assert (clock.offset_ns, clock.round_trip_ns) == (8 * MS, 2 * MS)
    clock.add(received_ns=0, round_trip_ns=40 * MS, server_ns=3 * MS)
    assert (clock.offset_ns, clock.round_trip_ns) == (23 * MS, 40 * MS)


def test_restart_forgets_even_a_quick_sample_but_not_the_estimate() -> None:
    clock = ClockSync()
    clock.add(received_ns=0, round_trip_ns=2 * MS, server_ns=0)
    clock.restart()
    assert clock.offset_ns == MS
    clock.add(received_ns=0, round_trip_ns=10 * MS, server_ns=100 * MS)
    assert clock.offset_ns == 105 * MS


def test_a_clock_that_was_set_starts_the_estimate_anew() -> None:
    clock = ClockSync()
    clock.add(received_ns=0, round_trip_ns=2 * MS, server_ns=0)
    clock.add(received_ns=S, round_trip_ns=40 * MS, server_ns=S + 3600 * S - 20 * MS)
    assert (clock.offset_ns, clock.drift) == (3600 * S, 0)


def test_age_and_staleness() -> None:
    clock = ClockSync(stale_after_s=10)
    clock.add(received_ns=5 * S, round_trip_ns=2 * MS, server_ns=5 * S)
    assert (clock.age_ns(15 * S), clock.is_stale(15 * S), clock.is_stale(15 * S + 1)) == (10 * S, False, True)
    assert clock.age_ns(0) == 0  # our clock was set back
    assert clock.error_bound_ns(5 * S) == 2 * MS


@given(offset=st.integers(-(10**12), 10**12), legs=LEGS)
def test_the_error_is_at_most_half_the_shortest_round_trip(offset: int, legs: list[tuple[int, int]]) -> None:
    clock = ClockSync(window=len(legs))
    now = 10**18
    for out, back in legs:
        server = now + out + offset
        now += out + back
        clock.add(received_ns=now, round_trip_ns=out + back, server_ns=server)
    shortest = min(out + back for out, back in legs)
    assert abs(clock.offset_ns - offset) <= shortest // 2 + 1
    assert clock.drift == 0


@given(
    drift_ppm=st.integers(-100, 100),
    offset=st.integers(-(10**12), 10**12),
    legs=LEGS,
    later_s=st.integers(0, 300),
)
def test_a_drifting_clock_in_whole_milliseconds_stays_within_the_bound(
    drift_ppm: int, offset: int, legs: list[tuple[int, int]], later_s: int
) -> None:
    begin = now = 10**18

    def true_offset(at_ns: int) -> int:
        return offset + (at_ns - begin) * drift_ppm // 1_000_000

    clock = ClockSync()
    for out, back in legs:
        now += 60 * S
        server = now + out + true_offset(now + out)
        now += out + back
        clock.add(received_ns=now, round_trip_ns=out + back, server_ns=server // MS * MS)
    at = now + later_s * S
    assert abs(clock.offset_at_ns(at) - true_offset(at)) <= clock.error_bound_ns(at)
    # Never more drift than there is, and never in the wrong direction.
    assert abs(clock.drift * 1e6) <= abs(drift_ppm) + 1e-6
    assert clock.drift * drift_ppm >= 0


def test_drift_is_found_and_followed() -> None:
    clock = ClockSync()
    for second in range(0, 1200, 60):
        at = second * S
        clock.add(received_ns=at, round_trip_ns=MS, server_ns=at - MS // 2 + at * 50 // 1_000_000)
    assert clock.drift * 1e6 == pytest.approx(50, abs=3)
    # Ten minutes later: not following it would be 30 ms off.
    assert clock.offset_at_ns(1800 * S) == pytest.approx(1800 * S * 50 // 1_000_000, abs=6 * MS)
