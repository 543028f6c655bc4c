"""A WebSocket server that does as it is told: the upgrade by hand, then any bytes at all.

A test opens a ``Peer``, lets the client connect, takes the TCP connection with ``accept()``
and plays the other side step by step. Nothing happens by itself, so nothing needs a sleep.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import socket
import ssl
import struct
from dataclasses import dataclass, field

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

# Nothing here should take longer than a moment: a test that hangs says where.
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes
    fin: bool
    masked: bool
    rsv: int = 0
    mask: bytes = b""

    @property
    def close_code(self) -> int | None:
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    length: int | None = None,
    masked: bool = False,
) -> bytes:
    """Bytes of one frame; ``rsv`` is 1-7, ``length`` lies about the payload."""
    size = len(payload) if length is None else length
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    return head + (bytes(4) if masked else b"") + payload


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def accept_key(key: str) -> bytes:
    return base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest())


@dataclass
class PeerConnection:
    """One TCP connection at the server's side."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request_line: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    async def read_request(self) -> dict[str, str]:
        async with asyncio.timeout(PATIENCE_S):
            head = await self.reader.readuntil(b"\r\n\r\n")
        self.request_line, *lines = head.decode().split("\r\n")[:-2]
        pairs = (line.split(": ", 1) for line in lines)
        self.headers = {name.lower(): value for name, value in pairs}
        return self.headers

    async def upgrade(
        self,
        behind: bytes = b"",
        *,
        connection: str = "Upgrade",
        upgrade: str = "websocket",
        accept: bytes | None = None,
        extra: str = "",
    ) -> None:
        """Answer 101, with ``behind`` in the same segment."""
        headers = await self.read_request()
        key = accept or accept_key(headers["sec-websocket-key"])
        await self.write(
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: {upgrade}\r\n"
            f"Connection: {connection}\r\n{extra}Sec-WebSocket-Accept: ".encode()
            + key
            + b"\r\n\r\n"
            + behind
        )

    async def answer(self, text: str) -> None:
        """Answer the request with the head ``text``, written with plain newlines."""
        await self.read_request()
        await self.write(text.replace("\n", "\r\n").encode() + b"\r\n\r\n")

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE_S):
            await self.writer.drain()

    async def read_frame(self) -> Frame:
        async with asyncio.timeout(PATIENCE_S):
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            masked = bool(second & 0x80)
            mask = await self.reader.readexactly(4) if masked else bytes(4)
            payload = await self.reader.readexactly(size)
        pattern = (mask * (size // 4 + 1))[:size]
        plain = int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")
        return Frame(
            first & 0xF, plain.to_bytes(size, "big"), bool(first & 0x80), masked, first >> 4 & 7, mask
        )

    def stop_reading(self) -> None:
        """Let what the client sends pile up, in the end at the client."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def go_on_reading(self) -> None:
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]

    async def read_to_end(self) -> bytes:
        """Everything until the client's TCP ends, which it must."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def close(self) -> None:
        """Close TCP in good order."""
        self.writer.close()
        async with asyncio.timeout(PATIENCE_S):
            try:
                await self.writer.wait_closed()
            except OSError:
                return  # the client was faster, with a reset

    async def reset(self) -> None:
        """End TCP with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Peer:
    """A listening socket on loopback; connections wait for ``accept()``."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._ssl = ssl_context
        self._host = host
        self._waiting: asyncio.Queue[PeerConnection] = asyncio.Queue()
        self._all: list[PeerConnection] = []

    async def __aenter__(self) -> Peer:
        self._server = await asyncio.start_server(self._connected, self._host, 0, ssl=self._ssl, limit=2**22)
        self.port: int = self._server.sockets[0].getsockname()[1]
        scheme, host = ("wss", "localhost") if self._ssl else ("ws", self._host)
        host = f"[{host}]" if ":" in host else host
        self.url = f"{scheme}://{host}:{self.port}/feed?key=secret"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self._all:
            connection.writer.transport.abort()
            await connection.close()

    async def accept(self) -> PeerConnection:
        async with asyncio.timeout(PATIENCE_S):
            return await self.take()

    async def take(self) -> PeerConnection:
        """The next connection, however long it takes."""
        return await self._waiting.get()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = PeerConnection(reader, writer)
        self._all.append(connection)
        self._waiting.put_nowait(connection)
