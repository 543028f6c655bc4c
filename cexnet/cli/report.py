"""``cexnet report``: one HTML page about a run, a recording, or what a command has printed as JSON."""

from __future__ import annotations

import asyncio
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from cexnet import __version__
from cexnet.cli.doctor import examine, label, text
from cexnet.cli.report_replay import report_recording
from cexnet.cli.report_run import report_run
from cexnet.recording import open_recording
from cexnet.telemetry.report_data import Curve, Line, Report
from cexnet.telemetry.report_page import page
from cexnet.telemetry.report_text import duration
from cexnet_core.errors import ConfigurationError

DEFAULT_OUT = Path("cexnet-report.html")


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What the command line asked for; without ``file`` the embedded exchange is run."""

    file: Path | None
    out: Path
    exchange: str | None
    seconds: float
    rate_per_s: float
    as_json: bool


async def run_report(options: ReportOptions) -> None:
    """Measure or read, then write the page. Ctrl-C ends a run early, with the report of it.

    Raises CexnetError for whatever cannot start, be read or be written.
    """
    if not 0 < options.seconds < math.inf:
        raise ConfigurationError(f"--seconds is {options.seconds:g}: give a time above 0")
    if options.file is not None and options.file == options.out:
        raise ConfigurationError(f"--out is {options.out}, which is the file to report on: name another")
    if not options.as_json and options.out.is_dir():
        raise ConfigurationError(f"--out is {options.out}, which is a folder: name a file in it")
    if not options.as_json and not options.out.parent.is_dir():
        raise ConfigurationError(f"--out is {options.out}, but there is no folder {options.out.parent}")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    interruption: asyncio.CancelledError | None = None
    if options.file is None:
        report, interruption = await report_run(
            options.exchange or "binance", options.seconds, options.rate_per_s, console
        )
        report = _with_environment(report)
    elif _is_json(options.file):
        report = read_json(options.file)
    else:
        report = _with_environment(
            await report_recording(open_recording(options.file), options.exchange, console)
        )
    if options.as_json:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        try:
            options.out.write_text(page(report), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"cannot write {options.out}: {error.strerror}") from None
        console.print(f"wrote {options.out}: open it in a browser", markup=False)
    if interruption is not None:
        raise interruption


def read_json(path: Path) -> Report:
    """A report of what ``cexnet report --json`` or ``cexnet demo --json`` printed.

    Raises ConfigurationError for anything else.
    """
    raw = path.read_bytes()
    try:
        content = msgspec.json.decode(raw)
        if isinstance(content, dict) and "receive_to_handled_ns" in content:
            return of_demo(content, path.name)
        return msgspec.json.decode(raw, type=Report)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{path} is no result of `cexnet demo --json` or `cexnet report --json`: {error}"
        ) from None


def of_demo(result: dict[str, Any], name: str) -> Report:
    """What little a demo's result tells: counts and a few percentiles."""
    times, rest = result["receive_to_handled_ns"], result["rest"]
    events = sum(result["events"].values())
    points = ((50.0, times["p50"]), (99.0, times["p99"]), (99.9, times["p999"]))
    handled = Curve("receive to handled", events, times["max"], points)
    lines = [Line(result["exchange"], "receive", (handled,))] if events else []
    figures = [
        ("messages", f"{result['messages']:,}"),
        ("messages per second", f"{result['messages_per_s']:,.0f}"),
        ("receive to handled, median", duration(times["p50"])),
        ("receive to handled, p99", duration(times["p99"])),
    ]
    if rest["p50_us"] is not None:
        figures += [
            ("REST request, median", duration(rest["p50_us"] * 1e3)),
            ("REST request, p99", duration(rest["p99_us"] * 1e3)),
        ]
    troubles = ("gaps", "duplicates", "reorders", "dropped", "handler_errors", "reconnects", "lost_uncounted")
    exchange = result["exchange"]
    return Report(
        title=f"cexnet on {exchange}",
        source=f"result of cexnet demo in {name}",
        version=__version__,
        began_ts_ns=0,
        seconds=result["seconds"],
        figures=tuple(figures),
        lines=tuple(lines),
        counts=(
            (f"{exchange}: events", tuple(result["events"].items())),
            (f"{exchange}: decoded by", tuple(result["decode"].items())),
            (
                f"{exchange}: trouble",
                tuple((what.replace("_", " "), result[what]) for what in troubles if what in result),
            ),
            (f"{exchange}: REST", tuple((what, rest[what]) for what in ("requests", "errors"))),
        ),
    )


def _with_environment(report: Report) -> Report:
    facts = examine()
    advice = tuple(facts.pop("advice"))
    environment = tuple((label(name), text(value)) for name, value in facts.items() if value is not None)
    return replace(report, environment=environment, advice=advice)


def _is_json(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip()[:1] == b"{"
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
