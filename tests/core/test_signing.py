"""HMAC against the RFC's and the exchanges' vectors, and against ``hmac``, on both backends."""

from __future__ import annotations

import base64
import copy
import gc
import hmac
import pickle
import threading
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet_core import signing
from cexnet_core.errors import ConfigurationError
from cexnet_core.signing import HmacSigner

Algorithm = Literal["sha256", "sha384", "sha512"]
Backend = Literal["libcrypto", "hashlib"]
BACKENDS: tuple[Backend, ...] = ("libcrypto", "hashlib")
AVAILABLE = BACKENDS if signing.backend().startswith("libcrypto") else BACKENDS[1:]
ALGORITHMS = signing.ALGORITHMS
SIZES: tuple[tuple[Algorithm, int], ...] = (("sha256", 32), ("sha384", 48), ("sha512", 64))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    name: Backend = request.param
    if name not in AVAILABLE:
        pytest.skip(f"not available here: {signing.backend()}")
    return name


# RFC 4231, section 4: key, data, then the digests by algorithm (case 5 is about truncation).
RFC_4231: tuple[tuple[bytes, bytes, dict[Algorithm, str]], ...] = (
    (
        b"\x0b" * 20,
        b"Hi There",
        {
            "sha256": "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            "sha384": "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59c"
            "faea9ea9076ede7f4af152e8b2fa9cb6",
            "sha512": "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
            "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
        },
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        {
            "sha256": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "sha384": "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
            "8e2240ca5e69e2c78b3239ecfab21649",
            "sha512": "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
            "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        },
    ),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        {
            "sha256": "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            "sha384": "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
            "0c2ef6ab4030fe8296248df163f44952",
            "sha512": "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
            "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
        },
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        {
            "sha256": "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            "sha384": "6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5"
            "a678cc31e799176d3860e6110c46523e",
            "sha512": "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944"
            "b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58",
        },
    ),
)

