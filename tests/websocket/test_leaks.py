"""Five hundred reconnects leave nothing behind: no task, socket, descriptor or memory.

The exchange runs in a process of its own, so that its memory does not count.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import re
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest

from cexnet.exchanges import get_exchange
from cexnet.types import MARKET_CHANNELS
from cexnet.websocket import MetricsPolicy, ReconnectPolicy, SessionState, StateChange, WebSocketManager
from tests.websocket.live import topics_of

RECONNECTS = 500
WARM = 10
LOOKS = 9
MOST_GROWTH_BYTES = 1_000_000
PATIENCE_S = 60.0
_PROCESS = Path("/proc/self")

pytestmark = pytest.mark.skipif(not _PROCESS.exists(), reason="counts what /proc/self shows")


@dataclass(frozen=True)
class Holdings:
    """What this process holds."""

    tasks: int
    descriptors: int
    sockets: int
    resident_bytes: int

    @classmethod
    def count(cls) -> Holdings:
        gc.collect()
        _give_back_free_memory()
        kinds = [_kind(entry) for entry in os.listdir(_PROCESS / "fd")]
        pages = int((_PROCESS / "statm").read_text().split()[1])
        return cls(
            len(asyncio.all_tasks()),
            len(kinds),
            sum(map(stat.S_ISSOCK, kinds)),
            pages * os.sysconf("SC_PAGESIZE"),
        )


def _kind(descriptor: str) -> int:
    try:
        return os.fstat(int(descriptor)).st_mode
    except OSError:  # that of the listing itself
        return 0


def _give_back_free_memory() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; others need no asking
    if trim is not None:
        trim(0)


@asynccontextmanager
async def fragile_exchange() -> AsyncIterator[str]:
    """URL of an exchange in another process that ends every connection after 5 messages.

    By a reset; under uvloop by closing TCP without a word: a reset that comes together with
    data makes uvloop stop watching the socket, and is noticed by its silence only.
    """
    is_uvloop = type(asyncio.get_running_loop()).__module__.startswith("uvloop")
    fault = ("close:code=1006" if is_uvloop else "reset:connection=0") + ",after=5,times=always"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cexnet", "simulate", "--rate", "2000", "--fault", fault, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := re.search(rb"websocket (ws://\S+)", await process.stderr.readline())):
                assert process.returncode is None
        yield found[1].decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_reconnects_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    # pytest keeps every record, which would count as ours.
    caplog.set_level(logging.ERROR, "cexnet.websocket")
    exchange = get_exchange("binance")
    moved = asyncio.Event()
    events = lives = 0

    def on_state(change: StateChange) -> None:
        nonlocal lives
        lives += change.state is SessionState.LIVE
        moved.set()

    def on_event(event: object) -> None:
        nonlocal events
        events += 1

    async with fragile_exchange() as url:
        strategies = exchange.websocket_strategies(url)
        strategies.connection.reconnect = ReconnectPolicy(base_s=0.0, cap_s=0.0, healthy_s=0.0)
        strategies.connection.max_connects = 10 * RECONNECTS

        async def holdings_after(reconnects: int) -> Holdings:
            """The most of several looks: at some, the connection has just ended again."""
            looks = []
            enough = reconnects
            async with asyncio.timeout(PATIENCE_S):
                while len(looks) < LOOKS:
                    while lives <= enough:
                        moved.clear()
                        await moved.wait()
                    looks.append(astuple(Holdings.count()))
                    enough = lives
            return Holdings(*map(max, zip(*looks, strict=True)))

        at_first = Holdings.count()
        # What metrics() keeps of the recent past fills up for a window's length: let that be short.
        policy = MetricsPolicy(window_s=0.05, slices=1)
        async with WebSocketManager(strategies, on_state=on_state, policy=policy) as manager:
            await manager.initialize(topics_of(*exchange.symbols, channels=MARKET_CHANNELS), on_event)
            early = await holdings_after(WARM)
            late = await holdings_after(RECONNECTS)
            metrics = manager.metrics()
        at_last = Holdings.count()
    assert metrics.reconnects >= RECONNECTS
    assert metrics.connections == 1
    assert events > RECONNECTS
    assert (late.tasks, late.descriptors, late.sockets) == (early.tasks, early.descriptors, early.sockets)
    assert late.resident_bytes - early.resident_bytes < MOST_GROWTH_BYTES
    assert (at_last.tasks, at_last.descriptors) == (at_first.tasks, at_first.descriptors)
