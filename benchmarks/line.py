"""The receive line in memory: a real picows protocol fed without a socket's kernel cost."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import random
import socket
from collections.abc import Callable
from typing import Any

from picows import WSAutoPingStrategy, WSListener
from picows.picows import WSProtocol

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


def book_ticker_messages(count: int, seed: int = 7) -> list[bytes]:
    """Binance combined-stream book tickers: three symbols, prices that walk, real widths."""
    rng = random.Random(seed)
    mid = {"BTCUSDT": 67_000.0, "ETHUSDT": 3_500.0, "SOLUSDT": 180.0}
    messages = []
    for update_id in range(40_000_000_000, 40_000_000_000 + count):
        symbol = rng.choice(tuple(mid))
        mid[symbol] *= 1 + rng.gauss(0, 1e-5)
        price = mid[symbol]
        messages.append(
            f'{{"stream":"{symbol.lower()}@bookTicker","data":{{"u":{update_id},"s":"{symbol}",'
            f'"b":"{price:.8f}","B":"{rng.uniform(0.01, 900):.8f}",'
            f'"a":"{price + 0.01:.8f}","A":"{rng.uniform(0.01, 900):.8f}"}}}}'.encode()
        )
    return messages


def text_frame(payload: bytes) -> bytes:
    """One unmasked, final text frame, as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


class _SocketTransport(asyncio.Transport):
    """Just enough of a transport: a real socket to configure, and a sink for writes."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock, "peername": "memory", "sockname": "memory"})

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """The upgrade request goes nowhere."""

    def get_write_buffer_size(self) -> int:
        """Nothing is ever buffered."""
        return 0


class MemoryLine:
    """Feeds frames to a picows listener exactly as the event loop would after a read."""

    def __init__(self, listener: WSListener) -> None:
        self._server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._server.bind(("127.0.0.1", 0))
        self._server.listen()
        self._client = socket.create_connection(self._server.getsockname())
        self.protocol = WSProtocol(
            "localhost",
            "/",
            True,
            lambda request, response: listener,
            logging.getLogger("benchmark"),
            True,
            None,
            False,
            10,
            10,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,
            1 << 24,
            None,
            1 << 18,
        )
        self.protocol.connection_made(_SocketTransport(self._client))
        key = self.protocol.transport.request.headers["Sec-WebSocket-Key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - the RFC's
        self.read(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def read(self, data: bytes) -> None:
        """One read from the socket that brought ``data``."""
        size = len(data)
        self.protocol.get_buffer(-1)[:size] = data
        self.protocol.buffer_updated(size)

    def close(self) -> None:
        """Close the sockets."""
        self._client.close()
        self._server.close()


def reads_of(frames: list[bytes], per_read: int) -> list[bytes]:
    """Frames joined ``per_read`` at a time, as one read brings them under load."""
    return [b"".join(frames[i : i + per_read]) for i in range(0, len(frames), per_read)]


def feeding(line: MemoryLine, reads: list[bytes]) -> Callable[[], Any]:
    """A call that reads everything once."""

    def run() -> None:
        for data in reads:
            line.read(data)

    return run
