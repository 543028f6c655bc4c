"""How connections are opened: address, proxy, TLS, and the aiohttp connector that does it.

aiohttp speaks to HTTP proxies by itself (CONNECT for TLS). For SOCKS, python-socks makes
the way and aiohttp goes on from the connected socket.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from python_socks import ProxyError, ProxyTimeoutError
from python_socks.async_.asyncio import Proxy
from yarl import URL

from cexnet_core.clock import ticks_ns
from cexnet_core.errors import ConfigurationError

_DNS_CACHE_S = 60
# Below the idle time after which exchanges and their load balancers close (commonly
# 60 s and more), so that a connection is rarely reused in the moment of its closing.
KEEP_ALIVE_S = 45.0
_HTTP = ("http", "https")
_SOCKS = ("socks4", "socks5")


@dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """How REST connections are opened; the names are those of ``cexnet.websocket.connect``.

    ``proxy`` is an ``http``, ``https``, ``socks4`` or ``socks5`` URL, which may hold user and
    password. ``ssl_context`` (see ``tls_context``) brings authorities of your own and a
    client certificate; it serves an ``https`` proxy too. ``local_address`` binds our side.
    ``happy_eyeballs_delay_s`` is the head start of an address before the next is tried
    (RFC 8305 section 5), ``None`` to try them in turn. Raises ConfigurationError.
    """

    proxy: str | None = field(default=None, repr=False)
    ssl_context: ssl.SSLContext | None = None
    local_address: tuple[str, int] | None = None
    happy_eyeballs_delay_s: float | None = 0.25

    def __post_init__(self) -> None:
        if self.proxy is not None:
            try:
                url = URL(self.proxy)
                usable = url.scheme in (*_HTTP, *_SOCKS) and bool(url.host) and bool(url.port)
            except ValueError:
                usable = False
            if not usable:  # its text may hold a password: the error does not repeat it
                raise ConfigurationError(
                    "not a proxy URL: it must be http://, https://, socks4:// or socks5://host:port"
                )

    @property
    def way(self) -> str:
        """What tells apart the addresses that an exchange sees us come from; empty: the default."""
        parts = [str(URL(self.proxy).with_password(None))] if self.proxy else []
        return " ".join([*parts, *([self.local_address[0]] if self.local_address else [])])

    @property
    def http_proxy(self) -> URL | None:
        """The proxy, when it is one that aiohttp speaks to."""
        url = URL(self.proxy) if self.proxy else None
        return url if url is not None and url.scheme in _HTTP else None


def tls_context(
    *,
    ca_file: str | None = None,
    client_certificate: str | None = None,
    client_key: str | None = None,
    client_key_password: str | None = None,
) -> ssl.SSLContext:
    """A verifying TLS context from PEM files: trusted authorities, and who we are.

    Without ``ca_file`` the system's authorities are trusted. ``client_key`` may be in the
    file of the certificate. Reads files. Raises ConfigurationError when one is unusable.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"ca_file {ca_file!r}: {error.strerror or 'it holds no PEM'}") from None
    if client_certificate is None:
        if client_key is not None:
            raise ConfigurationError("client_key given, but no client_certificate")
        return context
    try:
        # Without an answer of ours OpenSSL would ask for the password on the terminal.
        context.load_cert_chain(client_certificate, client_key, lambda: client_key_password or "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"client_certificate {client_certificate!r}: {error.strerror or 'not a usable PEM file'}."
            " Check path, key and password"
        ) from None
    return context


def open_connector(
    options: ConnectionOptions,
    connections: int,
    on_socket: Callable[[], None],
    on_connected: Callable[[int], None],
) -> aiohttp.TCPConnector:
    """A pool of at most ``connections``; ``on_socket`` is told of every socket that it opens.

    ``on_connected`` is told how long each connection took to be made, in ns.
    """

    def new_socket(address: Any) -> socket.socket:
        """A TCP socket; asyncio itself sets TCP_NODELAY on it."""
        on_socket()
        family, kind, protocol, _, _ = address
        return socket.socket(family, kind, protocol)

    settings: dict[str, Any] = {
        "limit": connections,
        "ttl_dns_cache": _DNS_CACHE_S,
        "keepalive_timeout": KEEP_ALIVE_S,
        "local_addr": options.local_address,
        "happy_eyeballs_delay": options.happy_eyeballs_delay_s,
    }
    if options.ssl_context is not None:
        settings["ssl"] = options.ssl_context
    if options.proxy and options.http_proxy is None:
        return _SocksConnector(options, on_socket, on_connected, settings)
    return _Connector(on_connected, socket_factory=new_socket, **settings)


class _Unresolved(AbstractResolver):
    """Leaves names to the proxy: it may see other addresses than we do."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [ResolveResult(hostname=host, host=host, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is held."""


class _Connector(aiohttp.TCPConnector):
    """aiohttp's, with two private hooks of it.

    ``_create_connection`` is its way from DNS to TLS, which is measured. And it loses a wake-up
    when the one that was woken is cancelled: the next in line would wait beside a free connection.
    """

    def __init__(self, on_connected: Callable[[int], None], **settings: Any) -> None:
        super().__init__(**settings)
        self._on_connected = on_connected

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        began_ns = ticks_ns()
        protocol = await super()._create_connection(req, traces, timeout)
        self._on_connected(ticks_ns() - began_ns)
        return protocol

    async def _wait_for_available_connection(self, *args: Any) -> None:
        try:
            await super()._wait_for_available_connection(*args)
        except asyncio.CancelledError:
            # Perhaps one that had just been woken.
            self._release_waiter()
            raise


class _SocksConnector(_Connector):
    """Every connection is made by the proxy. ``_wrap_create_connection`` is where aiohttp dials."""

    def __init__(
        self,
        options: ConnectionOptions,
        on_socket: Callable[[], None],
        on_connected: Callable[[int], None],
        settings: dict[str, Any],
    ) -> None:
        super().__init__(on_connected, resolver=_Unresolved(), **settings)
        self._options = options
        self._on_socket = on_socket

    async def _wrap_create_connection(
        self,
        *args: Any,
        addr_infos: list[Any],
        req: aiohttp.ClientRequest,
        timeout: aiohttp.ClientTimeout,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
        **kwargs: Any,
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        host, port = addr_infos[0][4][:2]
        self._on_socket()
        assert self._options.proxy is not None
        try:
            sock = await Proxy.from_url(self._options.proxy, rdns=True).connect(
                host, port, timeout=timeout.sock_connect, local_addr=self._options.local_address
            )
        except (ProxyError, ProxyTimeoutError, OSError) as error:
            refused = OSError(0, f"the SOCKS proxy did not connect us: {error}")
            raise aiohttp.ClientProxyConnectionError(req.connection_key, refused) from error
        try:
            return await self._wrap_existing_connection(
                *args, req=req, timeout=timeout, client_error=client_error, sock=sock, **kwargs
            )
        except BaseException:
            sock.close()
            raise
