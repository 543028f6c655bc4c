"""One tuned aiohttp session: bytes out, bytes in, and certainty about what was sent.

Three habits of aiohttp (read in 3.14) are undone here. It sends GET, PUT and DELETE a
second time by itself when a kept-alive connection proves dead: that passes neither
limiter nor signer and would repeat a cancel. And its exceptions carry the URL, which
holds the signature. ``Try`` sits around one try as a client middleware: what it raises
is no ``ClientError``, so aiohttp sends nothing again, and carries no URL. And it learns
that a pooled connection has died only when the event loop next reads from it: ``_Request``
asks the kernel just before it writes, so that an order is not lost to a stale connection.
"""

from __future__ import annotations

import asyncio
import select
from dataclasses import dataclass

import aiohttp
from aiohttp.client_middlewares import ClientHandlerType
from aiohttp.connector import Connection
from yarl import URL

from cexnet.http.answers import Answer
from cexnet.http.connector import ConnectionOptions, open_connector
from cexnet.http.endpoint import WireRequest
from cexnet.http.faults import FaultKind, TransportFault
from cexnet_core.clock import ticks_ns
from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder

_CONNECT_TIMEOUT_S = 5.0
# A FIN or RST that has arrived; 0 where the system cannot tell (no poll, no POLLRDHUP).
_HUNG_UP: int = getattr(select, "POLLRDHUP", 0)


class Try:
    """One try of a request, used once: the middleware around aiohttp's connect-and-send.

    ``sent_ns`` is the moment (``ticks_ns``) just before the first byte was written, and
    0 as long as certainly none was, however the try ended.
    """

    __slots__ = ("sent_ns",)

    def __init__(self) -> None:
        self.sent_ns = 0

    async def __call__(
        self, request: aiohttp.ClientRequest, send: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """aiohttp's middleware hook; raises TransportFault."""
        assert isinstance(request, _Request)
        request.this_try = self
        try:
            return await send(request)
        except (aiohttp.ClientError, OSError) as error:
            raise self.fault(error) from None

    def fault(self, error: Exception, status: int = 0) -> TransportFault:
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
        elif isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
            kind = "malformed"
        reason = type(error).__name__
        if isinstance(error, OSError) and error.strerror:
            reason = f"{reason}: {error.strerror}"
        return TransportFault(kind, reason, sent=bool(self.sent_ns), status=status)


class _StaleConnection(Exception):
    """The pooled connection is dead, and nothing was written to it."""


class _Request(aiohttp.ClientRequest):
    """Refuses a dead connection, then notes the moment before the first byte is written."""

    this_try: Try

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        # Bytes that came unasked would be taken for the answer to what we are about to send.
        spoken = conn.protocol is None or conn.protocol.should_close
        if spoken or _is_dead(conn.transport):
            raise _StaleConnection
        self.this_try.sent_ns = ticks_ns()
        return await super().send(conn)


def _is_dead(transport: asyncio.Transport | None) -> bool:
    """Whether the peer closed, reset or spoke, also when the event loop has not noticed yet."""
    if transport is None or transport.is_closing():
        return True
    if not _HUNG_UP:
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), _HUNG_UP | select.POLLIN)
    return bool(poll.poll(0))


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
        except ValueError:
            usable = False
        if not usable:
            shown = base_url.rpartition("@")[2]  # what stands before it may be a password
            raise ConfigurationError(
                f"base_url {shown!r} is not an origin: give http(s)://host[:port] without a path"
            )
        self.origin = base_url.rstrip("/")
        self._scheme, self._authority = url.scheme, url.raw_authority
        self.host = f"{url.host}:{url.port}"
        self._options = options if options is not None else ConnectionOptions()
        self.way = self._options.way
        self.sockets_opened = 0
        self.connects = LatencyRecorder(1024)
        self.requests_sent = 0
        self._connections = connections
        self._max_body_bytes = max_body_bytes
        self._user_agent = user_agent
        self._client: aiohttp.ClientSession | None = None
        self._closed = False

    @property
    def usage(self) -> PoolUsage:
        """How well connections have been reused so far."""
        return PoolUsage(self.requests_sent, self.sockets_opened)

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._closed

    async def send(self, wire: WireRequest, deadline: float, attempt: Try) -> Answer:
        """Send once and read the answer whole; never sends twice.

        ``deadline`` is in the loop's time. Raises TransportFault, and nothing else
        that comes from the network.
        """
        while True:
            opened = self.sockets_opened
            try:
                return await self._send(wire, deadline, attempt)
            except _StaleConnection:
                # aiohttp has dropped that connection; the next is another pooled or a new one.
                if self.sockets_opened != opened:
                    raise TransportFault(
                        "closed", "the server closes connections as they open", sent=False
                    ) from None

    async def close(self) -> None:
        """Close every connection, busy ones too. Idempotent."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _send(self, wire: WireRequest, deadline: float, attempt: Try) -> Answer:
        """One try on one connection; raises _StaleConnection when that was dead."""
        if asyncio.get_running_loop().time() >= deadline:
            # A timeout only strikes where something waits; a warm connection writes at once.
            raise TransportFault("deadline", "the deadline passed", sent=False)
        client = self._client or self._open()
        started_ns = ticks_ns()
        status = 0
        try:
            async with (
                asyncio.timeout_at(deadline),
                client.request(
                    wire.method,
                    self._url(wire.target),
                    data=wire.body or None,
                    headers=wire.headers,
                    allow_redirects=False,
                    middlewares=(attempt,),
                ) as response,
            ):
                first_byte_ns = ticks_ns()
                status = response.status
                body = await self._read(response)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                # Nobody cancelled us: aiohttp does it to those who wait for a connection at close.
                raise TransportFault(
                    "closed", "the RestManager was closed", sent=bool(attempt.sent_ns)
                ) from None
            raise
        except TimeoutError:
            raise TransportFault(
                "deadline", "the deadline passed", sent=bool(attempt.sent_ns), status=status
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise attempt.fault(error, status) from None
        finally:
            if attempt.sent_ns:
                self.requests_sent += 1
        return Answer(
            status=status,
            headers=response.headers,
            body=body,
            started_ns=started_ns,
            sent_ns=attempt.sent_ns,
            first_byte_ns=first_byte_ns,
            done_ns=ticks_ns(),
        )

    def _url(self, target: str) -> URL:
        """The target as it was signed; half the time of parsing it with the origin each time."""
        path, _, query = target.partition("?")
        return URL.build(
            scheme=self._scheme, authority=self._authority, path=path, query_string=query, encoded=True
        )

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, bounded also after decompression."""
        content = response.content
        body = await content.readany()
        if not content.at_eof():
            parts, size = [body], len(body)
            while not content.at_eof() and size <= self._max_body_bytes:
                parts.append(await content.readany())
                size += len(parts[-1])
            body = b"".join(parts)
        if len(body) > self._max_body_bytes:
            raise TransportFault(
                "too_large",
                f"the body exceeds {self._max_body_bytes} bytes",
                sent=True,
                status=response.status,
            )
        return body

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise TransportFault("closed", "the session was closed", sent=False)
        connector = open_connector(self._options, self._connections, self._count_socket, self.connects.record)
        self._client = aiohttp.ClientSession(
            connector=connector,
            proxy=self._options.http_proxy,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._user_agent, "Accept": "application/json"},
            # Signed requests without a body state no type, or the one that the table asks for.
            skip_auto_headers=("Content-Type",),
            # The whole call is bounded by its own deadline, in send().
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
            request_class=_Request,
        )
        return self._client

    def _count_socket(self) -> None:
        self.sockets_opened += 1
