"""One order over REST: RestManager beside bare aiohttp, httpx and ccxt's request path.

The exchange runs in another process and costs as little as possible. CPU time is the client
process's, the kernel's share of its sockets included; latency is each request's own, from the
call to the decoded answer, and at 32 at a time mostly the wait for the other 31.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.conftest import Contestant, Interleaved
from benchmarks.placers import MISSING, PLACERS, Place

ORDERS = 320  # a round


@pytest.fixture(scope="module")
def exchange_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an exchange in another process."""
    port_file: Path = tmp_path_factory.mktemp("exchange") / "port"
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.exchange", str(port_file)])
    try:
        while not port_file.exists() or not port_file.read_text():
            if process.poll() is not None:
                raise RuntimeError("the exchange's process ended before it served")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port_file.read_text()}"
    finally:
        process.kill()
        process.wait()


class Trader:
    """Places rounds of orders through one client, so many at a time."""

    def __init__(self, place: Place, concurrency: int) -> None:
        self._place = place
        self._concurrency = concurrency
        self.latencies_ns: list[int] = []

    def round(self, loop: asyncio.AbstractEventLoop) -> int:
        """Place all; CPU nanoseconds of this process."""
        start_ns = time.process_time_ns()
        loop.run_until_complete(self._all())
        return time.process_time_ns() - start_ns

    async def _all(self) -> None:
        await asyncio.gather(*(self._some() for _ in range(self._concurrency)))

    async def _some(self) -> None:
        for _ in range(ORDERS // self._concurrency):
            start_ns = time.perf_counter_ns()
            await self._place()
            self.latencies_ns.append(time.perf_counter_ns() - start_ns)

    def percentiles_us(self) -> dict[str, float]:
        """p50 and p99 of all rounds but the first, which warms up."""
        hundredths = statistics.quantiles(self.latencies_ns[ORDERS:], n=100, method="inclusive")
        return {"p50": hundredths[49] / 1000, "p99": hundredths[98] / 1000}


@pytest.mark.filterwarnings("default")  # other people's warnings are theirs
@pytest.mark.parametrize("concurrency", [1, 32])
def test_place_order(
    interleaved: Interleaved, benchmark: BenchmarkFixture, exchange_url: str, concurrency: int
) -> None:
    """Goals: at most 10 % above bare aiohttp, at least twice as fast as ccxt."""
    for name in MISSING:
        print(f"\ncexnet: {name} is not installed and left out")
    loop = asyncio.new_event_loop()
    clients = contextlib.AsyncExitStack()

    async def open_all() -> dict[str, Trader]:
        return {
            name: Trader(await clients.enter_async_context(places(exchange_url)), concurrency)
            for name, places in PLACERS.items()
        }

    traders = loop.run_until_complete(open_all())
    try:
        ours, *others = (
            Contestant(name, trader.round, (loop,), ORDERS, returns_ns=True)
            for name, trader in traders.items()
        )
        interleaved(
            f"place an order, {concurrency} at a time, CPU",
            ours,
            *others,
            against="bare aiohttp",
            goal=1 / 1.1,
            also={
                name: {"ccxt": 2.0}.get(name) for name in traders if name not in ("cexnet", "bare aiohttp")
            },
        )
        benchmark.extra_info["latency_us"] = {
            name: trader.percentiles_us() for name, trader in traders.items()
        }
    finally:
        loop.run_until_complete(clients.aclose())
        loop.close()
