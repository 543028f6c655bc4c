"""Pings that wait for their pong, and the round trips that come out of them."""

from __future__ import annotations

import asyncio
import time

from cexnet_core.ending import Ending


class WaitingPings:
    """Pings on the wire, oldest first. Belongs to one connection and its event loop."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[bytes, asyncio.Future[float], float]] = []

    def add(self, payload: bytes) -> asyncio.Future[float]:
        """A future of the round trip, in seconds, of the ping that is sent now."""
        future = self._loop.create_future()
        self._waiting = [ping for ping in self._waiting if not ping[1].done()]
        self._waiting.append((payload, future, time.monotonic()))
        return future

    def answered(self, payload: bytes) -> None:
        """A pong came. It answers its ping and all earlier ones (RFC 6455 section 5.5.3)."""
        now_s = time.monotonic()
        last = -1
        for index, (sent, _, _) in enumerate(self._waiting):
            if sent == payload:
                last = index
        for _, future, sent_s in self._waiting[: last + 1]:
            if not future.done():
                future.set_result(now_s - sent_s)
        del self._waiting[: last + 1]

    def fail(self, ending: Ending, text: str) -> None:
        """No pong will come any more: every future raises a ConnectionClosed of its own."""
        for _, future, _ in self._waiting:
            if not future.done():
                future.set_exception(ending.closed_error(text))
        self._waiting.clear()
