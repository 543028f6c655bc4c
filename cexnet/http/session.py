"""One pool of connections: bytes out, bytes in, and certainty about what was sent.

aiohttp opens the connections (its connector, with proxies, TLS and addresses). Its client
session and its protocol are left out: they would make two dozen objects
a request, and the session has three habits that do not suit orders (read in 3.14). It sends GET, PUT and
DELETE a second time by itself when a kept-alive connection proves dead, which passes neither
limiter nor signer and would repeat a cancel. Its exceptions carry the URL, which holds the
signature. And it learns that a pooled connection has died only when the event loop next reads
from it; here (``pool``) the kernel is asked just before the write, so that an order is not lost
to a stale connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from cexnet.http.answers import Answer
from cexnet.http.connector import ConnectionOptions
from cexnet.http.conversation import Conversation
from cexnet.http.endpoint import WireRequest
from cexnet.http.faults import FaultKind, TransportFault
from cexnet.http.pool import Pool
from cexnet.http.request_head import RequestWriter, origin_of
from cexnet_core.clock import ticks_ns
from cexnet_core.latency import LatencyRecorder


class Try:
    """One try of a request, used once.

    ``sent_ns`` is the moment (``ticks_ns``) just before the first byte was written, and
    0 as long as certainly none was, however the try ended.
    """

    __slots__ = ("sent_ns",)

    def __init__(self) -> None:
        self.sent_ns = 0


def _fault(error: Exception) -> TransportFault:
    """Why no connection was made, from an aiohttp or socket exception: nothing was sent."""
    kind: FaultKind = "reset"
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch):
        kind = "tls"
    elif isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        kind = "connect"
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        return TransportFault("connect", f"the proxy answered {error.status}", sent=False)
    elif isinstance(error, aiohttp.ServerDisconnectedError):
        kind = "closed"
    elif isinstance(error, HttpProcessingError):
        kind = "malformed"
    reason = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        reason = f"{reason}: {error.strerror}"
    return TransportFault(kind, reason, sent=False)


def _closed() -> TransportFault:
    return TransportFault("closed", "the RestManager was closed", sent=False)


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """Requests that were sent, and the sockets that were opened for them, failed ones included."""

    requests: int
    sockets: int

    @property
    def reuse(self) -> float:
        """The share of requests that needed no socket of their own, 0 to 1."""
        return max(0.0, 1.0 - self.sockets / self.requests) if self.requests else 0.0


class HttpSession:
    """A keep-alive pool to one host.

    ``sockets_opened`` and ``requests_sent`` tell how well connections are reused, ``connects``
    has how long each took to be made, in ns;
    ``host`` and ``way`` name what an exchange meters: itself, and where it sees us come from.
    Opened lazily on the running loop; ``close()`` leaves no socket behind.
    """

    def __init__(
        self,
        base_url: str,
        *,
        connections: int = 64,
        max_body_bytes: int = 16 * 1024 * 1024,
        user_agent: str = "cexnet",
        options: ConnectionOptions | None = None,
    ) -> None:
        """Raises ConfigurationError when ``base_url`` is not ``http(s)://host[:port]``."""
        url = origin_of(base_url)
        self.origin = base_url.rstrip("/")
        self._url = url
        # However it is spelled: limits, retries and the clock are the host's. A dot ends an absolute name.
        self.host = f"{(url.host or '').rstrip('.')}:{url.port}"
        self._options = options if options is not None else ConnectionOptions()
        self.way = self._options.way
        self.connects = LatencyRecorder(1024)
        self.requests_sent = 0
        self._connections = connections
        self._max_body_bytes = max_body_bytes
        self._writer = RequestWriter(url, user_agent, self._options.http_proxy)
        self._pool: Pool | None = None
        self._connecting: set[asyncio.Timeout] = set()
        self._asked: set[Conversation] = set()
        self._closed = False

    @property
    def sockets_opened(self) -> int:
        """How many sockets were opened so far, failed ones included."""
        return self._pool.sockets_opened if self._pool is not None else 0

    @property
    def usage(self) -> PoolUsage:
        """How well connections have been reused so far."""
        return PoolUsage(self.requests_sent, self.sockets_opened)

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._closed

    async def close(self) -> None:
        """Close every connection, busy ones too. Idempotent."""
        self._closed = True
        # aiohttp tells those who wait for an answer or for a connection, but forgets those who open one.
        for limit in self._connecting:
            if not limit.expired():
                limit.reschedule(0.0)
        for conversation in self._asked:
            conversation.abort()  # aiohttp would first let it send what it has to send
        try:
            # What a proxy has not answered when the connector closes would stay open for good.
            while self._connecting:
                await asyncio.sleep(0)
        finally:
            if self._pool is not None:
                await self._pool.close()

    async def send(self, wire: WireRequest, deadline: float, attempt: Try) -> Answer:
        """Send once and read the answer whole; never sends twice.

        ``deadline`` is in the loop's time. Raises ConfigurationError for what HTTP cannot
        carry, and of what comes from the network TransportFault alone.
        """
        loop = asyncio.get_running_loop()
        if loop.time() >= deadline:
            # A timeout only strikes where something waits; a warm connection writes at once.
            raise TransportFault("deadline", "the deadline passed", sent=False)
        request = self._writer.write(wire)
        if self.closed:
            raise _closed()
        pool = self._pool or self._open()
        started_ns = ticks_ns()
        conversation = pool.take() or await self._connect(pool, deadline)
        self._asked.add(conversation)
        may_go_on = False
        sent_ns = attempt.sent_ns = ticks_ns()
        try:
            answered = conversation.ask(request, head_only=wire.method == "HEAD")
            timer = loop.call_at(deadline, conversation.expire)
            try:
                await answered
            finally:
                timer.cancel()
            response = conversation.response
            answer = Answer(
                status=response.status,
                headers=response.headers,
                body=response.body,
                started_ns=started_ns,
                sent_ns=sent_ns,
                first_byte_ns=conversation.first_byte_ns,
                done_ns=ticks_ns(),
            )
            may_go_on = conversation.may_go_on(request)
        finally:
            self.requests_sent += 1
            self._asked.discard(conversation)
            if may_go_on:
                pool.give_back(conversation)
            else:
                conversation.close()
        return answer

    async def _connect(self, pool: Pool, deadline: float) -> Conversation:
        """Another connection; ``close()`` ends the wait by its time limit."""
        limit: asyncio.Timeout | None = None
        try:
            async with asyncio.timeout_at(deadline) as limit:
                self._connecting.add(limit)
                return await pool.connect()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                # Nobody cancelled us: aiohttp does it to those who wait for a connection at close.
                raise _closed() from None
            raise
        except (aiohttp.ClientError, HttpProcessingError) as error:
            raise _fault(error) from None
        except TimeoutError:
            if self._closed:
                raise _closed() from None
            raise TransportFault("deadline", "the deadline passed", sent=False) from None
        except OSError as error:
            raise _fault(error) from None
        finally:
            if limit is not None:
                self._connecting.discard(limit)

    def _open(self) -> Pool:
        self._pool = Pool(
            self._url, self._options, self._connections, self._max_body_bytes, self.connects.record
        )
        return self._pool
