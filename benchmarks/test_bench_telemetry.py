"""What measuring costs: the receive line with its timer on and off, and snapshots of both managers.

Off is the option that an engine has (``router.timer.every = 0``), in the same build and with the
same handler: events are counted as ever, and no clock is read. From a socket it is measured as CPU
time of this process, the kernel's share included, as the loopback benchmarks do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from benchmarks.conftest import Contestant, Interleaved
from benchmarks.line import MemoryLine, book_ticker_messages, feeding, reads_of, text_frame
from benchmarks.test_bench_line import MESSAGES, SYMBOLS, Spread, cexnet_listener
from benchmarks.test_bench_loopback import GO, Arrivals, cpu_of
from benchmarks.test_bench_loopback import MESSAGES as ARRIVALS
from benchmarks.test_bench_loopback import feed_url as feed_url
from cexnet.exchanges import get_exchange
from cexnet.exchanges.binance_rest import rest_strategies
from cexnet.http import RestManager, Timings
from cexnet.http.meters import MeterRegistry
from cexnet.websocket import WebSocketManager
from cexnet.websocket.connect import connect
from cexnet_core.events import EventKind
from cexnet_core.latency import LatencyRecorder
from cexnet_core.timing import LineTimer

TIMED = (("telemetry on", LineTimer().every), ("telemetry off", 0))
GOAL = 0.95  # of the rate without: at most 5 % more time
PERCENTILES = (50, 90, 99, 99.9)


@pytest.mark.parametrize("per_read", [1, 16], ids=["one frame a read", "16 frames a read"])
async def test_memory_to_handler(interleaved: Interleaved, per_read: int) -> None:
    """Goal: at most 5 % more."""
    reads = reads_of([text_frame(message) for message in book_ticker_messages(MESSAGES)], per_read)
    contestants, lines, routers = [], [], []
    for name, every in TIMED:
        reader, router = cexnet_listener(Spread().on_event)
        router.timer.every = every
        line = MemoryLine(reader)
        lines.append(line)
        routers.append(router)
        feed = feeding(line, reads)

        def replay(reset: Callable[[], None] = router.reset, feed: Callable[[], Any] = feed) -> None:
            reset()  # the same sequences again would count as reorders
            feed()

        contestants.append(Contestant(name, replay, operations=MESSAGES))
    try:
        interleaved(
            f"telemetry: frame in memory -> handler, {per_read} a read", *contestants, goal=GOAL, fine=True
        )
    finally:
        for line in lines:
            line.close()
    timed, untimed = routers
    assert timed.total.count > timed.timer.handled.count > 0
    assert untimed.total.count == 0


def test_socket_to_handler(interleaved: Interleaved, feed_url: str) -> None:
    """Goal: at most 5 % more."""
    loop = asyncio.new_event_loop()

    async def open_one(every: int) -> tuple[Callable[[], Coroutine[Any, Any, None]], Any]:
        arrivals = Arrivals()
        parser = get_exchange("binance").websocket_strategies(None).parser
        parser.router.timer.every = every
        for symbol in SYMBOLS:
            parser.router.add(EventKind.BOOK_TICKER, symbol, arrivals.on_event)
        connection = await connect(feed_url, parser.receiver(0), deadline_s=5.0, validate_utf8=False)

        async def run() -> None:
            arrivals.expect()
            parser.router.reset()  # the feed sends the same sequences each round
            connection.send_text(GO)
            await arrivals.done.wait()

        return run, connection

    opened = [loop.run_until_complete(open_one(every)) for _, every in TIMED]
    try:
        interleaved(
            "telemetry: loopback socket -> handler, CPU",
            *(
                Contestant(name, cpu_of, (loop, run), ARRIVALS, returns_ns=True)
                for (name, _), (run, _) in zip(TIMED, opened, strict=True)
            ),
            goal=GOAL,
            fine=True,
        )
    finally:
        for _, connection in opened:
            loop.run_until_complete(connection.close())
        loop.close()


def percentiles_of(recorders: list[LatencyRecorder]) -> list[Any]:
    """What one would do without histograms: percentiles of the newest samples, nothing else."""
    return [np.percentile(recorder.samples, PERCENTILES) for recorder in recorders]


def busy_stream() -> WebSocketManager:
    """A manager of a hundred symbols that has handled 100,000 messages."""
    manager = WebSocketManager(get_exchange("binance").websocket_strategies(None))
    parser = manager.strategies.parser
    symbols = [f"S{number}USDT" for number in range(100)]
    for symbol in symbols:
        parser.router.add(EventKind.BOOK_TICKER, symbol, Spread().on_event)
    receiver = parser.receiver(0)
    for update_id in range(1, 1001):
        for symbol in symbols:
            receiver.feed(
                b'{"stream":"%s@bookTicker","data":{"u":%d,"s":"%s","b":"1.5","B":"2","a":"1.6","A":"3"}}'
                % (symbol.lower().encode(), update_id, symbol.encode())
            )
    assert manager.metrics().stages["total"].since_start.count == 100_000
    return manager


def busy_rest() -> RestManager:
    """A manager that has made 10,000 calls."""
    manager = RestManager(rest_strategies(), base_url="http://127.0.0.1:9", meters=MeterRegistry())
    spent_ns = np.random.default_rng(7).lognormal(np.log([2e3, 3e4, 5e4, 1e6, 1.2e6]), 0.5, (10_000, 5))
    for row in spent_ns.astype(int).tolist():
        manager.latency.record(Timings(*row))
    return manager


async def test_websocket_snapshot(interleaved: Interleaved) -> None:
    """``metrics()``: eight stages twice, a hundred streams and all counters."""
    manager = busy_stream()
    latency = manager.latency
    recorders = [latency.decoded, latency.dispatched, latency.handled, latency.total]
    interleaved(
        "WebSocketManager.metrics()",
        Contestant("cexnet", manager.metrics),
        Contestant("numpy.percentile of four rings", percentiles_of, (recorders,)),
    )


async def test_rest_snapshot(interleaved: Interleaved) -> None:
    """``metrics()``: five stages twice, the variant's own, and all counters."""
    manager = busy_rest()
    recorders = [getattr(manager.latency, stage) for stage in manager.latency.STAGES]
    interleaved(
        "RestManager.metrics()",
        Contestant("cexnet", manager.metrics),
        Contestant("numpy.percentile of five rings", percentiles_of, (recorders,)),
    )
    await manager.close()