BINANCE_SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
BINANCE_ORDER = (
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
    "&timestamp=1499827319559"
)
EMPTY_SHA512 = (
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

# As printed in the exchanges' API documentation: secret, payload, algorithm, signature.
PUBLISHED: tuple[tuple[bytes, str, Algorithm, str], ...] = (
    (
        BINANCE_SECRET,
        BINANCE_ORDER,
        "sha256",
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
    ),
    (
        BINANCE_SECRET,
        "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY&type=LIMIT"
        "&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
        "sha256",
        "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
    ),
    (
        b"45d0b3c26f2644f19bfb98b07741b2f5",
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=11&recvWindow=5000&timestamp=1644489390087",
        "sha256",
        "fd3e4e8543c5188531eb7279d68ae7d26a573d0fc5ab0d18eb692451654d837a",
    ),
    (
        b"secret",
        f"GET\n/api/v4/futures/orders\ncontract=BTC_USD&status=finished&limit=50\n{EMPTY_SHA512}\n1541993715",
        "sha512",
        "55f84ea195d6fe57ce62464daaa7c3c02fa9d1dde954e4c898289c9a2407a3d6"
        "fb3faf24deff16790d726b66ac9f74526668b13bd01029199cc4fcc522418b8a",
    ),
    (
        b"secret",
        "POST\n/api/v4/futures/orders\n\n"
        "ad3c169203dc3026558f01b4df307641fa1fa361f086b2306658886d5708767b"
        "1854797c68d9e62fef2f991645aa82673622ebf417e091d0bd22bafe5d956cca\n1541993715",
        "sha512",
        "eae42da914a590ddf727473aff25fc87d50b64783941061f47a3fdb92742541f"
        "c4c2c14017581b4199a1418d54471c269c03a38d788d802e2c306c37636389f0",
    ),
)


@pytest.mark.parametrize(("key", "data", "expected"), RFC_4231)
def test_rfc_4231(key: bytes, data: bytes, expected: dict[Algorithm, str], backend: Backend) -> None:
    for algorithm, digest in expected.items():
        assert HmacSigner(key, algorithm, backend=backend).hexdigest(data) == digest


@pytest.mark.parametrize(("secret", "payload", "algorithm", "signature"), PUBLISHED)
def test_exchanges_published_signatures(
    secret: bytes, payload: str, algorithm: Algorithm, signature: str, backend: Backend
) -> None:
    assert HmacSigner(secret, algorithm, backend=backend).hexdigest(payload) == signature


def test_kucoins_published_base64_signature(backend: Backend) -> None:
    signer = HmacSigner(b"f03a5284-5c39-4aaa-9b20-dea10bdcf8e3", backend=backend)
    payload = '1547015186532POST/api/v1/deposit-addresses{"currency":"BTC"}'
    assert signer.base64digest(payload) == "7QP/oM0ykidMdrfNEUmng8eZjg/ZvPafjIqmxiVfYu4="


sizes = st.one_of(st.integers(0, 300), st.integers(500, 5000))


@given(key=sizes.flatmap(lambda n: st.binary(min_size=n, max_size=n)), size=sizes, data=st.data())
def test_agrees_with_hmac(key: bytes, size: int, data: st.DataObject) -> None:
    payload = data.draw(st.binary(min_size=size, max_size=size))
    algorithm = data.draw(st.sampled_from(ALGORITHMS))
    expected = hmac.digest(key, payload, algorithm)
    for backend in AVAILABLE:
        signer = HmacSigner(key, algorithm, backend=backend)
        for _ in range(2):  # the midstate must survive its use
            assert signer.digest(payload) == expected
        assert signer.hexdigest(payload) == expected.hex()
        assert signer.base64digest(payload) == base64.b64encode(expected).decode()


@given(text=st.text())
def test_text_is_signed_as_utf8(text: str) -> None:
    key = b"key"
    for backend in AVAILABLE:
        signer = HmacSigner(key, backend=backend)
        assert signer.digest(text) == hmac.digest(key, text.encode(), "sha256")


def test_every_size_around_the_blocks(backend: Backend) -> None:
    for algorithm in ALGORITHMS:
        signer = HmacSigner(b"k" * 40, algorithm, backend=backend)
        for size in range(420):
            payload = bytes(size)
            assert signer.digest(payload) == hmac.digest(b"k" * 40, payload, algorithm)


def test_bytes_like_keys_and_payloads(backend: Backend) -> None:
    expected = hmac.digest(b"key", b"abcdef", "sha256")
    for key in (b"key", bytearray(b"key"), memoryview(b"key")):
        signer = HmacSigner(key, backend=backend)
        for payload in (
            b"abcdef",
            bytearray(b"abcdef"),
            memoryview(b"abcdef"),
            memoryview(b"a-b-c-d-e-f")[::2],
        ):
            assert signer.digest(payload) == expected


def test_sizes_of_results(backend: Backend) -> None:
    for algorithm, size in SIZES:
        signer = HmacSigner(b"key", algorithm, backend=backend)
        assert signer.digest_size == len(signer.digest(b"")) == size
        assert len(signer.hexdigest(b"")) == 2 * size
        assert signer.hexdigest(b"").isascii()


def test_the_key_may_be_destroyed_after_construction(backend: Backend) -> None:
    key = bytearray(b"some secret")
    signer = HmacSigner(key, backend=backend)
    key[:] = bytes(len(key))
    assert signer.digest(b"x") == hmac.digest(b"some secret", b"x", "sha256")


def test_the_key_shows_nowhere(backend: Backend) -> None:
    secret = b"s3cr3t-k3y-of-an-account"
    signer = HmacSigner(secret, backend=backend)
    assert repr(signer) == f"HmacSigner(sha256, {backend}, key hidden)"
    assert secret not in gc.get_referents(signer)
    for action in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled or copied") as caught:
            action(signer)
        assert "s3cr3t" not in str(caught.value)
    assert not hasattr(signer, "__dict__")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"key": "s3cr3t"}, TypeError, "must be bytes: encode it"),
        ({"key": None}, TypeError, "bytes-like"),
        ({"key": b"s3cr3t", "digest": "md5"}, ConfigurationError, "'md5'"),
        ({"key": b"s3cr3t", "backend": "openssl"}, ConfigurationError, "'openssl'"),
        ({"key": b"s3cr3t", "digest": None}, TypeError, "digest"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        HmacSigner(**arguments)  # type: ignore[arg-type]
    assert "s3cr3t" not in str(caught.value)


def test_wrong_payloads(backend: Backend) -> None:
    signer = HmacSigner(b"key", backend=backend)
    with pytest.raises(TypeError, match="bytes-like"):
        signer.hexdigest(5)  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        signer.hexdigest("\ud800")


def test_one_signer_serves_many_threads(backend: Backend) -> None:
    signer = HmacSigner(b"key", backend=backend)
    wrong: list[bytes] = []

    def sign(number: int) -> None:
        payload = b"%d" % number * 50
        expected = hmac.digest(b"key", payload, "sha256")
        wrong.extend(payload for _ in range(500) if signer.digest(payload) != expected)

    threads = [threading.Thread(target=sign, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_backend_names_what_signs_by_default() -> None:
    live = HmacSigner(b"key").backend
    assert signing.backend().startswith(live)
