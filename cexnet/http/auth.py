"""Signing strategies. Where the signature goes and what it covers is the exchange's own rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cexnet.credentials import Credentials
from cexnet.http.endpoint import Call, WireRequest
from cexnet.http.keys import Digest, Sign, hmac_sign, secret_sign
from cexnet.http.strategies import AuthStrategy
from cexnet_core.errors import AuthenticationError
from cexnet_core.params import Arrays
from cexnet_core.query import encode_pairs, escape, pairs

NO_HEADERS: dict[str, str] = {}
JSON_BODY = {"Content-Type": "application/json"}


def unsigned(call: Call[Any], arrays: Arrays = "repeat") -> WireRequest:
    """``call`` as it goes on the wire without a signature."""
    target = with_query(call.path, encode_pairs(pairs(call.params, arrays)))
    return WireRequest(call.endpoint.method, target, JSON_BODY if call.body else NO_HEADERS, call.body)


def with_query(path: str, query: str) -> str:
    """``path?query``, or ``path`` alone when there is no query."""
    return f"{path}?{query}" if query else path


def no_credentials(call: Call[Any]) -> AuthenticationError:
    """What an AuthStrategy without credentials raises for an endpoint that needs them."""
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
    ``private_keys`` says that Ed25519 and RSA keys are taken as well as HMAC secrets.
    """

    key_header: str
    digest: Digest = "sha256"
    timestamp: str = "timestamp"
    window: str = "recvWindow"
    signature: str = "signature"
    content_type: str = ""
    arrays: Arrays = "json"
    private_keys: bool = False


class SignedQuery(AuthStrategy):
    """A signature over ``query + body``, timestamp in ms (Binance, MEXC: their SIGNED section)."""

    def __init__(
        self, table: QuerySignature, credentials: Credentials | None, *, recv_window_ms: int
    ) -> None:
        self._table = table
        self._window = str(recv_window_ms)
        self._sign: Sign | None = None
        self._headers = NO_HEADERS
        self._body_headers = JSON_BODY
        self._key = ""
        self.validity_s = recv_window_ms / 1000
        if credentials is not None:
            self._sign = (
                secret_sign(credentials, table.digest)
                if table.private_keys
                else hmac_sign(credentials, table.digest, "hex")
            )
            self._key = credentials.api_key
            self._headers = {table.key_header: credentials.api_key}
            self._body_headers = {**self._headers, **JSON_BODY}
            if table.content_type:
                self._headers["Content-Type"] = table.content_type

    def sign(self, call: Call[Any], now_ns: int) -> WireRequest:
        """See AuthStrategy. The escaped query is what is signed and what is sent."""
        table = self._table
        if not call.endpoint.signed:
            return unsigned(call, table.arrays)
        if self._sign is None:
            raise no_credentials(call)
        given = pairs(call.params, table.arrays)
        names = [name for name, _ in given]
        # A caller's own window or timestamp counts: an exchange refuses a name given twice.
        if table.window not in names:
            given.append((table.window, self._window))
        if table.timestamp not in names:
            given.append((table.timestamp, str(now_ns // 1_000_000)))
        query = encode_pairs(given)
        # Base64 holds characters that a query must escape; hexadecimal passes unchanged.
        signature = escape(self._sign(query.encode() + call.body if call.body else query))
        return WireRequest(
            call.endpoint.method,
            f"{call.path}?{query}&{table.signature}={signature}",
            self._body_headers if call.body else self._headers,
            call.body,
            (self._key, signature),
        )


class SignedHeaders(AuthStrategy):
    """A signature that travels in a header, over a text that subclasses lay down.

    ``credentials`` may be ``None``: then only unsigned endpoints work.
    """

    arrays: Arrays = "comma"

    def __init__(self, credentials: Credentials | None) -> None:
        self._key = "" if credentials is None else credentials.api_key
        self._sign = None if credentials is None else self.signer(credentials)

    def signer(self, credentials: Credentials) -> Sign:
        """The function that signs. Raises ConfigurationError for a key of the wrong kind."""
        raise NotImplementedError

    def sign(self, call: Call[Any], now_ns: int) -> WireRequest:
        """See AuthStrategy."""
        if not call.endpoint.signed:
            return unsigned(call, self.arrays)
        if self._sign is None:
            raise no_credentials(call)
        return self.signed(call, self._sign, now_ns)

    def signed(self, call: Call[Any], sign: Sign, now_ns: int) -> WireRequest:
        """The signed request of ``call``."""
        raise NotImplementedError

    def wire(
        self, call: Call[Any], target: str, headers: Mapping[str, str], hidden: tuple[str, ...]
    ) -> WireRequest:
        """``call`` with these headers; a body is JSON unless they say otherwise."""
        if call.body:
            headers = {**JSON_BODY, **headers}
        return WireRequest(call.endpoint.method, target, headers, call.body, (self._key, *hidden))
