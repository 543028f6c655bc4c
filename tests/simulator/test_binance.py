"""The Binance persona as a plain client meets it."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cexnet.simulator import Simulator
from tests.simulator.peers import (
    Replica,
    ask,
    call,
    call_signed_query,
    dial,
    receive,
    stamp_ms,
    until,
)  # fmt: skip

PATH = "/api/v3/order"
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator("binance", rate_per_s=2000) as running:
        yield running


@pytest.fixture
async def still() -> AsyncIterator[Simulator]:
    """A market that only moves when we move it."""
    async with Simulator("binance", rate_per_s=0) as running:
        yield running


async def signed(sim: Simulator, method: str, path: str = PATH, **params: Any) -> tuple[int, Any]:
    status, body, _ = await call_signed_query(sim.rest_url, "X-MBX-APIKEY", method, path, **params)
    return status, body


async def test_control_messages_echo_ids_and_list(sim: Simulator) -> None:
    async with dial(sim.ws_url + "/ws") as socket:
        request = {"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": 7}
        assert await ask(socket, request) == {"result": None, "id": 7}
        listing = {"method": "LIST_SUBSCRIPTIONS", "id": "a"}
        assert await ask(socket, listing) == {"result": ["btcusdt@kline_1m"], "id": "a"}
        request = {"method": "UNSUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": None}
        assert await ask(socket, request) == {"result": None, "id": None}


@pytest.mark.parametrize(
    ("request_text", "code", "identity"),
    [
        ("{not json", 3, None),
        ('{"id":1}', 2, None),
        ('{"method":"SUBSCRIBE","params":["nosuch@trade"],"id":5}', 2, 5),
        ('{"method":"SUBSCRIBE","params":["btcusdt@nosuch"],"id":5}', 2, 5),
        ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":5}', 2, 5),
        ('{"method":"DANCE","params":[],"id":5}', 2, 5),
        ('{"method":"SUBSCRIBE","params":[],"id":1.5}', 2, None),
    ],
)
async def test_wrong_requests_are_refused(
    sim: Simulator, request_text: str, code: int, identity: int | None
) -> None:
    async with dial(sim.ws_url + "/ws") as socket:
        answer = await ask(socket, request_text)
        assert answer["error"]["code"] == code
        assert answer["id"] == identity
    assert sim.stats.refusals == 1


async def test_events_have_binances_fields_and_eight_decimals(sim: Simulator) -> None:
    streams = "btcusdt@bookTicker/btcusdt@trade/btcusdt@aggTrade/btcusdt@kline_1m/btcusdt@depth5@100ms"
    keys = {
        "bookTicker": {"u", "s", "b", "B", "a", "A"},
        "trade": {"e", "E", "s", "t", "p", "q", "T", "m", "M"},
        "aggTrade": {"e", "E", "s", "a", "p", "q", "f", "l", "T", "m", "M"},
        "kline_1m": {"e", "E", "s", "k"},
        "depth5": {"lastUpdateId", "bids", "asks"},
    }
    async with dial(f"{sim.ws_url}/stream?streams={streams}") as socket:
        while keys:
            message = json.loads(await receive(socket))
            assert list(message) == ["stream", "data"]
            channel = message["stream"].split("@")[1]
            if channel in keys:
                assert set(message["data"]) == keys.pop(channel)
                if channel == "bookTicker":
                    assert all(len(message["data"][n].split(".")[1]) == 8 for n in "bBaA")
                    assert float(message["data"]["b"]) < float(message["data"]["a"])


async def test_raw_and_combined_paths(sim: Simulator) -> None:
    async with dial(sim.ws_url + "/ws/ethusdt@bookTicker") as raw:
        assert json.loads(await receive(raw))["s"] == "ETHUSDT"
    async with dial(sim.ws_url + "/stream") as combined:
        await ask(combined, {"method": "SUBSCRIBE", "params": ["ethusdt@bookTicker"], "id": 1})
        assert (await until(combined, lambda m: "stream" in m))["data"]["s"] == "ETHUSDT"


async def test_diffs_are_contiguous_and_rebuild_the_book(sim: Simulator) -> None:
    async with dial(sim.ws_url + "/ws/btcusdt@depth@100ms") as socket:
        buffered = [json.loads(await receive(socket)) for _ in range(3)]
        url = sim.rest_url + "/api/v3/depth?symbol=BTCUSDT&limit=5000"
        _, first, _ = await call("GET", url)
        while buffered[-1]["u"] <= first["lastUpdateId"]:
            buffered.append(json.loads(await receive(socket)))
        kept = [diff for diff in buffered if diff["u"] > first["lastUpdateId"]]
        assert kept[0]["U"] <= first["lastUpdateId"] + 1 <= kept[0]["u"]
        while len(kept) < 12:
            kept.append(json.loads(await receive(socket)))
        _, later, _ = await call("GET", url)
        while kept[-1]["u"] < later["lastUpdateId"]:
            kept.append(json.loads(await receive(socket)))
    assert all(b["U"] == a["u"] + 1 for a, b in itertools.pairwise(kept))
    # Sizes are absolute: a diff that reaches past the later snapshot may only differ where
    # that very diff says so.
    book, unsettled = Replica(first["bids"], first["asks"]), set()
    for diff in kept:
        book.apply(diff["b"], diff["a"])
        if diff["u"] > later["lastUpdateId"]:
            unsettled |= {price for price, _ in diff["b"] + diff["a"]}
    expected = Replica(later["bids"], later["asks"])
    for mine, theirs in ((book.bids, expected.bids), (book.asks, expected.asks)):
        assert {p: q for p, q in mine.items() if p not in unsettled} == {
            p: q for p, q in theirs.items() if p not in unsettled
        }


async def test_an_order_lives_and_dies(still: Simulator) -> None:
    order = {**LIMIT, "quantity": "0.01", "price": "60000.00", "newClientOrderId": "mine-1"}
    status, placed = await signed(still, "POST", in_body=True, **order)
    assert (status, placed["status"], placed["price"]) == (200, "NEW", "60000.00000000")
    _, known = await signed(still, "GET", symbol="BTCUSDT", origClientOrderId="mine-1")
    assert known["orderId"] == placed["orderId"]
    _, account = await signed(still, "GET", "/api/v3/account")
    money = {row["asset"]: row for row in account["balances"]}
    assert money["USDT"]["locked"] == "600.00000000"
    _, again = await signed(still, "POST", **order)
    assert again == {"code": -2010, "msg": "Duplicate order sent."}
    _, listed = await signed(still, "GET", "/api/v3/openOrders", symbol="BTCUSDT")
    assert [row["clientOrderId"] for row in listed] == ["mine-1"]
    _, gone = await signed(still, "DELETE", symbol="BTCUSDT", orderId=placed["orderId"])
    assert (gone["status"], gone["origClientOrderId"]) == ("CANCELED", "mine-1")
    _, twice = await signed(still, "DELETE", symbol="BTCUSDT", orderId=placed["orderId"])
    assert twice == {"code": -2011, "msg": "Unknown order sent."}
    status, _ = await signed(still, "POST", **order)  # the id is free again: not open any more
    assert status == 200
    _, account = await signed(still, "GET", "/api/v3/account")
    money = {row["asset"]: row for row in account["balances"]}
    assert money["USDT"] == {"asset": "USDT", "free": "9999400.00000000", "locked": "600.00000000"}


async def test_an_order_that_crosses_fills_and_moves_the_market(still: Simulator) -> None:
    async with dial(still.ws_url + "/stream?streams=btcusdt@trade/btcusdt@bookTicker") as socket:
        _, before = await signed(still, "POST", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.5")
        assert before["status"] == "FILLED"
        quantities = [float(fill["qty"]) for fill in before["fills"]]
        assert sum(quantities) == pytest.approx(0.5)
        trades = [await until(socket, lambda m: m["stream"].endswith("@trade")) for _ in quantities]
        assert [t["data"]["t"] for t in trades] == [fill["tradeId"] for fill in before["fills"]]
        assert all(trade["data"]["m"] for trade in trades)
        ticker = await until(socket, lambda m: m["stream"].endswith("@bookTicker"))
        assert float(ticker["data"]["b"]) <= float(before["fills"][-1]["price"])
    _, account = await signed(still, "GET", "/api/v3/account")
    money = {row["asset"]: row for row in account["balances"]}
    earned = float(before["cummulativeQuoteQty"]) * 0.999
    assert float(money["USDT"]["free"]) == pytest.approx(10_000_000 + earned)
    assert money["BTC"]["free"] == "9999.50000000"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "NOSUCH"}, -1121),
        ({"side": "UP"}, -1117),
        ({"type": "WISH"}, -1116),
        ({"timeInForce": "XYZ"}, -1115),
        ({"quantity": "0.0000001"}, -1013),
        ({"quantity": "x"}, -1100),
        ({"price": "60000.001"}, -1013),
        ({"price": "60000.123456789"}, -1111),
        ({"quantity": "0.00001"}, -1013),
        ({"quantity": "9000", "price": "64000"}, -2010),
        ({"newClientOrderId": "ü"}, -1100),
        ({"type": "LIMIT_MAKER", "price": "70000"}, -2010),
    ],
)
async def test_orders_are_refused_in_binances_words(
    still: Simulator, changes: dict[str, str], code: int
) -> None:
    order = {**LIMIT, "quantity": "0.01", "price": "60000", **changes}
    status, answer = await signed(still, "POST", **order)
    assert (status, answer["code"]) == (400, code)
    assert answer["msg"]


async def test_signatures_and_clocks_are_checked(still: Simulator) -> None:
    account = "/api/v3/account"
    assert (await signed(still, "GET", account, secret="wrong"))[1]["code"] == -1022
    assert await signed(still, "GET", account, key="wrong") == (
        401,
        {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."},
    )
    assert (await signed(still, "GET", account, timestamp=stamp_ms(-6000)))[1]["code"] == -1021
    assert (await signed(still, "GET", account, timestamp=stamp_ms(+3000)))[1]["code"] == -1021
    assert (await signed(still, "GET", account, recvWindow=60001))[1]["code"] == -1131
    assert (await signed(still, "GET", account, timestamp=stamp_ms() * 1000))[0] == 200
    assert (await signed(still, "GET", account, timestamp=stamp_ms(-6000), recvWindow=30000))[0] == 200
    status, answer, _ = await call("GET", still.rest_url + account)
    assert (status, answer["code"]) == (401, -2014)
    assert still.stats.signature_failures == 2


async def test_the_published_signature_example_verifies() -> None:
    """The docs' key pair and payload, signature and all, is only late, not wrong."""
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
    payload = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1"
        "&recvWindow=5000&timestamp=1499827319559"
    )
    signature = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    assert hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest() == signature
    async with Simulator("binance", rate_per_s=0, api_key=key, api_secret=secret) as sim:
        url = f"{sim.rest_url}{PATH}?{payload}&signature={signature}"
        _, answer, _ = await call("POST", url, headers={"X-MBX-APIKEY": key})
    assert answer["code"] == -1021


