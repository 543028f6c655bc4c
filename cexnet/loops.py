"""Event loops to run cexnet on: ``asyncio.Runner(loop_factory=fast_loop)``.

cexnet works on every asyncio loop; its sockets are read and written in compiled code on all
of them, so the choice matters less than elsewhere.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from importlib.util import find_spec

__all__ = ["fast_loop", "spinning_loop"]


class _SpinningSelector(selectors.DefaultSelector):
    """Asks again and again instead of sleeping in the kernel until something happens.

    The GIL is let go at each question: other threads go on, signals are seen.
    """

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the base class, at the cost of a core."""
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        end_s = float("inf") if timeout is None else time.monotonic() + timeout
        while not ready and time.monotonic() < end_s:
            ready = super().select(0)
        return ready


def fast_loop() -> asyncio.AbstractEventLoop:
    """uvloop's loop when it is installed (``pip install cexnet[uvloop]``), else asyncio's own."""
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def spinning_loop() -> asyncio.AbstractEventLoop:
    """A loop that never sleeps: the lowest latency, for the price of one core at 100 %.

    It spares the wake-up of a sleeping thread, which pays only on a core that nothing else
    wants: pin the process to it, and measure. On a machine whose cores are all busy the
    slowest answers come many times later than with a loop that sleeps.
    """
    return asyncio.SelectorEventLoop(_SpinningSelector())
