"""Signing strategies. Where the signature goes and what it covers is data, not code."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from cexnet.credentials import Credentials
from cexnet.http.endpoint import Call, WireRequest
from cexnet.http.query import encode, plain
from cexnet.http.strategies import AuthStrategy
from cexnet_core.errors import AuthenticationError
from cexnet_core.signing import HmacSigner

Digest = Literal["sha256", "sha384", "sha512"]

_NO_HEADERS: dict[str, str] = {}
_JSON_BODY = {"Content-Type": "application/json"}


def unsigned(call: Call[Any]) -> WireRequest:
    """``call`` as it goes on the wire without a signature."""
    query = encode(call.params)
    target = f"{call.path}?{query}" if query else call.path
    return WireRequest(call.endpoint.method, target, _JSON_BODY if call.body else _NO_HEADERS, call.body)


def _no_credentials(call: Call[Any]) -> AuthenticationError:
    return AuthenticationError(
        f"{call.endpoint.label} must be signed and no credentials were configured:"
        " give an API key and secret",
        outcome="not_sent",
        endpoint=call.endpoint.label,
        client_order_id=call.client_order_id,
    )


@dataclass(frozen=True, slots=True)
class QuerySignature:
    """The signature is the last query parameter and covers query and body.

    ``content_type`` is sent with every signed request when set, body or not.
    """

    key_header: str
    digest: Digest = "sha256"
    timestamp: str = "timestamp"
    window: str = "recvWindow"
    signature: str = "signature"
    content_type: str = ""


class SignedQuery(AuthStrategy):
    """HMAC over ``query + body``, timestamp in ms (Binance, MEXC: their SIGNED section)."""

    def __init__(
        self, table: QuerySignature, credentials: Credentials | None, *, recv_window_ms: int
    ) -> None:
        self._table = table
        self._window = recv_window_ms
        self._signer: HmacSigner | None = None
        self._headers = _NO_HEADERS
        self._body_headers = _JSON_BODY
        if credentials is not None:
            self._signer = HmacSigner(credentials.api_secret.reveal(), table.digest)
            self._headers = {table.key_header: credentials.api_key}
            self._body_headers = {**self._headers, **_JSON_BODY}
            if table.content_type:
                self._headers["Content-Type"] = table.content_type

    def sign(self, call: Call[Any], now_ns: int) -> WireRequest:
        """See AuthStrategy. The escaped query is what is signed and what is sent."""
        if not call.endpoint.signed:
            return unsigned(call)
        if self._signer is None:
            raise _no_credentials(call)
        table = self._table
        query = encode(call.params)
        stamp = f"{table.window}={self._window}&{table.timestamp}={now_ns // 1_000_000}"
        query = f"{query}&{stamp}" if query else stamp
        covered: bytes | str = query.encode() + call.body if call.body else query
        signature = self._signer.hexdigest(covered)
        return WireRequest(
            call.endpoint.method,
            f"{call.path}?{query}&{table.signature}={signature}",
            self._body_headers if call.body else self._headers,
            call.body,
        )


@dataclass(frozen=True, slots=True)
class HeaderSignature:
    """Key, time and signature travel in headers of these names."""

    key_header: str
    timestamp_header: str
    signature_header: str
    digest: Digest = "sha512"


class SignedHeaders(AuthStrategy):
    """HMAC over method, path, unescaped query, body hash and time in s, one a line (Gate.io)."""

    def __init__(self, table: HeaderSignature, credentials: Credentials | None) -> None:
        self._table = table
        self._signer: HmacSigner | None = None
        self._key = ""
        self._empty_hash = hashlib.new(table.digest).hexdigest()
        if credentials is not None:
            self._signer = HmacSigner(credentials.api_secret.reveal(), table.digest)
            self._key = credentials.api_key

    def sign(self, call: Call[Any], now_ns: int) -> WireRequest:
        """See AuthStrategy. The query is sent escaped and signed unescaped."""
        wire = unsigned(call)
        if not call.endpoint.signed:
            return wire
        if self._signer is None:
            raise _no_credentials(call)
        table = self._table
        body_hash = hashlib.new(table.digest, call.body).hexdigest() if call.body else self._empty_hash
        seconds = now_ns // 1_000_000_000
        signature = self._signer.hexdigest(
            f"{wire.method}\n{call.path}\n{plain(call.params)}\n{body_hash}\n{seconds}"
        )
        headers = {
            **wire.headers,
            table.key_header: self._key,
            table.timestamp_header: str(seconds),
            table.signature_header: signature,
        }
        return WireRequest(wire.method, wire.target, headers, wire.body)
