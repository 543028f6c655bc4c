"""Signed requests at exchanges for which cexnet has no REST tables: the signature alone.

Each class is one exchange's rule from its own document; ``cexnet.exchanges.signing`` names
them. They serve requests that an application builds itself, and ``cexnet sign``.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from cexnet.credentials import Credentials, Secret
from cexnet.http.auth import SignedHeaders, with_query
from cexnet.http.endpoint import Call, WireRequest
from cexnet.http.keys import Sign, base64url, decoded_secret, hmac_sign, jwt_sign, private_key, secret_sign
from cexnet_core.errors import ConfigurationError
from cexnet_core.query import encode, encode_pairs, escape, pairs, plain

Nonce = Callable[[], str]


def fresh_nonce() -> str:
    """128 random bits in hexadecimal: no two requests share one."""
    return secrets.token_hex(16)


class _WithPassphrase(SignedHeaders):
    """HMAC-SHA256 in base64, and a passphrase beside it."""

    _passphrase = ""

    def signer(self, credentials: Credentials) -> Sign:
        """See SignedHeaders. Raises ConfigurationError without a passphrase."""
        if credentials.passphrase is None:
            raise ConfigurationError(
                "credentials.passphrase is missing: this exchange wants the one that was chosen with the key"
            )
        sign = hmac_sign(credentials, "sha256", "base64")
        self._passphrase = self.passphrase(sign, credentials.passphrase)
        return sign

    def passphrase(self, sign: Sign, given: Secret) -> str:
        """What goes into the header."""
        return given.text()


class OkxSignature(_WithPassphrase):
    """Time + method + path?query + body; the time in ISO 8601 with milliseconds (OKX API v5)."""

    def signed(self, call: Call[Any], sign: Sign, now_ns: int) -> WireRequest:
        """See SignedHeaders."""
        seconds, ns = divmod(now_ns, 1_000_000_000)
        time = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ns // 1_000_000:03d}Z"
        target = with_query(call.path, encode(call.params, self.arrays))
        signature = sign(f"{time}{call.endpoint.method}{target}".encode() + call.body)
        headers = {
            "OK-ACCESS-KEY": self._key,
            "OK-ACCESS-SIGN": signature,
            "OK-ACCESS-TIMESTAMP": time,
            "OK-ACCESS-PASSPHRASE": self._passphrase,
        }
        return self.wire(call, target, headers, (signature, self._passphrase))


class KucoinSignature(_WithPassphrase):
    """Time in ms + method + path?query unescaped + body; the passphrase is signed too (KuCoin)."""

    def __init__(self, credentials: Credentials | None, *, key_version: str = "2") -> None:
        super().__init__(credentials)
        self._version = key_version

    def passphrase(self, sign: Sign, given: Secret) -> str:
        """See above: keys of version 2 and 3 send its HMAC."""
        return sign(given.reveal())

    def signed(self, call: Call[Any], sign: Sign, now_ns: int) -> WireRequest:
        """See SignedHeaders. The query is sent escaped and signed unescaped."""
        time = str(now_ns // 1_000_000)
        given = pairs(call.params, self.arrays)
        covered = f"{time}{call.endpoint.method}{with_query(call.path, plain(given))}"
        signature = sign(covered.encode() + call.body)
        headers = {
            "KC-API-KEY": self._key,
            "KC-API-SIGN": signature,
            "KC-API-TIMESTAMP": time,
            "KC-API-PASSPHRASE": self._passphrase,
            "KC-API-KEY-VERSION": self._version,
        }
        target = with_query(call.path, encode_pairs(given))
        return self.wire(call, target, headers, (signature, self._passphrase))


class BitgetSignature(_WithPassphrase):
    """Time in ms + method + path?query unescaped, sorted by name + body (Bitget API v2)."""

    def signed(self, call: Call[Any], sign: Sign, now_ns: int) -> WireRequest:
        """See SignedHeaders. The query is sent escaped, in the order in which it is signed."""
        time = str(now_ns // 1_000_000)
        in_order = sorted(pairs(call.params, self.arrays), key=lambda pair: pair[0])
        covered = f"{time}{call.endpoint.method}{with_query(call.path, plain(in_order))}"
        signature = sign(covered.encode() + call.body)
        target = with_query(call.path, encode_pairs(in_order))
        headers = {
            "ACCESS-KEY": self._key,
            "ACCESS-SIGN": signature,
            "ACCESS-TIMESTAMP": time,
            "ACCESS-PASSPHRASE": self._passphrase,
            "locale": "en-US",
        }
        return self.wire(call, target, headers, (signature, self._passphrase))


class BybitSignature(SignedHeaders):
    """Time in ms + key + window + (body or query); HMAC in hexadecimal, RSA in base64 (Bybit v5)."""

    def __init__(self, credentials: Credentials | None, *, recv_window_ms: int = 5000) -> None:
        super().__init__(credentials)
        self._window = str(recv_window_ms)

    def signer(self, credentials: Credentials) -> Sign:
        """See SignedHeaders."""
        return secret_sign(credentials, "sha256")

    def signed(self, call: Call[Any], sign: Sign, now_ns: int) -> WireRequest:
        """See SignedHeaders. A request with a body signs that and not its query."""
        time = str(now_ns // 1_000_000)
        query = encode(call.params, self.arrays)
        signature = sign(f"{time}{self._key}{self._window}".encode() + (call.body or query.encode()))
        headers = {
            "X-BAPI-API-KEY": self._key,
            "X-BAPI-TIMESTAMP": time,
            "X-BAPI-SIGN": signature,
            "X-BAPI-RECV-WINDOW": self._window,
        }
        return self.wire(call, with_query(call.path, query), headers, (signature,))


class KrakenSignature(SignedHeaders):
    """Path + SHA-256 of (nonce + form body), HMAC-SHA512 with the decoded secret (Kraken REST).

    Parameters travel in the body as a form, the nonce first. The nonce, unless the caller
    gives one, is the time in ms, and one more than the last where that has not grown: it
    only rises, as Kraken demands of a key. Two processes that share a key get each other
    refused: give each its own.
    """

    def __init__(self, credentials: Credentials | None) -> None:
        super().__init__(credentials)
        self._nonce = 0

    def signer(self, credentials: Credentials) -> Sign:
        """See SignedHeaders."""
        return hmac_sign(credentials, "sha512", "base64", key=decoded_secret(credentials))

    def signed(self, call: Call[Any], sign: Sign, now_ns: int) -> WireRequest:
        """See SignedHeaders. Raises ConfigurationError for what Kraken cannot sign."""
        if call.endpoint.method != "POST" or call.body:
            raise ConfigurationError(
                "Kraken signs POST requests whose parameters make up the body: use POST, and params, not body"
            )
        given = pairs(call.params, self.arrays)
        nonce = dict(given).get("nonce")
        if nonce is None:
            self._nonce = max(self._nonce + 1, now_ns // 1_000_000)
            nonce = str(self._nonce)
            given.insert(0, ("nonce", nonce))
        body = encode_pairs(given).encode()
        digest = hashlib.sha256(nonce.encode() + body).digest()
        signature = sign(call.path.encode() + digest)
        headers = {
            "API-Key": self._key,
            "API-Sign": signature,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return WireRequest("POST", call.path, headers, body, (self._key, signature))


class HtxSignature(SignedHeaders):
    """Method, host, path and sorted query, one a line; the signature ends the query (HTX).

    A body is not signed. ``base_url`` gives the host.
    """

    def __init__(self, credentials: Credentials | None, *, base_url: str) -> None:
        super().__init__(credentials)
        self._host = urlsplit(base_url).netloc.lower()

    def signer(self, credentials: Credentials) -> Sign:
        """See SignedHeaders."""
        return hmac_sign(credentials, "sha256", "base64")

    def signed(self, call: Call[Any], sign: Sign, now_ns: int) -> WireRequest:
        """See SignedHeaders. Sorted by the bytes of the escaped names."""
        time = f"{datetime.fromtimestamp(now_ns // 1_000_000_000, UTC):%Y-%m-%dT%H:%M:%S}"
        given = [
            *pairs(call.params, self.arrays),
            ("AccessKeyId", self._key),
            ("SignatureMethod", "HmacSHA256"),
            ("SignatureVersion", "2"),
            ("Timestamp", time),
        ]
        query = encode_pairs(sorted(given, key=lambda pair: escape(pair[0])))
        signature = escape(sign(f"{call.endpoint.method}\n{self._host}\n{call.path}\n{query}"))
        return self.wire(call, f"{call.path}?{query}&Signature={signature}", {}, (signature,))


class DeribitSignature(SignedHeaders):
    """Time in ms, nonce, method, path?query and body, one a line each (Deribit, deri-hmac-sha256)."""

    def __init__(self, credentials: Credentials | None, *, nonce: Nonce = fresh_nonce) -> None:
        super().__init__(credentials)
        self._nonce = nonce

    def signer(self, credentials: Credentials) -> Sign:
        """See SignedHeaders."""
        return hmac_sign(credentials, "sha256", "hex")

    def signed(self, call: Call[Any], sign: Sign, now_ns: int) -> WireRequest:
        """See SignedHeaders."""
        time, nonce = now_ns // 1_000_000, self._nonce()
        target = with_query(call.path, encode(call.params, self.arrays))
        signature = sign(f"{time}\n{nonce}\n{call.endpoint.method}\n{target}\n".encode() + call.body + b"\n")
        authorization = f"deri-hmac-sha256 id={self._key},ts={time},nonce={nonce},sig={signature}"
        return self.wire(call, target, {"Authorization": authorization}, (signature,))


class CoinbaseSignature(SignedHeaders):
    """A JSON web token for method, host and path, good for 120 s (Coinbase Advanced Trade).

    The secret is an ECDSA key on P-256 (ES256) or an Ed25519 key (EdDSA), the API key its
    name. Neither query nor body is signed. ``base_url`` gives the host.
    """

    _LIFETIME_S = 120

    def __init__(self, credentials: Credentials | None, *, base_url: str, nonce: Nonce = fresh_nonce) -> None:
        self._algorithm = ""
        super().__init__(credentials)
        self._host = urlsplit(base_url).netloc
        self._nonce = nonce

    def signer(self, credentials: Credentials) -> Sign:
        """See SignedHeaders."""
        self._algorithm, sign = jwt_sign(private_key(credentials))
        return sign

    def signed(self, call: Call[Any], sign: Sign, now_ns: int) -> WireRequest:
        """See SignedHeaders."""
        token = self.token(sign, now_ns, f"{call.endpoint.method} {self._host}{call.path}")
        target = with_query(call.path, encode(call.params, self.arrays))
        return self.wire(call, target, {"Authorization": f"Bearer {token}"}, (token,))

    def token(self, sign: Sign, now_ns: int, uri: str) -> str:
        """The signed token for ``uri``."""
        header = {"alg": self._algorithm, "kid": self._key, "nonce": self._nonce(), "typ": "JWT"}
        now = now_ns // 1_000_000_000
        claims = {"sub": self._key, "iss": "cdp", "nbf": now, "exp": now + self._LIFETIME_S, "uri": uri}
        covered = f"{_part(header)}.{_part(claims)}"
        return f"{covered}.{sign(covered)}"


def _part(value: dict[str, Any]) -> str:
    return base64url(json.dumps(value, separators=(",", ":")).encode())
