"""The connections to one host: those that are idle, and the way to another.

aiohttp's connector opens them, counts them against the limit and keeps those waiting in
order who find it reached. Idle ones are kept here, the last used on top: it is the least
likely to have been closed meanwhile, and the others may grow old and go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import aiohttp
from yarl import URL

from cexnet.http.connector import KEEP_ALIVE_S, ConnectionOptions, open_connector
from cexnet.http.conversation import Conversation, drop
from cexnet.http.faults import TransportFault

# For one address of several: the deadline of the call bounds the whole.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5.0)


class Pool:
    """At most ``limit`` connections to ``origin``, made and used on the running loop.

    Who takes one gives it back when it may serve again, and otherwise closes it. No answer may
    be larger than ``max_body_bytes``. ``on_connected`` is told how long each took to open, in ns.
    """

    def __init__(
        self,
        origin: URL,
        options: ConnectionOptions,
        limit: int,
        max_body_bytes: int,
        on_connected: Callable[[int], None],
    ) -> None:
        self.sockets_opened = 0
        self._connector = open_connector(options, limit, self._count_socket, on_connected)
        # In aiohttp's terms where connections lead to. It is never sent.
        self._origin = aiohttp.ClientRequest(
            "GET", origin, loop=asyncio.get_running_loop(), proxy=options.http_proxy
        )
        self._max_body_bytes = max_body_bytes
        self._idle: list[Conversation] = []
        self._wanted = 0  # by those who open one or wait for one

    def take(self) -> Conversation | None:
        """The idle connection that was used last, asked of the kernel whether it is alive."""
        while self._idle:
            conversation = self._idle.pop()
            if (
                monotonic() - conversation.idle_since_s <= KEEP_ALIVE_S
                and conversation.is_open
                and conversation.is_quiet
            ):
                return conversation
            conversation.close()
        return None

    async def connect(self) -> Conversation:
        """One that somebody gives back, or a new one, whichever there is first.

        Raises what aiohttp raises, and TransportFault when each closes as it opens.
        """
        self._wanted += 1
        try:
            while True:
                connection = await self._connector.connect(self._origin, [], _TIMEOUT)
                known = connection.transport.get_protocol() if connection.transport is not None else None
                try:
                    if isinstance(known, Conversation):
                        known.connection = connection
                        if known.is_open and known.is_quiet:
                            return known
                    elif connection.transport is not None:
                        new = Conversation(connection, self._max_body_bytes)
                        if await new.settle():
                            return new
                except BaseException:
                    drop(connection)
                    raise
                drop(connection)
                if not isinstance(known, Conversation):
                    raise TransportFault("closed", "the server closes connections as they open", sent=False)
        finally:
            self._wanted -= 1

    def give_back(self, conversation: Conversation) -> None:
        """It may serve again: whoever waits for one, or the next who takes one."""
        conversation.response.forget()
        if self._wanted or self._connector.closed:
            conversation.connection.release()
            return
        conversation.idle_since_s = now_s = monotonic()
        self._idle.append(conversation)
        if now_s - self._idle[0].idle_since_s > KEEP_ALIVE_S:
            self._idle.pop(0).close()

    async def close(self) -> None:
        """Close every connection, busy ones too, and wake who waits for one (CancelledError)."""
        for conversation in self._idle:
            conversation.connection.release()  # aiohttp waits until those are closed that it knows of
        self._idle.clear()
        await self._connector.close()

    def _count_socket(self) -> None:
        self.sockets_opened += 1
