"""An open WebSocket connection, as ``connect()`` returns it."""

from __future__ import annotations

import asyncio
import select
from types import TracebackType

from cexnet_core.frames import FrameReader
from cexnet_core.messages import CloseInfo


class Connection:
    """One open connection. Use it on its event loop only; ``async with`` closes it.

    ``origin`` is ``scheme://host:port``, without the path, which may hold a listen key.
    ``response_headers`` are those of the upgrade, names in lower case.
    """

    __slots__ = (
        "_transport",
        "is_paused",
        "local_address",
        "origin",
        "reader",
        "remote_address",
        "response_headers",
    )

    def __init__(
        self,
        reader: FrameReader,
        transport: asyncio.Transport,
        *,
        origin: str,
        response_headers: dict[str, str],
        local_address: tuple[str, int],
        remote_address: tuple[str, int],
    ) -> None:
        self.reader = reader
        self.is_paused = False
        self._transport = transport
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

    @property
    def has_hung_up(self) -> bool:
        """Whether the kernel knows that TCP has ended both ways, by a reset above all.

        The event loop reports that by itself, with one exception: libuv stops watching a
        socket on which a reset comes together with data, so that uvloop reads the data and
        never learns of the reset. False while reading is paused, when what came before the
        reset still waits, and where the system cannot poll.
        """
        if self.is_closed or not self._transport.is_reading() or not hasattr(select, "poll"):
            return False
        poller = select.poll()
        poller.register(
            self._transport.get_extra_info("socket").fileno(), 0
        )  # hang-up and error are reported unasked
        return bool(poller.poll(0))

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

    def pause_reading(self) -> None:
        """Read nothing more from the socket, so that TCP pushes back. Idempotent.

        What has been read already still comes. Nothing is heard meanwhile: no pong, no
        close frame, and a ping of the peer waits for its answer.
        """
        if not self.is_paused and not self._transport.is_closing():
            self.is_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again after ``pause_reading()``. Idempotent."""
        if self.is_paused:
            self.is_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    async def close(self, code: int = 1000, reason: str = "") -> CloseInfo:
        """Close in good order, within the close timeout. Idempotent.

        Raises ConfigurationError for a code or reason that may not be sent.
        """
        self.reader.close(code, reason)
        self.resume_reading()  # the peer's close frame lies behind what we have not read
        return await self.wait_closed()

    def abort(self) -> None:
        """End TCP now; unsent data is lost. ``wait_closed()`` returns soon after."""
        self.reader.abort()

    async def wait_closed(self) -> CloseInfo:
        """Wait for the end of the connection, whoever brings it about, and tell how."""
        return await asyncio.shield(self.reader.closed)
