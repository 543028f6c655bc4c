"""Binance's signatures, over REST and over the WebSocket API: HMAC-SHA256 or Ed25519.

Source: binance-spot-api-docs, rest-api.md "SIGNED request security" and
web-socket-api.md "Request security".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from cexnet.simulator.decimals import whole
from cexnet.simulator.personas.binance_formats import Answer, bad, missing
from cexnet_core.errors import ConfigurationError

if TYPE_CHECKING:
    from cexnet.simulator.server import Simulator

_MOST_WINDOW_MS = 60_000


class BinanceAuth:
    """Checks keys, times and signatures; refusals are raised as :class:`Answer`.

    Raises :class:`ConfigurationError` when the simulator's ``public_key`` is not Ed25519.
    """

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self._public_key = _read_key(sim.public_key) if sim.public_key is not None else None

    def check(self, key: str, params: dict[str, str], payload: str, *, hmac_too: bool = True) -> None:
        """Check a signed request whose signed text is ``payload``.

        ``hmac_too`` False takes Ed25519 only, as ``session.logon`` does.
        """
        if not key:
            raise Answer(401, -2014, "API-key format invalid.")
        if not hmac.compare_digest(key.encode(errors="surrogateescape"), self._sim.api_key.encode()):
            self._sim.stats.signature_failures += 1
            raise Answer(401, -2015, "Invalid API-key, IP, or permissions for action.")
        if not params.get("signature"):
            raise missing("signature")
        self.check_time(params)
        signature = params["signature"]
        if not (self._is_ed25519(payload, signature) or (hmac_too and self._is_hmac(payload, signature))):
            self._sim.stats.signature_failures += 1
            raise bad(-1022, "Signature for this request is not valid.")

    def check_time(self, params: dict[str, str]) -> None:
        """``timestamp`` must lie within ``recvWindow`` of our clock."""
        stamp = params.get("timestamp", "")
        sent = whole(stamp)
        if sent is None:
            raise missing("timestamp")
        window = params.get("recvWindow", "5000")
        if not re.fullmatch(r"\d{1,5}(\.\d{1,3})?", window) or float(window) > _MOST_WINDOW_MS:
            raise bad(-1131, "recvWindow must be less than 60000.")
        sent_ms = sent // 1000 if len(stamp) > 14 else sent
        server_ms = self._sim.server_ms()
        if sent_ms > server_ms + 1000:
            text = "Timestamp for this request was 1000ms ahead of the server's time."
            raise bad(-1021, text)
        if server_ms - sent_ms > float(window):
            raise bad(-1021, "Timestamp for this request is outside of the recvWindow.")

    def _is_hmac(self, payload: str, signature: str) -> bool:
        secret = self._sim.api_secret.encode()
        expected = hmac.new(secret, payload.encode(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), signature.lower().encode())

    def _is_ed25519(self, payload: str, signature: str) -> bool:
        if self._public_key is None:
            return False
        try:
            self._public_key.verify(base64.b64decode(signature, validate=True), payload.encode())
        except (InvalidSignature, binascii.Error):
            return False
        return True


def _read_key(key: str | bytes) -> Ed25519PublicKey:
    try:
        if isinstance(key, bytes) and len(key) == 32:
            return Ed25519PublicKey.from_public_bytes(key)
        read = load_pem_public_key(key.encode() if isinstance(key, str) else key)
    except ValueError as error:
        raise ConfigurationError("public_key is neither PEM text nor 32 raw bytes") from error
    if not isinstance(read, Ed25519PublicKey):
        raise ConfigurationError(f"public_key must be Ed25519, not {type(read).__name__}")
    return read
