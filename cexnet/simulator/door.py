"""The WebSocket port: open, shut for a while, open again at the same place."""

from __future__ import annotations

import asyncio
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
        """Listen; again is no change. Raises :class:`ConfigurationError` for a port in use."""
        if self._server is not None:
            return
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
        f"cannot listen on {host}:{port} ({error.strerror}); choose another port, or 0 for a free one"
    )
