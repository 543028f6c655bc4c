"""Hyperliquid's exchange actions: an EIP-712 signature over the action's hash.

Source: hyperliquid-dex/hyperliquid-python-sdk, 2026-04. The body of a request is the action
alone; what goes out wraps it with its nonce and the signature. The curve (secp256k1) and the
hash (Keccak-256, which SHA3-256 is not) come from the extra ``hyperliquid``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from cexnet.credentials import Credentials
from cexnet.http.auth import JSON_BODY, no_credentials, unsigned
from cexnet.http.endpoint import Call, WireRequest
from cexnet.http.strategies import AuthStrategy
from cexnet_core.errors import ConfigurationError

_DOMAIN = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_AGENT = b"Agent(string source,bytes32 connectionId)"
_CHAIN_ID = 1337
_KEY_BYTES = 32
_MAINNET, _TESTNET = b"a", b"b"
# A nonce is taken up to two days after its time: so long an action may still arrive.
_VALIDITY_S = 2 * 86_400.0

Keccak = Callable[[bytes], bytes]
# From a digest of 32 bytes to r, s (32 bytes each) and the recovery id (1).
SignDigest = Callable[[bytes], bytes]


class HyperliquidSignature(AuthStrategy):
    """Signs an action with the private key of a wallet or of an API wallet.

    ``api_secret`` is the key in hexadecimal; ``api_key`` is not sent. ``base_url`` tells the
    test net from the main one, which is part of what is signed. ``vault_address`` acts for a
    vault or a sub-account. Nonces are the time in ms and only rise.
    """

    validity_s = _VALIDITY_S

    def __init__(
        self, credentials: Credentials | None, *, base_url: str, vault_address: str | None = None
    ) -> None:
        """Raises ConfigurationError for a key or address of another form, or without the extra."""
        self._source = _TESTNET if "testnet" in (urlsplit(base_url).hostname or "") else _MAINNET
        self._vault_address = vault_address
        self._vault = b"\x00" if vault_address is None else b"\x01" + _address(vault_address)
        self._nonce = -1
        self._crypto = None if credentials is None else _crypto(credentials)

    def sign(self, call: Call[Any], now_ns: int) -> WireRequest:
        """See AuthStrategy. Raises ConfigurationError for what is no action."""
        if not call.endpoint.signed:
            return unsigned(call)
        if self._crypto is None:
            raise no_credentials(call)
        if call.endpoint.method != "POST" or call.params:
            raise ConfigurationError("Hyperliquid signs actions: use POST, and the action as the body")
        action = _action(call.body)
        self._nonce = max(self._nonce + 1, now_ns // 1_000_000)
        keccak, sign_digest = self._crypto
        domain = keccak(
            keccak(_DOMAIN) + keccak(b"Exchange") + keccak(b"1") + _CHAIN_ID.to_bytes(32) + bytes(32)
        )
        agent = keccak(keccak(_AGENT) + keccak(self._source) + self.action_hash(action, self._nonce))
        signature = sign_digest(keccak(b"\x19\x01" + domain + agent))
        r, s = (hex(int.from_bytes(part)) for part in (signature[:32], signature[32:64]))
        body = {
            "action": action,
            "nonce": self._nonce,
            "signature": {"r": r, "s": s, "v": 27 + signature[64]},
            "vaultAddress": self._vault_address,
        }
        return WireRequest("POST", call.path, JSON_BODY, msgspec.json.encode(body), (r, s))

    def action_hash(self, action: dict[str, Any], nonce: int) -> bytes:
        """What stands for the action in what is signed. Needs credentials."""
        assert self._crypto is not None
        try:
            packed = msgspec.msgpack.encode(action)
        except OverflowError:
            raise ConfigurationError("Hyperliquid signs no whole number of more than 64 bits") from None
        return self._crypto[0](packed + nonce.to_bytes(8) + self._vault)


def _action(body: bytes) -> dict[str, Any]:
    """The action, its keys in the order given: that order is part of what is signed."""
    try:
        action = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        trouble = str(error)
    else:
        if "signatureChainId" not in action:
            return action
        # Signed as others are, it would be taken for the action of a wallet that nobody has.
        trouble = f"{action.get('type')!r} is signed by its fields, as transfers are, which cexnet cannot"
    raise ConfigurationError(f"Hyperliquid signs a JSON object, the action, as the body: {trouble}")


def _address(text: str) -> bytes:
    try:
        address = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        address = b""
    if len(address) != 20:
        raise ConfigurationError(f"vault_address {text!r} is not 0x and 40 hexadecimal digits")
    return address


def _crypto(credentials: Credentials) -> tuple[Keccak, SignDigest]:
    try:
        from coincurve import PrivateKey
        from Crypto.Hash import keccak
    except ImportError:
        raise ConfigurationError(
            "signing for Hyperliquid needs two more packages: pip install 'cexnet[hyperliquid]'"
        ) from None
    try:
        secret = bytes.fromhex(credentials.api_secret.reveal().decode().strip().removeprefix("0x"))
        key = PrivateKey(secret) if len(secret) == _KEY_BYTES else None
    except ValueError:
        key = None
    if key is None:
        raise ConfigurationError("credentials.api_secret must be a private key of 32 bytes in hexadecimal")
    return (
        lambda data: bytes(keccak.new(digest_bits=256, data=data).digest()),
        lambda digest: bytes(key.sign_recoverable(digest, hasher=None)),
    )
