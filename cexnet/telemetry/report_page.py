"""A report as one HTML page that needs nothing from elsewhere: no script, no font, no picture.

``page`` is a pure function of the report. Every text that is not written here is escaped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from html import escape

from cexnet.telemetry.report_charts import latency_timeline, percentile_chart, rate_chart
from cexnet.telemetry.report_data import Kept, Line, Pauses, Report, Slow
from cexnet.telemetry.report_style import STYLE
from cexnet.telemetry.report_text import duration, share

_HALF, _WHOLE, _TALL, _NARROW = (528.0, 330.0), (1098.0, 270.0), (1098.0, 360.0), (350.0, 280.0)
_COLUMNS = (50.0, 90.0, 99.0, 99.9)
_SHOWN_PAUSES = 8


def page(report: Report) -> str:
    """The whole page."""
    sections = (
        _header(report),
        _tiles(report.figures),
        _targets(report.targets),
        _lines(report.lines),
        _timeline(report),
        _slowest(report.slowest),
        _pauses(report.pauses),
        _counts(report.counts),
        _environment(report),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(section for section in sections if section)
        + f"\n<footer>Written by cexnet {escape(report.version)}. Point at a curve to read its values."
        "</footer>\n</main></body></html>\n"
    )


def _header(report: Report) -> str:
    began = time.strftime(" from %Y-%m-%d %H:%M:%S UTC", time.gmtime(report.began_ts_ns / 1e9))
    return (
        f"<header><div><h1>{escape(report.title)}</h1><p>{escape(report.source)}, {report.seconds:.1f} s"
        f"{began if report.began_ts_ns else ''}</p></div>{_verdict(report.targets)}</header>"
    )


def _verdict(targets: Sequence[Kept]) -> str:
    judged = [target for target in targets if target.is_judged]
    missed = [target for target in judged if not target.is_kept]
    if not judged:
        return '<span class="badge few">too few records to judge a target</span>' if targets else ""
    if missed:
        return f'<span class="badge bad">✗ {len(missed)} of {len(judged)} targets missed</span>'
    if len(judged) < len(targets):
        return f'<span class="badge good">✓ {len(judged)} of {len(targets)} targets kept, none missed</span>'
    every = "the target" if len(judged) == 1 else f"all {len(judged)} targets"
    return f'<span class="badge good">✓ {every} kept</span>'


def _tiles(figures: Iterable[tuple[str, str]]) -> str:
    tiles = [
        f"<div class='tile'><b>{escape(value)}</b><span>{escape(name)}</span></div>"
        for name, value in figures
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _targets(targets: Sequence[Kept]) -> str:
    if not targets:
        return ""
    rows = []
    for each in targets:
        if not each.count:
            verdict, style = "no record", "few"
        elif not each.is_judged:
            verdict, style = f"too few: {each.count} of {each.least} records", "few"
        elif each.is_kept:
            verdict, style = "✓ kept", "good"
        else:
            verdict, style = "✗ missed", "bad"
        used = each.allowance_used
        rows.append(
            f'<tr><td>{escape(each.manager)} {escape(each.target)}</td><td class="{style}">{verdict}</td>'
            f"<td>{duration(each.limit_ns)}</td><td>{share(each.within, each.count)}</td>"
            f'<td>{100 * each.share:g} %</td><td class="{style}"><div class="meter">'
            f'<i style="width:{min(100.0, 100 * used):.1f}%"></i></div></td><td>{100 * used:,.0f} %</td>'
            f"<td>{each.count - each.within:,} of {each.count:,}</td>"
            f"<td>{_time(each.p99_ns, each.count)}</td><td>{_time(each.max_ns, each.count)}</td></tr>"
        )
    heads = ("target", "", "limit", "within", "wanted", "", "allowance used", "violations", "p99", "max")
    return _section(
        "Targets",
        "The share of records that kept to the limit beside the share that should. What may exceed it is an "
        "allowance: a target is missed when more than all of it is used. Where a single record would "
        "decide, there are too few to judge.",
        _card(_table(heads, "".join(rows))),
    )


def _lines(lines: Sequence[Line]) -> str:
    cards = []
    drawn = [(line, [curve for curve in line.curves if curve.points]) for line in lines]
    drawn = [(line, curves) for line, curves in drawn if curves]
    for line, curves in drawn:
        chart = _chart(partial(percentile_chart, curves, line.limit_ns), _TALL if len(drawn) == 1 else _HALF)
        rows = "".join(
            f'<tr><td><span class="key c{index % 6}"><i>{escape(curve.stage)}</i></span></td>'
            + "".join(f"<td>{'-' if (ns := curve.at(p)) is None else duration(ns)}</td>" for p in _COLUMNS)
            + f"<td>{duration(curve.max_ns)}</td><td>{curve.count:,}</td></tr>"
            for index, curve in enumerate(curves)
        )
        heads = ("stage", *(f"p{p:g}" for p in _COLUMNS), "max", "count")
        about = "requests and their answers"
        if line.kind == "receive":
            about = "from the socket read to the handler's return: a message waits for those read with it"
        cards.append(
            _card(
                f"<h3>{escape(line.manager)} {escape(line.kind)}</h3><p class='sub'>{about}</p>"
                f"{chart}{_table(heads, rows)}"
            )
        )
    if not cards:
        return ""
    return _section(
        "Latency by percentile",
        "How long the slower ones took, stage by stage: to the right are the rare and slow. Both scales "
        "give the tail its room.",
        f'<div class="pair">{"".join(cards)}</div>',
    )


def _timeline(report: Report) -> str:
    slices = report.slices
    if len(slices) < 2:
        return ""
    cards = []
    if any(each.messages for each in slices):
        chart = _chart(
            lambda width, height: rate_chart(slices, lambda s: s.messages, "messages", width, height), _WHOLE
        )
        cards.append(_card(f"<h3>Messages per second</h3>{chart}"))
    if sum(1 for each in slices if each.p99_ns is not None) > 1:
        limit = next((line.limit_ns for line in report.lines if line.kind == "receive"), None)
        notable = report.pauses.notable if report.pauses is not None else ()
        chart = _chart(lambda width, height: latency_timeline(slices, notable, limit, width, height), _WHOLE)
        names = [("c3", "maximum"), ("c1", "p99"), ("c0", "median")]
        if notable:
            names.append(("pause", "garbage collection"))
        legend = "".join(f'<span class="{style}"><i>{name}</i></span>' for style, name in names)
        cards.append(_card(f'<h3>Receive to handled</h3><div class="legend">{legend}</div>{chart}'))
    if any(each.requests for each in slices):
        chart = _chart(
            lambda width, height: rate_chart(slices, lambda s: s.requests, "requests", width, height), _WHOLE
        )
        cards.append(_card(f"<h3>REST requests per second</h3>{chart}"))
    about = f"In slices of {slices[0].seconds:.2g} s."
    return _section("Over time", about, "".join(cards)) if cards else ""


def _slowest(slowest: Sequence[Slow]) -> str:
    lines: dict[str, list[Slow]] = {}
    for slow in slowest:
        lines.setdefault(f"{slow.manager} {slow.line}", []).append(slow)
    cards = [_slow_card(title, records) for title, records in lines.items()]
    if not cards:
        return ""
    about = "Where their time went, as far as it was timed, and what else happened meanwhile."
    return _section("The slowest", about, f'<div class="pair">{"".join(cards)}</div>')


def _slow_card(title: str, records: Sequence[Slow]) -> str:
    names = list(dict.fromkeys(name for slow in records for name, _ in slow.stages))
    per_ns = 100.0 / max(1, *(slow.total_ns for slow in records))
    legend = "".join(f'<span class="c{n % 6}"><i>{escape(name)}</i></span>' for n, name in enumerate(names))
    rows = []
    for slow in records:
        parts = [(f"c{names.index(name) % 6}", name, ns) for name, ns in slow.stages]
        parts.append(("rest", "not timed apart", slow.total_ns - sum(ns for _, ns in slow.stages)))
        bar = "".join(
            f'<i class="{style}" style="width:{ns * per_ns:.2f}%" title="{escape(name)} {duration(ns)}"></i>'
            for style, name, ns in parts
            if ns > 0
        )
        told = ", ".join(f"{escape(name)} {duration(ns)}" for name, ns in slow.stages if ns > 0)
        under = "; ".join(part for part in (f"at {slow.at_s:.2f} s", told, escape(slow.note)) if part)
        rows.append(
            f'<div class="slow"><div><span>{escape(slow.what)}</span><b>{duration(slow.total_ns)}</b></div>'
            f'<div class="bar">{bar}</div><div class="sub">{under}</div></div>'
        )
    legend = f'<div class="legend">{legend}</div>' if legend else ""
    return _card(f"<h3>{escape(title)}</h3>{legend}{''.join(rows)}")


def _pauses(pauses: Pauses | None) -> str:
    if pauses is None:
        return ""
    if not pauses.count:
        return _section("Garbage collection", "There was none.", "")
    longest = sorted(pauses.notable, key=lambda each: each.duration_ns, reverse=True)[:_SHOWN_PAUSES]
    about = (
        f"{pauses.count:,} collections took {duration(pauses.total_ns)} together, the longest "
        f"{duration(pauses.max_ns)}; each stops the event loop. cexnet.telemetry.tame_gc() makes them rare."
    )
    rows = "".join(
        f"<tr><td>{each.at_s:.2f} s</td><td>{duration(each.duration_ns)}</td><td>{each.generation}</td></tr>"
        for each in longest
    )
    table = _table(("at", "pause", "generation"), rows)
    return _section("Garbage collection", about, _card(f'<div class="small">{table}</div>') if rows else "")


def _counts(counts: Sequence[tuple[str, tuple[tuple[str, int], ...]]]) -> str:
    cards = []
    for title, numbers in counts:
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{count:,}</td></tr>" for name, count in numbers)
        if rows:
            cards.append(_card(f"<h3>{escape(title)}</h3><table>{rows}</table>"))
    return _section("Counts", "", f'<div class="counts">{"".join(cards)}</div>') if cards else ""


def _environment(report: Report) -> str:
    body = ""
    if report.environment:
        facts = "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in report.environment
        )
        body += _card(f"<dl>{facts}</dl>")
    if report.advice:
        lines = "".join(f"<li>{escape(line)}</li>" for line in report.advice)
        body += _card(f"<h3>What would help here</h3><ul>{lines}</ul>")
    return _section("Environment", "What `cexnet doctor` finds on this machine.", body) if body else ""


def _section(title: str, about: str, body: str) -> str:
    note = f'<p class="note">{escape(about)}</p>' if about else ""
    return f"<section><h2>{escape(title)}</h2>{note}{body}</section>"


def _card(body: str) -> str:
    return f'<div class="card">{body}</div>'


def _table(heads: Sequence[str], rows: str) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _chart(draw: Callable[[float, float], str], size: tuple[float, float]) -> str:
    """Drawn twice, for a wide and for a narrow page; the style sheet shows one."""
    wide, narrow = draw(*size), draw(*_NARROW)
    return f'<div class="chart"><div class="wide">{wide}</div><div class="narrow">{narrow}</div></div>'


def _time(ns: int, count: int) -> str:
    return duration(ns) if count else "-"
