"""``cexnet top``: a running engine from outside, by the metrics that it serves."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import aiohttp
import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from yarl import URL

from cexnet.cli.draw import LatencyRow, add_left_out, bars, heading, latency_table, table
from cexnet.cli.scrape import Buckets, ManagerSample, Scrape, metrics_url, scrape
from cexnet.cli.screen import LiveScreen, can_show
from cexnet_core.errors import CexnetError, ConfigurationError, ConnectError

INTERVAL_S = 1.0
# Latencies are those of the last so many seconds.
WINDOW_S = 10.0
_KEPT_RATES = 60
# So many rows of latencies are shown even where managers without end would take their place.
_LEAST_LATENCIES = 4


@dataclass(frozen=True, slots=True)
class TopOptions:
    """What the command line asked for; without ``seconds`` until Ctrl-C."""

    target: str
    seconds: float | None
    once: bool
    as_json: bool


@dataclass(slots=True)
class History:
    """The scrapes of the last ten seconds, and the message rates of the last minute."""

    scrapes: deque[Scrape] = field(default_factory=deque)
    rates_per_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_RATES))

    def add(self, found: Scrape) -> None:
        """Remember ``found``; an engine that began anew begins a new history."""
        if self.scrapes and _began_anew(self.scrapes[-1], found):
            self.scrapes.clear()
        if self.scrapes:
            before = self.scrapes[-1]
            rates = [
                _rate(before.streams, found.streams, name, "messages", found.at_s - before.at_s)
                for name in found.streams
            ]
            self.rates_per_s.append(sum(rates))
        self.scrapes.append(found)
        while len(self.scrapes) > 2 and self.scrapes[0].at_s < found.at_s - WINDOW_S:
            self.scrapes.popleft()


async def run_top(options: TopOptions) -> None:
    """Ask again and again, and show. Raises CexnetError when there is no engine to ask."""
    if find_spec("prometheus_client") is None:
        raise ConfigurationError("cexnet top needs an extra: pip install 'cexnet[metrics]'")
    if options.seconds is not None and not 0 < options.seconds < math.inf:
        raise ConfigurationError(f"--seconds is {options.seconds:g}: give a time above 0")
    url = metrics_url(options.target)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    history = History()
    async with aiohttp.ClientSession() as session:
        try:
            history.add(await scrape(session, url))
        except ConnectError as error:
            raise ConnectError(
                f"{error}. Start an engine with `cexnet demo --metrics-port {_port(url)}` (or watch, or "
                "cexnet.telemetry.prometheus.MetricsServer in your own), or give its HOST:PORT"
            ) from None
        if options.as_json or options.once or not can_show(console):
            await _print(session, url, history, options)
        else:
            await _show(session, url, history, console, options.seconds)


async def _print(session: aiohttp.ClientSession, url: str, history: History, options: TopOptions) -> None:
    """One snapshot, or one a second: as a line of JSON, or as the picture."""
    times = 1 if options.seconds is None or options.once else max(1, round(options.seconds / INTERVAL_S))
    for _ in range(times):
        await asyncio.sleep(INTERVAL_S)
        history.add(await scrape(session, url))
        if options.as_json:
            sys.stdout.write(msgspec.json.encode(snapshot(url, history)).decode() + "\n")
            sys.stdout.flush()
        else:
            out = Console(highlight=False)
            out.print(picture(url, history, "", out.width))


async def _show(
    session: aiohttp.ClientSession, url: str, history: History, console: Console, seconds: float | None
) -> None:
    ends_s = math.inf if seconds is None else time.monotonic() + seconds
    trouble = ""
    with LiveScreen(console) as screen:
        while time.monotonic() < ends_s:
            screen.draw(picture(url, history, trouble, screen.width, screen.height))
            await asyncio.sleep(INTERVAL_S)
            try:
                history.add(await scrape(session, url))
                trouble = ""
            except CexnetError as error:  # it may come back: the last picture stays, with the reason
                trouble = trouble or f"since {time.strftime('%H:%M:%S')}, asking again: {error}"


def snapshot(url: str, history: History) -> dict[str, Any]:
    """Counts since the engine's start, rates since the scrape before, latencies of the last seconds."""
    latest, before, oldest = _three(history)
    elapsed_s = latest.at_s - before.at_s

    def told(managers: str, rates: tuple[str, ...]) -> dict[str, Any]:
        result = {}
        for name, manager in getattr(latest, managers).items():
            earlier = getattr(before, managers)
            rate = {
                f"{each}_per_s": round(_rate(earlier, getattr(latest, managers), name, each, elapsed_s), 1)
                for each in rates
            }
            recent = _recent(getattr(oldest, managers), name, manager)
            stages = {
                stage: {"recent": _percentiles(recent[stage]), "since_start": _percentiles(whole)}
                for stage, whole in manager.stages.items()
            }
            counts = {each: _whole(value) for each, value in manager.values.items()}
            labelled = {
                each: {label: _whole(value) for label, value in values.items()}
                for each, values in manager.labelled.items()
            }
            result[name] = {**counts, **rate, **labelled, "stages": stages}
        return result

    return {
        "url": url,
        "at_s": round(time.time(), 3),
        "interval_s": round(elapsed_s, 3),
        "window_s": round(latest.at_s - oldest.at_s, 3),
        "streams": told("streams", ("messages",)),
        "rest": told("rest", ("requests", "errors")),
    }


