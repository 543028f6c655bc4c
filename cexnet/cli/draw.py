"""What the live views are made of: numbers as text, a table of latencies, a line of bars."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """One stage: its percentiles and its greatest value in ns, NaN where unknown."""

    name: str
    p50_ns: float
    p99_ns: float
    p999_ns: float
    max_ns: float
    count: int


def heading(left: str, right: str = "") -> Table:
    """One line: a title, and something small at the right margin."""
    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(no_wrap=True, min_width=len(left))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_row(Text(left, style="bold"), Text(right, style="dim"))
    return grid


def table(first: str, *others: str, numbers_width: int = 1) -> Table:
    """A table over the whole width: the first column names, the others are numbers.

    A ``numbers_width`` keeps columns from moving when their numbers grow by a digit.
    """
    made = Table(
        expand=True,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
        header_style="bold cyan",
    )
    made.add_column(first, no_wrap=True)
    for name in others:
        made.add_column(name, justify="right", no_wrap=True, min_width=numbers_width)
    return made


def latency_table(title: str, rows: Iterable[LatencyRow], *, last: str = "max", left_out: int = 0) -> Table:
    """The stages below each other, and how many there was no room for."""
    made = table(title, "p50", "p99", "p99.9", last, "count", numbers_width=8)
    for row in rows:
        times = (row.p50_ns, row.p99_ns, row.p999_ns, row.max_ns)
        made.add_row(row.name, *map(duration, times), f"{row.count:,}")
    add_left_out(made, left_out)
    return made


def add_left_out(made: Table, count: int) -> None:
    """A last row that says how many more there are, if there are any."""
    if count:
        made.add_row(f"... {count} more", style="dim")


def bars(values: Iterable[float], width: int) -> str:
    """The newest ``width`` values as bars from zero to the greatest."""
    shown = list(values)[-width:] if width > 0 else []
    top = max(shown, default=0.0)
    if top <= 0:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * len(_BARS)))] for value in shown)


def number(value: float, places: int) -> str:
    """A price or a size with so many decimals."""
    return "-" if math.isnan(value) else f"{value:,.{places}f}"


def decimals(value: float) -> int:
    """How many decimals a price needs, up to 8."""
    if math.isnan(value):
        return 0
    return len(f"{value:.8f}".rstrip("0").partition(".")[2])


def duration(ns: float) -> str:
    """A time in the unit that suits it."""
    if math.isnan(ns):
        return "-"
    if math.isinf(ns):
        return "beyond"
    if ns < 1_000:
        return f"{ns:.0f} ns"
    if ns < 1_000_000:
        return f"{ns / 1_000:.1f} us"
    if ns < 10_000_000_000:
        return f"{ns / 1_000_000:,.1f} ms"
    return f"{ns / 1_000_000_000:,.0f} s"


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
