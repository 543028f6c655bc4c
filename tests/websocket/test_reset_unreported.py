"""A reset that comes together with data is noticed, though uvloop does not report it.

The exchange runs in a process of its own: only then do both arrive between two looks.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys

from cexnet.exchanges import get_exchange
from cexnet.types import MARKET_CHANNELS
from cexnet.websocket import LivenessPolicy, ReconnectPolicy, WebSocketManager
from tests.websocket.live import Log, topics_of

PATIENCE_S = 60.0
RESETS = 5
# Silence is never suspected here: whoever notices a reset has noticed the reset.
TRUSTING = LivenessPolicy(check_s=0.02, quiet_floor_s=3600.0, frozen_floor_s=3600.0, topic_floor_s=3600.0)


async def test_resets_from_another_process_are_noticed() -> None:
    log = Log()
    exchange = get_exchange("binance")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cexnet", "simulate", "--rate", "2000"),
        *("--fault", "reset:after=5,times=always"),
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := re.search(rb"websocket (ws://\S+)", await process.stderr.readline())):
                assert process.returncode is None
            strategies = exchange.websocket_strategies(found[1].decode())
            strategies.connection.reconnect = ReconnectPolicy(base_s=0.0, cap_s=0.0, healthy_s=0.0)
            strategies.connection.liveness = TRUSTING
            async with WebSocketManager(strategies, on_state=log.on_state) as manager:
                await manager.initialize(topics_of("BTCUSDT", channels=MARKET_CHANNELS), log.on_event)
                await log.until(lambda: len(log.losses) >= RESETS)
                metrics = manager.metrics()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert metrics.probes == 0
    assert {loss.code for loss in log.losses} == {1006}