async def test_query_and_body_are_signed_together(still: Simulator) -> None:
    query = f"symbol=BTCUSDT&side=BUY&type=LIMIT&timestamp={stamp_ms()}"
    body = "timeInForce=GTC&quantity=0.01&price=60000"
    sign = hmac.new(still.api_secret.encode(), (query + body).encode(), hashlib.sha256).hexdigest()
    headers = {"X-MBX-APIKEY": still.api_key, "Content-Type": "application/x-www-form-urlencoded"}
    url = f"{still.rest_url}{PATH}?{query}"
    status, _, _ = await call("POST", url, headers=headers, body=f"{body}&signature={sign}")
    assert status == 200


async def test_weight_is_counted_then_refused(still: Simulator) -> None:
    url = still.rest_url + "/api/v3/depth?symbol=BTCUSDT&limit=5000"
    _, _, headers = await call("GET", url)
    assert headers["X-MBX-USED-WEIGHT-1M"] == "250"
    answers = [await call("GET", url) for _ in range(48)]
    refused = [answer for answer in answers if answer[0] == 429]
    assert refused  # 6000 a minute; a minute may have turned once meanwhile
    assert refused[-1][1]["code"] == -1003
    assert 1 <= int(refused[-1][2]["Retry-After"]) <= 60


async def test_order_count_is_limited(still: Simulator) -> None:
    order = {**LIMIT, "quantity": "0.01", "price": "60000"}
    answers = []
    while len(answers) < 250 and (not answers or answers[-1][0] != 429):
        answers.append(await call_signed_query(still.rest_url, "X-MBX-APIKEY", "POST", PATH, **order))
    assert answers[0][2]["X-MBX-ORDER-COUNT-10S"] == "1"
    assert answers[-1][1]["code"] == -1015


