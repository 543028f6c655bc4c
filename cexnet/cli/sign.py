"""``cexnet sign``: one signed request as it would be sent, made offline by the code that sends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from cexnet.credentials import Credentials
from cexnet.exchanges.signing import NAMES, SigningOptions, signing
from cexnet.http.intents import build_call
from cexnet.http.request_head import RequestWriter, origin_of
from cexnet_core.clock import now_ns
from cexnet_core.errors import ConfigurationError

_ANY_EXCHANGE = "CEXNET"
_LAST_MS = 253_402_300_799_999  # the end of the year 9999, the last that a date can name


@dataclass(frozen=True, slots=True)
class SignOptions:
    """The command's options; ``timestamp_ms`` is the time to sign at, ``None`` for now."""

    exchange: str
    method: str
    path: str
    params: Sequence[str] = ()
    body: str = ""
    timestamp_ms: int | None = None
    recv_window_ms: int = 5000
    nonce: str = ""
    base_url: str = ""
    as_json: bool = False


def print_signed(options: SignOptions) -> None:
    """Print method, URL, headers and body. Raises ConfigurationError naming what is wrong."""
    request = sign(options)
    if options.as_json:
        sys.stdout.write(msgspec.json.encode(request).decode() + "\n")
        return
    lines = [f"{request['method']} {request['url']}"]
    lines += [f"{name}: {text}" for name, text in request["headers"].items()]
    sys.stdout.write("\n".join([*lines, "", request["body"]]).rstrip("\n") + "\n")


def sign(options: SignOptions) -> dict[str, Any]:
    """The request as ``RestManager.request(..., signed=True)`` would put it on the wire.

    Raises ConfigurationError for what that would not send.
    """
    made = signing(
        options.exchange,
        credentials_of(options.exchange),
        SigningOptions(options.base_url, options.recv_window_ms, options.nonce),
    )
    call = build_call(
        made.request,
        options.method,
        options.path,
        bytes,
        params=[_pair(text) for text in options.params],
        body=_body(options.body),
        signed=True,
    )
    wire = made.auth.sign(call, _time_ns(options.timestamp_ms))
    RequestWriter(origin_of(made.base_url), "cexnet", None).write(wire)  # refuses what cannot be sent
    return {
        "exchange": options.exchange,
        "method": wire.method,
        "url": made.base_url + wire.target,
        "headers": dict(wire.headers),
        "body": wire.body.decode(),
    }


def credentials_of(exchange: str) -> Credentials:
    """From ``CEXNET_<EXCHANGE>_API_KEY`` and so on, or from ``CEXNET_API_KEY`` and so on."""
    if exchange not in NAMES:
        raise ConfigurationError(f"cannot sign for {exchange!r}: choose one of {', '.join(NAMES)}")
    own = f"{_ANY_EXCHANGE}_{exchange.upper()}"
    has_own = any(f"{own}_API_KEY{suffix}" in os.environ for suffix in ("", "_FILE"))
    return Credentials.from_environment(own if has_own else _ANY_EXCHANGE)


def _body(text: str) -> bytes | None:
    try:
        return text.encode() or None
    except UnicodeEncodeError:
        raise ConfigurationError("--body is not text in UTF-8, as JSON has to be") from None


def _time_ns(timestamp_ms: int | None) -> int:
    if timestamp_ms is None:
        return now_ns()
    if not 0 <= timestamp_ms <= _LAST_MS:
        raise ConfigurationError(f"--timestamp-ms {timestamp_ms} is not a time from 1970 to 9999, in ms")
    return timestamp_ms * 1_000_000


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ConfigurationError(f"--param {text!r} must be NAME=VALUE; the value may be empty")
    return name, value
