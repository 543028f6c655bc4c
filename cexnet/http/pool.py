"""The connections to one host: those that are idle, and the way to another.

aiohttp's connector opens them, counts them against the limit and keeps those waiting in
order who find it reached. Idle ones are kept here, the last used on top: it is the least
likely to have been closed meanwhile, and the others may grow old and go.
"""

from __future__ import annotations

import asyncio
import select
from time import monotonic

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from cexnet.http.connector import KEEP_ALIVE_S, ConnectionOptions, open_connector
from cexnet.http.faults import TransportFault

# For one address of several: the deadline of the call bounds the whole.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
# A FIN or RST that has arrived; 0 where the system cannot tell (no poll, no POLLRDHUP).
_HUNG_UP: int = getattr(select, "POLLRDHUP", 0)


class Pool:
    """At most ``limit`` connections to ``origin``, made and used on the running loop.

    Who takes one gives it back when it may serve again, and otherwise closes it.
    """

    def __init__(self, origin: URL, options: ConnectionOptions, limit: int) -> None:
        self.sockets_opened = 0
        self._connector = open_connector(options, limit, self._count_socket)
        # In aiohttp's terms where connections lead to. It is never sent.
        self._origin = aiohttp.ClientRequest(
            "GET", origin, loop=asyncio.get_running_loop(), proxy=options.http_proxy
        )
        self._idle: list[tuple[Connection, float]] = []
        self._wanted = 0  # by those who open one or wait for one

    def take(self) -> Connection | None:
        """The idle connection that was used last, asked of the kernel whether it is alive."""
        while self._idle:
            connection, since_s = self._idle.pop()
            if monotonic() - since_s <= KEEP_ALIVE_S and _is_usable(connection):
                return connection
            connection.close()
        return None

    async def connect(self) -> Connection:
        """One that somebody gives back, or a new one, whichever there is first.

        Raises what aiohttp raises, and TransportFault when each closes as it opens.
        """
        self._wanted += 1
        try:
            while True:
                opened = self.sockets_opened
                connection = await self._connector.connect(self._origin, [], _TIMEOUT)
                if _is_usable(connection):
                    return connection
                connection.close()
                if self.sockets_opened != opened:
                    raise TransportFault("closed", "the server closes connections as they open", sent=False)
        finally:
            self._wanted -= 1

    def give_back(self, connection: Connection) -> None:
        """It may serve again: whoever waits for one, or the next who takes one."""
        if self._wanted or self._connector.closed:
            connection.release()
            return
        now_s = monotonic()
        self._idle.append((connection, now_s))
        if now_s - self._idle[0][1] > KEEP_ALIVE_S:
            self._idle.pop(0)[0].close()

    async def close(self) -> None:
        """Close every connection, busy ones too, and wake who waits for one (CancelledError)."""
        for connection, _ in self._idle:
            connection.release()  # aiohttp waits until those are closed that it knows of
        self._idle.clear()
        await self._connector.close()

    def _count_socket(self) -> None:
        self.sockets_opened += 1


def _is_usable(connection: Connection) -> bool:
    """Whether it is open, and nobody spoke on it: unread bytes would pass for the next answer."""
    protocol = connection.protocol
    if protocol is None or protocol.should_close:
        return False
    transport = protocol.transport
    if transport is None or transport.is_closing():
        return False
    if not _HUNG_UP:
        return True
    # The event loop learns of a FIN, a reset or unasked bytes only when it next reads.
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), _HUNG_UP | select.POLLIN)
    return not poll.poll(0)