def picture(url: str, history: History, trouble: str, width: int, height: float = math.inf) -> RenderableType:
    """The engine as it stands, in ``width`` columns and ``height`` lines; rows without room are counted."""
    latest, before, oldest = _three(history)
    elapsed_s = latest.at_s - before.at_s
    rate = history.rates_per_s[-1] if history.rates_per_s else 0.0
    line = Text(f"{rate:,.0f} messages/s  ", no_wrap=True)
    notes = [line.append(bars(history.rates_per_s, min(60, width - len(line))), style="cyan")]
    tripped = [
        f"{name} {group}"
        for name, manager in latest.rest.items()
        for group, is_open in manager.by_label("breaker_open").items()
        if is_open
    ]
    if tripped:
        notes.append(_alarm(f"circuit breakers open: {', '.join(tripped)}"))
    if trouble:
        notes.append(_alarm(trouble))
    tables = [made for made in (latest.streams, latest.rest) if made]
    rows = _latencies(latest, oldest)
    # A table has two lines above its rows; an empty one follows all but the last.
    room = height - 1 - 3 * len(tables) - len(notes) - 1 - 2
    least = min(len(rows), _LEAST_LATENCIES)
    taken = 0
    parts: list[RenderableType] = [heading(f"cexnet top: {url}", "Ctrl-C ends")]
    for number, managers in enumerate(tables):
        most = max(1.0, (room - least - taken) / (len(tables) - number))
        draw = _streams if managers is latest.streams else _requests
        made = draw(latest, before, elapsed_s, most)
        taken += made.row_count
        parts += [made, Text("")]
    shown, left_out = _fitting(rows, max(1, room - taken))
    title = f"last {latest.at_s - oldest.at_s:.0f} s"
    parts += [*notes, Text(""), latency_table(title, shown, last="max within", left_out=left_out)]
    return Group(*parts)


def _latencies(latest: Scrape, oldest: Scrape) -> list[LatencyRow]:
    rows = []
    for managers, kind in (("streams", ""), ("rest", "REST ")):
        for name, manager in getattr(latest, managers).items():
            recent = _recent(getattr(oldest, managers), name, manager)
            rows += [
                _row(f"{name} {kind}{stage}", each)
                for stage, each in recent.items()
                if manager.stages[stage].count
            ]
    return rows


def _fitting(rows: list[LatencyRow], room: float) -> tuple[list[LatencyRow], int]:
    """The rows to show, and how many with records are left out.

    What had no record of late goes first, totals stay longest.
    """
    if len(rows) <= room:
        return rows, 0
    busy = [row for row in rows if row.count]
    if len(busy) <= room:
        return busy, 0
    chosen = sorted(busy, key=lambda row: not row.name.endswith(" total"))[: max(1, int(room) - 1)]
    return [row for row in busy if row in chosen], len(busy) - len(chosen)


def _some(managers: dict[str, ManagerSample], most: float) -> tuple[list[tuple[str, ManagerSample]], int]:
    """Those that there is room for, and how many there are besides."""
    listed = list(managers.items())
    if len(listed) <= most:
        return listed, 0
    shown = listed[: max(1, int(most) - 1)]
    return shown, len(listed) - len(shown)


