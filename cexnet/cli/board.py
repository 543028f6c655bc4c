"""What a stream's handler has seen so far, per symbol, and the live picture of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cexnet.cli.draw import LatencyRow, bars, decimals, heading, latency_table, number, table
from cexnet.websocket.metrics import WebSocketMetrics
from cexnet_core.events import BookTicker, Candle, Event, Trade
from cexnet_core.latency import LatencyRecorder

# From so many columns on, prices and latencies stand side by side.
WIDE_COLUMNS = 140
_SIDE = {"buy": "green", "sell": "red"}


@dataclass(slots=True)
class Row:
    """The last of everything of one symbol."""

    bid: float = math.nan
    ask: float = math.nan
    last: float = math.nan
    side: str = ""
    events: int = 0
    decimals: int = 0

    def prices(self) -> tuple[str, str, str]:
        """Bid, ask and last, with as many decimals as any of this symbol had so far."""
        values = (self.bid, self.ask, self.last)
        self.decimals = max(self.decimals, *map(decimals, values))
        bid, ask, last = (number(value, self.decimals) for value in values)
        return bid, ask, last


@dataclass(slots=True)
class Board:
    """Event handler of the live views: keeps numbers, never events."""

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


@dataclass(frozen=True, slots=True)
class Picture:
    """All that one drawing of the view needs. ``rates_per_s`` are messages, oldest first."""

    title: str
    elapsed: str
    board: Board
    metrics: WebSocketMetrics
    rates_per_s: Sequence[float]
    stages: dict[str, LatencyRecorder]
    rest_line: str
    notice: str = ""


def render(picture: Picture, width: int, height: int) -> RenderableType:
    """The whole view in ``width`` columns and ``height`` lines; symbols without room are counted."""
    latencies = latency_table("latency", _rows(picture.stages))
    footer = [_rates(picture, width)]
    footer += [Text(line, overflow="ellipsis", no_wrap=True) for line in picture.rest_line.splitlines()]
    footer += _health(picture.metrics)
    if picture.notice:
        footer.append(Text(picture.notice, style="yellow", overflow="ellipsis", no_wrap=True))
    below = len(footer) + 1
    top = heading(picture.title, picture.elapsed)
    if width >= WIDE_COLUMNS:
        room = height - below - 5
        sides = Table.grid(expand=True, padding=(0, 3))
        sides.add_column(ratio=1)
        sides.add_column(ratio=1)
        sides.add_row(_prices(picture.board, room), latencies)
        return Group(top, Text(""), sides, Text(""), *footer)
    room = height - below - latencies.row_count - 7
    return Group(top, _prices(picture.board, room), Text(""), latencies, Text(""), *footer)


def _prices(board: Board, room: int) -> Table:
    made = table("symbol", "best bid", "best ask", "last trade", "events", numbers_width=9)
    rows = sorted(board.rows.items())
    shown = len(rows) if len(rows) <= room else max(1, room - 1)
    for symbol, row in rows[:shown]:
        bid, ask, last = row.prices()
        made.add_row(symbol, bid, ask, Text(last, style=_SIDE.get(row.side, "")), f"{row.events:,}")
    if shown < len(rows):
        rest = sum(row.events for _, row in rows[shown:])
        made.add_row(f"... {len(rows) - shown} more", "", "", "", f"{rest:,}", style="dim")
    return made


def _rows(stages: dict[str, LatencyRecorder]) -> list[LatencyRow]:
    return [
        LatencyRow(
            name,
            recorder.percentile(50.0),
            recorder.percentile(99.0),
            recorder.percentile(99.9),
            recorder.max,
            recorder.count,
        )
        for name, recorder in stages.items()
        if recorder.count
    ]


def _rates(picture: Picture, width: int) -> Text:
    decoded = picture.metrics.decode
    total = sum(decoded.values()) or 1
    shares = "  ".join(f"{path} {100 * n / total:.1f} %" for path, n in decoded.items() if n)
    now = picture.rates_per_s[-1] if picture.rates_per_s else 0.0
    text = f"{now:,.0f} messages/s  {picture.metrics.messages:,} in all  {shares}"
    room = min(60, width - len(text) - 2)
    line = Text(text, overflow="ellipsis", no_wrap=True)
    return line.append("  ").append(bars(picture.rates_per_s, room), style="cyan") if room > 0 else line


def _health(metrics: WebSocketMetrics) -> list[Text]:
    """What went wrong, in red once it did; and what was done about it."""
    errors = metrics.decode["errors"]
    bad = metrics.gaps or metrics.dropped or errors or metrics.handler_errors
    faults = (
        f"gaps {metrics.gaps:,}  dropped {metrics.dropped:,}  decode errors {errors:,}  "
        f"handler errors {metrics.handler_errors:,}"
    )
    repairs = (
        f"connections {metrics.connections:,}  reconnects {metrics.reconnects:,}  rolls {metrics.rolls:,}  "
        f"books recovered {metrics.recovered_books:,}"
    )
    return [
        Text(faults, style="bold red" if bad else "green", overflow="ellipsis", no_wrap=True),
        Text(repairs, overflow="ellipsis", no_wrap=True),
    ]
