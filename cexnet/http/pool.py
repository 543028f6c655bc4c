"""The connections to one host: those that are idle, and the way to another.

aiohttp's connector opens them, counts them against the limit and keeps those waiting in
order who find it reached. Idle ones are kept here, the last used on top: it is the least
likely to have been closed meanwhile, and the others may grow old and go.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from time import monotonic
from weakref import WeakSet

import aiohttp
from aiohttp.client_proto import ResponseHandler
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
    ``on_connected`` is told how long each took to open, in ns.
    """

    def __init__(
        self, origin: URL, options: ConnectionOptions, limit: int, on_connected: Callable[[int], None]
    ) -> None:
        self.sockets_opened = 0
        self._connector = open_connector(options, limit, self._count_socket, on_connected)
        # In aiohttp's terms where connections lead to. It is never sent.
        self._origin = aiohttp.ClientRequest(
            "GET", origin, loop=asyncio.get_running_loop(), proxy=options.http_proxy
        )
        self._idle: list[tuple[Connection, float]] = []
        self._wanted = 0  # by those who open one or wait for one
        self._used: WeakSet[ResponseHandler] = WeakSet()  # have carried a request

    def take(self) -> Connection | None:
        """The idle connection that was used last, asked of the kernel whether it is alive."""
        while self._idle:
            connection, since_s = self._idle.pop()
            if monotonic() - since_s <= KEEP_ALIVE_S and _is_open(connection) and not _events(connection):
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
                connection = await self._connector.connect(self._origin, [], _TIMEOUT)
                new = connection.protocol not in self._used
                if await _is_usable(connection, new=new):
                    assert connection.protocol is not None
                    self._used.add(connection.protocol)
                    return connection
                connection.close()
                if new:
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


async def _is_usable(connection: Connection, *, new: bool) -> bool:
    """Whether it is open, and nobody spoke on it: unread bytes would pass for the next answer."""
    try:
        while _is_open(connection):
            events = _events(connection)
            if not events:
                return True
            assert connection.transport is not None
            # TLS 1.3 itself speaks first, with session tickets: let the loop read those. Other
            # bytes of a new connection then show in should_close.
            if not new or events != select.POLLIN or not connection.transport.get_extra_info("ssl_object"):
                return False
            await asyncio.sleep(0)
    except BaseException:
        connection.close()
        raise
    return False


def _is_open(connection: Connection) -> bool:
    """Whether it is, and no byte came over it unasked, as far as the event loop knows."""
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None:
        return False
    return not (protocol.should_close or transport.is_closing())


def _events(connection: Connection) -> int:
    """What the kernel knows and the loop may not have read yet: the peer closed, reset or spoke."""
    if not _HUNG_UP:
        return 0
    assert connection.transport is not None
    poll = select.poll()
    poll.register(connection.transport.get_extra_info("socket").fileno(), _HUNG_UP | select.POLLIN)
    return sum(events for _, events in poll.poll(0))
