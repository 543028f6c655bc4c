"""Gate.io's private channels as a plain client meets them."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cexnet.simulator import Simulator
from tests.simulator.peers import KEY, SECRET, ask, call_gate, dial, receive

PATH = "/ws/v4/"
ORDERS = "/api/v4/spot/orders"
LIMIT = {"currency_pair": "BTC_USDT", "side": "buy", "amount": "0.01", "price": "60000", "text": "t-mine"}


@pytest.fixture
async def still() -> AsyncIterator[Simulator]:
    """A market that only moves when we move it."""
    async with Simulator("gateio", rate_per_s=0) as running:
        yield running


def request(channel: str, payload: list[str] | None, *, key: str = KEY, secret: str = SECRET) -> Any:
    at = int(time.time())
    text = f"channel={channel}&event=subscribe&time={at}"
    sign = hmac.new(secret.encode(), text.encode(), hashlib.sha512).hexdigest()
    asked = {"time": at, "id": 1, "channel": channel, "event": "subscribe"}
    if payload is not None:
        asked["payload"] = payload
    return {**asked, "auth": {"method": "api_key", "KEY": key, "SIGN": sign}}


async def pushed(socket: Any, channel: str) -> Any:
    message = json.loads(await receive(socket))
    assert (message["channel"], message["event"]) == (channel, "update")
    return message["result"]


async def subscribe_all(socket: Any, pair: str = "BTC_USDT") -> None:
    for channel, payload in (("spot.orders", [pair]), ("spot.usertrades", [pair]), ("spot.balances", None)):
        assert (await ask(socket, request(channel, payload)))["result"] == {"status": "success"}


def test_the_published_way_of_signing() -> None:
    text = "channel=spot.orders&event=subscribe&time=1611541000"
    sign = hmac.new(b"secret", text.encode(), hashlib.sha512).hexdigest()
    assert sign.startswith("833a44bb4cd083e47bc1fec22b5c12e8b98c30fc7a9f4a1e52800dcfdff9a572")


async def test_a_subscription_must_be_signed(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        plain = request("spot.orders", ["BTC_USDT"])
        del plain["auth"]
        for wrong in (
            plain,
            request("spot.orders", ["BTC_USDT"], key="other"),
            request("spot.orders", ["BTC_USDT"], secret="other"),
        ):
            answer = await ask(client, wrong)
            assert (answer["id"], answer["error"]["code"]) == (1, 4)
        assert still.stats.signature_failures == 2
        await call_gate(still.rest_url, "POST", ORDERS, body=LIMIT)
        unknown = await ask(client, request("spot.orders", ["NO_SUCH"]))
        assert unknown["error"]["code"] == 2  # and nothing was pushed before it


@pytest.mark.parametrize("pair", ["BTC_USDT", "!all"])
async def test_an_order_that_rests_and_is_canceled(still: Simulator, pair: str) -> None:
    async with dial(still.ws_url + PATH) as client:
        await subscribe_all(client, pair)
        _, placed, _ = await call_gate(still.rest_url, "POST", ORDERS, body=LIMIT)
        (put,) = await pushed(client, "spot.orders")
        assert (put["id"], put["text"], put["event"]) == (placed["id"], "t-mine", "put")
        assert (put["side"], put["price"], put["amount"], put["left"]) == ("buy", "60000", "0.01", "0.01")
        assert (put["finish_as"], put["filled_total"], put["avg_deal_price"]) == ("open", "0", "0")
        (balance,) = await pushed(client, "spot.balances")
        assert (balance["currency"], balance["change"], balance["freeze_change"]) == ("USDT", "0", "600")
        assert (balance["total"], balance["available"], balance["freeze"]) == ("10000000", "9999400", "600")
        assert balance["change_type"] == "order-create"
        path = f"{ORDERS}/{placed['id']}"
        await call_gate(still.rest_url, "DELETE", path, query="currency_pair=BTC_USDT")
        (finish,) = await pushed(client, "spot.orders")
        assert (finish["event"], finish["finish_as"], finish["left"]) == ("finish", "cancelled", "0.01")
        (balance,) = await pushed(client, "spot.balances")
        assert (balance["freeze_change"], balance["change_type"]) == ("-600", "order-cancel")


async def test_fills_of_a_taker_come_one_by_one_and_add_up(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        await subscribe_all(client)
        body = {**LIMIT, "price": "65000", "amount": "0.3"}
        _, placed, _ = await call_gate(still.rest_url, "POST", ORDERS, body=body)
        assert placed["status"] == "closed"
        (put,) = await pushed(client, "spot.orders")
        assert put["event"] == "put"
        await pushed(client, "spot.balances")
        total = fees = 0.0
        while True:
            (order,) = await pushed(client, "spot.orders")
            (fill,) = await pushed(client, "spot.usertrades")
            balances = {row["currency"]: row for row in await pushed(client, "spot.balances")}
            total += float(fill["amount"])
            fees += float(fill["fee"])
            assert float(order["filled_amount"]) == pytest.approx(total)
            assert float(order["left"]) == pytest.approx(0.3 - total)
            assert (fill["order_id"], fill["role"], fill["fee_currency"]) == (placed["id"], "taker", "BTC")
            got = float(fill["amount"]) - float(fill["fee"])
            assert float(balances["BTC"]["change"]) == pytest.approx(got)
            assert balances["USDT"]["change_type"] == "order-match"
            if order["event"] == "finish":
                break
            assert order["event"] == "update"
        assert (order["finish_as"], order["filled_total"]) == ("filled", placed["filled_total"])
        assert fees == pytest.approx(float(placed["fee"]))


async def test_a_maker_is_told_when_the_market_comes_to_it() -> None:
    async with (
        Simulator("gateio", ["BTC_USDT"], rate_per_s=2000) as sim,
        dial(sim.ws_url + PATH) as client,
        dial(sim.ws_url + PATH) as other,
    ):
        trades = {"time": int(time.time()), "channel": "spot.trades", "event": "subscribe"}
        await ask(other, {**trades, "payload": ["BTC_USDT"]})  # somebody must listen
        await ask(client, request("spot.usertrades", ["!all"]))
        best = f"{sim.markets['BTC_USDT'].ticker.bid / 100:.2f}"
        await call_gate(sim.rest_url, "POST", ORDERS, body={**LIMIT, "price": best, "amount": "0.001"})
        (fill,) = await pushed(client, "spot.usertrades")
        assert (fill["role"], float(fill["price"])) == ("maker", float(best))


async def test_money_from_outside(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        await ask(client, request("spot.balances", None))
        still.deposit("BTC", "1.5")
        (balance,) = await pushed(client, "spot.balances")
        assert (balance["currency"], balance["change"], balance["total"]) == ("BTC", "1.5", "10001.5")
        assert balance["change_type"] == "deposit"


async def test_unsubscribing_ends_the_pushes(still: Simulator) -> None:
    async with dial(still.ws_url + PATH) as client:
        await ask(client, request("spot.orders", ["!all"]))
        ended = await ask(client, {**request("spot.orders", ["!all"]), "event": "unsubscribe"})
        assert ended["error"] is None
        await call_gate(still.rest_url, "POST", ORDERS, body=LIMIT)
        pong = await ask(client, {"time": int(time.time()), "channel": "spot.ping"})
        assert pong["channel"] == "spot.pong"


async def test_the_authorization_can_expire_in_mid_stream(still: Simulator) -> None:
    still.inject("auth-expiry:after=1")
    async with dial(still.ws_url + PATH) as client:
        await ask(client, request("spot.orders", ["!all"]))
        await call_gate(still.rest_url, "POST", ORDERS, body=LIMIT)
        assert (await pushed(client, "spot.orders"))[0]["event"] == "put"
        await call_gate(still.rest_url, "POST", ORDERS, body={**LIMIT, "text": "t-other"})
        expired = json.loads(await receive(client))
        assert (expired["channel"], expired["error"]["code"]) == ("spot.orders", 4)
        assert (await ask(client, request("spot.orders", ["!all"])))["error"] is None
        assert still.stats.faults == {"auth-expiry": 1}
