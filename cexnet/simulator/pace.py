"""Runs the random flow at a pace, and sends what goes out by the clock."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cexnet.simulator.market import DepthFeed, Market

if TYPE_CHECKING:
    from cexnet.simulator.server import Simulator

_TICK_S = 0.005  # how often the paced flow wakes up
_MOST_OWED_S = 0.25  # after a stall, catch up on at most this much
_BATCH = 32  # steps between two looks at the sockets when flat out
_BATCH_S = 0.01  # market time that they stand for, so that timed streams keep their share
_CANDLE_S = 1.0  # candles go out every second
STALLED_S = 10.0  # a client that reads nothing for so long is closed


@dataclass(slots=True)
class _Timer:
    due_s: float
    market: Market
    interval_ms: int
    feed: DepthFeed


class Pace:
    """Moves the markets at ``rate_per_s`` messages a second, ``None``: flat out.

    Flat out, market time runs as fast as the slowest client reads (candles excepted:
    they close by the wall clock), so nothing is dropped and memory stays flat;
    paced, the market waits for nobody and a client that lags too far is closed.
    """

    def __init__(self, sim: Simulator, rate_per_s: float | None) -> None:
        self._sim = sim
        self._rate_per_s = rate_per_s
        self._turn = 0
        self._markets = list(sim.markets.values())
        now_s = time.monotonic()
        self._candles_due_s = now_s + _CANDLE_S
        self._timers = [
            _Timer(now_s + interval * index / (1000 * len(self._markets)), market, interval, feed)
            for index, market in enumerate(self._markets)
            for interval, feed in market.feeds.items()
        ]

    async def run(self) -> None:
        """Run until cancelled."""
        if self._rate_per_s is None:
            await self._run_flat_out()
        else:
            await self._run_paced(self._rate_per_s)

    async def _run_paced(self, rate_per_s: float) -> None:
        topics = self._sim.topics
        last_s, owed = time.monotonic(), 0.0
        while True:
            now_s = time.monotonic()
            owed = min(owed + (now_s - last_s) * rate_per_s, max(1.0, _MOST_OWED_S * rate_per_s))
            last_s, whole, before = now_s, int(owed), topics.published
            for _ in range(whole * self._sim.persona.steps_per_message):
                if topics.published - before >= whole:
                    break
                self._step()
            self._push_timed(now_s)
            owed -= max(topics.published - before, whole)
            await asyncio.sleep(_TICK_S)

    async def _run_flat_out(self) -> None:
        market_s = time.monotonic()
        while True:
            for _ in range(_BATCH):
                self._step()
            market_s += _BATCH_S
            self._push_timed(market_s)
            await asyncio.sleep(0)  # lets the sockets take what was gathered
            for connection in list(self._sim.connections):
                if not connection.has_room:
                    try:
                        async with asyncio.timeout(STALLED_S):
                            await connection.room()
                    except TimeoutError:
                        connection.close_slow()

    def _step(self) -> None:
        self._turn += 1
        self._sim.flow.step(self._markets[self._turn % len(self._markets)])

    def _push_timed(self, now_s: float) -> None:
        persona = self._sim.persona
        for timer in self._timers:
            if now_s >= timer.due_s:
                timer.due_s = max(timer.due_s + timer.interval_ms / 1000, now_s)
                change = timer.feed.flush()
                if change is not None:
                    persona.push_depth(timer.market, timer.interval_ms, change)
        if now_s >= self._candles_due_s:
            self._candles_due_s = max(self._candles_due_s + _CANDLE_S, now_s)
            wall_s = time.time_ns() // 10**9
            for market in self._markets:
                market.close_candles(wall_s)
                for candle in market.candles.values():
                    persona.push_candle(market, candle, closed=False)
