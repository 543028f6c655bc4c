"""The WebSocket upgrade of one connection: request, answer, then the socket is picows'.

picows reads an upgrade answer more strictly than RFC 9110 allows (it refuses
``Connection: keep-alive, Upgrade`` and statuses that Python does not know), goes on with an
attempt that was cancelled, and reports a peer that hangs up as success. So we read the
answer ourselves, hand picows one in the words that it expects, and from then on picows
reads the socket with nothing of ours in between.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import ssl
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from picows.picows import WSAutoPingStrategy, WSProtocol  # type: ignore[attr-defined]

from cexnet.websocket.deflate import Agreed, DeflateOffer
from cexnet_core.errors import ConnectError, HandshakeError
from cexnet_core.frames import FrameReader

# A hundred times the usual answer; the same bound as picows'.
MAX_HEAD_BYTES = 16 * 1024

# One socket read takes at most this; picows doubles it for frames that do not fit.
READ_BUFFER_BYTES = 64 * 1024

_ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


@dataclass(frozen=True, slots=True)
class UpgradeResponse:
    """An HTTP answer: names of headers in lower case, repeated ones joined with commas."""

    status: int
    headers: dict[str, str]

    @classmethod
    def parse(cls, head: bytes) -> UpgradeResponse:
        """Parse a head without its closing empty line. Raises ValueError when it is not HTTP."""
        status_line, *lines = head.decode("latin-1").split("\r\n")
        version, status, *_ = status_line.split(" ", 2)
        if version not in ("HTTP/1.1", "HTTP/1.0") or not (status.isdigit() and len(status) == 3):
            raise ValueError("no HTTP status line")
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise ValueError("malformed header line")
            name, value = name.lower(), value.strip(" \t")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return cls(int(status), headers)

    def tokens(self, name: str) -> list[str]:
        """The comma-separated tokens of a header, in lower case."""
        return [t.strip().lower() for t in self.headers.get(name, "").split(",") if t.strip()]


def retry_after_s(headers: dict[str, str]) -> float | None:
    """Seconds until the time in Retry-After (RFC 9110 section 10.2.3), None when there is none.

    Both forms are read, a number of seconds and an HTTP date; a date in the past is 0.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def check_upgrade(
    response: UpgradeResponse,
    key: str,
    subprotocols: Sequence[str],
    deflate: DeflateOffer | None,
    origin: str,
) -> Agreed | None:
    """Raise HandshakeError unless ``response`` upgrades our request (RFC 6455 section 4.1).

    Returns what it accepted of our offer to compress, None when it declined.
    """

    def refuse(text: str) -> HandshakeError:
        return HandshakeError(
            f"{origin} {text}",
            status=response.status,
            headers=response.headers,
            retry_after_s=retry_after_s(response.headers),
        )

    if 300 <= response.status < 400:
        raise refuse(
            f"redirects to another address (HTTP {response.status}): we do not follow, "
            "put the address from the Location header into the configuration"
        )
    if response.status != 101:
        raise refuse(f"refused the WebSocket upgrade with HTTP {response.status}")
    if response.tokens("upgrade") != ["websocket"]:
        raise refuse("answered 101 without 'Upgrade: websocket'")
    if "upgrade" not in response.tokens("connection"):
        raise refuse("answered 101 without 'Connection: Upgrade'")
    accept = base64.b64encode(
        hashlib.sha1(key.encode() + _ACCEPT_GUID, usedforsecurity=False).digest()
    ).decode()
    if response.headers.get("sec-websocket-accept") != accept:
        raise refuse("answered 101 with a wrong Sec-WebSocket-Accept: is a cache in between?")
    chosen = response.headers.get("sec-websocket-protocol")
    if chosen is not None and chosen not in subprotocols:
        raise refuse(f"answered 101 with the subprotocol {chosen!r} that we did not offer")
    extensions = response.headers.get("sec-websocket-extensions")
    if extensions is None:
        return None
    if deflate is None:
        raise refuse("answered 101 with an extension that we did not offer")
    try:
        return deflate.accept(extensions)
    except ValueError as error:
        raise refuse(f"answered 101 with an extension that is not what we offered: {error}") from None


