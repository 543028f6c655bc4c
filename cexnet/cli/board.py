"""What the demo has seen so far, per symbol, and the live table that shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cexnet.websocket.metrics import WebSocketMetrics
from cexnet_core.events import BookTicker, Candle, Event, Trade
from cexnet_core.latency import LatencyRecorder

PERCENTILES = (50.0, 99.0, 99.9)


@dataclass(slots=True)
class Row:
    """The last of everything of one symbol."""

    bid: float = math.nan
    ask: float = math.nan
    last: float = math.nan
    side: str = ""
    events: int = 0


@dataclass(slots=True)
class Board:
    """Event handler of the demo: keeps numbers, never events."""

    rows: dict[str, Row] = field(default_factory=dict)

    def on_event(self, event: Event) -> None:
        """Handler for every stream; runs inline, so it only copies a few numbers."""
        row = self.rows.get(event.symbol)
        if row is None:
            row = self.rows[event.symbol] = Row()
        row.events += 1
        if isinstance(event, BookTicker):
            row.bid = event.bid_price
            row.ask = event.ask_price
        elif isinstance(event, Trade):
            row.last = event.price
            row.side = event.side
        elif isinstance(event, Candle) and math.isnan(row.last):
            row.last = event.close


def render(
    title: str,
    board: Board,
    metrics: WebSocketMetrics,
    rate_per_s: float,
    stages: dict[str, LatencyRecorder],
    rest: dict[str, LatencyRecorder],
    rest_line: str,
) -> RenderableType:
    """The whole live view; fits 80 columns."""
    prices = Table(title=title, expand=True, title_justify="left")
    prices.add_column("symbol", no_wrap=True)
    for name in ("best bid", "best ask", "last trade", "events"):
        prices.add_column(name, justify="right", no_wrap=True)
    for symbol, row in sorted(board.rows.items()):
        style = {"buy": "green", "sell": "red"}.get(row.side, "")
        prices.add_row(
            symbol,
            _number(row.bid),
            _number(row.ask),
            Text(_number(row.last), style=style),
            f"{row.events:,}",
        )

    latency = Table(expand=True)
    latency.add_column("latency (stages: 1 in 8)", no_wrap=True)
    for name in ("p50", "p99", "p99.9", "max", "count"):
        latency.add_column(name, justify="right", no_wrap=True)
    for name, recorder in (*stages.items(), *rest.items()):
        if recorder.count:
            cells = [_duration(recorder.percentile(p)) for p in PERCENTILES]
            latency.add_row(name, *cells, _duration(recorder.max), f"{recorder.count:,}")

    decoded = metrics.decode
    total = sum(decoded.values()) or 1
    shares = "  ".join(f"{path} {100 * n / total:.1f} %" for path, n in decoded.items() if n)
    bad = metrics.gaps or metrics.dropped or decoded["errors"] or metrics.handler_errors
    health = Text(
        f"gaps {metrics.gaps}  dropped {metrics.dropped}  decode errors {decoded['errors']}  "
        f"handler errors {metrics.handler_errors}  reconnects {metrics.reconnects}  "
        f"rolls {metrics.rolls}  books recovered {metrics.recovered_books}",
        style="bold red" if bad else "green",
    )
    return Group(
        prices,
        latency,
        Text(f"{rate_per_s:,.0f} messages/s   {metrics.messages:,} in all   decoded: {shares}"),
        Text(rest_line),
        health,
    )


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.8f}".rstrip("0").rstrip(".")


def _duration(ns: float) -> str:
    if ns < 1_000:
        return f"{ns:.0f} ns"
    if ns < 1_000_000:
        return f"{ns / 1_000:.1f} us"
    return f"{ns / 1_000_000:.1f} ms"
