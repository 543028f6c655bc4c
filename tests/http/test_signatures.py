"""Every known answer of signature_vectors.toml, as a payload and as a request where it is one."""

from __future__ import annotations

import base64
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from cexnet.credentials import Credentials, Secret
from cexnet.exchanges.signing import NAMES, SigningOptions, signing
from cexnet.http.endpoint import Params, WireRequest
from cexnet.http.intents import build_call
from cexnet_core.errors import AuthenticationError, ConfigurationError
from cexnet_core.signing import HmacSigner

VECTORS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "signature_vectors.toml").read_text())[
    "vector"
]
HMAC = [vector for vector in VECTORS if vector["algorithm"].startswith("HMAC")]


def vector(exchange: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in VECTORS if (each["exchange"], each["name"]) == (exchange, name)]
    return found


def signed(
    exchange: str,
    credentials: Credentials,
    at_ms: int,
    method: str,
    path: str,
    params: Params = (),
    body: bytes | None = None,
    **options: Any,
) -> WireRequest:
    made = signing(exchange, credentials, SigningOptions(**options))
    call = build_call(made.request, method, path, bytes, params=params, body=body, signed=True)
    return made.auth.sign(call, at_ms * 1_000_000 + 999_999)


def pem(key: Any, password: Any = None) -> Secret:
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, password or NoEncryption()))


SEED = bytes(range(32))
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)
WITH_PASSPHRASE = Credentials("key", Secret("SECRET"), passphrase=Secret("passphrase"))


@pytest.mark.parametrize("known", HMAC, ids=lambda known: f"{known['exchange']}: {known['name']}")
def test_every_hmac_payload(known: dict[str, Any]) -> None:
    secret = known["secret"].encode()
    if known.get("secret_encoding") == "base64":
        secret = base64.b64decode(secret)
    payload = bytes.fromhex(known["payload_hex"]) if "payload_hex" in known else known["payload"]
    signer = HmacSigner(secret, "sha512" if known["algorithm"] == "HMAC-SHA512" else "sha256")
    made = signer.hexdigest(payload) if known["encoding"] == "hex" else signer.base64digest(payload)
    assert made == known["expected"]


def test_the_file_is_whole() -> None:
    assert len(HMAC) == 24
    assert len(VECTORS) == 30


