"""A client down at the bytes: what a library would hide from a test."""

from __future__ import annotations

import asyncio
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cexnet.simulator import Simulator
from tests.simulator.peers import PATIENCE_S

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
CLOSE = 0x88


async def knock(sim: Simulator) -> Streams:
    """A TCP connection to the WebSocket port."""
    host, _, port = sim.ws_url.removeprefix("ws://").partition(":")
    return await asyncio.open_connection(host, int(port))


def upgrade(path: str) -> bytes:
    """A correct upgrade request."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


@asynccontextmanager
async def raw_client(sim: Simulator, path: str) -> AsyncIterator[Streams]:
    """A client that sent its upgrade request and read nothing yet."""
    reader, writer = await knock(sim)
    writer.write(upgrade(path))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def head(reader: asyncio.StreamReader) -> str:
    """The answer to the upgrade, without a body."""
    async with asyncio.timeout(PATIENCE_S):
        return (await reader.readuntil(b"\r\n\r\n")).decode()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Everything until the end of the stream."""
    async with asyncio.timeout(PATIENCE_S):
        return await reader.read()


async def frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next unmasked frame: its first byte and payload."""
    async with asyncio.timeout(PATIENCE_S):
        first, size = await reader.readexactly(2)
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await reader.readexactly(8), "big")
        return first, await reader.readexactly(size)


@asynccontextmanager
async def pieces(sim: Simulator, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """What each read of the socket gives after the upgrade request, unbuffered."""
    host, _, port = sim.ws_url.removeprefix("ws://").partition(":")
    loop = asyncio.get_running_loop()

    async def read(raw: sockets.socket) -> AsyncIterator[bytes]:
        while True:
            async with asyncio.timeout(PATIENCE_S):
                yield await loop.sock_recv(raw, 1 << 20)

    with sockets.socket() as raw:
        raw.setblocking(False)
        await loop.sock_connect(raw, (host, int(port)))
        await loop.sock_sendall(raw, upgrade(path))
        yield read(raw)


def split(data: bytes) -> list[tuple[int, bytes]]:
    """Whole unmasked frames of less than 64 KiB: first byte and payload of each."""
    frames = []
    while data:
        start, size = 2, data[1]
        if size == 126:
            start, size = 4, int.from_bytes(data[2:4], "big")
        frames.append((data[0], data[start : start + size]))
        data = data[start + size :]
    return frames
