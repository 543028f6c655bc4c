"""Playback of text captures. Nothing is rewritten."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from cexnet.recording.capture import read_answers, read_capture
from cexnet_core.errors import ConfigurationError

if TYPE_CHECKING:
    from cexnet.simulator.connection import Connection
    from cexnet.simulator.stats import Stats

_BATCH = 64  # messages between two looks at the socket when flat out
_SHORTEST_WAIT_S = 0.001  # closer messages go out together


@dataclass(frozen=True, slots=True)
class Recorded:
    """One received message and its time in Unix seconds."""

    at_s: float
    message: str


class Capture:
    """A capture read into memory.

    ``messages`` are the received market-data messages in order (answers to the
    recorder's own requests left out), ``controls`` how many were left out. Raises
    :class:`ConfigurationError` when the file cannot be read or holds no message.
    """

    def __init__(self, path: Path, is_control: Callable[[str], bool]) -> None:
        self.path = path
        try:
            received = [Recorded(at_s, text.decode()) for at_s, text in read_capture(path).messages]
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"cannot read the capture {path}: {error}") from error
        self.messages = [record for record in received if not is_control(record.message)]
        self.controls = len(received) - len(self.messages)
        self._snapshots: dict[str, list[Any]] = {}
        for url, body in read_answers(path):
            query = parse_qs(urlsplit(url).query)
            for name in ("symbol", "currency_pair", "instId"):
                if name in query:
                    self._snapshots.setdefault(query[name][0], []).append(json.loads(body))

    def snapshot(self, symbol: str) -> Any | None:
        """The next recorded depth snapshot of ``symbol``; the last one again when used up."""
        bodies = self._snapshots.get(symbol)
        if not bodies:
            return None
        return bodies.pop(0) if len(bodies) > 1 else bodies[0]

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols with a recorded depth snapshot."""
        return tuple(self._snapshots)


async def play(
    capture: Capture, frames: list[bytes], connection: Connection, stats: Stats, speed: float | None
) -> None:
    """Send every frame (one a message of ``capture``) to one client, in order.

    ``speed`` as in :class:`Simulator`. Flat out, a slow client is waited for; at a pace,
    too, so what it gets late it still gets. Returns when all is written or it is gone.
    """
    start_s = time.monotonic()
    first_s = capture.messages[0].at_s if capture.messages else 0.0
    for index, (record, frame) in enumerate(zip(capture.messages, frames, strict=True)):
        if speed is not None:
            await _wait_until(start_s + (record.at_s - first_s) / speed)
        elif index % _BATCH == 0:
            await asyncio.sleep(0)
        if not connection.session.carries(record.message):
            continue
        await connection.room()
        if connection.ended.is_set():
            return
        connection.send(frame, "capture")
        stats.messages["capture"] += 1
    await connection.drained()


async def _wait_until(due_s: float) -> None:
    wait_s = due_s - time.monotonic()
    if wait_s > _SHORTEST_WAIT_S:
        await asyncio.sleep(wait_s)
