"""Private keys: known answers, slow oracles, and words for every wrong key."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from cexnet.credentials import Credentials, Secret
from cexnet.http.keys import hmac_sign, jwt_sign, private_key, private_key_sign, secret_sign
from cexnet_core.errors import ConfigurationError

# RFC 8032 section 7.1, tests 1 to 3: seed, message, signature.
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def pem(key: Any, password: bytes = b"", form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    text: bytes = key.private_bytes(Encoding.PEM, form, lock)
    return text


def credentials(secret: str | bytes, password: str = "") -> Credentials:
    return Credentials("key", Secret(secret), key_password=Secret(password) if password else None)


@pytest.mark.parametrize("seed, message, signature", RFC_8032)
def test_ed25519_rfc_8032(seed: str, message: str, signature: str) -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
    sign = private_key_sign(private_key(credentials(pem(key))))
    assert base64.b64decode(sign(bytes.fromhex(message))).hex() == signature


@pytest.mark.parametrize("payload", ["", "a=1&b=é", b"\x00\xff" * 10_000])
def test_rsa_is_the_textbooks(payload: str | bytes) -> None:
    # RFC 8017 section 9.2: EMSA-PKCS1-v1_5 of SHA-256, then one modular power.
    data = payload.encode() if isinstance(payload, str) else payload
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    tail = b"\x00" + prefix + hashlib.sha256(data).digest()
    padded = b"\x00\x01" + b"\xff" * (256 - 2 - len(tail)) + tail
    numbers = RSA.private_numbers()
    expected = pow(int.from_bytes(padded), numbers.d, numbers.public_numbers.n).to_bytes(256)
    assert base64.b64decode(private_key_sign(RSA)(payload)) == expected


@pytest.mark.parametrize(
    "text",
    [
        pem(RSA),
        pem(RSA, form=PrivateFormat.TraditionalOpenSSL),
        b"\n  " + pem(RSA).replace(b"\n", b"\\n") + b"\n",
    ],
    ids=["PKCS8", "traditional", "escaped line breaks"],
)
def test_the_forms_of_a_pem_key(text: bytes) -> None:
    assert secret_sign(credentials(text), "sha256")("x") == private_key_sign(RSA)("x")


@pytest.mark.parametrize("key", [ED25519, RSA, P256])
def test_an_encrypted_key_opens_with_its_password(key: Any) -> None:
    opened = private_key(credentials(pem(key, b"open sesame"), "open sesame"))
    assert pem(opened) == pem(key)


@pytest.mark.parametrize(
    "given, words",
    [
        (credentials(pem(ED25519, b"pw-of-key")), "encrypted and credentials.key_password is missing"),
        (credentials(pem(ED25519, b"pw-of-key"), "other-pw"), "does not open it"),
        (credentials(pem(ED25519), "pw-of-key"), "not encrypted and credentials.key_password was given"),
        (credentials(pem(ED25519)[:60]), "no key in PEM form"),
        (credentials(b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"), "PEM form"),
        (credentials("neither base64 nor PEM"), "no key in PEM form"),
        (credentials(base64.b64encode(b"short")), "no key in PEM form"),
        (credentials(pem(x25519.X25519PrivateKey.generate())), "X25519PrivateKey is none of"),
    ],
)
def test_a_key_that_cannot_be_used_says_why_and_not_what_it_is(given: Credentials, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        private_key(given)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert given.api_secret.reveal().decode() not in str(caught.value)


def test_ecdsa_signs_tokens_only() -> None:
    with pytest.raises(ConfigurationError, match="takes HMAC, Ed25519 or RSA"):
        secret_sign(credentials(pem(P256)), "sha256")
    assert jwt_sign(P256)[0] == "ES256"
    assert jwt_sign(ED25519)[0] == "EdDSA"
    for key in (RSA, ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(ConfigurationError, match="P-256 or an Ed25519"):
            jwt_sign(key)


def test_a_shared_secret_signs_by_hmac() -> None:
    # RFC 4231, test case 2.
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert secret_sign(credentials("Jefe"), "sha256")("what do ya want for nothing?") == expected
    with pytest.raises(ConfigurationError, match="signs with a shared secret"):
        hmac_sign(credentials(pem(ED25519)), "sha256", "hex")
