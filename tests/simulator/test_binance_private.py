"""Binance's WebSocket API and user data streams as a plain client meets them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cexnet.simulator import Simulator
from cexnet_core.errors import ConfigurationError
from tests.simulator.peers import KEY, SECRET, ask, call_signed_query, dial, receive, stamp_ms, until

PATH = "/ws-api/v3"
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PEM = PRIVATE_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
         "quantity": "0.01", "price": "60000.00"}  # fmt: skip


@pytest.fixture
async def still() -> AsyncIterator[Simulator]:
    """A market that only moves when we move it."""
    async with Simulator("binance", rate_per_s=0, public_key=PEM.decode()) as running:
        yield running


def signed(method: str, *, ed25519: bool = False, key: str = KEY, **params: Any) -> dict[str, Any]:
    given = {"apiKey": key, "timestamp": stamp_ms(), **params}
    text = "&".join(f"{name}={given[name]}" for name in sorted(given))
    if ed25519:
        signature = base64.b64encode(PRIVATE_KEY.sign(text.encode())).decode()
    else:
        signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {"id": "a1", "method": method, "params": {**given, "signature": signature}}


async def order(sim: Simulator, method: str = "POST", **params: Any) -> Any:
    _, body, _ = await call_signed_query(sim.rest_url, "X-MBX-APIKEY", method, "/api/v3/order", **params)
    return body


async def event(socket: Any, number: int = 0) -> Any:
    message = json.loads(await receive(socket))
    assert message["subscriptionId"] == number
    return message["event"]


async def test_logon_takes_ed25519_only(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        early = await ask(client, {"id": 1, "method": "userDataStream.subscribe"})
        assert (early["id"], early["status"], early["error"]["code"]) == (1, 401, -2015)
        refused = await ask(client, signed("session.logon"))
        assert (refused["status"], refused["error"]["code"]) == (400, -1022)
        answer = await ask(client, signed("session.logon", ed25519=True))
        assert answer["status"] == 200
        assert answer["result"]["apiKey"] == KEY
        assert answer["result"]["authorizedSince"] >= answer["result"]["connectedSince"]
        assert answer["rateLimits"][0]["count"] == 6
        begun = await ask(client, {"id": 2, "method": "userDataStream.subscribe", "params": {}})
        assert begun["result"] == {"subscriptionId": 0}
        again = await ask(client, {"id": 3, "method": "userDataStream.subscribe"})
        assert again["result"] == {"subscriptionId": 1}
        ended = {"id": 4, "method": "userDataStream.unsubscribe", "params": {"subscriptionId": 0}}
        assert (await ask(client, ended))["result"] == {}
        listed = await ask(client, {"id": 5, "method": "session.subscriptions"})
        assert listed["result"] == [{"subscriptionId": 1}]
        out = await ask(client, {"id": 6, "method": "session.logout"})
        assert out["result"]["authorizedSince"] is None
        assert still.stats.signature_failures == 1


@pytest.mark.parametrize(
    "change, status, code",
    [
        ({"key": "other"}, 401, -2015),
        ({"timestamp": 1}, 400, -1021),
        ({"recvWindow": 70000}, 400, -1131),
    ],
)
async def test_wrong_credentials_are_refused(
    still: Simulator, change: dict[str, Any], status: int, code: int
) -> None:
    async with dial(still.ws_url + PATH) as client:
        answer = await ask(client, signed("userDataStream.subscribe.signature", **change))
        assert (answer["id"], answer["status"], answer["error"]["code"]) == ("a1", status, code)


async def test_an_order_that_rests_and_is_canceled(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        begun = await ask(client, signed("userDataStream.subscribe.signature"))
        assert begun["result"] == {"subscriptionId": 0}
        placed = await order(still, **LIMIT, newClientOrderId="mine")
        new = await event(client)
        assert (new["e"], new["x"], new["X"], new["i"]) == (
            "executionReport",
            "NEW",
            "NEW",
            placed["orderId"],
        )
        assert (new["s"], new["S"], new["o"], new["f"]) == ("BTCUSDT", "BUY", "LIMIT", "GTC")
        assert (new["c"], new["C"], new["q"], new["p"]) == ("mine", "", "0.01000000", "60000.00000000")
        assert (new["z"], new["t"], new["N"], new["r"]) == ("0.00000000", -1, None, "NONE")
        position = await event(client)
        assert position["e"] == "outboundAccountPosition"
        assert position["B"] == [{"a": "USDT", "f": "9999400.00000000", "l": "600.00000000"}]
        await order(still, "DELETE", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="bye")
        gone = await event(client)
        assert (gone["x"], gone["X"], gone["c"], gone["C"]) == ("CANCELED", "CANCELED", "bye", "mine")
        assert (await event(client))["B"] == [{"a": "USDT", "f": "10000000.00000000", "l": "0.00000000"}]
        assert still.stats.messages["order"] == 2


async def test_fills_of_a_taker_come_one_by_one_and_add_up(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        await ask(client, signed("userDataStream.subscribe.signature"))
        market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.3"}
        placed = await order(still, **market)
        assert (await event(client))["x"] == "NEW"
        fills = []
        while not fills or fills[-1]["X"] != "FILLED":
            message = await event(client)
            if message["e"] == "executionReport":
                fills.append(message)
                assert message["x"] == "TRADE"
        assert len(fills) > 1
        assert [fill["X"] for fill in fills[:-1]] == ["PARTIALLY_FILLED"] * (len(fills) - 1)
        assert [fill["t"] for fill in fills] == [fill["tradeId"] for fill in placed["fills"]]
        assert [fill["n"] for fill in fills] == [fill["commission"] for fill in placed["fills"]]
        total = 0.0
        for fill in fills:
            total += float(fill["l"])
            assert float(fill["z"]) == pytest.approx(total)
            assert (fill["m"], fill["N"]) == (False, "BTC")
        assert fills[-1]["z"] == "0.30000000"
        assert fills[-1]["Z"] == placed["cummulativeQuoteQty"]


async def test_a_market_order_by_value_is_filled_with_what_it_bought(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        await ask(client, signed("userDataStream.subscribe.signature"))
        await order(still, symbol="BTCUSDT", side="BUY", type="MARKET", quoteOrderQty="640")
        new = await event(client)
        assert (new["x"], new["q"], new["Q"]) == ("NEW", "0.00000000", "640")
        done = await until(client, lambda message: message["event"].get("X") == "FILLED")
        assert done["event"]["q"] == done["event"]["z"]


async def test_a_maker_is_told_when_the_market_comes_to_it() -> None:
    async with (
        Simulator("binance", ["BTCUSDT"], rate_per_s=2000) as sim,
        dial(sim.ws_url + PATH) as client,
        dial(sim.ws_url + "/ws/btcusdt@trade"),  # somebody must listen for the market to move
    ):
        await ask(client, signed("userDataStream.subscribe.signature"))
        best = sim.markets["BTCUSDT"].ticker.bid
        await order(sim, **{**LIMIT, "price": f"{best / 100:.2f}", "quantity": "0.001"})
        fill = await until(client, lambda message: message["event"].get("x") == "TRADE")
        assert fill["event"]["m"] is True
        assert float(fill["event"]["L"]) == best / 100


async def test_an_immediate_order_that_finds_nothing_expires(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        await ask(client, signed("userDataStream.subscribe.signature"))
        await order(still, **{**LIMIT, "timeInForce": "IOC"})
        kinds = [(await event(client)).get("x") for _ in range(4)]
        assert kinds == ["NEW", None, "EXPIRED", None]


async def test_money_from_outside(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        await ask(client, signed("userDataStream.subscribe.signature"))
        still.deposit("USDT", "12.5")
        update = await event(client)
        assert (update["e"], update["a"], update["d"]) == ("balanceUpdate", "USDT", "12.50000000")
        position = await event(client)
        assert position["B"] == [{"a": "USDT", "f": "10000012.50000000", "l": "0.00000000"}]
        still.deposit("USDT", "-0.5")
        assert (await event(client))["d"] == "-0.50000000"


async def test_orders_over_the_session(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        await ask(client, signed("session.logon", ed25519=True))
        place = {"id": 7, "method": "order.place", "params": {**LIMIT, "timestamp": stamp_ms()}}
        placed = await ask(client, place)
        assert (placed["id"], placed["status"], placed["result"]["status"]) == (7, 200, "NEW")
        number = placed["result"]["orderId"]
        asked = await ask(client, signed("order.status", symbol="BTCUSDT", orderId=number))
        assert asked["result"]["orderId"] == number
        canceled = await ask(client, signed("order.cancel", symbol="BTCUSDT", orderId=number))
        assert canceled["result"]["status"] == "CANCELED"
        again = await ask(client, signed("order.cancel", symbol="BTCUSDT", orderId=number))
        assert again["error"] == {"code": -2011, "msg": "Unknown order sent."}
        late = {"id": 8, "method": "order.place", "params": {**LIMIT, "timestamp": 1}}
        assert (await ask(client, late))["error"]["code"] == -1021


async def test_the_account_and_all_its_orders_over_the_session(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        await ask(client, signed("session.logon", ed25519=True))
        assert (await ask(client, signed("order.test", **LIMIT)))["result"] == {}
        assert (await ask(client, signed("openOrders.status")))["result"] == []
        first, second = [(await ask(client, signed("order.place", **LIMIT)))["result"] for _ in range(2)]
        waiting = (await ask(client, signed("openOrders.status", symbol="BTCUSDT")))["result"]
        assert [each["orderId"] for each in waiting] == [first["orderId"], second["orderId"]]
        account = (await ask(client, signed("account.status")))["result"]
        locked = {each["asset"]: each["locked"] for each in account["balances"]}
        assert locked["USDT"] == "1200.00000000"
        canceled = (await ask(client, signed("openOrders.cancelAll", symbol="BTCUSDT")))["result"]
        assert [each["status"] for each in canceled] == ["CANCELED", "CANCELED"]


async def test_nonsense_is_answered(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        assert (await ask(client, "{"))["status"] == 400
        assert (await ask(client, "[]"))["status"] == 400
        assert (await ask(client, {"id": 1, "method": "no.such"}))["id"] == 1
        assert (await ask(client, {"id": 1, "method": "ping", "params": [1]}))["status"] == 400
        assert (await ask(client, {"id": 1, "method": "ping"}))["result"] == {}


async def test_ed25519_signs_rest_too(still: Simulator) -> None:
    async with dial(still.ws_url + PATH):
        request = signed("order.place", ed25519=True, **LIMIT)
    async with dial(still.ws_url + PATH) as client:
        assert (await ask(client, request))["result"]["status"] == "NEW"


def test_a_public_key_must_be_ed25519() -> None:
    with pytest.raises(ConfigurationError, match="public_key"):
        Simulator("binance", public_key="no key")
    Simulator("binance", public_key=PRIVATE_KEY.public_key().public_bytes_raw())


async def test_the_authorization_can_expire_in_mid_stream(still: Simulator) -> None:
    still.inject("auth-expiry:after=2")
    async with dial(still.ws_url + PATH) as client:
        await ask(client, signed("session.logon", ed25519=True))
        await ask(client, {"id": 2, "method": "userDataStream.subscribe"})
        await order(still, **LIMIT)
        assert (await event(client))["x"] == "NEW"
        assert (await event(client))["e"] == "outboundAccountPosition"
        await order(still, **LIMIT)
        assert (await event(client))["e"] == "eventStreamTerminated"
        revoked = json.loads(await receive(client))
        assert (revoked["id"], revoked["status"], revoked["error"]["code"]) == (None, 401, -2015)
        refused = await ask(client, {"id": 3, "method": "userDataStream.subscribe"})
        assert refused["status"] == 401
        await ask(client, signed("session.logon", ed25519=True))
        begun = await ask(client, {"id": 4, "method": "userDataStream.subscribe"})
        assert begun["result"] == {"subscriptionId": 1}
        await order(still, **LIMIT)
        assert (await event(client, 1))["x"] == "NEW"
        assert still.stats.faults == {"auth-expiry": 1}


async def test_the_end_is_announced_as_this_api_does(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        await ask(client, {"id": 1, "method": "ping"})
        still.inject("lifetime:announced=yes")
        assert json.loads(await receive(client))["event"]["e"] == "serverShutdown"
