"""From a host name to a transport: DNS, TCP, proxy, TLS, and one sentence for each failure.

Transports are aiofastnet's on every kind of loop: they read and write in compiled code,
where asyncio does so in Python. TCP is dialled by aiohappyeyeballs: asyncio's own Happy
Eyeballs may lose a socket when it is cancelled, and uvloop has none.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from dataclasses import dataclass
from typing import Any

import aiofastnet
import aiohappyeyeballs
from picows.proxy import ConnectedTransport, connect_through_optional_proxy
from picows.url import WSParsedURL
from python_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError

from cexnet_core.errors import ConnectError


@dataclass(frozen=True, slots=True)
class Route:
    """Where to connect and by which way. ``tls`` is None for ``ws://``."""

    target: WSParsedURL
    origin: str
    tls: ssl.SSLContext | None
    proxy: WSParsedURL | None = None
    proxy_tls: ssl.SSLContext | None = None
    local_address: tuple[str, int] | None = None
    happy_eyeballs_delay_s: float | None = 0.25


async def dial(route: Route, protocol: asyncio.BaseProtocol) -> None:
    """Open the route; ``protocol.connection_made()`` gets the transport.

    Raises ConnectError. Cancelled or failed, it leaves no socket behind.
    """
    sockets: list[socket.socket] = []

    async def connect_tcp(end: WSParsedURL) -> socket.socket:
        sockets.append(await _connect_tcp(end.host, end.port, route))
        return sockets[0]

    try:
        if route.proxy is None:
            await _start(route, protocol, await connect_tcp(route.target))
            return
        loop = asyncio.get_running_loop()
        opened = await connect_through_optional_proxy(
            loop,
            route.target,
            route.proxy,
            connect_tcp,
            route.tls,
            route.proxy_tls,
            {},
            functools.partial(aiofastnet.create_connection, loop),
        )
        if isinstance(opened, ConnectedTransport):
            await _start_in_tunnel(route, protocol, opened.transport)
        else:
            await _start(route, protocol, opened.sock)
    except BaseException as error:
        for sock in sockets:
            sock.close()
        if isinstance(error, (OSError, ProxyError, ProxyTimeoutError)):
            raise _explained(error, route) from error
        raise


async def _connect_tcp(host: str, port: int, route: Route) -> socket.socket:
    local = route.local_address
    return await aiohappyeyeballs.start_connection(
        await _addresses(host, port),
        local_addr_infos=await _addresses(*local) if local else None,
        happy_eyeballs_delay=route.happy_eyeballs_delay_s,
    )


async def _addresses(host: str, port: int) -> list[Any]:
    try:
        # An address needs no resolver, and thus no hop to the loop's thread pool.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)


async def _start(route: Route, protocol: asyncio.BaseProtocol, sock: socket.socket | None) -> None:
    await aiofastnet.create_connection(
        asyncio.get_running_loop(),
        lambda: protocol,
        sock=sock,
        ssl=route.tls,
        server_hostname=route.target.host if route.tls else None,
    )


async def _start_in_tunnel(route: Route, protocol: asyncio.BaseProtocol, tunnel: asyncio.Transport) -> None:
    transport: asyncio.Transport | None = tunnel
    try:
        if route.tls is not None:
            transport = await aiofastnet.start_tls(
                asyncio.get_running_loop(),
                tunnel,
                tunnel.get_protocol(),
                route.tls,
                server_hostname=route.target.host,
            )
        if transport is None:
            raise ConnectionResetError("the proxy hung up before TLS")
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
    except BaseException:
        tunnel.abort()
        raise


def _explained(error: Exception, route: Route) -> ConnectError:
    """One sentence for what went wrong below the upgrade, and what to do about it."""
    origin, end = route.origin, route.proxy or route.target
    if isinstance(error, (ProxyError, ProxyTimeoutError, ProxyConnectionError)):
        return ConnectError(f"the proxy {end.host} did not connect us to {origin}: {error}")
    via = f" (the proxy for {origin})" if route.proxy else ""
    place = f"{end.host}:{end.port}{via}"
    if isinstance(error, socket.gaierror):
        return ConnectError(
            f"cannot resolve {end.host}{via}, {error.strerror}: check its spelling and this machine's DNS"
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectError(
            f"the TLS certificate of {origin} is not trusted ({error.verify_message}): "
            "check the host name, or pass an ssl_context that trusts its authority"
        )
    if isinstance(error, ssl.SSLError):
        return ConnectError(f"TLS with {origin} failed ({error.reason or error}): is it a wss:// port?")
    if isinstance(error, ConnectionRefusedError):
        return ConnectError(f"nothing listens at {place}: check host and port")
    # A TLS transport reports a peer that hangs up without a word.
    return ConnectError(f"cannot connect to {place}: {str(error) or 'it closed the connection'}")
