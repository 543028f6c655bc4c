"""Two small proxies on loopback: HTTP CONNECT and SOCKS5, each for any number of clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        return  # one side reset: the other is closed below
    finally:
        writer.close()


async def _splice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    onward_reader, onward_writer = await asyncio.open_connection(host, port)
    await asyncio.gather(_pump(reader, onward_writer), _pump(onward_reader, writer))


@contextlib.asynccontextmanager
async def http_proxy(status: int = 200) -> AsyncIterator[tuple[str, list[str]]]:
    """``(url, request heads seen)``; any ``status`` but 200 refuses."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(head)
        host, port = head.split(" ")[1].rsplit(":", 1)
        writer.write(f"HTTP/1.1 {status} Well\r\n\r\n".encode())
        if status == 200:
            await _splice(reader, writer, host, int(port))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()


@contextlib.asynccontextmanager
async def socks5_proxy(reply: int = 0) -> AsyncIterator[tuple[str, list[str]]]:
    """``(url, targets asked for)``; any ``reply`` but 0 refuses (RFC 1928 section 6)."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, _, _, kind = await reader.readexactly(4)
        if kind == 1:
            host = socket.inet_ntoa(await reader.readexactly(4))
        else:
            (size,) = await reader.readexactly(1)
            host = (await reader.readexactly(size)).decode()
        port = int.from_bytes(await reader.readexactly(2), "big")
        seen.append(f"{host}:{port}")
        writer.write(bytes([5, reply, 0, 1]) + bytes(6))
        if reply == 0:
            await _splice(reader, writer, host, port)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"socks5://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()
