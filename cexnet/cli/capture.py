"""Captures of real traffic: which exchange one is of, how long it lasts, what is in it.

One line a record: ``T: MESSAGE`` is a message that was received at T (Unix seconds),
``wss://URL <-> T`` a connection, ``wss://URL <- T: MESSAGE`` what the client sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
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
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(f"cannot read the capture {path}: {error.strerror}") from None
    exchange = None
    messages: list[tuple[float, bytes]] = []
    for number, line in enumerate(lines, 1):
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
        raise ConfigurationError(f"the capture {path} holds no received message")
    return Capture(path, exchange, tuple(messages))


def resolve_exchange(asked: str | None, capture: Capture | None) -> str:
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