class ReaderProtocol(WSProtocol):  # type: ignore[misc]
    """picows' client protocol for one reader, telling it how TCP ended.

    Only ``connection_lost`` is overridden: reading stays picows' own compiled code.
    """

    def __init__(
        self, reader: FrameReader, host: str, resource: str, headers: Sequence[tuple[str, str]]
    ) -> None:
        super().__init__(
            host,
            resource,
            True,
            lambda request, response: reader,
            _PicowsLog(reader),
            True,  # disconnect_on_exception; the reader raises none
            None,  # handshake timeout; connect() has one deadline over everything
            False,  # automatic pings: the heartbeat strategy decides
            10,
            10,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # automatic pongs: the reader answers after its checks
            reader.max_message_bytes,
            headers,
            READ_BUFFER_BYTES,
        )
        self.reader = reader
        self._empty_room = len(self.get_buffer(-1))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the reader whether bytes of an unfinished frame were left, then picows."""
        room, empty = len(self.get_buffer(-1)), self._empty_room
        while empty < room:  # picows' buffer has only ever doubled
            empty *= 2
        self.reader.connection_dropped(exc, room != empty)
        super().connection_lost(exc)


class _PicowsLog(logging.LoggerAdapter[logging.Logger]):
    """picows' logger: below DEBUG it would log requests with their secrets, so it may not.

    It is also the only one that picows tells, at once, that the stream cannot be parsed.
    """

    def __init__(self, reader: FrameReader) -> None:
        super().__init__(logging.getLogger("cexnet.picows"))
        self._reader = reader

    def isEnabledFor(self, level: int) -> bool:
        return level >= logging.DEBUG and super().isEnabledFor(level)

    def info(self, msg: object, *args: object, **_kwargs: object) -> None:
        self.debug(msg, *args)  # one line a connect and one a loss: the manager logs those

    def error(self, msg: object, *args: object, **_kwargs: object) -> None:
        self.debug(msg, *args)
        if str(msg).startswith("WS parser error"):
            code, text = cast(tuple[int, str], args[0])
            self._reader.parser_failed(code, text)

    def exception(self, msg: object, *args: object, **_kwargs: object) -> None:
        super().exception(msg, *args)
        if str(msg).startswith("WS parser failure"):
            self._reader.parser_failed(1002, "the frame could not be parsed")

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs


class Upgrade(asyncio.BufferedProtocol):
    """Owns a fresh transport until the upgrade is settled: ``response`` or an exception.

    After success the transport belongs to ``protocol``, and what the peer sent behind its
    answer has been delivered.
    """

    def __init__(
        self,
        protocol: ReaderProtocol,
        subprotocols: Sequence[str],
        origin: str,
        deflate: DeflateOffer | None = None,
    ) -> None:
        self.response: asyncio.Future[UpgradeResponse] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._protocol = protocol
        self._subprotocols = subprotocols
        self._deflate = deflate
        self._origin = origin
        self._buffer = bytearray(READ_BUFFER_BYTES)
        self._filled = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self.transport = cast(asyncio.Transport, transport)
        try:
            self._protocol.connection_made(transport)
        except OSError as error:  # socket options are refused once the peer has reset
            self._refuse(f"closed the connection before the upgrade ({error})")

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room for the answer and whatever comes with it."""
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Look for the end of the head; settle when it is there."""
        if self.response.done():
            return  # refused already: connect() is about to abort
        self._filled += nbytes
        end = self._buffer.find(b"\r\n\r\n", 0, min(self._filled, MAX_HEAD_BYTES))
        if end >= 0:
            self._settle(bytes(self._buffer[:end]), bytes(self._buffer[end + 4 : self._filled]))
        elif self._filled >= MAX_HEAD_BYTES:
            self._refuse(f"sent more than {MAX_HEAD_BYTES} bytes of headers")

    def eof_received(self) -> bool:
        """False: let the transport close itself."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer hung up before an answer was complete."""
        if self.response.done():
            return
        if isinstance(exc, ssl.SSLError):
            # TLS 1.3 reports a refused client certificate only after the handshake.
            self.response.set_exception(ConnectError(f"{self._origin} refused our TLS: {exc}"))
        else:
            self._refuse("closed the connection during the upgrade, without a whole answer")

    def abandon(self) -> None:
        """Give up: end TCP now. Idempotent; harmless before there is a transport."""
        if self.transport is not None:
            self.transport.abort()
        if not self.response.cancel() and not self.response.cancelled():
            self.response.exception()  # seen: asyncio need not report it again

    def _settle(self, head: bytes, tail: bytes) -> None:
        assert self.transport is not None
        key = self._protocol.transport.request.headers["Sec-WebSocket-Key"]
        try:
            response = UpgradeResponse.parse(head)
            agreed = check_upgrade(response, key, self._subprotocols, self._deflate, self._origin)
        except ValueError as error:
            self._refuse(f"did not answer the upgrade in HTTP: {error}")
            return
        except HandshakeError as error:
            self.response.set_exception(error)
            return
        if agreed is not None and self._deflate is not None:
            self._protocol.reader.use_deflate(self._deflate.inflater(agreed), self._deflate.deflater(agreed))
        self.transport.set_protocol(self._protocol)
        accept = response.headers["sec-websocket-accept"]
        self._feed(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
        )
        self.response.set_result(response)
        self._feed(tail)

    def _feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            room = self._protocol.get_buffer(-1)
            part = data[at : at + len(room)]
            room[: len(part)] = part
            self._protocol.buffer_updated(len(part))
            at += len(part)

    def _refuse(self, text: str) -> None:
        self.response.set_exception(HandshakeError(f"{self._origin} {text}"))
