"""The live view of a stream in a terminal, redrawn four times a second until its time is over."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from dataclasses import dataclass, field

from rich.console import Console, RenderableType

from cexnet.cli.board import Board, Picture, render
from cexnet.cli.draw import clock
from cexnet.cli.screen import LiveScreen
from cexnet.cli.trading import Orders
from cexnet.http import RestManager
from cexnet.websocket import WebSocketManager

REFRESH_S = 0.25
_KEPT_RATES = 60


@dataclass(slots=True)
class View:
    """Waits for the end of the run and, in a terminal, redraws the picture meanwhile.

    ``note`` stands where the REST line would be when there is no ``rest``.
    """

    title: str
    stream: WebSocketManager
    rest: RestManager | None
    board: Board
    console: Console
    note: str = ""
    orders: Orders | None = None
    _began_s: float = field(default_factory=time.perf_counter)
    _seen: int = 0
    _seen_s: float = 0.0
    _rates_per_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT_RATES))

    async def show(self, *, until_s: float, finished: asyncio.Event | None, live: bool) -> None:
        """Return at ``until_s``, and with ``finished`` not before it was set."""
        if not live:
            await asyncio.sleep(max(0.0, until_s - time.perf_counter()))
            if finished is not None:
                await finished.wait()
            return
        self._began_s = time.perf_counter()
        self._note_rate()
        with LiveScreen(self.console) as screen:
            try:
                while not self._over(until_s, finished):
                    screen.draw(self._draw(screen, until_s))
                    await asyncio.sleep(REFRESH_S)
                    self._note_rate()
            finally:
                screen.draw(self._draw(screen, until_s))

    @staticmethod
    def _over(until_s: float, finished: asyncio.Event | None) -> bool:
        return time.perf_counter() >= until_s and (finished is None or finished.is_set())

    def _note_rate(self) -> None:
        messages, now_s = self.stream.metrics().messages, time.perf_counter()
        if self._seen_s:
            self._rates_per_s.append((messages - self._seen) / max(1e-3, now_s - self._seen_s))
        self._seen, self._seen_s = messages, now_s

    def _draw(self, screen: LiveScreen, until_s: float) -> RenderableType:
        router = self.stream.router
        stages = {
            "decode, 1 in 8": router.decoded,
            "handle, 1 in 8": router.handled,
            "receive to handled": router.total,
        }
        if self.rest is not None:
            stages["REST total"] = self.rest.latency.total
        picture = Picture(
            self.title,
            self._elapsed(until_s),
            self.board,
            self.stream.metrics(),
            tuple(self._rates_per_s),
            stages,
            self.note if self.rest is None else self._rest_line(self.rest),
            screen.notice,
        )
        return render(picture, screen.width, screen.height)

    def _elapsed(self, until_s: float) -> str:
        elapsed = clock(time.perf_counter() - self._began_s)
        whole_s = until_s - self._began_s
        limit = f" of {clock(math.ceil(whole_s))}" if whole_s < 86_400 else ""
        return f"{elapsed}{limit}   Ctrl-C ends"

    def _rest_line(self, rest: RestManager) -> str:
        metrics = rest.metrics()
        tripped = [breaker.group for breaker in metrics.breakers if breaker.state != "closed"]
        broken = f"  breakers open: {', '.join(tripped)}" if tripped else ""
        orders = f"\n{self.orders}" if self.orders is not None else ""
        return (
            f"REST requests {metrics.requests:,}  errors {metrics.errors:,}  "
            f"retries {metrics.retries:,}{broken}{orders}"
        )
