"""Contestants measured in turns, so that a machine whose speed drifts treats all of them alike.

Each round runs every contestant once, beginning with another one each time. A call is timed in a
compiled loop (``timeit``) with the garbage collector off; nothing is subtracted.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
import timeit
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

ROUND_NS = 8_000_000

# Runs the job so many times; how many nanoseconds that took.
Timed = Callable[[int], Awaitable[int]]


@dataclass(slots=True)
class Contestant:
    """One way of doing a job; ``operations`` of it in each call."""

    name: str
    timed: Timed
    operations: int = 1
    calls: int = 1
    samples_ns: list[float] = field(default_factory=list)

    async def calibrate(self, round_ns: int) -> None:
        """Find how many calls a round takes, and be warm after it."""
        while (elapsed_ns := await self.timed(self.calls)) < round_ns // 4:
            self.calls *= 2
        self.calls = max(1, int(self.calls * round_ns / elapsed_ns))

    async def run(self) -> None:
        """One round: the nanoseconds of one operation."""
        self.samples_ns.append(await self.timed(self.calls) / (self.calls * self.operations))


@dataclass(frozen=True, slots=True)
class Job:
    """What is measured: cexnet's way first, then what else one would use."""

    name: str
    title: str
    contestants: tuple[Contestant, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """One contestant's time for an operation over the rounds, in ns; ``ratio`` is to cexnet's median."""

    name: str
    median_ns: float
    p5_ns: float
    p95_ns: float
    ratio: float


def calling(call: Callable[..., Any], *arguments: Any) -> Timed:
    """A job that is one plain call."""
    names = [f"argument_{index}" for index in range(len(arguments))]
    timer = timeit.Timer(
        f"call({', '.join(names)})",
        timer=time.perf_counter_ns,
        globals={"call": call, **dict(zip(names, arguments, strict=True))},
    )

    async def timed(calls: int) -> int:
        return int(timer.timeit(calls))

    return timed


async def measure(
    contestants: tuple[Contestant, ...], rounds: int, told: Callable[[int], None], *, round_ns: int = ROUND_NS
) -> list[Score]:
    """Run all of them ``rounds`` times; ``told`` hears the number of each round."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        for each in contestants:
            await each.calibrate(round_ns)
        for number in range(rounds):
            told(number + 1)
            for index in range(len(contestants)):
                await contestants[(number + index) % len(contestants)].run()
                await asyncio.sleep(0)  # here Ctrl-C is heard
    finally:
        if collecting:
            gc.enable()
    ours_ns = statistics.median(contestants[0].samples_ns)
    return [_score(each, ours_ns) for each in contestants]


def _score(contestant: Contestant, ours_ns: float) -> Score:
    samples_ns = contestant.samples_ns
    median_ns = statistics.median(samples_ns)
    p5_ns, p95_ns = samples_ns[0], samples_ns[0]
    if len(samples_ns) > 1:
        twentieths = statistics.quantiles(samples_ns, n=20, method="inclusive")
        p5_ns, p95_ns = twentieths[0], twentieths[-1]
    return Score(contestant.name, median_ns, p5_ns, p95_ns, median_ns / ours_ns)
