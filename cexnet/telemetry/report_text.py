"""Numbers as a report's readers see them."""

from __future__ import annotations


def duration(ns: float) -> str:
    """A time in the unit that suits it: three digits are enough to compare."""
    for unit, size in (("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)):
        if ns < size * 999.5 or unit == "s":
            value = ns / size
            return f"{value:.3g} {unit}" if value < 100 or unit == "s" else f"{value:.0f} {unit}"
    raise AssertionError("every duration has a unit")


def share(within: int, count: int) -> str:
    """A share in percent, never rounded up to a whole that it is not."""
    if count == 0:
        return "-"
    percent = 100.0 * within / count
    if within == count:
        return "100 %"
    return f"{min(percent, 99.999):.3f} %" if percent > 99 else f"{percent:.1f} %"
