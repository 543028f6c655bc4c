"""``cexnet watch``: the live prices of a real exchange, or of whatever the configuration points at."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from cexnet.cli.board import Board
from cexnet.cli.metrics import serve_metrics
from cexnet.cli.running import first_connection
from cexnet.cli.screen import can_show
from cexnet.cli.view import View
from cexnet.config import load_config
from cexnet.exchanges import get_exchange
from cexnet.factory import TransportFactory
from cexnet.types import Channel, Subscription
from cexnet.websocket import WebSocketManager

CHANNELS = (Channel.BOOK_TICKER, Channel.TRADES)
# Both must be confirmed within so long, or the network is not what it should be.
DEADLINE_S = 15.0


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What the command line asked for; without ``symbols``, three well-known ones."""

    exchange: str
    symbols: tuple[str, ...]
    config: Path | None
    env: str | None
    seconds: float
    metrics_port: int | None
    as_json: bool


async def run_watch(options: WatchOptions) -> None:
    """Watch until the time is over or Ctrl-C, then sum up.

    Raises CexnetError: for an unknown exchange or symbol, and ConnectError that says so when
    there is no way to the exchange.
    """
    symbols = options.symbols or get_exchange(options.exchange).symbols
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    board = Board()
    interruption: asyncio.CancelledError | None = None
    async with AsyncExitStack() as stack:
        config = load_config(options.config, env=options.env)
        factory = await stack.enter_async_context(TransportFactory(config))
        stream = factory.websocket(options.exchange)
        if options.metrics_port is not None:
            console.print(f"metrics: {await serve_metrics(stack, options.metrics_port, stream)}")
        console.print(f"connecting to {options.exchange} for {', '.join(symbols)} ...")
        wanted = [Subscription(channel, symbol) for symbol in symbols for channel in CHANNELS]
        way_out = "`cexnet demo` needs none; a proxy goes into [network] of the configuration"
        with first_connection(options.exchange, way_out):
            await stream.initialize(wanted, board.on_event, deadline_s=DEADLINE_S)
        started_s = time.perf_counter()
        try:
            view = View(f"cexnet watch: {options.exchange}", stream, None, board, console)
            await view.show(
                until_s=started_s + options.seconds,
                finished=None,
                live=not options.as_json and can_show(console),
            )
        except asyncio.CancelledError as cancelled:
            interruption = cancelled
        result = _result(options.exchange, time.perf_counter() - started_s, board, stream)
    if options.as_json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        console.print(f"{result['messages']:,} messages in {result['seconds']:.1f} s, gaps {result['gaps']}")
    if interruption is not None:
        raise interruption


def _result(exchange: str, seconds: float, board: Board, stream: WebSocketManager) -> dict[str, Any]:
    metrics = stream.metrics()
    return {
        "exchange": exchange,
        "seconds": round(seconds, 3),
        "messages": metrics.messages,
        "events": metrics.events,
        "decode": metrics.decode,
        "gaps": metrics.gaps,
        "reconnects": metrics.reconnects,
        "symbols": {
            symbol: {"bid": row.bid, "ask": row.ask, "last": row.last, "events": row.events}
            for symbol, row in sorted(board.rows.items())
        },
    }
