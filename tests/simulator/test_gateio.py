"""The Gate.io persona as a plain client meets it."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cexnet.simulator import Simulator
from tests.simulator.peers import Replica, ask, call, call_gate, dial, receive, until

ORDERS = "/api/v4/spot/orders"
LIMIT = {"currency_pair": "BTC_USDT", "side": "buy", "type": "limit", "amount": "0.01", "price": "60000"}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator("gateio", rate_per_s=2000) as running:
        yield running


@pytest.fixture
async def still() -> AsyncIterator[Simulator]:
    """A market that only moves when we move it."""
    async with Simulator("gateio", rate_per_s=0) as running:
        yield running


def request(channel: str, payload: Any, event: str = "subscribe", **more: Any) -> dict[str, Any]:
    return {"time": int(time.time()), "channel": channel, "event": event, "payload": payload, **more}


async def test_acks_echo_the_request(sim: Simulator) -> None:
    async with dial(sim.ws_url + "/ws/v4/") as socket:
        ack = await ask(socket, request("spot.candlesticks", ["1m", "BTC_USDT"], id=42))
        assert ack["error"] is None
        assert ack["result"] == {"status": "success"}
        assert (ack["id"], ack["channel"], ack["event"]) == (42, "spot.candlesticks", "subscribe")
        assert ack["time"] == ack["time_ms"] // 1000
        ack = await ask(socket, request("spot.candlesticks", ["1m", "BTC_USDT"], "unsubscribe"))
        assert ack["result"] == {"status": "success"}
        assert "id" not in ack


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"channel": None}, 1, "invalid request body"),
        ({"payload": ["XX_USDT"]}, 2, "unknown currency pair XX_USDT"),
        ({"channel": "spot.nosuch"}, 2, "unknown channel spot.nosuch"),
        ({"payload": "BTC_USDT"}, 2, "invalid payload"),
        ({"event": "shout"}, 2, "unknown event shout"),
        ({"time": 5}, 2, "time"),
        ({"event": "unsubscribe"}, 2, "not subscribed"),
    ],
)
async def test_refusals_carry_gates_error(
    still: Simulator, changes: dict[str, Any], code: int, words: str
) -> None:
    async with dial(still.ws_url + "/ws/v4/") as socket:
        assert (await ask(socket, "nonsense"))["error"] == {"code": 1, "message": "invalid request body"}
        answer = await ask(socket, {**request("spot.trades", ["BTC_USDT"]), **changes})
    assert answer["error"]["code"] == code
    assert words in answer["error"]["message"]
    assert answer["result"] == {"status": "fail"}


async def test_application_ping(still: Simulator) -> None:
    async with dial(still.ws_url + "/ws/v4/") as socket:
        pong = await ask(socket, {"time": int(time.time()), "channel": "spot.ping"})
    assert pong["channel"] == "spot.pong"


async def test_events_have_gates_fields_unpadded(sim: Simulator) -> None:
    keys = {
        "spot.trades": {"id", "create_time", "create_time_ms", "side", "currency_pair", "amount", "price"},
        "spot.book_ticker": {"t", "u", "s", "b", "B", "a", "A"},
        "spot.candlesticks": {"t", "v", "c", "h", "l", "o", "n", "a", "w"},
        "spot.order_book": {"t", "lastUpdateId", "s", "l", "bids", "asks"},
        "spot.order_book_update": {"t", "s", "U", "u", "b", "a"},
    }
    payloads = {
        "spot.candlesticks": ["1m", "BTC_USDT"],
        "spot.order_book": ["BTC_USDT", "5", "100ms"],
        "spot.order_book_update": ["BTC_USDT", "20ms"],
    }
    async with dial(sim.ws_url + "/ws/v4/") as socket:
        for channel in keys:
            await socket.send(json.dumps(request(channel, payloads.get(channel, ["BTC_USDT"]))))
        while keys:
            message = await until(socket, lambda m: m["event"] == "update")
            channel = message["channel"]
            assert {"time", "time_ms", "channel", "event", "result"} == set(message)
            assert keys.pop(channel, set()) <= set(message["result"])
            if channel == "spot.book_ticker":
                text = message["result"]["b"]
                assert text == (text.rstrip("0").rstrip(".") if "." in text else text)


async def test_updates_are_contiguous_and_rebuild_the_book(sim: Simulator) -> None:
    url = sim.rest_url + "/api/v4/spot/order_book?currency_pair=BTC_USDT&limit=1000&with_id=true"
    async with dial(sim.ws_url + "/ws/v4/") as socket:
        await ask(socket, request("spot.order_book_update", ["BTC_USDT", "100ms"]))
        updates = [json.loads(await receive(socket))["result"] for _ in range(2)]
        _, first, _ = await call("GET", url)
        while updates[-1]["u"] <= first["id"]:
            updates.append(json.loads(await receive(socket))["result"])
        kept = [update for update in updates if update["u"] > first["id"]]
        assert kept[0]["U"] <= first["id"] + 1
        while len(kept) < 10:
            kept.append(json.loads(await receive(socket))["result"])
        _, later, _ = await call("GET", url)
        while kept[-1]["u"] < later["id"]:
            kept.append(json.loads(await receive(socket))["result"])
    assert all(b["U"] == a["u"] + 1 for a, b in itertools.pairwise(kept))
    book, unsettled = Replica(first["bids"], first["asks"]), set()
    for update in kept:
        book.apply(update["b"], update["a"])
        if update["u"] > later["id"]:
            unsettled |= {price for price, _ in update["b"] + update["a"]}
    expected = Replica(later["bids"], later["asks"])
    for mine, theirs in ((book.bids, expected.bids), (book.asks, expected.asks)):
        assert {p: q for p, q in mine.items() if p not in unsettled} == {
            p: q for p, q in theirs.items() if p not in unsettled
        }


async def test_obu_starts_with_the_whole_book(sim: Simulator) -> None:
    async with dial(sim.ws_url + "/ws/v4/") as socket:
        await ask(socket, request("spot.obu", ["ob.BTC_USDT.50"]))
        full = json.loads(await receive(socket))
        assert full["channel"] == "spot.obu"
        assert full["result"]["full"] is True
        assert "U" not in full["result"]
        last = full["result"]["u"]
        for _ in range(5):
            update = json.loads(await receive(socket))["result"]
            assert update["U"] == last + 1
            last = update["u"]
        again = request("spot.obu", ["ob.BTC_USDT.50"])
        await socket.send(json.dumps(again))
        refusal = await until(socket, lambda m: m.get("event") == "subscribe")
        assert refusal["error"]["code"] == 2


async def test_an_order_lives_and_dies(still: Simulator) -> None:
    base = still.rest_url
    status, placed, headers = await call_gate(base, "POST", ORDERS, body={**LIMIT, "text": "t-mine"})
    assert (status, placed["status"], placed["left"]) == (201, "open", "0.01")
    assert headers["X-Gate-RateLimit-Limit"] == "10"
    assert headers["X-Gate-RateLimit-Requests-Remain"] == "9"
    by_text = await call_gate(base, "GET", ORDERS + "/t-mine", query="currency_pair=BTC_USDT")
    assert by_text[1]["id"] == placed["id"]
    status, again, _ = await call_gate(base, "POST", ORDERS, body={**LIMIT, "text": "t-mine"})
    assert (status, again["label"]) == (400, "REPEATED_CREATION")
    _, accounts, _ = await call_gate(base, "GET", "/api/v4/spot/accounts", query="currency=USDT")
    assert accounts[0]["locked"] == "600"
    path = f"{ORDERS}/{placed['id']}"
    _, gone, _ = await call_gate(base, "DELETE", path, query="currency_pair=BTC_USDT")
    assert (gone["status"], gone["finish_as"]) == ("cancelled", "cancelled")
    _, twice, _ = await call_gate(base, "DELETE", path, query="currency_pair=BTC_USDT")
    assert twice["label"] == "ORDER_CANCELLED"
    _, accounts, _ = await call_gate(base, "GET", "/api/v4/spot/accounts", query="currency=USDT")
    assert accounts[0] == {"currency": "USDT", "available": "10000000", "locked": "0", "update_id": 1}


async def test_a_market_buy_is_given_in_money(still: Simulator) -> None:
    body = {"currency_pair": "BTC_USDT", "side": "buy", "type": "market", "amount": "1000"}
    _, order, _ = await call_gate(still.rest_url, "POST", ORDERS, body=body)
    assert order["status"] == "closed"
    assert 990 < float(order["filled_total"]) <= 1000
    assert order["fee_currency"] == "BTC"


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"currency_pair": "XX_USDT"}, "INVALID_CURRENCY_PAIR"),
        ({"price": "60000.001"}, "INVALID_PRECISION"),
        ({"amount": "0.00001"}, "INVALID_PARAM_VALUE"),
        ({"amount": "9000"}, "BALANCE_NOT_ENOUGH"),
        ({"text": "mine"}, "INVALID_CLIENT_ORDER_ID"),
        ({"time_in_force": "poc", "price": "70000"}, "POC_FILL_IMMEDIATELY"),
        ({"time_in_force": "fok", "price": "64000", "amount": "150"}, "FOK_NOT_FILL"),
        ({"side": "up"}, "INVALID_PARAM_VALUE"),
        ({"amount": None}, "MISSING_REQUIRED_PARAM"),
    ],
)
async def test_orders_are_refused_in_gates_words(
    still: Simulator, changes: dict[str, Any], label: str
) -> None:
    _, answer, _ = await call_gate(still.rest_url, "POST", ORDERS, body={**LIMIT, **changes})
    assert answer["label"] == label
    assert answer["message"]


async def test_signatures_and_clocks_are_checked(still: Simulator) -> None:
    base, path = still.rest_url, "/api/v4/spot/accounts"
    assert (await call_gate(base, "GET", path))[0] == 200
    status, answer, _ = await call_gate(base, "GET", path, secret="wrong")
    assert (status, answer["label"]) == (401, "INVALID_SIGNATURE")
    assert (await call_gate(base, "GET", path, key="wrong"))[1]["label"] == "INVALID_KEY"
    status, answer, _ = await call_gate(base, "GET", path, offset_s=-100)
    assert (status, answer["label"]) == (403, "REQUEST_EXPIRED")
    assert (await call("GET", base + path))[1]["label"] == "MISSING_REQUIRED_HEADER"
    _, answer, _ = await call_gate(base, "GET", ORDERS + "/5", query="currency_pair=BTC_USDT")
    assert answer["label"] == "ORDER_NOT_FOUND"


@pytest.mark.parametrize(
    "path",
    ["margin/currency_pairs", "futures/usdt/contracts", "delivery/usdt/contracts", "options/underlyings"],
)
async def test_what_peers_list_beside_the_spot_pairs_is_empty(still: Simulator, path: str) -> None:
    assert (await call("GET", f"{still.rest_url}/api/v4/{path}"))[:2] == (200, [])


async def test_ten_orders_a_second_a_market(still: Simulator) -> None:
    answers = []
    while len(answers) < 60 and (not answers or answers[-1][0] != 429):
        answers.append(await call_gate(still.rest_url, "POST", ORDERS, body=LIMIT))
    assert answers[-1][1]["label"] == "TOO_MANY_REQUESTS"
    assert answers[-1][2]["X-Gate-RateLimit-Requests-Remain"] == "0"
