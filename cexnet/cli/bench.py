"""``cexnet bench``: how fast the parts are on this machine, beside what else one would use."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

import msgspec
from rich.console import Console
from rich.status import Status
from rich.text import Text

from cexnet import __version__
from cexnet.cli.benchmark.messages import decode_job, receive_job
from cexnet.cli.benchmark.round_trip import round_trip_job
from cexnet.cli.benchmark.rounds import Job, Score, measure
from cexnet.cli.benchmark.small import limit_job, record_job, sign_job
from cexnet.cli.draw import duration, table
from cexnet_core import build_info
from cexnet_core.errors import ConfigurationError

_PLAIN: dict[str, Callable[[], Job]] = {
    "decode": decode_job,
    "receive": receive_job,
    "sign": sign_job,
    "limit": limit_job,
    "record": record_job,
}
NAMES = (*_PLAIN, "rest")
# Alternatives that are measured where they are installed.
OPTIONAL = {
    "decode": ("orjson", "ujson"),
    "receive": ("orjson", "ujson"),
    "limit": ("aiolimiter",),
    "record": ("hdrh", "ddsketch", "prometheus_client"),
    "rest": ("httpx",),
}


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What the command line asked for; without ``names`` every job."""

    names: tuple[str, ...]
    rounds: int
    as_json: bool


async def run_bench(options: BenchOptions) -> None:
    """Measure job after job, then print. Ctrl-C ends it with the jobs that are finished.

    Raises ConfigurationError for an unknown job or a number of rounds below 1.
    """
    for name in options.names:
        if name not in NAMES:
            raise ConfigurationError(f"unknown job {name!r}: choose among {', '.join(NAMES)}")
    if options.rounds < 1:
        raise ConfigurationError(f"--rounds is {options.rounds}: give at least 1")
    names = tuple(dict.fromkeys(options.names)) or NAMES
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    done: list[tuple[Job, list[Score]]] = []
    interruption: asyncio.CancelledError | None = None
    with console.status("") as status:
        try:
            for name in names:
                async with _opened(name) as job:
                    told = _progress(job, names, options.rounds, console, status)
                    done.append((job, await measure(job.contestants, options.rounds, told)))
        except asyncio.CancelledError as cancelled:
            interruption = cancelled
    missing = sorted({each for name in names for each in OPTIONAL.get(name, ()) if find_spec(each) is None})
    if options.as_json:
        sys.stdout.write(msgspec.json.encode(_result(done, options.rounds, missing)).decode() + "\n")
    else:
        _print(done, options.rounds, missing)
    if interruption is not None:
        raise interruption


@asynccontextmanager
async def _opened(name: str) -> AsyncIterator[Job]:
    if name == "rest":
        async with round_trip_job() as job:
            yield job
    else:
        yield _PLAIN[name]()


def _progress(
    job: Job, names: tuple[str, ...], rounds: int, console: Console, status: Status
) -> Callable[[int], None]:
    place = f"{names.index(job.name) + 1} of {len(names)}: {job.title}"

    def told(number: int) -> None:
        if console.is_terminal:
            status.update(f"{place}, round {number} of {rounds}")
        elif number == 1:
            console.print(f"{place} ...")

    return told


def _result(done: list[tuple[Job, list[Score]]], rounds: int, missing: list[str]) -> dict[str, Any]:
    return {
        "cexnet": __version__,
        "build_mode": build_info.MODE,
        "python": platform.python_version(),
        "rounds": rounds,
        "jobs": [
            {"name": job.name, "title": job.title, "contestants": [asdict(score) for score in scores]}
            for job, scores in done
        ],
        "not_installed": missing,
    }


def _print(done: list[tuple[Job, list[Score]]], rounds: int, missing: list[str]) -> None:
    console = Console(highlight=False)
    for job, scores in done:
        console.print(job.title, style="bold")
        made = table(" " * 26, "median", "p5", "p95", "over cexnet", numbers_width=9)
        for score in scores:
            times = (duration(ns) for ns in (score.median_ns, score.p5_ns, score.p95_ns))
            ours = score is scores[0]
            ratio = "" if ours else f"{score.ratio:.1f}x"
            made.add_row(Text(score.name, style="green" if ours else ""), *times, ratio)
        console.print(made)
        console.print()
    console.print(f"{rounds} interleaved rounds; `over cexnet` is their median over ours.", style="dim")
    if missing:
        console.print(f"not installed, so not measured: {', '.join(missing)}", style="dim")