async def test_too_many_client_messages_close_with_1008(still: Simulator) -> None:
    async with dial(still.ws_url + "/ws") as socket:
        for number in range(30):
            await socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        with pytest.raises(ConnectionClosed) as closed:
            await until(socket, lambda _: False)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "Too many requests")


async def test_the_server_pings_with_its_time() -> None:
    async with Simulator("binance", rate_per_s=0, ping_interval_s=0.05) as sim:
        host, _, port = sim.ws_url.removeprefix("ws://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        async with asyncio.timeout(10):
            await reader.readuntil(b"\r\n\r\n")
            opcode, size = await reader.readexactly(2)
            payload = await reader.readexactly(size)
        assert opcode == 0x89
        assert payload.isdigit()
        writer.close()


async def test_what_peers_list_beside_the_spot_markets(still: Simulator) -> None:
    for path in ("/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs"):
        assert (await call("GET", still.rest_url + path))[:2] == (200, [])
    for path in ("/fapi/v1/exchangeInfo", "/dapi/v1/exchangeInfo"):
        status, listed, _ = await call("GET", still.rest_url + path)
        assert (status, listed["symbols"]) == (200, [])
    coins = "/sapi/v1/capital/config/getall"
    assert (await call("GET", still.rest_url + coins))[0] == 401
    _, listed, _ = await call_signed_query(still.rest_url, "X-MBX-APIKEY", "GET", coins)
    assert {each["coin"] for each in listed} >= {"BTC", "USDT"}


async def test_unknown_paths_are_not_found(still: Simulator) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with dial(still.ws_url + "/nowhere"):
            pass
    assert refused.value.response.status_code == 404
