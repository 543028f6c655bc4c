"""``cexnet demo``: the embedded exchange, both managers and a live view in one process."""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from cexnet.cli.audit import Audit
from cexnet.cli.board import Board
from cexnet.cli.metrics import serve_metrics
from cexnet.cli.misfortune import IMPATIENT, LIVENESS, RECONNECT, keep_rolling, read_misfortunes
from cexnet.cli.screen import can_show
from cexnet.cli.trading import Orders, trade, warm_up
from cexnet.cli.view import View
from cexnet.config import Config, ExchangeConfig
from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import get_exchange
from cexnet.factory import TransportFactory
from cexnet.http import RestManager
from cexnet.recording.capture import Capture, read_capture, resolve_exchange
from cexnet.simulator import Simulator
from cexnet.types import MARKET_CHANNELS, Subscription
from cexnet.websocket import WebSocketManager
from cexnet.websocket.metrics import WebSocketMetrics
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import Event
from cexnet_core.schema import WireSchema

API_KEY = "demo-key"
API_SECRET = "demo-secret"  # noqa: S105 - the embedded exchange's, made up for one run

NO_REST = "REST: cexnet has no tables for this exchange yet"

# Of the run, this share is for playing a capture: the rest is start and drain.
CAPTURE_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asked for; ``exchange`` ``None`` means: decide from the capture."""

    exchange: str | None
    symbols: tuple[str, ...]
    capture: Path | None
    seconds: float
    rate_per_s: float
    as_json: bool
    metrics_port: int | None = None
    faults: tuple[str, ...] = ()


async def run_demo(options: DemoOptions) -> None:
    """Run the demo and print its result. Raises CexnetError for whatever cannot start.

    Cancelled while it streams, as by Ctrl-C, it ends at once, prints the result and goes on
    being cancelled.
    """
    if not 0 < options.seconds < math.inf:
        raise ConfigurationError(f"--seconds is {options.seconds:g}: give a time above 0")
    if options.faults and options.capture is not None:
        raise ConfigurationError(
            "--fault and --capture exclude each other: a capture starts anew on every connection"
        )
    capture = read_capture(options.capture) if options.capture is not None else None
    name = resolve_exchange(options.exchange, capture)
    exchange = get_exchange(name)
    symbols = options.symbols or (capture.symbols(exchange.schema) if capture else exchange.symbols)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    whole_books = bool(options.faults) and exchange.rest is not None
    audit = _audit(options, exchange.schema, whole_books=whole_books)
    interruption: asyncio.CancelledError | None = None
    # The manager loads it before depth streams: a stall in which exchange and client, which
    # share this process, fall behind together.
    importlib.import_module("numpy")

    async with AsyncExitStack() as stack:
        say = console.print
        say(f"starting the embedded {name} exchange for {', '.join(symbols)} ...")
        simulator = await stack.enter_async_context(
            Simulator(
                exchange=name,
                symbols=symbols,
                rate_per_s=options.rate_per_s,
                capture=options.capture,
                speed=_speed(capture, options.seconds),
                api_key=API_KEY,
                api_secret=API_SECRET,
                faults=audit.misfortunes.faults if audit is not None else (),
            )
        )
        simulator.witness = audit
        config = Config(
            exchange={
                name: ExchangeConfig(
                    websocket_url=simulator.ws_url,
                    rest_url=simulator.rest_url,
                    credentials=Credentials(API_KEY, Secret(API_SECRET)),
                )
            }
        )
        factory = await stack.enter_async_context(TransportFactory(config))
        rest = factory.rest(name) if exchange.rest is not None else None
        board, orders = Board(), Orders()
        on_state = audit.watch.on_state if audit is not None else None
        stream = factory.websocket(name, on_state=on_state, whole_books=whole_books)
        if audit is not None:
            stream.strategies.connection.reconnect = RECONNECT
            stream.strategies.connection.liveness = LIVENESS
            audit.attach(stream)
            # A loss was asked for and is counted: only what nobody asked for is worth a line.
            logging.getLogger("cexnet.websocket").setLevel(logging.ERROR)
            say(f"faults: {', '.join(options.faults)}; {IMPATIENT}")
        if options.metrics_port is not None:
            managers = (stream,) if rest is None else (stream, rest)
            say(f"metrics: {await serve_metrics(stack, options.metrics_port, *managers)}")
        if rest is not None:
            say("REST: ping, server time and depth snapshots ...")
            await warm_up(rest, symbols)
        say(f"WebSocket: subscribing {len(symbols)} symbols x {len(MARKET_CHANNELS)} channels ...")
        start_s = time.perf_counter()
        await stream.initialize(
            [Subscription(channel, symbol) for symbol in symbols for channel in MARKET_CHANNELS],
            board.on_event if audit is None else _audited(board, audit),
        )
        ends_s = start_s + options.seconds
        say(f"streaming for {options.seconds:g} s; Ctrl-C ends it with the result so far")
        side_shows: list[asyncio.Task[None]] = []
        if rest is not None and capture is None:
            trading = trade(rest, symbols, board, ends_s, orders)
            side_shows.append(asyncio.create_task(trading, name="cexnet-demo-trader"))
        if audit is not None and audit.misfortunes.roll_every_s is not None:
            rolling = keep_rolling(stream, audit.misfortunes)
            side_shows.append(asyncio.create_task(rolling, name="cexnet-demo-rolls"))
        try:
            view = View(f"cexnet demo: {name}", stream, rest, board, console, NO_REST, orders)
            await view.show(
                until_s=ends_s,
                finished=simulator.finished if capture is not None else None,
                live=not options.as_json and can_show(console),
            )
        except asyncio.CancelledError as cancelled:
            interruption = cancelled
        finally:
            for task in side_shows:
                task.cancel()
            await asyncio.gather(*side_shows, return_exceptions=True)
        seconds = time.perf_counter() - start_s
        if audit is not None:
            await audit.settle(simulator, stream, hastily=interruption is not None)
        metrics = stream.metrics()
        result = _result(name, capture, seconds, metrics, stream, rest) | {"orders": asdict(orders)}
        if audit is not None:
            result |= audit.result(audit.balance(stream), metrics, dict(simulator.stats.faults))
    if options.as_json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        console.print(_summary(result))
    if interruption is not None:
        raise interruption


def _audit(options: DemoOptions, schema: WireSchema, *, whole_books: bool) -> Audit | None:
    if not options.faults:
        return None
    misfortunes = read_misfortunes(options.faults, options.seconds)
    return Audit(misfortunes, schema, whole_books=whole_books)


def _audited(board: Board, audit: Audit) -> Callable[[Event], None]:
    delivered, timed, shown = audit.ledger.delivered, audit.watch.on_event, board.on_event

    def on_event(event: Event) -> None:
        timed(event)
        delivered(event)
        shown(event)

    return on_event


def _summary(result: dict[str, Any]) -> str:
    text = (
        f"{result['messages']:,} messages in {result['seconds']:.1f} s, gaps {result['gaps']}, "
        f"dropped {result['dropped']}, decode errors {result['decode']['errors']}\n"
        f"REST requests {result['rest']['requests']}, REST errors {result['rest']['errors']}"
    )
    if any(result["orders"].values()):
        text += f"\n{Orders(**result['orders'])}"
    if "reconnects" in result:
        first, opened = result["time_to_first_event_ms"], result["connect_subscribe_ms"]
        text += (
            f"\nfaults {_listed(result['faults'])}, reconnects {result['reconnects']}, "
            f"rolls {result['rolls']}, books recovered {result['recovered_books']}\n"
            f"connect and subscribe {_span(opened)}, to the first event again {_span(first)}\n"
            f"lost uncounted {result['lost_uncounted']}, "
            f"delivered twice {result['duplicates_delivered']}"
        )
    return text


def _listed(counts: dict[str, int]) -> str:
    return " ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def _span(times: dict[str, float | None]) -> str:
    if times["p50"] is None:
        return "never"
    return f"p50 {times['p50']:.1f} ms p99 {times['p99']:.1f} ms"


def _speed(capture: Capture | None, seconds: float) -> float:
    """Pace that plays the whole capture within the run; never slower than recorded."""
    if capture is None:
        return 1.0
    return max(1.0, capture.duration_s / (seconds * CAPTURE_SHARE))


def _result(
    name: str,
    capture: Capture | None,
    seconds: float,
    metrics: WebSocketMetrics,
    stream: WebSocketManager,
    rest: RestManager | None,
) -> dict[str, Any]:
    total = stream.router.total
    timed = rest is not None and rest.latency.total.count > 0
    return {
        "exchange": name,
        "source": "synthetic" if capture is None else "capture",
        "seconds": round(seconds, 3),
        "messages": metrics.messages,
        "events": event_counts(metrics.events),
        "decode": metrics.decode,
        "gaps": metrics.gaps,
        "duplicates": metrics.duplicates,
        "reorders": metrics.reorders,
        "dropped": metrics.dropped,
        "handler_errors": metrics.handler_errors,
        "unrouted": sum(metrics.unrouted.values()),
        "unknown_channels": metrics.unknown_channels,
        "messages_per_s": round(metrics.messages / seconds, 1),
        "receive_to_handled_ns": {
            "p50": total.percentile(50.0),
            "p99": total.percentile(99.0),
            "p999": total.percentile(99.9),
            "max": total.max,
        },
        "rest": {
            "requests": rest.counters.requests if rest else 0,
            "errors": rest.counters.errors if rest else 0,
            "p50_us": rest.latency.total.percentile(50.0) / 1e3 if rest and timed else None,
            "p99_us": rest.latency.total.percentile(99.0) / 1e3 if rest and timed else None,
        },
    }


MARKET_EVENTS = ("BookTicker", "Trade", "DepthUpdate", "DepthSnapshot", "Candle")
ACCOUNT_EVENTS = ("OrderUpdate", "Fill", "BalanceUpdate")


def event_counts(events: dict[str, int]) -> dict[str, int]:
    """Counts of the market-data kinds, zeros included, and of an account's that came."""
    account = {kind: events[kind] for kind in ACCOUNT_EVENTS if events.get(kind)}
    return {kind: events.get(kind, 0) for kind in MARKET_EVENTS} | account
