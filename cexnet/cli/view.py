"""The live view of a stream in a terminal, redrawn four times a second until its time is over."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.live import Live

from cexnet.cli.board import Board, render
from cexnet.http import RestManager
from cexnet.websocket import WebSocketManager

REFRESH_S = 0.25


@dataclass(slots=True)
class View:
    """Waits for the end of the run and, in a terminal, redraws the table meanwhile.

    ``note`` stands where the REST line would be when there is no ``rest``.
    """

    title: str
    stream: WebSocketManager
    rest: RestManager | None
    board: Board
    console: Console
    note: str = ""
    _seen: int = 0
    _seen_s: float = 0.0

    async def show(self, *, until_s: float, finished: asyncio.Event | None, live: bool) -> None:
        """Return at ``until_s``, and with ``finished`` not before it was set."""
        if not live:
            await self._wait(until_s, finished)
            return
        self._seen_s = time.perf_counter()
        with Live(self._draw(), console=self.console, auto_refresh=False) as screen:
            while not self._over(until_s, finished):
                await asyncio.sleep(REFRESH_S)
                screen.update(self._draw(), refresh=True)

    @staticmethod
    def _over(until_s: float, finished: asyncio.Event | None) -> bool:
        return time.perf_counter() >= until_s and (finished is None or finished.is_set())

    async def _wait(self, until_s: float, finished: asyncio.Event | None) -> None:
        await asyncio.sleep(max(0.0, until_s - time.perf_counter()))
        if finished is not None:
            await finished.wait()

    def _draw(self) -> Any:
        metrics = self.stream.metrics()
        now_s = time.perf_counter()
        rate = (metrics.messages - self._seen) / max(1e-3, now_s - self._seen_s)
        self._seen, self._seen_s = metrics.messages, now_s
        router = self.stream.router
        return render(
            self.title,
            self.board,
            metrics,
            rate,
            {"decode": router.decoded, "handle": router.handled, "receive to handled": router.total},
            {} if self.rest is None else {"REST total": self.rest.latency.total},
            self.note if self.rest is None else _rest_line(self.rest),
        )


def _rest_line(rest: RestManager) -> str:
    return f"REST requests {rest.counters.requests}  errors {rest.counters.errors}"
