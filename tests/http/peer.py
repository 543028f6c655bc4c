"""A raw HTTP/1.1 server on loopback that follows a script, faults included.

Each request that arrives takes the next step of the script; the last step repeats.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl


@dataclass
class Seen:
    """A request as it came in, byte for byte."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    address: str = ""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))


Step = Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]


def raw(data: bytes, *, close: bool = False) -> Step:
    async def step(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()

    return step


def head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {text}" for name, text in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def reply(
    data: Any = None,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
    content_type: str = "application/json",
) -> Step:
    body = json.dumps(data).encode() if body is None else body
    fields = {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}
    return raw(head(status, fields) + body)


def drop() -> Step:
    """Close without a word: what a server does that closes just as we reuse."""

    async def step(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.close()

    return step


def reset(before: bytes = b"") -> Step:
    """Send ``before``, then RST."""

    async def step(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(before)
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return step


def hang(before: bytes = b"") -> Step:
    """Send ``before`` and nothing more."""

    async def step(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(before)
        await writer.drain()
        await asyncio.Event().wait()

    return step


def cut(data: bytes, declared: int) -> Step:
    """A JSON body of which only ``data`` of ``declared`` bytes arrive."""
    fields = {"Content-Type": "application/json", "Content-Length": str(declared)}
    return raw(head(200, fields) + data, close=True)


class Peer:
    """``async with Peer(step, ...) as peer``: then talk to ``peer.url``."""

    def __init__(self, *steps: Step, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.steps = list(steps)
        self.seen: list[Seen] = []
        self.connections = 0
        self.open = 0
        self.arrived = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        origin = "https://localhost" if self._tls else "http://127.0.0.1"
        self.url = f"{origin}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        number = self.connections
        try:
            while not writer.is_closing():
                seen = await self._read(reader, number)
                seen.address = writer.get_extra_info("peername")[0]
                self.seen.append(seen)
                self.arrived.set()
                step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
                await step(seen, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, number: int) -> Seen:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Seen(method, target, headers, body, number)
