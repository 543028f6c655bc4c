"""CPU per message of 1,000 topics over 20 connections, beside 1 topic on 1 connection.

Whole managers, fed at the same total rate and in the same segments by two processes. CPU time
of the receiving process, the kernel's share of reading the sockets included.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.conftest import Contestant, Interleaved
from benchmarks.paced_feed import SEGMENTS
from benchmarks.test_bench_loopback import cpu_of
from cexnet.exchanges import get_exchange
from cexnet.types import Channel, Subscription
from cexnet.websocket import WebSocketManager

TOPICS, CONNECTIONS = 1_000, 20


@contextmanager
def feed(port_file: Path, frames: int) -> Iterator[str]:
    """URL of a paced feed in another process."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.paced_feed", str(port_file), str(frames)])
    try:
        while not port_file.exists() or not port_file.read_text():
            if process.poll() is not None:
                raise RuntimeError("the feed process ended before it served")
            time.sleep(0.01)
        yield f"ws://127.0.0.1:{port_file.read_text()}"
    finally:
        process.kill()
        process.wait()


class Receiver:
    """A manager and a handler that reads two prices and wakes the waiter after a run."""

    def __init__(self, url: str, topics: int, connections: int, messages: int) -> None:
        strategies = get_exchange("binance").websocket_strategies(url)
        strategies.subscription.max_topics_per_connection = topics // connections
        self.manager = WebSocketManager(strategies)
        self.messages = messages
        self.total = 0.0
        self.left = 0
        self.done = asyncio.Event()
        self._symbols = [f"A{number:04}USDT" for number in range(topics)]

    async def open(self) -> None:
        """Subscribe to everything."""
        wanted = [Subscription(Channel.BOOK_TICKER, symbol) for symbol in self._symbols]
        await self.manager.initialize(wanted, self.on_ticker, deadline_s=60.0)

    def on_ticker(self, ticker: Any) -> None:
        """The handler."""
        self.total += ticker.ask_price - ticker.bid_price
        self.left -= 1
        if not self.left:
            self.done.set()

    async def run(self) -> None:
        """One round: ask for a run and wait for the whole of it."""
        self.left = self.messages
        self.done.clear()
        await self.manager.send(b"go")
        await self.done.wait()


@pytest.mark.parametrize("frames", [1, 16], ids=["one frame a segment", "16 frames a segment"])
def test_many_topics(interleaved: Interleaved, tmp_path: Path, frames: int) -> None:
    """Goal: at most 1.1 times the cost of one topic."""
    loop = asyncio.new_event_loop()

    def spent(round_: Callable[[], Coroutine[Any, Any, None]]) -> int:
        return cpu_of(loop, round_)

    with feed(tmp_path / "many", frames) as many_url, feed(tmp_path / "one", frames) as one_url:
        messages = SEGMENTS * frames
        many = Receiver(many_url, TOPICS, CONNECTIONS, messages)
        one = Receiver(one_url, 1, 1, messages)
        try:
            loop.run_until_complete(many.open())
            loop.run_until_complete(one.open())
            assert many.manager.metrics().connections == CONNECTIONS
            interleaved(
                f"1,000 topics over 20 connections, CPU, {frames} a segment",
                Contestant("cexnet", spent, (many.run,), messages, returns_ns=True),
                Contestant("cexnet, 1 topic on 1 connection", spent, (one.run,), messages, returns_ns=True),
                goal=0.91,
            )
            streams = many.manager.metrics().streams
            assert sum(stream.duplicates + stream.reorders for stream in streams) == 0
        finally:
            loop.run_until_complete(many.manager.close())
            loop.run_until_complete(one.manager.close())
            loop.close()
