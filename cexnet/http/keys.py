"""From credentials to the function that signs: HMAC secrets and private keys.

A ``Sign`` takes the text or bytes to be signed and returns the signature as the exchange
wants it written. HMAC costs well under a microsecond, Ed25519 and ES256 some 30 us, RSA
of 2048 bits some 300 us, on the event loop: where an exchange takes several, prefer Ed25519.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cexnet.credentials import Credentials
from cexnet_core.errors import ConfigurationError
from cexnet_core.signing import HmacSigner

Digest = Literal["sha256", "sha384", "sha512"]
Encoding = Literal["hex", "base64"]
Sign = Callable[[str | bytes], str]
PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_PEM = b"-----BEGIN"
_P256_BYTES = 32  # of r and of s (RFC 7518 section 3.4)


def is_private_key(credentials: Credentials) -> bool:
    """Whether the secret is a PEM key and not a shared secret."""
    return credentials.api_secret.reveal().lstrip().startswith(_PEM)


def hmac_sign(credentials: Credentials, digest: Digest, encoding: Encoding, *, key: bytes = b"") -> Sign:
    """Signs with the shared secret, or with ``key`` where the exchange derives one from it.

    Raises ConfigurationError for a private key: this exchange has no use for it.
    """
    if is_private_key(credentials):
        raise ConfigurationError(
            "credentials.api_secret is a private key in PEM form, and this exchange signs with"
            " a shared secret: give the API secret that it issued"
        )
    signer = HmacSigner(key or credentials.api_secret.reveal(), digest)
    return signer.hexdigest if encoding == "hex" else signer.base64digest


def decoded_secret(credentials: Credentials) -> bytes:
    """The bytes of a secret that the exchange issues as base64 text (RFC 4648)."""
    try:
        return base64.b64decode(credentials.api_secret.reveal(), validate=True)
    except binascii.Error:
        trouble = "credentials.api_secret must be the base64 text that the exchange issued"
    raise ConfigurationError(trouble)


def private_key(credentials: Credentials) -> PrivateKey:
    """The private key in ``api_secret``: PEM, encrypted or not, or a bare Ed25519 seed in base64.

    Line breaks may be written as ``\\n``, as environment variables often hold them. A bare
    seed is the base64 of 32 bytes, or of 64 of which the first 32 count (Coinbase).
    Raises ConfigurationError saying what is wrong with the key, without a byte of it.
    """
    text = credentials.api_secret.reveal().strip().replace(b"\\n", b"\n")
    trouble = "it is no key in PEM form"
    try:
        key = _load(text, credentials)
    except TypeError:
        trouble = (
            "it is encrypted and credentials.key_password is missing"
            if credentials.key_password is None
            else "it is not encrypted and credentials.key_password was given"
        )
    except (ValueError, UnsupportedAlgorithm):
        # The library's own words may quote the key.
        if credentials.key_password is not None:
            trouble = "credentials.key_password does not open it, or it is damaged"
    else:
        if isinstance(key, PrivateKey):
            return key
        trouble = f"{type(key).__name__} is none of Ed25519, RSA and ECDSA"
    raise ConfigurationError(f"credentials.api_secret cannot be used as a private key: {trouble}")


def private_key_sign(key: PrivateKey) -> Sign:
    """Base64 of the signature: Ed25519 (RFC 8032), or RSA by PKCS #1 v1.5 over SHA-256.

    Raises ConfigurationError for an ECDSA key.
    """
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return lambda payload: base64.b64encode(key.sign(_bytes(payload))).decode()
    if isinstance(key, rsa.RSAPrivateKey):
        scheme, digest = padding.PKCS1v15(), hashes.SHA256()
        return lambda payload: base64.b64encode(key.sign(_bytes(payload), scheme, digest)).decode()
    raise ConfigurationError(
        "credentials.api_secret is an ECDSA key: this exchange takes HMAC, Ed25519 or RSA"
    )


def secret_sign(credentials: Credentials, digest: Digest) -> Sign:
    """HMAC in hexadecimal for a shared secret, the private key's signature for a PEM key."""
    if is_private_key(credentials):
        return private_key_sign(private_key(credentials))
    return hmac_sign(credentials, digest, "hex")


def jwt_sign(key: PrivateKey) -> tuple[str, Sign]:
    """The JOSE algorithm of ``key`` (RFC 7518, RFC 8037) and its signature in base64url.

    ES256 needs a key on P-256. Raises ConfigurationError for any other key.
    """
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "EdDSA", lambda payload: base64url(key.sign(_bytes(payload)))
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        scheme = ec.ECDSA(hashes.SHA256())

        def sign(payload: str | bytes) -> str:
            r, s = decode_dss_signature(key.sign(_bytes(payload), scheme))
            return base64url(r.to_bytes(_P256_BYTES) + s.to_bytes(_P256_BYTES))

        return "ES256", sign
    raise ConfigurationError(
        "credentials.api_secret must be an ECDSA key on P-256 or an Ed25519 key for a JSON web token"
    )


def base64url(data: bytes) -> str:
    """RFC 4648 section 5 without padding, as JOSE wants it."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _load(text: bytes, credentials: Credentials) -> object:
    if not text.startswith(_PEM):
        seed = base64.b64decode(text, validate=True)
        if len(seed) not in (32, 64):
            raise ValueError("not the length of an Ed25519 key")
        return ed25519.Ed25519PrivateKey.from_private_bytes(seed[:32])
    password = credentials.key_password
    return load_pem_private_key(text, None if password is None else password.reveal())


def _bytes(payload: str | bytes) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload
