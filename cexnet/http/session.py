"""One pool of connections: bytes out, bytes in, and certainty about what was sent.

aiohttp opens the connections and parses what comes back (its connector, with proxies, TLS
and addresses, and its parser). Its client session is left out: it would make a dozen objects
a request, and has three habits that do not suit orders (read in 3.14). It sends GET, PUT and
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
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from yarl import URL

from cexnet.http.answers import Answer
from cexnet.http.connector import ConnectionOptions
from cexnet.http.endpoint import WireRequest
from cexnet.http.faults import FaultKind, TransportFault
from cexnet.http.pool import Pool
from cexnet.http.request_head import RequestWriter
from cexnet_core.clock import ticks_ns
from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder

_SWITCHING_PROTOCOLS = 101
# An idle socket takes as much at once; no exchange takes as much in a request.
_SENT_AT_ONCE = 16 * 1024


class Try:
    """One try of a request, used once.

    ``sent_ns`` is the moment (``ticks_ns``) just before the first byte was written, and
    0 as long as certainly none was, however the try ended.
    """

    __slots__ = ("sent_ns",)

    def __init__(self) -> None:
        self.sent_ns = 0


def _fault(error: Exception, attempt: Try, status: int) -> TransportFault:
    """The fault that an aiohttp or socket exception stands for."""
    kind: FaultKind = "reset"
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch):
        kind = "tls"
    elif isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        kind = "connect"
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        return TransportFault("connect", f"the proxy answered {error.status}", sent=False)
    elif isinstance(error, aiohttp.ServerDisconnectedError):
        kind = "closed"
    elif isinstance(error, aiohttp.ClientPayloadError | HttpProcessingError):
        kind = "malformed"
    reason = type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        reason = f"{reason}: {error.strerror}"
    return TransportFault(kind, reason, sent=bool(attempt.sent_ns), status=status)


def _has_sent(transport: asyncio.Transport, request: bytes) -> bool:
    """Whether surely all of ``request`` has left: an answer may come before."""
    # TLS keeps no account of what waits below it, and cannot be asked once it is closed.
    if transport.is_closing() or (len(request) > _SENT_AT_ONCE and transport.get_extra_info("ssl_object")):
        return False
    return not transport.get_write_buffer_size()


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
        try:
            url = URL(base_url)
            usable = url.scheme in ("http", "https") and bool(url.host)
            usable = usable and url.path in ("", "/") and not url.query_string and not url.user
            (url.raw_host or "").encode("idna")  # as the resolver does
        except ValueError:
            usable = False
        if not usable:
            shown = base_url.rpartition("@")[2]  # what stands before it may be a password
            raise ConfigurationError(
                f"base_url {shown!r} is not an origin: give http(s)://host[:port] without a path"
            )
        self.origin = base_url.rstrip("/")
        self._url = url
        self.host = f"{url.host}:{url.port}"
        self._options = options if options is not None else ConnectionOptions()
        self.way = self._options.way
        self.connects = LatencyRecorder(1024)
        self.requests_sent = 0
        self._connections = connections
        self._max_body_bytes = max_body_bytes
        self._writer = RequestWriter(url, user_agent, self._options.http_proxy)
        self._pool: Pool | None = None
        self._half_read: set[StreamReader] = set()
        self._connecting: set[asyncio.Timeout] = set()
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
        # aiohttp tells those who wait for a head or for a connection, but forgets those who open one
        # and those who wait for a body.
        for limit in self._connecting:
            if not limit.expired():
                limit.reschedule(0.0)
        for content in self._half_read:
            content.set_exception(aiohttp.ServerDisconnectedError())
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
        if asyncio.get_running_loop().time() >= deadline:
            # A timeout only strikes where something waits; a warm connection writes at once.
            raise TransportFault("deadline", "the deadline passed", sent=False)
        request = self._writer.write(wire)
        if self.closed:
            raise TransportFault("closed", "the session was closed", sent=False)
        pool = self._pool or self._open()
        connection: Connection | None = None
        started_ns = ticks_ns()
        status = 0
        try:
            async with asyncio.timeout_at(deadline) as limit:
                connection = pool.take() or await self._connect(pool, limit)
                protocol, transport = connection.protocol, connection.transport
                assert protocol is not None
                assert transport is not None
                protocol.set_response_params(skip_payload=wire.method == "HEAD", read_until_eof=True)
                attempt.sent_ns = ticks_ns()
                transport.write(request)
                head, content = await protocol.read()
                while 100 <= head.code < 200 and head.code != _SWITCHING_PROTOCOLS:
                    head, content = await protocol.read()  # so far only an interim answer
                first_byte_ns = ticks_ns()
                status = head.code
                body = await self._read(content, status)
            if not protocol.should_close and _has_sent(transport, request):
                pool.give_back(connection)
                connection = None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                # Nobody cancelled us: aiohttp does it to those who wait for a connection at close.
                raise TransportFault(
                    "closed", "the RestManager was closed", sent=bool(attempt.sent_ns)
                ) from None
            raise
        # aiohttp raises the last two when a connection is closed between two turns of the loop, of
        # which the first brought a part of the answer and the second would have gone on reading.
        except (aiohttp.ClientError, HttpProcessingError, aiohttp.EofStream, RuntimeError) as error:
            raise _fault(error, attempt, status) from None
        except TimeoutError:
            if self._closed and not attempt.sent_ns:
                raise TransportFault("closed", "the RestManager was closed", sent=False) from None
            raise TransportFault(
                "deadline", "the deadline passed", sent=bool(attempt.sent_ns), status=status
            ) from None
        except OSError as error:
            raise _fault(error, attempt, status) from None
        finally:
            if attempt.sent_ns:
                self.requests_sent += 1
            if connection is not None:
                connection.close()
        return Answer(
            status=status,
            headers=head.headers,
            body=body,
            started_ns=started_ns,
            sent_ns=attempt.sent_ns,
            first_byte_ns=first_byte_ns,
            done_ns=ticks_ns(),
        )

    async def _connect(self, pool: Pool, limit: asyncio.Timeout) -> Connection:
        """Another connection; ``close()`` ends the wait by its ``limit``."""
        self._connecting.add(limit)
        try:
            return await pool.connect()
        finally:
            self._connecting.discard(limit)

    async def _read(self, content: StreamReader, status: int) -> bytes:
        """The body, bounded also after decompression."""
        body = content.read_nowait() if content.is_eof() else await self._rest_of(content)
        if len(body) > self._max_body_bytes:
            raise TransportFault(
                "too_large",
                f"the body exceeds {self._max_body_bytes} bytes",
                sent=True,
                status=status,
            )
        return body

    async def _rest_of(self, content: StreamReader) -> bytes:
        """A body that has not arrived whole, or one chunk more of it than may be kept."""
        parts: list[bytes] = []
        size = 0
        self._half_read.add(content)
        try:
            while not content.at_eof() and size <= self._max_body_bytes:
                parts.append(await content.readany())
                size += len(parts[-1])
        finally:
            self._half_read.discard(content)
        return b"".join(parts)

    def _open(self) -> Pool:
        self._pool = Pool(self._url, self._options, self._connections, self.connects.record)
        return self._pool
