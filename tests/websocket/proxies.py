"""Small proxies on loopback: HTTP CONNECT, SOCKS4 and SOCKS5, each for any number of clients."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
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
async def http_proxy(
    status: int = 200, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[str]]]:
    """``(url, request heads seen)``; any ``status`` but 200 refuses; with ``tls`` it is localhost's."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(head)
        host, port = head.split(" ")[1].rsplit(":", 1)
        writer.write(f"HTTP/1.1 {status} Well\r\n\r\n".encode())
        if status == 200:
            await _splice(reader, writer, host, int(port))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    origin = "https://localhost" if tls else "http://127.0.0.1"
    try:
        yield f"{origin}:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()


@contextlib.asynccontextmanager
async def socks5_proxy(reply: int = 0, login: bytes = b"") -> AsyncIterator[tuple[str, list[str]]]:
    """``(url, targets asked for)``; any ``reply`` but 0 refuses (RFC 1928 section 6).

    ``login`` is ``user:password``, when one is asked for (RFC 1929).
    """
    seen: list[str] = []

    async def logged_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"\x05\x02")
        words = []
        await reader.readexactly(1)
        for _ in range(2):
            (size,) = await reader.readexactly(1)
            words.append(await reader.readexactly(size))
        right = b":".join(words) == login
        writer.write(b"\x01\x00" if right else b"\x01\x01")
        return right

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        if not login:
            writer.write(b"\x05\x00")
        elif not await logged_in(reader, writer):
            writer.close()
            return
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


@contextlib.asynccontextmanager
async def socks4_proxy(reply: int = 0x5A) -> AsyncIterator[tuple[str, list[str]]]:
    """``(url, targets asked for)``; any ``reply`` but 0x5A refuses."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(8)
        await reader.readuntil(b"\x00")  # the user
        host = socket.inet_ntoa(head[4:])
        if head[4:7] == bytes(3):  # SOCKS4a: the name follows
            host = (await reader.readuntil(b"\x00"))[:-1].decode()
        port = int.from_bytes(head[2:4], "big")
        seen.append(f"{host}:{port}")
        writer.write(bytes([0, reply]) + bytes(6))
        if reply == 0x5A:
            await _splice(reader, writer, host, port)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"socks4://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()
