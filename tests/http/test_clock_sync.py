from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cexnet.http.clock_sync import ClockSync

MS = 1_000_000


def test_starts_at_our_own_clock() -> None:
    assert ClockSync().offset_ns == 0


def test_assumes_the_stamp_was_made_half_way() -> None:
    clock = ClockSync()
    clock.add(received_ns=1_000 * MS, round_trip_ns=20 * MS, server_ns=5_990 * MS)
    assert clock.offset_ns == 5_000 * MS


def test_the_quickest_of_the_last_samples_counts() -> None:
    clock = ClockSync(window=2)
    clock.add(received_ns=0, round_trip_ns=2 * MS, server_ns=7 * MS)
    clock.add(received_ns=0, round_trip_ns=90 * MS, server_ns=50 * MS)
    assert (clock.offset_ns, clock.round_trip_ns) == (8 * MS, 2 * MS)
    clock.add(received_ns=0, round_trip_ns=40 * MS, server_ns=3 * MS)
    assert (clock.offset_ns, clock.round_trip_ns) == (23 * MS, 40 * MS)
    assert clock.generation == 3


def test_restart_forgets_even_a_quick_sample() -> None:
    clock = ClockSync()
    clock.add(received_ns=0, round_trip_ns=MS, server_ns=0)
    clock.restart()
    clock.add(received_ns=0, round_trip_ns=10 * MS, server_ns=100 * MS)
    assert clock.offset_ns == 105 * MS


@given(
    offset=st.integers(-(10**12), 10**12),
    legs=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=20),
)
def test_the_error_is_at_most_half_the_shortest_round_trip(offset: int, legs: list[tuple[int, int]]) -> None:
    clock = ClockSync(window=len(legs))
    now = 10**18
    for out, back in legs:
        server = now + out + offset
        now += out + back
        clock.add(received_ns=now, round_trip_ns=out + back, server_ns=server)
    shortest = min(out + back for out, back in legs)
    assert abs(clock.offset_ns - offset) <= shortest // 2 + 1