ORDER = [("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "GTC"), ("quantity", "1"), ("price", "0.1")]


@pytest.mark.parametrize("exchange", ["binance", "binance_usdm"])
@pytest.mark.parametrize(
    "name, symbol",
    [
        ("REST order HMAC", "LTCBTC"),
        ("REST order HMAC, non-ASCII symbol percent-encoded", "１２３４５６"),
    ],
)
def test_binance(exchange: str, name: str, symbol: str) -> None:
    known = vector("binance_spot", name)
    credentials = Credentials(known["key"], Secret(known["secret"]))
    params = [("symbol", symbol), *ORDER]
    wire = signed(exchange, credentials, 1499827319559, "POST", "/api/v3/order", params)
    assert wire.target == f"/api/v3/order?{known['payload']}&signature={known['expected']}"
    assert wire.headers == {"X-MBX-APIKEY": known["key"]}


def test_binance_ed25519() -> None:
    known = vector("binance_spot", "REST order Ed25519")
    assert pem(load_der_private_key(base64.b64decode(known["pkcs8_der_base64"]), None)) == pem(ED25519)
    params = [
        ("symbol", "BTCUSDT"),
        ("side", "SELL"),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("quantity", "1"),
        ("price", "0.2"),
        ("timestamp", 1668481559918),
        ("recvWindow", 5000),
    ]
    credentials = Credentials("key", pem(ED25519))
    wire = signed("binance", credentials, 1, "POST", "/api/v3/order", params)
    escaped = known["expected"].replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    assert wire.target == f"/api/v3/order?{known['payload']}&signature={escaped}"


def test_binance_rsa_is_pkcs1_v15_over_sha256() -> None:
    key = rsa.generate_private_key(65537, 2048)
    wire = signed("binance", Credentials("key", pem(key)), 1, "GET", "/api/v3/account", [("a", "b c")])
    covered, _, escaped = wire.target.removeprefix("/api/v3/account?").partition("&signature=")
    assert covered == "a=b%20c&recvWindow=5000&timestamp=1"
    signature = base64.b64decode(escaped.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="))
    key.public_key().verify(signature, covered.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_a_window_and_a_timestamp_of_the_callers_own_are_not_repeated() -> None:
    credentials = Credentials("key", Secret("secret"))
    params: Params = [("recvWindow", 7), ("timestamp", 8), ("a", "")]
    wire = signed("binance", credentials, 1, "GET", "/api/v3/account", params, recv_window_ms=9)
    assert wire.target.startswith("/api/v3/account?recvWindow=7&timestamp=8&a=&signature=")


def test_mexc() -> None:
    known = vector("mexc", "order query string only")
    params = [("symbol", "BTCUSDT"), ("side", "BUY"), ("type", "LIMIT"), ("quantity", "1"), ("price", "11")]
    credentials = Credentials("mx0", Secret(known["secret"]))
    wire = signed("mexc", credentials, 1644489390087, "POST", "/api/v3/order", params)
    assert wire.target == f"/api/v3/order?{known['payload']}&signature={known['expected']}"
    assert wire.headers == {"X-MEXC-APIKEY": "mx0", "Content-Type": "application/json"}


def test_mexc_query_and_body() -> None:
    known = vector("mexc", "order split query+body, no separator")
    params = [
        ("symbol", "BTCUSDT"),
        ("side", "BUY"),
        ("type", "LIMIT"),
        ("recvWindow", 5000),
        ("timestamp", 1),
    ]
    body = known["payload"].partition("type=LIMIT")[2].encode()
    wire = signed("mexc", Credentials("k", Secret(known["secret"])), 1, "POST", "/p", params, body)
    covered = wire.target.partition("?")[2].partition("&signature=")[0].encode() + body
    expected = HmacSigner(known["secret"].encode(), "sha256").hexdigest(covered)
    assert wire.target.endswith(f"&signature={expected}")
    assert wire.body == body


@pytest.mark.parametrize("name", ["REST GET", "REST POST"])
def test_gateio(name: str) -> None:
    known = vector("gate", name)
    body = known["body"].encode() if "body" in known else None
    params = () if body else [("contract", "BTC_USD"), ("status", "finished"), ("limit", 50)]
    credentials = Credentials("key", Secret("secret"))
    method = name.removeprefix("REST ")
    wire = signed("gateio", credentials, 1541993715000, method, "/api/v4/futures/orders", params, body)
    assert wire.target == "/api/v4/futures/orders" + (
        "" if body else "?contract=BTC_USD&status=finished&limit=50"
    )
    content = {"Content-Type": "application/json"} if body else {}
    assert wire.headers == {
        **content,
        "KEY": "key",
        "Timestamp": "1541993715",
        "SIGN": known["expected"],
    }


def test_bybit() -> None:
    known = vector("bybit", "REST GET")
    credentials = Credentials(known["key"], Secret("SECRET"))
    params = [("category", "option"), ("symbol", "BTC-29JUL22-25000-C")]
    wire = signed("bybit", credentials, 1658384314791, "GET", "/v5/order/realtime", params)
    assert wire.target == "/v5/order/realtime?category=option&symbol=BTC-29JUL22-25000-C"
    assert wire.headers == {
        "X-BAPI-API-KEY": "XXXXXXXXXX",
        "X-BAPI-TIMESTAMP": "1658384314791",
        "X-BAPI-SIGN": known["expected"],
        "X-BAPI-RECV-WINDOW": "5000",
    }
    known = vector("bybit", "REST POST")
    body = b'{"category": "option"}'
    wire = signed("bybit", credentials, 1658385579423, "POST", "/v5/order/create", body=body)
    assert wire.headers["X-BAPI-SIGN"] == known["expected"]
    assert wire.headers["Content-Type"] == "application/json"


def test_okx() -> None:
    known = vector("okx", "REST GET")
    credentials = Credentials("key", Secret(known["secret"]), passphrase=Secret("pass phrase"))
    at_ms = 1607418537715  # 2020-12-08T09:08:57.715Z
    wire = signed("okx", credentials, at_ms, "GET", "/api/v5/account/balance", {"ccy": "BTC"})
    assert wire.target == "/api/v5/account/balance?ccy=BTC"
    assert wire.headers == {
        "OK-ACCESS-KEY": "key",
        "OK-ACCESS-SIGN": known["expected"],
        "OK-ACCESS-TIMESTAMP": "2020-12-08T09:08:57.715Z",
        "OK-ACCESS-PASSPHRASE": "pass phrase",
    }
    known = vector("okx", "REST POST")
    body = known["payload"].partition("/order")[2].encode()
    wire = signed("okx", credentials, at_ms, "POST", "/api/v5/trade/order", body=body)
    assert wire.headers["OK-ACCESS-SIGN"] == known["expected"]


def test_kucoin() -> None:
    known = vector("kucoin", "REST POST")
    credentials = Credentials("key", Secret(known["secret"]), passphrase=Secret("passphrase"))
    path, body = "/api/v1/deposit-addresses", b'{"currency":"BTC"}'
    wire = signed("kucoin", credentials, 1547015186532, "POST", path, body=body)
    assert wire.headers == {
        "Content-Type": "application/json",
        "KC-API-KEY": "key",
        "KC-API-SIGN": known["expected"],
        "KC-API-TIMESTAMP": "1547015186532",
        "KC-API-PASSPHRASE": vector("kucoin", "passphrase v2/v3")["expected"],
        "KC-API-KEY-VERSION": "2",
    }


def test_kucoin_signs_the_query_unescaped() -> None:
    wire = signed("kucoin", WITH_PASSPHRASE, 1, "GET", "/p", [("q", "a b/ä")])
    assert wire.target == "/p?q=a%20b%2F%C3%A4"
    expected = HmacSigner(b"SECRET").base64digest("1GET/p?q=a b/ä")
    assert wire.headers["KC-API-SIGN"] == expected


def test_bitget_sorts() -> None:
    known = vector("bitget", "REST GET")
    params = [("symbol", "BTCUSDT"), ("limit", "20")]
    wire = signed("bitget", WITH_PASSPHRASE, 16273667805456, "GET", "/api/mix/v2/market/depth", params)
    assert wire.target == "/api/mix/v2/market/depth?limit=20&symbol=BTCUSDT"
    assert wire.headers == {
        "ACCESS-KEY": "key",
        "ACCESS-SIGN": known["expected"],
        "ACCESS-TIMESTAMP": "16273667805456",
        "ACCESS-PASSPHRASE": "passphrase",
        "locale": "en-US",
    }


def test_bitget_signs_the_query_unescaped() -> None:
    wire = signed("bitget", WITH_PASSPHRASE, 1, "GET", "/p", [("symbol", "$龙虾USDT"), ("idList", [1, 2])])
    assert wire.target == "/p?idList=1%2C2&symbol=%24%E9%BE%99%E8%99%BEUSDT"
    expected = HmacSigner(b"SECRET").base64digest("1GET/p?idList=1,2&symbol=$龙虾USDT")
    assert wire.headers["ACCESS-SIGN"] == expected


def test_kraken() -> None:
    known = vector("kraken", "REST AddOrder")
    params = [
        ("ordertype", "limit"),
        ("pair", "XBTUSD"),
        ("price", 37500),
        ("type", "buy"),
        ("volume", "1.25"),
    ]
    credentials = Credentials("key", Secret(known["secret"]))
    wire = signed("kraken", credentials, int(known["nonce"]), "POST", known["path"], params)
    assert wire.target == known["path"]
    assert wire.body.decode() == known["postdata"]
    assert wire.headers == {
        "API-Key": "key",
        "API-Sign": known["expected"],
        "Content-Type": "application/x-www-form-urlencoded",
    }
    with_nonce = [("nonce", known["nonce"]), *params]
    assert signed("kraken", credentials, 1, "POST", known["path"], with_nonce) == wire


def test_krakens_nonce_only_rises() -> None:
    made = signing("kraken", Credentials("key", Secret("c2VjcmV0")))
    call = build_call(made.request, "POST", "/0/private/Balance", bytes, signed=True)
    nonces = [made.auth.sign(call, at_ms * 1_000_000).body for at_ms in (5, 5, 3, 9)]
    assert nonces == [b"nonce=5", b"nonce=6", b"nonce=7", b"nonce=9"]


@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"{}")])
def test_kraken_refuses_what_it_cannot_sign(method: str, body: bytes | None) -> None:
    with pytest.raises(ConfigurationError, match="use POST, and params"):
        signed("kraken", Credentials("key", Secret("c2VjcmV0")), 1, method, "/0/private/Balance", body=body)


def test_htx() -> None:
    known = vector("htx", "REST GET")
    credentials = Credentials(known["key"], Secret(known["secret"]))
    at_ms = 1494515970000  # 2017-05-11T15:19:30
    wire = signed("htx", credentials, at_ms, "GET", "/v1/order/orders", {"order-id": 1234567890})
    query = known["payload"].rpartition("\n")[2]
    escaped = known["expected"].replace("=", "%3D")
    assert wire.target == f"/v1/order/orders?{query}&Signature={escaped}"
    assert wire.headers == {}


def test_deribit() -> None:
    known = vector("deribit", "REST deri-hmac-sha256")
    credentials = Credentials(known["key"], Secret(known["secret"]))
    wire = signed(
        "deribit",
        credentials,
        1576074319000,
        "GET",
        "/api/v2/private/get_account_summary",
        {"currency": "BTC"},
        nonce="1iqt2wls",
    )
    assert wire.target == "/api/v2/private/get_account_summary?currency=BTC"
    expected = f"deri-hmac-sha256 id=AMANDA,ts=1576074319000,nonce=1iqt2wls,sig={known['expected']}"
    assert wire.headers == {"Authorization": expected}


@pytest.mark.parametrize(
    "secret",
    [pem(ED25519), Secret(base64.b64encode(SEED)), Secret(base64.b64encode(SEED + bytes(32)))],
    ids=["PEM", "32 bytes", "64 bytes"],
)
def test_coinbase_eddsa(secret: Secret) -> None:
    known = vector("coinbase", "REST JWT EdDSA")
    path = "/api/v3/brokerage/accounts"
    wire = signed(
        "coinbase", Credentials("KEYNAME", secret), 1700000000000, "GET", path, {"limit": 1}, nonce="00"
    )
    assert wire.headers == {"Authorization": f"Bearer {known['jwt']}"}
    assert wire.target == f"{path}?limit=1", "the query is sent, and not part of the claims"


def test_coinbase_es256() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    wire = signed("coinbase", Credentials("name", pem(key)), 1700000000000, "POST", "/orders", body=b"{}")
    header, claims, signature = wire.headers["Authorization"].removeprefix("Bearer ").split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    assert len(raw) == 64
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    key.public_key().verify(der, f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    head = json.loads(base64.urlsafe_b64decode(header + "=="))
    assert (head["alg"], head["kid"], head["typ"], len(head["nonce"])) == ("ES256", "name", "JWT", 32)
    assert json.loads(base64.urlsafe_b64decode(claims + "=="))["uri"] == "POST api.coinbase.com/orders"


def test_two_tokens_never_share_a_nonce() -> None:
    credentials = Credentials("name", pem(ED25519))
    first, second = (signed("coinbase", credentials, 1, "GET", "/x").headers for _ in range(2))
    assert first != second


def credentials_for(exchange: str) -> Credentials:
    if exchange == "hyperliquid":
        pytest.importorskip("coincurve")
        pytest.importorskip("Crypto.Hash.keccak")
        return Credentials("0xwallet", Secret("0x" + "01" * 32))
    secret = pem(ED25519) if exchange == "coinbase" else Secret("c2VjcmV0")
    return Credentials("key", secret, passphrase=Secret("passphrase"))


@pytest.mark.parametrize("exchange", [name for name in NAMES if name != "hyperliquid"])
def test_a_long_body_and_odd_characters_arrive_as_they_are(exchange: str) -> None:
    body = None if exchange == "kraken" else json.dumps({"note": "ä☃ " * 50_000}).encode()
    params = [("q", "a b&c=d/e?f#g+h%"), ("empty", ""), ("ids", ["x", "y z"]), ("u", "☃")]
    wire = signed(exchange, credentials_for(exchange), 1_700_000_000_000, "POST", "/p", params, body)
    sent = wire.body.decode() if exchange == "kraken" else wire.target
    assert "q=a%20b%26c%3Dd%2Fe%3Ff%23g%2Bh%25" in sent
    assert "empty=&" in sent or sent.endswith("empty=")
    assert "u=%E2%98%83" in sent
    lists = {"binance": "ids=%5B%22x%22%2C%22y%20z%22%5D", "mexc": "ids=%5B%22x%22%2C%22y%20z%22%5D"}
    assert lists.get(exchange.removesuffix("_usdm"), "ids=x%2Cy%20z") in sent
    assert body is None or wire.body == body


@pytest.mark.parametrize("exchange", NAMES)
def test_an_unsigned_request_carries_no_key(exchange: str) -> None:
    made = signing(exchange, credentials_for(exchange))
    call = build_call(made.request, "GET", "/unlisted", bytes, params={"a": 1})
    wire = made.auth.sign(call, 10**18)
    assert (wire.target, dict(wire.headers)) == ("/unlisted?a=1", {})


@pytest.mark.parametrize("exchange", ["okx", "kucoin", "bitget"])
def test_a_missing_passphrase_is_named(exchange: str) -> None:
    with pytest.raises(ConfigurationError, match="passphrase is missing"):
        signing(exchange, Credentials("key", Secret("secret")))


@pytest.mark.parametrize("exchange", ["gateio", "mexc", "okx", "htx", "deribit", "kraken"])
def test_a_private_key_where_none_is_taken_is_refused(exchange: str) -> None:
    credentials = Credentials("key", pem(ED25519), passphrase=Secret("p"))
    with pytest.raises(ConfigurationError, match="api_secret"):
        signing(exchange, credentials)


def test_an_unknown_exchange_is_named() -> None:
    with pytest.raises(ConfigurationError, match="choose one of binance"):
        signing("nasdaq", Credentials("key", Secret("secret")))


def test_a_class_without_credentials_refuses_before_sending() -> None:
    from cexnet.exchanges.signatures import HtxSignature

    auth = HtxSignature(None, base_url="https://api.huobi.pro")
    made = signing("htx", Credentials("key", Secret("secret")))
    call = build_call(made.request, "GET", "/v1/order/orders", bytes, signed=True, client_order_id="c1")
    with pytest.raises(AuthenticationError) as caught:
        auth.sign(call, 0)
    assert (caught.value.outcome, caught.value.client_order_id) == ("not_sent", "c1")
