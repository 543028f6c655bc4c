"""Loopback socket -> handler, CPU time per message of the receiving process.

The feed runs in another process and sends flat out; each contestant has its own
connection to it. CPU time includes the kernel's share of reading the socket.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import picows
import pytest

from benchmarks.conftest import Contestant, Interleaved
from benchmarks.feed import RUN
from benchmarks.test_bench_line import SYMBOLS, Combined, MsgspecListener, Spread
from cexnet.exchanges import get_exchange
from cexnet.websocket.connect import connect
from cexnet_core.decode import Decoder
from cexnet_core.events import EventKind, SymbolTable
from cexnet_core.route import Receiver, Router

MESSAGES = RUN
GO = b"go"


class Arrivals(Spread):
    """Counts messages and wakes the waiter when a round is complete."""

    def __init__(self) -> None:
        super().__init__()
        self.done = asyncio.Event()

    def expect(self) -> None:
        """Start a round."""
        self.count = 0
        self.done.clear()

    def on_struct(self, ticker: Any) -> None:
        """Of a msgspec Struct."""
        super().on_struct(ticker)
        if self.count == MESSAGES:
            self.done.set()

    def on_event(self, ticker: Any) -> None:
        """Of a cexnet event."""
        super().on_event(ticker)
        if self.count == MESSAGES:
            self.done.set()


@pytest.fixture(scope="module")
def feed_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a feed in another process."""
    port_file: Path = tmp_path_factory.mktemp("feed") / "port"
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.feed", str(port_file)])
    try:
        while not port_file.exists() or not port_file.read_text():
            if process.poll() is not None:
                raise RuntimeError("the feed process ended before it served")
            time.sleep(0.01)
        yield f"ws://127.0.0.1:{port_file.read_text()}/"
    finally:
        process.kill()
        process.wait()


def cpu_of(loop: asyncio.AbstractEventLoop, round_: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """CPU nanoseconds of this process while ``round_`` runs."""
    start_ns = time.process_time_ns()
    loop.run_until_complete(round_())
    return time.process_time_ns() - start_ns


@pytest.mark.parametrize(("name", "goal"), [("picows + msgspec", 3.0), ("aiohttp + msgspec", 10.0)])
def test_socket_to_handler(interleaved: Interleaved, feed_url: str, name: str, goal: float) -> None:
    """Goals: 3x picows + msgspec, 10x aiohttp + msgspec."""
    loop = asyncio.new_event_loop()
    decode = msgspec.json.Decoder(Combined, strict=False).decode

    async def open_all() -> tuple[Any, ...]:
        ours, theirs, slowest = Arrivals(), Arrivals(), Arrivals()
        schema = get_exchange("binance").schema
        symbols = SymbolTable()
        router = Router(schema, symbols)
        for symbol in SYMBOLS:
            router.add(EventKind.BOOK_TICKER, symbol, ours.on_event)
        receiver = Receiver(Decoder(schema, symbols=symbols), router, 0)
        connection = await connect(feed_url, receiver, deadline_s=5.0, validate_utf8=False)
        handlers = dict.fromkeys(SYMBOLS, theirs.on_struct)
        transport, _ = await picows.ws_connect(lambda *_: MsgspecListener(handlers), feed_url)
        session = aiohttp.ClientSession()
        socket = await session.ws_connect(feed_url, max_msg_size=0)

        async def run_ours() -> None:
            ours.expect()
            router.reset()  # the feed sends the same sequences each round
            connection.send_text(GO)
            await ours.done.wait()

        async def run_picows() -> None:
            theirs.expect()
            transport.send(picows.WSMsgType.TEXT, GO)
            await theirs.done.wait()

        async def run_aiohttp() -> None:
            slowest.expect()
            await socket.send_str(GO.decode())
            while slowest.count < MESSAGES:
                ticker = decode((await socket.receive()).data).data
                slowest.on_struct(ticker)

        async def close_all() -> None:
            await connection.close()
            transport.disconnect()
            await session.close()

        return run_ours, run_picows, run_aiohttp, close_all

    run_ours, run_picows, run_aiohttp, close_all = loop.run_until_complete(open_all())
    try:
        rival = run_picows if name.startswith("picows") else run_aiohttp
        interleaved(
            f"loopback socket -> handler, CPU, against {name}",
            Contestant("cexnet", cpu_of, (loop, run_ours), MESSAGES, returns_ns=True),
            Contestant(name, cpu_of, (loop, rival), MESSAGES, returns_ns=True),
            goal=goal,
        )
    finally:
        loop.run_until_complete(close_all())
        loop.close()
