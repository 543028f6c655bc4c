"""One connection in use: a request goes out, its answer comes in, and then the next.

aiohttp opens the connection; from then on the transport speaks to this protocol instead of
aiohttp's, which is only told when the connection ends, because its connector counts them.
"""

from __future__ import annotations

import asyncio
import select

from aiohttp.connector import Connection

from cexnet.http.faults import FaultKind, TransportFault
from cexnet_core.clock import ticks_ns
from cexnet_core.response import BodyTooLarge, MalformedResponse, ResponseParser

# A FIN or RST that has arrived; 0 where the system cannot tell (no poll, no POLLRDHUP).
_HUNG_UP: int = getattr(select, "POLLRDHUP", 0)
# An idle socket takes as much at once; no exchange takes as much in a request.
_SENT_AT_ONCE = 16 * 1024


def drop(connection: Connection) -> None:
    """Close ``connection`` without waiting for its peer.

    A transport that is closed politely first writes what waits, be it an order that was given
    up, and over TLS waits for the peer's farewell, half a minute long.
    """
    if connection.transport is not None:
        connection.transport.abort()
    connection.close()


class Conversation(asyncio.BufferedProtocol):
    """One request at a time over ``connection``, which it takes over from aiohttp.

    ``response`` is the parser, which holds the last answer. ``first_byte_ns`` is when its head was
    there (``ticks_ns``), ``idle_since_s`` is the pool's.
    """

    def __init__(self, connection: Connection, max_body_bytes: int) -> None:
        transport, opener = connection.transport, connection.protocol
        assert transport is not None
        assert opener is not None
        self.connection = connection
        self.response = ResponseParser(max_body_bytes)
        self.first_byte_ns = 0
        self.idle_since_s = 0.0
        # It has the transport, and lets go of it at the end: of our own it would be a cycle with TLS's.
        self._opener = opener
        self._is_tls = transport.get_extra_info("ssl_object") is not None
        self._waiter: asyncio.Future[None] | None = None
        # The transport asks before each read: without a turn through Python of ours.
        buffers = self.response.get_tls_buffer if self._is_tls else self.response.get_buffer
        self.get_buffer = buffers  # type: ignore[method-assign, assignment]
        self._poll = None
        if _HUNG_UP:
            self._poll = select.poll()
            self._poll.register(transport.get_extra_info("socket").fileno(), _HUNG_UP | select.POLLIN)
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether it is, and no byte came over it unasked, as far as the event loop knows."""
        opener = self._opener
        return opener.is_connected() and not (self.response.spoke_unasked or opener.should_close)

    @property
    def is_quiet(self) -> bool:
        """Whether the kernel knows of nothing that the loop has not read: no byte, no end."""
        return self._poll is None or not self._poll.poll(0)

    async def settle(self) -> bool:
        """Let a connection that was just opened become quiet; False when it cannot be used.

        A TLS 1.3 server speaks first by itself, with session tickets: the loop reads those.
        """
        if self._is_tls:
            await asyncio.sleep(0)  # uvloop reads what came with the handshake one turn later
        while self.is_open:
            if self._poll is None or not (events := self._poll.poll(0)):
                return True
            if not self._is_tls or events[0][1] != select.POLLIN:
                return False
            await asyncio.sleep(0)
        return False

    def ask(self, request: bytes, *, head_only: bool) -> asyncio.Future[None]:
        """Send ``request``; the future ends when ``response`` is whole, or with a TransportFault."""
        assert self._opener.transport is not None  # it is_open
        self.response.begin(head_only)
        self.first_byte_ns = 0
        self._waiter = asyncio.get_running_loop().create_future()
        self._opener.transport.write(request)
        return self._waiter

    def may_go_on(self, request: bytes) -> bool:
        """Whether another request may follow: an answer may come before all of one has left."""
        if not self.response.keep_alive or not self.is_open:
            return False
        if self._is_tls and len(request) > _SENT_AT_ONCE:
            return False  # TLS keeps no account of what waits below it
        transport = self._opener.transport
        return transport is not None and not transport.get_write_buffer_size()

    def expire(self) -> None:
        """The deadline of the request passed."""
        self._fail("deadline", "the deadline passed")

    def close(self) -> None:
        """Close the connection, now: what was not written yet never will be."""
        drop(self.connection)

    def abort(self) -> None:
        """End it under who waits for its answer: that ends with a TransportFault."""
        if self._opener.transport is not None:
            self._opener.transport.abort()

    # --- what the transport calls ---

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes came."""
        response = self.response
        try:
            whole = response.advance(nbytes)
        except BodyTooLarge as error:
            self._fail("too_large", str(error))
        except MalformedResponse as error:
            self._fail("malformed", str(error))
        else:
            if not self.first_byte_ns and response.status:
                self.first_byte_ns = ticks_ns()
            if whole:
                self._succeed()

    def eof_received(self) -> None:
        """No more will come; the transport then closes."""
        try:
            if self.response.end():
                self._succeed()
        except BodyTooLarge as error:
            self._fail("too_large", str(error))
        except MalformedResponse as error:
            self._fail("malformed", str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        if exc is None:
            self.eof_received()  # TLS does not tell of it by itself
            self._fail("closed", "the connection was closed before the answer")
        else:
            reason = type(exc).__name__
            if isinstance(exc, OSError) and exc.strerror:
                reason = f"{reason}: {exc.strerror}"
            self._fail("malformed" if self.response.status else "reset", reason)
        self._opener.connection_lost(exc)

    def _succeed(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, kind: FaultKind, detail: str) -> None:
        if self._waiter is not None and not self._waiter.done():
            response = self.response
            self._waiter.set_exception(
                TransportFault(kind, detail, sent=True, status=response.status, headers=response.headers)
            )
