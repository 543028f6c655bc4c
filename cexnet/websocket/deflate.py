"""permessage-deflate (RFC 7692): what we offer, and whether an answer accepts exactly that."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cexnet_core.deflate import Deflater, Inflater
from cexnet_core.errors import ConfigurationError

_NAME = "permessage-deflate"
_WINDOW_BITS = re.compile(r"[89]|1[0-5]")  # sections 7.1.2.1 and 7.1.2.2
_FLAGS = ("server_no_context_takeover", "client_no_context_takeover")
_BITS = ("server_max_window_bits", "client_max_window_bits")


@dataclass(frozen=True, slots=True)
class Agreed:
    """The parameters of one connection: of the server's compressor, then of ours."""

    server_keeps_context: bool = True
    server_window_bits: int = 15
    client_keeps_context: bool = True
    client_window_bits: int = 15


@dataclass(frozen=True, slots=True)
class DeflateOffer:
    """Ask the peer to compress its messages; it may decline.

    ``server_no_context_takeover`` and ``server_max_window_bits`` (8 to 15) bind the peer's
    compressor: they save it and us up to 40 KiB a connection and cost compression.
    ``client_no_context_takeover`` and ``client_max_window_bits`` offer the same for ours;
    the latter ``None`` forbids the peer to ask for less than 15.

    Messages that we send are compressed from ``compress_from_bytes`` on; ``None`` (the
    default) sends all of them as they are, which RFC 7692 allows: a short order only gets
    slower. A message that inflates beyond 1 MiB may not exceed ``max_ratio`` times its
    compressed size, and none may exceed the connection's ``max_message_bytes``: the
    connection is failed with close code 1009.

    Raises ConfigurationError for values out of range.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = 15
    compress_from_bytes: int | None = None
    max_ratio: int = 200

    def __post_init__(self) -> None:
        for name in _BITS:
            bits = getattr(self, name)
            if bits is not None and not 8 <= bits <= 15:
                raise ConfigurationError(f"{name}={bits}: must be 8 to 15, or None")
        if self.max_ratio < 1:
            raise ConfigurationError(f"max_ratio={self.max_ratio}: must be at least 1")
        if self.compress_from_bytes is not None and self.compress_from_bytes < 0:
            raise ConfigurationError("compress_from_bytes must not be negative")

    def header(self) -> str:
        """The value of Sec-WebSocket-Extensions in the request."""
        parts = [_NAME, *(name for name in _FLAGS if getattr(self, name))]
        for name in _BITS:
            bits = getattr(self, name)
            if name == "client_max_window_bits" and bits == 15:
                parts.append(name)  # without a value: whatever the server likes
            elif bits is not None:
                parts.append(f"{name}={bits}")
        return "; ".join(parts)

    def accept(self, answer: str) -> Agreed:
        """The parameters in ``answer``, the Sec-WebSocket-Extensions of the response.

        Raises ValueError when it is anything but an acceptance of this offer (RFC 7692
        section 7.1): the connection must not be used then.
        """
        given = _parameters(answer)
        if self.server_no_context_takeover and _FLAGS[0] not in given:
            raise ValueError("it does not grant server_no_context_takeover")
        server_bits = int(given.get(_BITS[0], 15))
        if server_bits > (self.server_max_window_bits or 15):
            raise ValueError(f"it does not grant server_max_window_bits={self.server_max_window_bits}")
        client_bits = int(given.get(_BITS[1], self.client_max_window_bits or 15))
        if _BITS[1] in given and client_bits > (self.client_max_window_bits or 0):
            raise ValueError("its client_max_window_bits is not within our offer")
        return Agreed(
            server_keeps_context=_FLAGS[0] not in given,
            server_window_bits=server_bits,
            client_keeps_context=not (self.client_no_context_takeover or _FLAGS[1] in given),
            client_window_bits=client_bits,
        )

    def inflater(self, agreed: Agreed) -> Inflater:
        """What unpacks the peer's messages."""
        return Inflater(
            window_bits=agreed.server_window_bits,
            keep_context=agreed.server_keeps_context,
            max_ratio=self.max_ratio,
        )

    def deflater(self, agreed: Agreed) -> Deflater | None:
        """What packs ours; None when we send them as they are."""
        # zlib cannot compress into a window of 8 bits: we then send uncompressed.
        if self.compress_from_bytes is None or agreed.client_window_bits == 8:
            return None
        return Deflater(
            window_bits=agreed.client_window_bits,
            keep_context=agreed.client_keeps_context,
            from_bytes=self.compress_from_bytes,
        )


def _parameters(answer: str) -> dict[str, str]:
    """Parameter -> value ("" for a flag) of the one extension in ``answer``."""
    if "," in answer:
        raise ValueError("it names more than one extension")
    name, *parts = (part.strip(" \t") for part in answer.split(";"))
    if name.lower() != _NAME:
        raise ValueError(f"it names {name!r}")
    given: dict[str, str] = {}
    for part in parts:
        key, equals, value = (piece.strip(" \t") for piece in part.partition("="))
        key = key.lower()
        if key in given:
            raise ValueError(f"it has {key} twice")
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        right = not equals if key in _FLAGS else key in _BITS and _WINDOW_BITS.fullmatch(value)
        if not right:
            raise ValueError(f"its parameter {part!r} means nothing")
        given[key] = value
    return given
