"""Commands that look at this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cexnet.cli.bench import BenchOptions, run_bench
from cexnet.cli.commands.options import AsJson
from cexnet.cli.doctor import print_doctor
from cexnet.cli.report import DEFAULT_OUT, ReportOptions, run_report
from cexnet.cli.running import run_until_told


def doctor(*, json: AsJson = False) -> None:
    """Say what this machine gives cexnet: build, libcrypto, SIMD, clocks, limits; with advice."""
    print_doctor(as_json=json)


def report(
    file: Path | None = None,
    /,
    *,
    out: Path = DEFAULT_OUT,
    seconds: float = 5.0,
    exchange: str | None = None,
    rate: float = 2000.0,
    json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Write one HTML page: latencies by percentile and over time, targets, the slowest, this machine.

    The page needs nothing from elsewhere and can be sent on. Without FILE the embedded exchange
    is run: no network, no keys, no configuration.

    Parameters
    ----------
    file
        Report on this instead: a recording or a text capture (fed through the receive line at
        full speed), or what `cexnet demo --json` or `cexnet report --json` printed.
    out
        Where to write the page; what is there is replaced.
    seconds
        How long to run; Ctrl-C ends it early, with the report of what was.
    exchange
        The exchange to run, binance by default; for a recording that does not say, whose it is.
    rate
        Messages a second that the embedded exchange makes up, in total.
    json
        Print the report's data as one JSON object instead of writing the page.
    """
    run_until_told(run_report(ReportOptions(file, out, exchange, seconds, rate, json)))


def bench(*jobs: str, rounds: int = 15, json: AsJson = False) -> None:
    """Measure the parts of cexnet on this machine, beside what else one would use.

    Contestants take turns in one process; the figures are medians over the rounds, with the 5th
    and 95th percentile. Close other programs first: the spread tells how quiet the machine was.

    Parameters
    ----------
    jobs
        Which ones: decode, receive, sign, limit, record, rest; by default all of them.
    rounds
        How many rounds; more are steadier and take longer.
    """
    run_until_told(run_bench(BenchOptions(jobs, rounds, json)))
