"""An open WebSocket connection, as ``connect()`` returns it."""

from __future__ import annotations

import asyncio
from types import TracebackType

from cexnet_core.frames import FrameReader
from cexnet_core.messages import CloseInfo


class Connection:
    """One open connection. Use it on its event loop only; ``async with`` closes it.

    ``origin`` is ``scheme://host:port``, without the path, which may hold a listen key.
    ``response_headers`` are those of the upgrade, names in lower case.
    """

    __slots__ = ("local_address", "origin", "reader", "remote_address", "response_headers")

    def __init__(
        self,
        reader: FrameReader,
        *,
        origin: str,
        response_headers: dict[str, str],
        local_address: tuple[str, int],
        remote_address: tuple[str, int],
    ) -> None:
        self.reader = reader
        self.origin = origin
        self.response_headers = response_headers
        self.local_address = local_address
        self.remote_address = remote_address

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open"
        return f"<Connection {self.origin} {state}, {self.reader.messages} messages>"

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def is_closed(self) -> bool:
        """Whether TCP has ended."""
        return self.reader.closed.done()

    def send_text(self, payload: str | bytes) -> None:
        """Send one text message; bytes must be UTF-8. Never blocks.

        Raises ConnectionClosed after the end.
        """
        self.reader.send_text(payload)

    def send_binary(self, payload: bytes) -> None:
        """Send one binary message. Never blocks. Raises ConnectionClosed after the end."""
        self.reader.send_binary(payload)

    async def ping(self) -> float:
        """Round trip of a ping, in seconds. Unbounded: put a timeout around it.

        Raises ConnectionClosed when the connection ends before the pong.
        """
        return await self.reader.ping()

    async def close(self, code: int = 1000, reason: str = "") -> CloseInfo:
        """Close in good order, within the close timeout. Idempotent.

        Raises ConfigurationError for a code or reason that may not be sent.
        """
        self.reader.close(code, reason)
        return await self.wait_closed()

    def abort(self) -> None:
        """End TCP now; unsent data is lost. ``wait_closed()`` returns soon after."""
        self.reader.abort()

    async def wait_closed(self) -> CloseInfo:
        """Wait for the end of the connection, whoever brings it about, and tell how."""
        return await asyncio.shield(self.reader.closed)
