"""HMAC-SHA256 of a 160-byte order, as hexadecimal text: one key, many payloads."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from benchmarks.conftest import Contestant, Interleaved
from cexnet_core.signing import HmacSigner

KEY = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
PAYLOAD = (
    b"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01000000&price=64250.10000000"
    b"&newClientOrderId=cx-0123456789abcdef&recvWindow=5000&timestamp=1753000000000"
)[:160].ljust(160, b"0")


def copied_inner_outer(digest: str) -> Callable[[bytes], str]:
    """The best that pure Python does: the key schedule once, two hash objects copied a call."""
    hashed = hashlib.new(digest)
    block = KEY.ljust(hashed.block_size, b"\0")
    inner = hashlib.new(digest, bytes(byte ^ 0x36 for byte in block))
    outer = hashlib.new(digest, bytes(byte ^ 0x5C for byte in block))

    def sign(payload: bytes) -> str:
        left = inner.copy()
        left.update(payload)
        right = outer.copy()
        right.update(left.digest())
        return right.hexdigest()

    return sign


def hmac_digest(payload: bytes) -> str:
    return hmac.digest(KEY, payload, "sha256").hex()


def hmac_new(payload: bytes) -> str:
    return hmac.new(KEY, payload, "sha256").hexdigest()


def test_sha256_hex(interleaved: Interleaved) -> None:
    signer, copied = HmacSigner(KEY), copied_inner_outer("sha256")
    assert signer.hexdigest(PAYLOAD) == copied(PAYLOAD) == hmac_digest(PAYLOAD)
    interleaved(
        "HMAC-SHA256 hex of 160 bytes",
        Contestant("cexnet", signer.hexdigest, (PAYLOAD,)),
        Contestant("hashlib, copied inner and outer", copied, (PAYLOAD,)),
        Contestant("hmac.digest", hmac_digest, (PAYLOAD,)),
        Contestant("hmac.new", hmac_new, (PAYLOAD,)),
        goal=3.3,
    )


def test_sha256_hex_over_hmac_digest(interleaved: Interleaved) -> None:
    interleaved(
        "HMAC-SHA256 hex of 160 bytes, over hmac.digest",
        Contestant("cexnet", HmacSigner(KEY).hexdigest, (PAYLOAD,)),
        Contestant("hmac.digest", hmac_digest, (PAYLOAD,)),
        goal=8.0,
    )


def test_sha256_hex_fallback(interleaved: Interleaved) -> None:
    copied = copied_inner_outer("sha256")
    interleaved(
        "HMAC-SHA256 hex of 160 bytes, where libcrypto cannot be used",
        Contestant("cexnet on hashlib", HmacSigner(KEY, backend="hashlib").hexdigest, (PAYLOAD,)),
        Contestant("hashlib, copied inner and outer", copied, (PAYLOAD,)),
    )


def test_sha512_hex(interleaved: Interleaved) -> None:
    signer, copied = HmacSigner(KEY, "sha512"), copied_inner_outer("sha512")
    assert signer.hexdigest(PAYLOAD) == copied(PAYLOAD)
    interleaved(
        "HMAC-SHA512 hex of 160 bytes",
        Contestant("cexnet", signer.hexdigest, (PAYLOAD,)),
        Contestant("hashlib, copied inner and outer", copied, (PAYLOAD,)),
    )
