"""Text captures: which exchange one is of, how long it lasts, what is in it.

One line a record, as the cryptofeed project writes them: ``T: MESSAGE`` is a message that was
received at T (Unix seconds), ``wss://URL <-> T`` a connection, ``wss://URL <- T: MESSAGE`` what
the client sent, ``https://URL -> T: BODY`` a REST answer (those are in files of their own).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from cexnet.exchanges import NAMES, get_exchange
from cexnet_core.decode import Decoder
from cexnet_core.errors import ConfigurationError
from cexnet_core.schema import WireSchema

_HOSTS = {
    "stream.binance.com": "binance",
    "fstream.binance.com": "binance_usdm",
    "api.gateio.ws": "gateio",
    "wbs-api.mexc.com": "mexc",
    "ws.okx.com": "okx",
}
_ANSWERED = re.compile(rb"(https?://\S+) -> \d+\.?\d*: (.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture in memory: its origin and the messages that were received, in order."""

    path: Path
    exchange: str | None
    messages: tuple[tuple[float, bytes], ...]

    @property
    def duration_s(self) -> float:
        """From the first message to the last."""
        return self.messages[-1][0] - self.messages[0][0]

    def symbols(self, schema: WireSchema) -> tuple[str, ...]:
        """The symbols of its market data, in order of appearance."""
        decoder = Decoder(schema)
        events = decoder.decode_all(payload for _, payload in self.messages)
        return tuple(dict.fromkeys(event.symbol for event in events if event.symbol))


def read_capture(path: Path) -> Capture:
    """Read ``path``. Raises ConfigurationError when it is missing, empty or no capture."""
    exchange = None
    messages: list[tuple[float, bytes]] = []
    for number, line in enumerate(_lines(path), 1):
        if line.startswith((b"https://", b"http://")):
            continue
        if line.startswith((b"wss://", b"ws://")):
            host = urlsplit(line.split(b" ", 1)[0].decode("ascii", "replace")).hostname or ""
            exchange = exchange or _HOSTS.get(host)
            continue
        if not line:
            continue
        stamp, _, payload = line.partition(b": ")
        try:
            messages.append((float(stamp), payload))
        except ValueError:
            raise ConfigurationError(
                f"{path} line {number} is not of a capture: expected 'T: MESSAGE' with T in Unix seconds"
            ) from None
    if not messages:
        raise ConfigurationError(
            f"{path} holds no received message; expected lines like '1633998512.06: {{...}}'"
        )
    return Capture(path, exchange, tuple(messages))


def read_answers(path: Path) -> Iterator[tuple[str, bytes]]:
    """The REST answers that were recorded beside the capture ``path``: URL and body, in order."""
    stem, found, _ = path.name.partition(".ws.")
    for companion in sorted(path.parent.glob(f"{stem}.http.*")) if found else ():
        for line in _lines(companion):
            match = _ANSWERED.match(line)
            if match is not None:
                yield match[1].decode(), match[2]


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigurationError(f"cannot read the capture {path}: {error.strerror}") from None


class Source(Protocol):
    """A file of recorded traffic, of whatever kind."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def exchange(self) -> str | None:
        """The exchange that it says it is of."""


def resolve_exchange(asked: str | None, capture: Source | None) -> str:
    """The exchange to run: the one asked for, else the capture's, else binance.

    A capture knows more than its family's name does: ``--exchange binance`` with a
    capture of USD-M futures plays ``binance_usdm``. Raises ConfigurationError when
    the two contradict each other or neither says.
    """
    recorded = capture.exchange if capture is not None else None
    if asked is not None:
        get_exchange(asked)
    if capture is None:
        return asked or "binance"
    if recorded is None:
        if asked is None:
            raise ConfigurationError(
                f"{capture.path} does not say which exchange it is of: "
                f"add --exchange with one of {', '.join(NAMES)}"
            )
        return asked
    if asked is not None and not recorded.startswith(asked):
        raise ConfigurationError(
            f"{capture.path} was recorded from {recorded}, not from {asked}: leave --exchange out"
        )
    return recorded
