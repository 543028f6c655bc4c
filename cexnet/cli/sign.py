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
from cexnet_core.clock import now_ns
from cexnet_core.errors import ConfigurationError

_ANY_EXCHANGE = "CEXNET"


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
    """The request as ``RestManager.request(..., signed=True)`` would put it on the wire."""
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
        body=options.body.encode() or None,
        signed=True,
    )
    at_ns = now_ns() if options.timestamp_ms is None else options.timestamp_ms * 1_000_000
    wire = made.auth.sign(call, at_ns)
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


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ConfigurationError(f"--param {text!r} must be NAME=VALUE; the value may be empty")
    return name, value
