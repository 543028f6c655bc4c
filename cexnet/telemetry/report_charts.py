"""Charts as SVG text, for a page that needs nothing from elsewhere.

Colours are CSS variables of the page, so that one drawing serves light and dark. Each chart is
drawn for a width in CSS pixels: a text that is scaled cannot be read on a telephone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

from cexnet.telemetry.report_data import Curve, Pause, Slice
from cexnet.telemetry.report_text import duration

_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 14.0, 12.0, 28.0
_NINES = ((50.0, "50"), (90.0, "90"), (99.0, "99"), (99.9, "99.9"), (99.99, "99.99"),
          (99.999, "99.999"))  # fmt: skip
_TICK_PX = 64.0


@dataclass(frozen=True, slots=True)
class Plot:
    """A frame with two axes; ``x`` and ``y`` turn values into pixels."""

    width: float
    height: float
    x: Callable[[float], float]
    y: Callable[[float], float]

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        """The points as the data of a path."""
        return "M" + "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in points)

    def svg(self, label: str, body: Sequence[str]) -> str:
        """The whole drawing, with ``label`` for those who cannot see it."""
        return (
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" '
            f'height="{self.height:g}" role="img" aria-label="{escape(label)}">{"".join(body)}</svg>'
        )

    def horizontal(self, y: float, text: str) -> str:
        """A grid line with its value at the left."""
        at = self.y(y)
        return (
            f'<path class="grid" d="M{_LEFT} {at:.1f}H{self.width - _RIGHT:g}"/>'
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        )

    def below(self, x: float, text: str, *, line: bool = False, anchor: str = "middle") -> str:
        """A value under the frame, and perhaps its grid line."""
        at, foot = self.x(x), self.height - _BOTTOM
        drawn = f'<path class="grid faint" d="M{at:.1f} {_TOP}V{foot:g}"/>' if line else ""
        return f'{drawn}<text x="{at:.1f}" y="{foot + 18:g}" text-anchor="{anchor}">{escape(text)}</text>'

    def limit(self, y: float, text: str) -> str:
        """A dashed line that should not be crossed."""
        at = self.y(y)
        return (
            f'<path class="limit" d="M{_LEFT} {at:.1f}H{self.width - _RIGHT:g}"/>'
            f'<text class="limit-text" x="{_LEFT + 6}" y="{at - 5:.1f}">{escape(text)}</text>'
        )


def percentile_chart(curves: Sequence[Curve], limit_ns: int | None, width: float, height: float) -> str:
    """Time over percentile, both on scales that give the tail its room: one curve a stage."""
    most = max(curve.count for curve in curves)
    end = max(1.0, min(6.0, math.log10(max(10, most))))
    low = min(max(1, curve.points[0][1]) for curve in curves)
    high = max(max(curve.max_ns, curve.points[-1][1], 10) for curve in curves)
    if limit_ns is not None:
        high = max(high, limit_ns)
    decades = _decades(low, high)
    plot = _plot(width, height, (0.0, end), decades)
    body = _durations(plot, decades)
    free = plot.x(end) - _TICK_PX
    ticks = [(nines(p), f"p{text}") for p, text in _NINES if plot.x(nines(p)) < free]
    body += [plot.below(at, text, line=True) for at, text in ticks]
    body.append(plot.below(end, "max", anchor="end"))
    if limit_ns is not None:
        body.append(plot.limit(math.log10(limit_ns), f"target {duration(limit_ns)}"))
    for index, curve in enumerate(curves):
        points = [(min(end, nines(p)), math.log10(max(1, ns))) for p, ns in curve.points]
        points.append((end, math.log10(max(1, curve.max_ns))))
        body.append(f'<path class="curve c{index % 6}" d="{plot.path(points)}"/>')
        for (x, y), (p, ns) in zip(points, (*curve.points, (100.0, curve.max_ns)), strict=True):
            told = f"{curve.stage}, {'max' if p == 100.0 else f'p{p:g}'}: {duration(ns)}"
            body.append(_dot(plot, x, y, f"dot c{index % 6}", told))
    names = ", ".join(curve.stage for curve in curves)
    return plot.svg(f"Latency percentiles of {names}", body)


def rate_chart(
    slices: Sequence[Slice], count: Callable[[Slice], int], what: str, width: float, height: float
) -> str:
    """How many a second, over time."""
    rates = [(each.at_s - each.seconds / 2, count(each) / each.seconds) for each in slices]
    step, top = _steps(max(rate for _, rate in rates), max(2, int((height - _TOP - _BOTTOM) / 40)))
    plot = _plot(width, height, _span(slices), (0.0, top))
    body = [plot.horizontal(step * n, _compact(step * n)) for n in range(round(top / step) + 1)]
    body += _seconds(plot, slices)
    line = plot.path(rates)
    foot = plot.y(0.0)
    body.append(
        f'<path class="area" d="{line}L{plot.x(rates[-1][0]):.1f} {foot:.1f}'
        f'L{plot.x(rates[0][0]):.1f} {foot:.1f}Z"/><path class="curve c0" d="{line}"/>'
    )
    body += [
        _dot(plot, x, y, "dot c0", f"{each.at_s - each.seconds:.1f} to {each.at_s:.1f} s: {y:,.0f} {what}/s")
        for (x, y), each in zip(rates, slices, strict=True)
    ]
    return plot.svg(f"{what} per second over time", body)


def latency_timeline(
    slices: Sequence[Slice], pauses: Sequence[Pause], limit_ns: int | None, width: float, height: float
) -> str:
    """Median, p99 and maximum over time, with garbage collections as marks at the foot."""
    timed = [each for each in slices if each.p99_ns is not None]
    low = min(max(1, each.p50_ns or 1) for each in timed)
    high = max(max(each.max_ns or 1 for each in timed), limit_ns or 1)
    decades = _decades(low, high)
    plot = _plot(width, height, _span(slices), decades)
    body = _durations(plot, decades)
    body += _seconds(plot, slices)
    foot = height - _BOTTOM
    for pause in pauses:
        at = plot.x(pause.at_s)
        told = f"garbage collection at {pause.at_s:.2f} s: {duration(pause.duration_ns)}"
        body.append(
            f'<path class="pause" d="M{at:.1f} {foot:g}v-14"><title>'
            f"{escape(told)}, generation {pause.generation}</title></path>"
        )
    if limit_ns is not None:
        body.append(plot.limit(math.log10(limit_ns), f"target {duration(limit_ns)}"))
    series = (
        ("max", "c3 thin", [each.max_ns or 1 for each in timed]),
        ("p99", "c1", [each.p99_ns or 1 for each in timed]),
        ("p50", "c0", [each.p50_ns or 1 for each in timed]),
    )
    for name, style, values in series:
        points = [
            (each.at_s - each.seconds / 2, math.log10(max(1, ns)))
            for each, ns in zip(timed, values, strict=True)
        ]
        body.append(f'<path class="curve {style}" d="{plot.path(points)}"/>')
        for (x, y), each, ns in zip(points, timed, values, strict=True):
            body.append(_dot(plot, x, y, f"dot {style}", f"{each.at_s:.1f} s, {name}: {duration(ns)}"))
    return plot.svg("Median, 99th percentile and maximum latency over time", body)


def nines(percentile: float) -> float:
    """Where a percentile stands on a scale of nines: 90 at 1, 99 at 2, 99.9 at 3."""
    return -math.log10(max(1e-9, 1.0 - percentile / 100.0))


def _plot(width: float, height: float, x: tuple[float, float], y: tuple[float, float]) -> Plot:
    across, up = width - _LEFT - _RIGHT, height - _TOP - _BOTTOM
    (x0, x1), (y0, y1) = x, y
    return Plot(
        width,
        height,
        lambda value: _LEFT + across * (value - x0) / ((x1 - x0) or 1.0),
        lambda value: _TOP + up * (1.0 - (value - y0) / ((y1 - y0) or 1.0)),
    )


def _decades(low_ns: float, high_ns: float) -> tuple[float, float]:
    """A logarithmic axis with some air; at least a decade."""
    low, high = math.log10(low_ns) - 0.15, math.log10(high_ns) + 0.2
    return min(low, math.floor(high)), max(high, math.ceil(low))


def _durations(plot: Plot, decades: tuple[float, float]) -> list[str]:
    """A line for each decade; for 2 and 5 of each too, where there are few."""
    low, high = decades
    steps = (1, 2, 5) if high - low < 2 else (1,)
    values = [step * 10.0**decade for decade in range(math.floor(low), math.ceil(high) + 1) for step in steps]
    inside = [value for value in values if low <= math.log10(value) <= high]
    return [plot.horizontal(math.log10(value), duration(value)) for value in inside]


def _span(slices: Sequence[Slice]) -> tuple[float, float]:
    return slices[0].at_s - slices[0].seconds, slices[-1].at_s


def _seconds(plot: Plot, slices: Sequence[Slice]) -> list[str]:
    first_s, last_s = _span(slices)
    step, _ = _steps(last_s - first_s, max(2, int((plot.width - _LEFT) / _TICK_PX)))
    ticks = [n * step for n in range(math.ceil(first_s / step), math.floor(last_s / step) + 1)]
    return [plot.below(at, f"{at:g} s", anchor="end" if at > last_s - step / 4 else "middle") for at in ticks]


def _steps(top: float, most: int) -> tuple[float, float]:
    """A round step that reaches ``top`` in at most ``most`` of them, and where the last one ends."""
    if top <= 0:
        return 1.0, 1.0
    raw = top / most
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * magnitude >= raw)
    return step, step * math.ceil(top / step)


def _compact(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if value >= 10_000 else f"{value:g}"


def _dot(plot: Plot, x: float, y: float, style: str, told: str) -> str:
    return (
        f'<circle class="{style}" cx="{plot.x(x):.1f}" cy="{plot.y(y):.1f}" r="5">'
        f"<title>{escape(told)}</title></circle>"
    )
