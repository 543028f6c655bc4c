"""A run of the embedded exchange that is there to be reported on."""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
import time
from contextlib import AsyncExitStack

from rich.console import Console

from cexnet import __version__
from cexnet.cli.board import Board
from cexnet.cli.demo import API_KEY, API_SECRET
from cexnet.cli.progress import telling
from cexnet.cli.trading import Orders, trade, warm_up
from cexnet.config import Config, ExchangeConfig
from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import get_exchange
from cexnet.factory import TransportFactory
from cexnet.http import RestManager
from cexnet.simulator import Simulator
from cexnet.telemetry.report_collect import ReportCollector
from cexnet.telemetry.report_data import Report
from cexnet.types import MARKET_CHANNELS, Subscription
from cexnet.websocket import WebSocketManager
from cexnet_core.errors import CexnetError

_logger = logging.getLogger("cexnet.report")

SLICES = 40
LEAST_SLICE_S, MOST_SLICE_S = 0.1, 10.0
ORDER_EVERY_S = 0.1
QUERY_EVERY_S = 0.2


async def report_run(
    exchange: str, seconds: float, rate_per_s: float, console: Console
) -> tuple[Report, asyncio.CancelledError | None]:
    """Stream and trade for ``seconds``; the report, and what cut the run short if something did.

    Raises CexnetError for whatever cannot start.
    """
    known = get_exchange(exchange)
    interruption: asyncio.CancelledError | None = None
    importlib.import_module("numpy")  # else depth streams load it in the middle of the run
    async with AsyncExitStack() as stack:
        console.print(f"running the embedded {exchange} exchange for {seconds:g} s ...")
        simulator = await stack.enter_async_context(
            Simulator(exchange, known.symbols, rate_per_s=rate_per_s, api_key=API_KEY, api_secret=API_SECRET)
        )
        settings = ExchangeConfig(
            websocket_url=simulator.ws_url,
            rest_url=simulator.rest_url,
            credentials=Credentials(API_KEY, Secret(API_SECRET)),
        )
        factory = await stack.enter_async_context(TransportFactory(Config(exchange={exchange: settings})))
        rest = factory.rest(exchange) if known.rest is not None else None
        stream = factory.websocket(exchange)
        slice_s = min(MOST_SLICE_S, max(LEAST_SLICE_S, seconds / SLICES))
        collector = ReportCollector(factory.config.targets, slice_s=slice_s)
        collector.add(stream)
        if rest is not None:
            await warm_up(rest, known.symbols)
            collector.add(rest)
        board = Board()
        wanted = [Subscription(channel, symbol) for symbol in known.symbols for channel in MARKET_CHANNELS]
        await stream.initialize(wanted, board.on_event)
        ends_s = time.perf_counter() + seconds
        async with collector:
            work: list[asyncio.Task[None]] = []
            if rest is not None:
                orders = trade(rest, known.symbols, board, ends_s, Orders(), every_s=ORDER_EVERY_S)
                work.append(asyncio.create_task(orders, name="cexnet-report-orders"))
                queries = _query(rest, known.symbols)
                work.append(asyncio.create_task(queries, name="cexnet-report-queries"))
            try:
                async with telling(console, lambda: _progress(stream, ends_s)):
                    await asyncio.sleep(max(0.0, ends_s - time.perf_counter()))
            except asyncio.CancelledError as cancelled:
                interruption = cancelled
            finally:
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
        report = collector.report(
            f"cexnet on {exchange}", "embedded exchange on loopback, made-up traffic", version=__version__
        )
    return report, interruption


def _progress(stream: WebSocketManager, ends_s: float) -> str:
    left_s = math.ceil(max(0.0, ends_s - time.perf_counter()))
    return f"{stream.metrics().messages:,} messages, {left_s} s to go; Ctrl-C ends it early"


async def _query(rest: RestManager, symbols: tuple[str, ...]) -> None:
    """Ask for order books and the time, beside the orders."""
    turn = 0
    while True:
        symbol = symbols[turn % len(symbols)]
        turn += 1
        try:
            await rest.depth(symbol, 100)
            await rest.server_time_ms()
        except CexnetError as error:  # counted by the manager
            _logger.warning("depth of %s: %s", symbol, error)
        await asyncio.sleep(QUERY_EVERY_S)
