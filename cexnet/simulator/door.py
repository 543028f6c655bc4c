"""The WebSocket port: open, shut for a while, open again at the same place."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable

from picows import WSListener, WSUpgradeRequest, WSUpgradeResponseWithListener, ws_create_server

from cexnet_core.errors import ConfigurationError

Accept = Callable[[WSUpgradeRequest], WSListener | WSUpgradeResponseWithListener | None]
_MOST_CLIENT_BYTES = 1 << 20  # largest frame that a client may send


class Door:
    """A listening socket whose clients outlive it: shutting it only refuses new ones.

    ``port`` 0 picks a free one, which is kept from then on.
    """

    def __init__(self, accept: Accept, host: str, port: int) -> None:
        self._accept = accept
        self.host = host
        self.port = port
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen; again is no change.

        Raises :class:`ConfigurationError` for a port in use, and for a loopback address on a
        machine whose loopback interface is down: there one can listen, but nobody can connect.
        """
        if self._server is not None:
            return
        _require_route(self.host)
        try:
            self._server = await ws_create_server(
                self._accept, self.host, self.port, enable_auto_pong=False,
                max_frame_size=_MOST_CLIENT_BYTES, use_aiofastnet=False,
            )  # fmt: skip
        except OSError as error:
            raise port_in_use(self.host, self.port, error) from error
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Refuse connections from now on; those that are there stay."""
        if self._server is not None:
            self._server.close()
            self._server = None


def port_in_use(host: str, port: int, error: OSError) -> ConfigurationError:
    """What to tell the user when a port cannot be listened on."""
    return ConfigurationError(
        f"cannot listen on {host}:{port} ({_reason(error)}); choose another port, or 0 for a free one"
    )


def _reason(error: OSError) -> str:
    # asyncio words the error anew and keeps the system's words inside
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _require_route(host: str) -> None:
    try:
        loopback = ipaddress.IPv4Address(host).is_loopback
    except ValueError:  # a name, or IPv6: whoever listens there finds out
        return
    if not loopback:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # "connecting" UDP sends nothing
        try:
            probe.connect((host, 9))
        except OSError as error:
            raise ConfigurationError(
                f"nothing can connect to {host} here ({error.strerror}): the loopback interface is down, "
                "as in a new network namespace; bring it up with `ip link set lo up`"
            ) from error
