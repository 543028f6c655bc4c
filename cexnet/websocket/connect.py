"""``connect()``: from a URL to an open WebSocket connection, in one bounded attempt.

``DNS -> TCP -> (proxy) -> TLS -> upgrade``, all under one deadline. A failed or cancelled
attempt leaves no socket behind. Redirects are never followed.
"""

from __future__ import annotations

import asyncio
import functools
import re
import ssl
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from picows.url import WSInvalidURL, WSParsedURL, parse_url

from cexnet.websocket.connection import Connection
from cexnet.websocket.deflate import DeflateOffer
from cexnet.websocket.dial import Route, dial
from cexnet.websocket.upgrade import ReaderProtocol, Upgrade
from cexnet_core.errors import ConfigurationError, DeadlineExceeded
from cexnet_core.frames import FrameReader
from cexnet_core.messages import CloseInfo, MessageSink

__all__ = ["CloseInfo", "Connection", "DeflateOffer", "connect"]

# The upgrade request owns these; a second copy would make it ambiguous.
_RESERVED_HEADERS = frozenset(
    {
        "connection",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-version",
        "upgrade",
    }
)
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # a token of RFC 9110
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


async def connect(
    url: str,
    sink: MessageSink,
    *,
    deadline_s: float = 10.0,
    ssl_context: ssl.SSLContext | None = None,
    headers: Sequence[tuple[str, str]] = (),
    max_message_bytes: int = 8 * 2**20,
    validate_utf8: bool = True,
    close_timeout_s: float = 2.0,
    on_sink_error: Callable[[Exception], None] | None = None,
    proxy: str | None = None,
    proxy_ssl_context: ssl.SSLContext | None = None,
    local_address: tuple[str, int] | None = None,
    happy_eyeballs_delay_s: float | None = 0.25,
    deflate: DeflateOffer | None = None,
) -> Connection:
    """Connect to ``url`` (``ws://`` or ``wss://``) and deliver its messages to ``sink``.

    ``deadline_s`` covers everything from DNS to the upgrade. TLS certificates are verified
    unless ``ssl_context`` says otherwise. ``proxy`` is an ``http``, ``https``, ``socks4``
    or ``socks5`` URL. ``local_address`` binds our side; ``happy_eyeballs_delay_s`` is the
    head start of an address before the next one is tried (RFC 8305 section 5), ``None`` to
    try them in turn. ``deflate`` asks the peer to compress, which costs both sides
    microseconds a message and is not asked for by default. Messages may reach the sink
    before this returns: a peer may send together with its answer. The other parameters are
    ``FrameReader``'s.

    Raises ConfigurationError (nothing was started), ConnectError (DNS, TCP, TLS, proxy),
    HandshakeError (the peer refused the upgrade or hung up) or DeadlineExceeded. Redirects
    are not followed. Runs on the calling event loop.
    """
    target = _parse(url)
    origin = f"{target.scheme}://{_authority(target, default_port=False)}"
    route = Route(
        target,
        origin,
        _tls(target, ssl_context),
        _parse_proxy(proxy, proxy_ssl_context),
        proxy_ssl_context,
        local_address,
        happy_eyeballs_delay_s,
    )
    request_headers = _request_headers(headers, deflate)
    if not deadline_s > 0:
        raise ConfigurationError(f"deadline_s={deadline_s}: must be above 0")
    reader = FrameReader(
        sink,
        max_message_bytes=max_message_bytes,
        validate_utf8=validate_utf8,
        close_timeout_s=close_timeout_s,
        on_sink_error=on_sink_error,
        peer=origin,
    )
    protocol = ReaderProtocol(
        reader, _authority(target, default_port=True), target.resource_name, request_headers
    )
    upgrade = Upgrade(protocol, _subprotocols(request_headers), origin, deflate)
    try:
        async with asyncio.timeout(deadline_s):
            await dial(route, upgrade)
            response = await upgrade.response
    except TimeoutError:  # ours: dial() explains those of the sockets
        upgrade.abandon()
        stage = "the upgrade" if upgrade.transport is not None else "DNS, TCP or TLS"
        raise DeadlineExceeded(
            f"connecting to {origin} took longer than deadline_s={deadline_s:g} (in {stage})"
        ) from None
    except BaseException:
        upgrade.abandon()
        raise
    transport = upgrade.transport
    assert transport is not None
    return Connection(
        reader,
        transport,
        origin=origin,
        response_headers=response.headers,
        local_address=transport.get_extra_info("sockname")[:2],
        remote_address=transport.get_extra_info("peername")[:2],
    )