def _streams(latest: Scrape, before: Scrape, elapsed_s: float, most: float) -> Table:
    made = table("stream", "live", "conn", "msg/s", "messages", "gaps", "dropped", "errors", "lost")
    shown, left_out = _some(latest.streams, most)
    for name, manager in shown:
        live = Text("yes", style="green") if manager.value("live") else Text("no", style="bold red")
        errors = manager.by_label("decode").get("errors", 0.0) + manager.value("handler_errors")
        made.add_row(
            name,
            live,
            f"{manager.value('connections'):.0f}",
            f"{_rate(before.streams, latest.streams, name, 'messages', elapsed_s):,.0f}",
            f"{manager.value('messages'):,.0f}",
            _bad(manager.value("gaps")),
            _bad(manager.dropped()),
            _bad(errors),
            f"{sum(manager.by_label('losses').values()):,.0f}",
        )
    add_left_out(made, left_out)
    return made


def _requests(latest: Scrape, before: Scrape, elapsed_s: float, most: float) -> Table:
    made = table("REST", "req/s", "requests", "errors", "retries", "unsettled", "breakers")
    shown, left_out = _some(latest.rest, most)
    for name, manager in shown:
        breakers = manager.by_label("breaker_open")
        tripped = sum(breakers.values())
        made.add_row(
            name,
            f"{_rate(before.rest, latest.rest, name, 'requests', elapsed_s):,.1f}",
            f"{manager.value('requests'):,.0f}",
            _bad(manager.value("errors")),
            f"{manager.value('retries'):,.0f}",
            _bad(manager.value("unsettled_orders")),
            Text(f"{tripped:.0f} open", style="bold red") if tripped else Text("closed", style="green"),
        )
    add_left_out(made, left_out)
    return made


def _alarm(text: str) -> Text:
    return Text(text, style="bold red", overflow="ellipsis", no_wrap=True)


def _bad(count: float) -> Text:
    return Text(f"{count:,.0f}", style="bold red" if count else "")


def _row(name: str, recent: Buckets) -> LatencyRow:
    at = recent.percentile_ns
    return LatencyRow(name, at(50.0), at(99.0), at(99.9), recent.highest_ns(), int(recent.count))


def _percentiles(buckets: Buckets) -> dict[str, float | None]:
    """``None`` where there is no record, or where it lies beyond the last bucket."""
    at = buckets.percentile_ns
    found = {"p50_ns": at(50.0), "p90_ns": at(90.0), "p99_ns": at(99.0), "p999_ns": at(99.9)}
    mean_ns = buckets.sum_s / buckets.count * 1e9 if buckets.count else math.nan
    rounded = {name: round(ns) if math.isfinite(ns) else None for name, ns in found.items()}
    mean = round(mean_ns) if math.isfinite(mean_ns) else None
    return {"count": int(buckets.count), "mean_ns": mean, **rounded}


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value


def _three(history: History) -> tuple[Scrape, Scrape, Scrape]:
    """The latest scrape, the one before and the oldest of the window."""
    scrapes = history.scrapes
    return scrapes[-1], scrapes[-2] if len(scrapes) > 1 else scrapes[-1], scrapes[0]


def _recent(oldest: dict[str, ManagerSample], name: str, manager: ManagerSample) -> dict[str, Buckets]:
    earlier = oldest.get(name)
    if earlier is None or earlier is manager:
        return manager.stages
    return {
        stage: each.since(earlier.stages[stage]) if stage in earlier.stages else each
        for stage, each in manager.stages.items()
    }


def _rate(
    before: dict[str, ManagerSample], latest: dict[str, ManagerSample], name: str, what: str, elapsed_s: float
) -> float:
    if elapsed_s <= 0 or name not in before:
        return 0.0
    return (latest[name].value(what) - before[name].value(what)) / elapsed_s


def _began_anew(before: Scrape, found: Scrape) -> bool:
    """Whether a counter fell: another process answers now."""
    return any(
        found_in[name].value(what) < manager.value(what)
        for was_in, found_in, what in (
            (before.streams, found.streams, "messages"),
            (before.rest, found.rest, "requests"),
        )
        for name, manager in was_in.items()
        if name in found_in
    )


def _port(url: str) -> int:
    return URL(url).port or 80
