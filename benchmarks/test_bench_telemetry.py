"""What measuring costs: the receive line with its timer on and off, and snapshots of both managers.

Off is the option that an engine has (``router.timer.every = 0``), in the same build and with the
same handler: events are counted as ever, and no clock is read.
"""

from __future__ import annotations

import pytest

from benchmarks.conftest import Contestant, Interleaved
from benchmarks.line import MemoryLine, book_ticker_messages, feeding, reads_of, text_frame
from benchmarks.test_bench_line import MESSAGES, Spread, cexnet_listener


@pytest.mark.parametrize("per_read", [1, 16], ids=["one frame a read", "16 frames a read"])
async def test_timed_and_not(interleaved: Interleaved, per_read: int) -> None:
    """Goal: at most 5 % more, that is 0.95 of the rate without."""
    reads = reads_of([text_frame(message) for message in book_ticker_messages(MESSAGES)], per_read)
    contestants, lines, routers = [], [], []
    for name, every in (("telemetry on", 8), ("telemetry off", 0)):
        handler = Spread()
        reader, router = cexnet_listener(handler.on_event)
        router.timer.every = every
        line = MemoryLine(reader)
        feed = feeding(line, reads)

        def replay(router=router, feed=feed) -> None:
            router.reset()  # the same sequences again would count as reorders
            feed()

        contestants.append(Contestant(name, replay, operations=MESSAGES))
        lines.append(line)
        routers.append(router)
    try:
        interleaved(f"receive line timed, {per_read} a read", *contestants, goal=0.95)
    finally:
        for line in lines:
            line.close()
    timed, untimed = routers
    assert timed.total.count > timed.decoded.count > 0
    assert untimed.total.count == 0
