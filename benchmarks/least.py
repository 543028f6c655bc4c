"""The least that an HTTP/1.1 request costs in Python: a pool of connections on bare asyncio.

Only for answers with a Content-Length and no faults at all: not a client but a yardstick, for
what a transport below RestManager could save at most.
"""

from __future__ import annotations

import asyncio
import re

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._got = b""
        self._answer: asyncio.Future[bytes] | None = None

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0 or self._answer is None:
            return
        length = _LENGTH.search(self._got, 0, end)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._got) >= whole:
            answer, self._answer = self._answer, None
            body, self._got = self._got[end + 4 : whole], self._got[whole:]
            answer.set_result(body)

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """Send; the body of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer


class LeastClient:
    """Opens a connection whenever none is idle."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[Connection] = []

    async def ask(self, request: bytes) -> bytes:
        """Send on an idle connection; the body of the answer."""
        if self._idle:
            connection = self._idle.pop()
        else:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Connection, self._host, self._port)
        body = await connection.ask(request)
        self._idle.append(connection)
        return body

    def close(self) -> None:
        """Close all connections; none may be in use."""
        for connection in self._idle:
            connection.transport.close()