def _parse(url: str) -> WSParsedURL:
    # The text of a URL may hold a listen key or a password: errors do not repeat it.
    if not url.isprintable() or " " in url:
        raise ConfigurationError("the WebSocket URL holds spaces or control characters")
    try:
        target = parse_url(url)
    except (WSInvalidURL, ValueError):
        raise ConfigurationError(
            f"not a WebSocket URL (scheme {urlsplit(url).scheme!r}): "
            "it must be ws://host[:port]/path or wss://host[:port]/path, without a #fragment"
        ) from None
    if target.username is not None or target.password is not None:
        raise ConfigurationError(
            f"the URL of {target.host} holds a user name or password: send them as a header"
        )
    return target


def _parse_proxy(proxy: str | None, context: ssl.SSLContext | None) -> WSParsedURL | None:
    if context is not None and not (proxy or "").startswith("https://"):
        raise ConfigurationError("proxy_ssl_context given, but the proxy is not an https:// URL")
    if proxy is None:
        return None
    try:
        via = parse_url(proxy, check_scheme=False)
    except (WSInvalidURL, ValueError):
        via = None
    if via is None or via.scheme not in ("http", "https", "socks4", "socks5"):
        raise ConfigurationError(
            "not a proxy URL: it must be http://, https://, socks4:// or socks5://host:port"
        )
    return via


def _authority(target: WSParsedURL, *, default_port: bool) -> str:
    """``host:port``; a default port is left out for the Host header, as browsers do."""
    host = f"[{target.host}]" if ":" in target.host else str(target.host)
    if default_port and target.port == (443 if target.is_secure else 80):
        return host
    return f"{host}:{target.port}"


def _tls(target: WSParsedURL, context: ssl.SSLContext | None) -> ssl.SSLContext | None:
    if target.is_secure:
        return context or _default_tls()
    if context is not None:
        raise ConfigurationError(f"ssl_context given, but ws://{target.host} has no TLS: use wss")
    return None


@functools.cache
def _default_tls() -> ssl.SSLContext:
    # Reading the system's certificates takes tens of milliseconds: once is enough.
    return ssl.create_default_context()


@functools.cache
def _user_agent() -> str:
    try:
        return f"cexnet/{version('cexnet')}"
    except PackageNotFoundError:
        return "cexnet"


def _request_headers(
    headers: Sequence[tuple[str, str]], deflate: DeflateOffer | None
) -> list[tuple[str, str]]:
    for name, value in headers:
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            raise ConfigurationError(f"header {name!r} may not be added to the upgrade request")
        if not _HEADER_VALUE.fullmatch(value):
            raise ConfigurationError(f"the value of header {name} holds characters outside printable ASCII")
    given = {name.lower() for name, _ in headers}
    ours = [] if "user-agent" in given else [("User-Agent", _user_agent())]
    if deflate is not None:
        ours.append(("Sec-WebSocket-Extensions", deflate.header()))
    return [*ours, *headers]


def _subprotocols(headers: Sequence[tuple[str, str]]) -> list[str]:
    offered = [v for name, v in headers if name.lower() == "sec-websocket-protocol"]
    return [token.strip() for value in offered for token in value.split(",")]
