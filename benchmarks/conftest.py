"""The ``interleaved`` fixture: contestants measured in turns, in one process.

A machine's speed drifts (turbo, neighbours, heat), so contestants that ran one
after the other cannot be compared. Here each round runs every contestant once,
starting with another one each time, and the medians over the rounds are compared.

A call is timed in a compiled loop over the bare call, as ``timeit`` does it, with
the garbage collector off; nothing is subtracted. ``--quick`` takes fewer, shorter
rounds, enough to see that a benchmark runs.
"""

from __future__ import annotations

import gc
import statistics
import time
import timeit
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS, FINE_ROUNDS, QUICK_ROUNDS = 31, 301, 5
ROUND_NS, FINE_ROUND_NS, QUICK_ROUND_NS = 20_000_000, 2_000_000, 2_000_000


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way of doing the job: ``call(*args)`` does it ``operations`` times.

    ``returns_ns``: the call measures itself and returns the nanoseconds that its
    ``operations`` took, for jobs with a warm-up or CPU time of their own.
    """

    name: str
    call: Callable[..., Any]
    args: tuple[Any, ...] = ()
    operations: int = 1
    returns_ns: bool = False


class Runner:
    """Times one contestant, in loops long enough for the clock."""

    def __init__(self, contestant: Contestant, round_ns: int) -> None:
        self.contestant = contestant
        self.samples_ns: list[float] = []
        self._calls = 1
        names = [f"argument_{index}" for index in range(len(contestant.args))]
        values = dict(zip(names, contestant.args, strict=True))
        self._timer = timeit.Timer(
            f"call({', '.join(names)})",
            setup="; ".join(f"{name} = given[{name!r}]" for name in ("call", *names)),
            timer=time.perf_counter_ns,
            globals={"given": {"call": contestant.call, **values}},
        )
        if not contestant.returns_ns:
            while (elapsed := self._timer.timeit(self._calls)) < round_ns // 4:
                self._calls *= 2
            self._calls = max(1, int(self._calls * round_ns / elapsed))

    def run(self) -> None:
        """One round: append nanoseconds for each operation."""
        if self.contestant.returns_ns:
            elapsed, calls = self.contestant.call(*self.contestant.args), 1
        else:
            elapsed, calls = self._timer.timeit(self._calls), self._calls
        self.samples_ns.append(elapsed / (calls * self.contestant.operations))


def spread(samples: Sequence[float]) -> dict[str, float]:
    """Median, 5th and 95th percentile."""
    twentieths = statistics.quantiles(samples, n=20, method="inclusive")
    return {"median": statistics.median(samples), "p5": twentieths[0], "p95": twentieths[-1]}


def over(theirs: Runner, ours: Runner, *, fine: bool) -> dict[str, float]:
    """Their time over ours: of the medians, with the spread of the rounds' ratios.

    ``fine``: the median of the rounds' ratios. The two of a round ran side by side, so that a change of
    the machine's speed between rounds, larger than what is looked for, cancels out.
    """
    pairs = zip(theirs.samples_ns, ours.samples_ns, strict=True)
    ratio = spread([their_ns / our_ns for their_ns, our_ns in pairs])
    if not fine:
        ratio["median"] = statistics.median(theirs.samples_ns) / statistics.median(ours.samples_ns)
    return ratio


Interleaved = Callable[..., float]


@pytest.fixture
def interleaved(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Interleaved:
    """``interleaved(title, ours, *others, goal=...)``: the ratio best alternative / ours.

    ``goal`` is the ratio aimed at, over the best of ``others`` or, with ``against``,
    over the one so named; ``also`` names others to compare with, each with its goal.
    A missed goal is recorded, not raised: a benchmark informs. ``fine`` takes ten times as many
    rounds, short ones, for differences of a few percent.
    """
    quick = request.config.getoption("--quick")

    def measure(
        title: str,
        ours: Contestant,
        *others: Contestant,
        goal: float | None = None,
        against: str | None = None,
        also: Mapping[str, float | None] | None = None,
        fine: bool = False,
    ) -> float:
        round_ns = QUICK_ROUND_NS if quick else FINE_ROUND_NS if fine else ROUND_NS
        rounds = QUICK_ROUNDS if quick else FINE_ROUNDS if fine else ROUNDS
        runner = Runner(ours, round_ns)
        rivals = [Runner(other, round_ns) for other in others]
        everyone = [runner, *rivals]
        turn = 0

        def one_round() -> None:
            nonlocal turn
            for index in range(len(everyone)):
                everyone[(turn + index) % len(everyone)].run()
            turn += 1

        collecting = gc.isenabled()
        gc.disable()
        try:
            benchmark.pedantic(one_round, rounds=rounds, warmup_rounds=1)
        finally:
            if collecting:
                gc.enable()
        for each in everyone:
            del each.samples_ns[0]  # the warm-up round
        result = {each.contestant.name: spread(each.samples_ns) for each in everyone}
        named = [rival for rival in rivals if against in (None, rival.contestant.name)]
        best = min(named, key=lambda rival: result[rival.contestant.name]["median"])
        ratio = over(best, runner, fine=fine)
        benchmark.extra_info.update(
            title=title, ours=ours.name, best=best.contestant.name, goal=goal, ratio=ratio, ns=result
        )
        by_name = {rival.contestant.name: rival for rival in rivals}
        benchmark.extra_info["also"] = [
            {"best": name, "goal": wanted, "ratio": over(by_name[name], runner, fine=fine)}
            for name, wanted in (also or {}).items()
        ]
        return ratio["median"]

    return measure


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--quick``: a few short rounds."""
    parser.addoption("--quick", action="store_true", help="few and short rounds: does it run?")


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """The machine's own name is nobody's business."""
    machine_info.pop("node", None)
