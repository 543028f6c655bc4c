"""Signatures against the exchanges' published vectors; what is signed is what is sent."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import binance_rest, gateio_rest, mexc_rest
from cexnet.http.auth import SignedQuery
from cexnet.http.endpoint import Call, Endpoint, Param, Params
from cexnet_core.errors import AuthenticationError
from tests.http.accounts import API_KEY, API_SECRET, CREDENTIALS


def signed_call(method: str, path: str, params: Params = (), body: bytes = b"") -> Call[bytes]:
    return Call(Endpoint("x", method, path, signed=True), path, bytes, params, body)


def order(symbol: str) -> list[tuple[str, str]]:
    return [
        ("symbol", symbol),
        ("side", "BUY"),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("quantity", "1"),
        ("price", "0.1"),
    ]


# binance/binance-spot-api-docs, rest-api.md: "SIGNED endpoint examples".
@pytest.mark.parametrize(
    "symbol, query, signature",
    [
        (
            "LTCBTC",
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1"
            "&recvWindow=5000&timestamp=1499827319559",
            "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
        ),
        (
            "１２３４５６",
            "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY&type=LIMIT"
            "&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
            "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
        ),
    ],
)
def test_binance_published(symbol: str, query: str, signature: str) -> None:
    auth = SignedQuery(binance_rest.SIGNATURE, CREDENTIALS, recv_window_ms=5000)
    wire = auth.sign(signed_call("POST", "/api/v3/order", order(symbol)), 1499827319559_999_999)
    assert wire.target == f"/api/v3/order?{query}&signature={signature}"
    assert wire.headers == {"X-MBX-APIKEY": API_KEY}


def test_mexc_published() -> None:
    # mexcdevelop/apidocs, branch spot_v3_en, SIGNED section.
    credentials = Credentials("mx0key", Secret("45d0b3c26f2644f19bfb98b07741b2f5"))
    auth = SignedQuery(mexc_rest.SIGNATURE, credentials, recv_window_ms=5000)
    params: list[Param] = [
        ("symbol", "BTCUSDT"),
        ("side", "BUY"),
        ("type", "LIMIT"),
        ("quantity", 1),
        ("price", 11),
    ]
    wire = auth.sign(signed_call("POST", "/api/v3/order", params), 1644489390087_000_000)
    assert wire.target.endswith(
        "&timestamp=1644489390087&signature=fd3e4e8543c5188531eb7279d68ae7d26a573d0fc5ab0d18eb692451654d837a"
    )
    assert wire.headers == {"X-MEXC-APIKEY": "mx0key", "Content-Type": "application/json"}


# Gate API v4 documents, "APIv4 signed request requirements".
@pytest.mark.parametrize(
    "method, params, body, signature",
    [
        (
            "GET",
            [("contract", "BTC_USD"), ("status", "finished"), ("limit", 50)],
            b"",
            "55f84ea195d6fe57ce62464daaa7c3c02fa9d1dde954e4c898289c9a2407a3d6"
            "fb3faf24deff16790d726b66ac9f74526668b13bd01029199cc4fcc522418b8a",
        ),
        (
            "POST",
            (),
            b'{"contract":"BTC_USD","type":"limit","size":100,"price":6800,"time_in_force":"gtc"}',
            "eae42da914a590ddf727473aff25fc87d50b64783941061f47a3fdb92742541f"
            "c4c2c14017581b4199a1418d54471c269c03a38d788d802e2c306c37636389f0",
        ),
    ],
)
def test_gateio_published(method: str, params: Params, body: bytes, signature: str) -> None:
    auth = gateio_rest.GateioSignature(Credentials("key", Secret("secret")))
    call = signed_call(method, "/api/v4/futures/orders", params, body)
    wire = auth.sign(call, 1541993715_987_654_321)
    assert wire.headers["SIGN"] == signature
    assert wire.headers["KEY"] == "key"
    assert wire.headers["Timestamp"] == "1541993715"
    assert wire.body == body


def test_gateio_signs_the_query_unescaped_and_sends_it_escaped() -> None:
    auth = gateio_rest.GateioSignature(Credentials("key", Secret("secret")))
    wire = auth.sign(signed_call("GET", "/api/v4/x", [("a", "b c/ä"), ("d", "1&2")]), 10**9)
    assert wire.target == "/api/v4/x?a=b%20c%2F%C3%A4&d=1%262"
    empty = hashlib.sha512(b"").hexdigest()
    text = f"GET\n/api/v4/x\na=b c/ä&d=1&2\n{empty}\n1"
    assert wire.headers["SIGN"] == hmac.new(b"secret", text.encode(), "sha512").hexdigest()


def test_query_and_body_are_signed_without_a_separator() -> None:
    auth = SignedQuery(binance_rest.SIGNATURE, CREDENTIALS, recv_window_ms=5000)
    wire = auth.sign(signed_call("POST", "/p", [("a", "1")], b'{"b":2}'), 7_000_000)
    text = b'a=1&recvWindow=5000&timestamp=7{"b":2}'
    expected = hmac.new(API_SECRET.encode(), text, "sha256").hexdigest()
    assert wire.target == f"/p?a=1&recvWindow=5000&timestamp=7&signature={expected}"
    assert wire.headers["Content-Type"] == "application/json"


def test_no_parameters_leave_no_empty_pair() -> None:
    auth = SignedQuery(binance_rest.SIGNATURE, CREDENTIALS, recv_window_ms=10)
    wire = auth.sign(signed_call("GET", "/p"), 0)
    assert wire.target.startswith("/p?recvWindow=10&timestamp=0&signature=")


@pytest.mark.parametrize("module", [binance_rest, gateio_rest, mexc_rest])
def test_a_signed_endpoint_without_credentials_is_refused_before_sending(module: object) -> None:
    strategies = module.rest_strategies()  # type: ignore[attr-defined]
    call = strategies.request.query_order("BTCUSDT", "1", "")
    with pytest.raises(AuthenticationError, match="no credentials") as caught:
        strategies.auth.sign(call, 0)
    assert caught.value.outcome == "not_sent"


def test_an_unsigned_endpoint_carries_no_key() -> None:
    auth = SignedQuery(binance_rest.SIGNATURE, CREDENTIALS, recv_window_ms=5000)
    call = Call(Endpoint("time", "GET", "/t"), "/t", bytes)
    wire = auth.sign(call, 0)
    assert wire.target == "/t"
    assert wire.headers == {}
