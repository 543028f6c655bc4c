"""A REST request to the embedded exchange and back, one at a time, over loopback.

The exchange runs in this process and its work is part of every contestant's time.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from cexnet.cli.benchmark.rounds import Contestant, Job, Timed
from cexnet.config import Config, ExchangeConfig
from cexnet.factory import TransportFactory
from cexnet.simulator import Simulator

_PATH = "/api/v3/ping"


@asynccontextmanager
async def round_trip_job() -> AsyncIterator[Job]:
    """The job, as long as its exchange and its clients are open."""
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator("binance", ("BTCUSDT",), limit_scale=1000))
        settings = ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)
        factory = await stack.enter_async_context(TransportFactory(Config(exchange={"binance": settings})))
        url = simulator.rest_url + _PATH
        contestants = [Contestant("cexnet", _repeated(factory.rest("binance").ping))]
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def ask_aiohttp() -> None:
            async with session.get(url) as answer:
                await answer.read()

        contestants.append(Contestant("aiohttp, bare", _repeated(ask_aiohttp)))
        try:
            httpx: Any = importlib.import_module("httpx")
        except ImportError:
            httpx = None
        if httpx is not None:
            client = await stack.enter_async_context(httpx.AsyncClient())

            async def ask_httpx() -> None:
                await client.get(url)

            contestants.append(Contestant("httpx, bare", _repeated(ask_httpx)))
        yield Job("rest", "a REST request and its answer, over loopback", tuple(contestants))


def _repeated(ask: Callable[[], Awaitable[None]]) -> Timed:
    async def timed(calls: int) -> int:
        began_ns = time.perf_counter_ns()
        for _ in range(calls):
            await ask()
        return time.perf_counter_ns() - began_ns

    return timed
