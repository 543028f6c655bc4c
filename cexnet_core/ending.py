"""How one connection ended, gathered while it happens: the first reason is kept."""

from __future__ import annotations

from cexnet_core.errors import CexnetError, ConnectionClosed, ProtocolError
from cexnet_core.messages import CloseInfo

_NO_CLOSE_FRAME = 1006  # RFC 6455 section 7.1.5


class Ending:
    """What is known so far of the end of the connection to ``peer``."""

    __slots__ = ("_error", "_peer", "_unfinished", "peer_code", "peer_reason")

    def __init__(self, peer: str) -> None:
        self._peer = peer
        self._error: CexnetError | None = None
        self._unfinished = False
        self.peer_code = 0  # 0: no close frame arrived
        self.peer_reason = ""

    def closed_error(self, text: str) -> ConnectionClosed:
        """A fresh ConnectionClosed with the peer's code and reason."""
        return ConnectionClosed(text, code=self.peer_code or _NO_CLOSE_FRAME, reason=self.peer_reason)

    def breached(self, code: int, text: str) -> None:
        """The peer broke the protocol; we answered, or would have, with ``code``."""
        if self._error is None:
            self._error = ProtocolError(
                f"{self._peer} broke the WebSocket protocol: {text}; "
                f"we failed the connection with code {code}",
                code=code,
            )

    def timed_out(self, text: str) -> None:
        """The peer did not do its part of the close handshake."""
        if self._error is None:
            self._error = self.closed_error(f"{self._peer} {text}; TCP was aborted")

    def aborted(self) -> None:
        """We ended TCP."""
        if self._error is None and not self.peer_code:
            self._error = self.closed_error(f"we aborted the connection to {self._peer}")

    def dropped(self, error: Exception | None, unfinished: bool) -> None:
        """TCP ended, with ``error`` or in good order, perhaps inside a message."""
        self._unfinished = unfinished
        if self._error is None and not self.peer_code:
            how = f"was lost ({error})" if error is not None else "ended without a close frame"
            where = " in the middle of a message" if unfinished else ""
            self._error = self.closed_error(f"the connection to {self._peer} {how}{where}")
            self._error.__cause__ = error

    def info(self) -> CloseInfo:
        """The whole of it, when TCP has ended."""
        return CloseInfo(
            self.peer_code or _NO_CLOSE_FRAME,
            self.peer_reason,
            self._error is None,
            self._unfinished,
            self._error,
        )
