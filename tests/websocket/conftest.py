"""Both event loops for every asynchronous test here, and a client joined to a raw peer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pytest

from cexnet.websocket.connect import Connection, connect
from cexnet_core.messages import PyMessageSink
from tests.websocket.peer import PATIENCE_S, Peer, PeerConnection


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if find_spec("uvloop"):
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories


@dataclass
class Inbox:
    """Messages as they came; ``take()`` waits for the next one."""

    messages: list[tuple[bytes, bool]] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    _queue: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)

    def __call__(self, payload: bytes, is_text: bool, receive_ts_ns: int) -> None:
        self.messages.append((payload, is_text))
        self.times_ns.append(receive_ts_ns)
        self._queue.put_nowait(payload)

    @property
    def payloads(self) -> list[bytes]:
        return [payload for payload, _ in self.messages]

    async def take(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self._queue.get()


@dataclass
class Joined:
    """Both ends of one connection."""

    client: Connection
    peer: PeerConnection
    inbox: Inbox


Join = Callable[..., Any]


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    async with Peer() as listening:
        yield listening


@pytest.fixture
async def join(peer: Peer) -> AsyncIterator[Join]:
    """``await join(behind=b"", extra="", **connect_arguments)`` -> ``Joined``."""
    clients: list[Connection] = []

    async def joined(behind: bytes = b"", extra: str = "", **arguments: Any) -> Joined:
        inbox = Inbox()
        attempt = asyncio.create_task(connect(peer.url, PyMessageSink(inbox), **arguments))
        connection = await peer.accept()
        await connection.upgrade(behind, extra=extra)
        clients.append(await attempt)
        return Joined(clients[-1], connection, inbox)

    yield joined
    for client in clients:
        client.abort()
        await client.wait_closed()
