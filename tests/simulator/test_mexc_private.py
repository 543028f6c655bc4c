"""MEXC's listen keys and private pushes as a plain client meets them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from cexnet.simulator import Simulator
from tests.simulator.peers import PATIENCE_S, ask, call_signed_query, dial, receive
from tests.simulator.test_mexc import DEALS as PUBLIC_DEALS
from tests.simulator.test_mexc import LIMIT, read_fields

ORDERS = "spot@private.orders.v3.api.pb"
DEALS = "spot@private.deals.v3.api.pb"
ACCOUNT = "spot@private.account.v3.api.pb"
ALL = {"method": "SUBSCRIPTION", "params": [ORDERS, DEALS, ACCOUNT]}
BODIES = {304: "order", 306: "deal", 307: "account"}
HOUR_S = 3600


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def still(clock: Clock) -> AsyncIterator[Simulator]:
    """A market that only moves when we move it."""
    async with Simulator("mexc", rate_per_s=0, clock_s=clock) as running:
        yield running


async def signed(sim: Simulator, method: str, path: str, **params: Any) -> tuple[int, Any]:
    status, body, _ = await call_signed_query(sim.rest_url, "X-MEXC-APIKEY", method, path, **params)
    return status, body


async def listen_key(sim: Simulator) -> str:
    _, body = await signed(sim, "POST", "/api/v3/userDataStream")
    return str(body["listenKey"])


async def order(sim: Simulator, method: str = "POST", **params: Any) -> Any:
    return (await signed(sim, method, "/api/v3/order", **params))[1]


async def pushed(socket: Any) -> tuple[str, dict[int, Any]]:
    """The next private push: what it is, and its fields, text decoded."""
    message = await receive(socket)
    assert isinstance(message, bytes)
    whole = read_fields(message)
    (field,) = [number for number in whole if number in BODIES]
    assert (3 in whole) == (field != 307)
    body = read_fields(whole[field][0])
    read = {
        number: value.decode() if isinstance(value, bytes) else value for number, (value,) in body.items()
    }
    return BODIES[field], read


async def test_listen_keys_live_an_hour_from_their_last_renewal(still: Simulator, clock: Clock) -> None:
    path = "/api/v3/userDataStream"
    first, second = await listen_key(still), await listen_key(still)
    assert (await signed(still, "GET", path))[1] == {"listenKey": [first, second]}
    clock.now_s += HOUR_S - 1
    assert await signed(still, "PUT", path, listenKey=first) == (200, {"listenKey": first})
    clock.now_s += 2
    assert (await signed(still, "GET", path))[1] == {"listenKey": [first]}
    assert (await signed(still, "PUT", path, listenKey=second))[0] == 400
    assert await signed(still, "DELETE", path, listenKey=first) == (200, {"listenKey": first})
    assert (await signed(still, "DELETE", path, listenKey=first))[0] == 400
    assert (await signed(still, "PUT", path))[1]["code"] == 700004
    assert (await signed(still, "GET", path))[1] == {"listenKey": []}


async def test_there_are_at_most_sixty_keys(still: Simulator, clock: Clock) -> None:
    keys = {await listen_key(still) for _ in range(60)}
    assert len(keys) == 60
    status, body = await signed(still, "POST", "/api/v3/userDataStream")
    assert (status, body["code"]) == (400, 33333)
    clock.now_s += HOUR_S
    assert await listen_key(still) not in keys


@pytest.mark.parametrize("query", ["", "?listenKey=nosuch"])
async def test_private_channels_need_a_good_key(still: Simulator, query: str) -> None:
    async with dial(still.ws_url + "/ws" + query) as client:
        assert "Not Subscribed" in (await ask(client, {**ALL, "params": [ORDERS]}))["msg"]
        fine = await ask(client, {**ALL, "params": [PUBLIC_DEALS]})
        assert fine["msg"] == PUBLIC_DEALS


async def test_a_key_carries_five_connections(still: Simulator) -> None:
    path = "/ws?listenKey=" + await listen_key(still)
    async with (
        dial(still.ws_url + path),
        dial(still.ws_url + path),
        dial(still.ws_url + path),
        dial(still.ws_url + path),
        dial(still.ws_url + path) as fifth,
        dial(still.ws_url + path) as sixth,
    ):
        assert (await ask(fifth, ALL))["msg"] == ",".join(ALL["params"])
        assert "Not Subscribed" in (await ask(sixth, ALL))["msg"]


async def test_an_order_that_rests_and_is_canceled(still: Simulator) -> None:
    async with dial(still.ws_url + "/ws?listenKey=" + await listen_key(still)) as client:
        await ask(client, ALL)
        placed = await order(still, **LIMIT, newClientOrderId="mine")
        kind, new = await pushed(client)
        assert kind == "order"
        assert (new[1], new[2], new[15]) == (placed["orderId"], "mine", 1)
        assert (new[3], new[4], new[5], new[7], new[8]) == ("60000", "0.01", "600", 1, 1)
        assert (new[10], new[11], new[13], new[14]) == ("600", "0.01", "0", "0")
        kind, account = await pushed(client)
        assert kind == "account"
        assert (account[1], account[3], account[4]) == ("USDT", "9999400", "-600")
        assert (account[5], account[6], account[7]) == ("600", "600", "ENTRUST_PLACE")
        await order(still, "DELETE", symbol="BTCUSDT", origClientOrderId="mine")
        _, gone = await pushed(client)
        assert (gone[1], gone[15], gone[11]) == (placed["orderId"], 4, "0.01")
        _, account = await pushed(client)
        assert (account[3], account[6], account[7]) == ("10000000", "-600", "ENTRUST_CANCEL")


async def test_fills_of_a_taker_come_one_by_one_and_add_up(still: Simulator) -> None:
    async with dial(still.ws_url + "/ws?listenKey=" + await listen_key(still)) as client:
        await ask(client, ALL)
        placed = await order(still, **{**LIMIT, "price": "65000", "quantity": "0.3"})
        statuses, total = [], 0.0
        while 2 not in statuses:
            kind, body = await pushed(client)
            if kind == "order":
                statuses.append(body[15])
                assert float(body[13]) == pytest.approx(total + float(body.get(12, 0)))
                assert float(body[11]) == pytest.approx(0.3 - float(body[13]))
            elif kind == "deal":
                total += float(body[2])
                assert (body[9], body[4], body[11]) == (placed["orderId"], 1, "BTC")
                assert float(body[10]) == pytest.approx(float(body[2]) * 0.001)
        kind, last = await pushed(client)
        assert kind == "deal"
        assert total + float(last[2]) == pytest.approx(0.3)
        assert statuses[0] == 1
        assert set(statuses[1:-1]) <= {3}


async def test_a_maker_is_told_when_the_market_comes_to_it() -> None:
    async with Simulator("mexc", ["BTCUSDT"], rate_per_s=2000) as sim:
        path = "/ws?listenKey=" + await listen_key(sim)
        async with dial(sim.ws_url + path) as client, dial(sim.ws_url + "/ws") as other:
            await ask(other, {**ALL, "params": [PUBLIC_DEALS]})  # somebody must listen
            await ask(client, {**ALL, "params": [DEALS]})
            asked: set[float] = set()
            deal: dict[int, Any] = {5: 0}
            while deal[5] != 1:  # one that the market came down to before it could rest
                heard = asyncio.create_task(pushed(client))
                while not heard.done():  # from another it goes away
                    best = f"{sim.markets['BTCUSDT'].ticker.bid / 100:.2f}"
                    asked.add(float(best))
                    await order(sim, **{**LIMIT, "price": best, "quantity": "0.001"})
                _, deal = heard.result()
            assert float(deal[1]) in asked


async def test_money_from_outside(still: Simulator) -> None:
    async with dial(still.ws_url + "/ws?listenKey=" + await listen_key(still)) as client:
        await ask(client, {**ALL, "params": [ACCOUNT]})
        still.deposit("BTC", "-1.5")
        _, account = await pushed(client)
        assert (account[1], account[3], account[4], account[7]) == ("BTC", "9998.5", "-1.5", "DEPOSIT")


async def test_a_connection_ends_with_its_key(still: Simulator, clock: Clock) -> None:
    async with dial(still.ws_url + "/ws?listenKey=" + await listen_key(still)) as client:
        await ask(client, ALL)
        clock.now_s += HOUR_S + 1
        async with asyncio.timeout(PATIENCE_S):
            await client.wait_closed()
        assert (client.close_code, client.close_reason) == (1008, "listenKey expired")


async def test_the_authorization_can_expire_in_mid_stream(still: Simulator) -> None:
    still.inject("auth-expiry:after=1")
    async with dial(still.ws_url + "/ws?listenKey=" + await listen_key(still)) as client:
        await ask(client, {**ALL, "params": [ORDERS]})
        await order(still, **LIMIT)
        await pushed(client)
        await order(still, **LIMIT)
        with pytest.raises(ConnectionClosed) as closed:
            await receive(client)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.reason == "listenKey expired"
        _, left = await signed(still, "GET", "/api/v3/userDataStream")
        assert left == {"listenKey": []}
        assert still.stats.faults == {"auth-expiry": 1}


async def test_private_pushes_can_be_frozen_like_any_data(still: Simulator) -> None:
    still.inject("freeze:topic=private.orders,after=1")
    async with dial(still.ws_url + "/ws?listenKey=" + await listen_key(still)) as client:
        await ask(client, {**ALL, "params": [ORDERS]})
        await order(still, **LIMIT)
        await pushed(client)
        await order(still, **LIMIT)
        assert json.loads(await _text(client)) == {"id": 0, "code": 0, "msg": "PONG"}
        assert still.stats.withheld == {"order": 1}


async def _text(client: Any) -> str | bytes:
    await client.send('{"method":"PING"}')
    return await receive(client)
