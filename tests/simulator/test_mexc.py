"""The MEXC persona as a plain client meets it; frames read by hand from field numbers."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cexnet.simulator import Simulator
from tests.simulator.peers import Replica, ask, call, call_signed_query, dial, receive, stamp_ms

PATH = "/api/v3/order"
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "60000"}
DEPTH = "spot@public.aggre.depth.v3.api.pb@10ms@BTCUSDT"
DEALS = "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT"
TICKER = "spot@public.aggre.bookTicker.v3.api.pb@100ms@BTCUSDT"
KLINE = "spot@public.kline.v3.api.pb@BTCUSDT@Min1"

Fields = dict[int, list[Any]]


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator("mexc", rate_per_s=2000) as running:
        yield running


@pytest.fixture
async def still() -> AsyncIterator[Simulator]:
    """A market that only moves when we move it."""
    async with Simulator("mexc", rate_per_s=0) as running:
        yield running


def read_fields(data: bytes) -> Fields:
    """Field number -> values: integers, or bytes for anything length-delimited."""
    fields: Fields = {}
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    while at < len(data):
        key = number()
        value: Any = number()
        if key & 7 == 2:
            value, at = data[at : at + value], at + value
        else:
            assert key & 7 == 0
        fields.setdefault(key >> 3, []).append(value)
    return fields


def levels(items: list[bytes]) -> list[list[str]]:
    return [[read_fields(item)[1][0].decode(), read_fields(item)[2][0].decode()] for item in items]


async def push(socket: Any, body: int) -> Fields:
    """The next push that has the body field ``body``."""
    while True:
        message = await receive(socket)
        if isinstance(message, bytes):
            whole = read_fields(message)
            if body in whole:
                assert whole[3] == [b"BTCUSDT"]
                assert abs(whole[6][0] - stamp_ms()) < 60_000
                return read_fields(whole[body][0])


async def test_control_messages(still: Simulator) -> None:
    async with dial(still.ws_url + "/ws") as socket:
        ack = await ask(socket, {"method": "SUBSCRIPTION", "params": [DEALS, TICKER]})
        assert ack == {"id": 0, "code": 0, "msg": f"{DEALS},{TICKER}"}
        assert await ask(socket, {"method": "PING"}) == {"id": 0, "code": 0, "msg": "PONG"}
        ack = await ask(socket, {"method": "UNSUBSCRIPTION", "params": [DEALS], "id": 3})
        assert ack == {"id": 3, "code": 0, "msg": DEALS}


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        '{"method":"SUBSCRIPTION","params":["spot@public.aggre.deals.v3.api.pb@100ms@NOSUCH"]}',
        '{"method":"SUBSCRIPTION","params":["spot@public.miniTicker.v3.api@BTCUSDT"]}',
        '{"method":"SUBSCRIPTION","params":[]}',
        '{"method":"DANCE"}',
    ],
)
async def test_refusals_are_told_by_their_text(still: Simulator, text: str) -> None:
    async with dial(still.ws_url + "/ws") as socket:
        answer = await ask(socket, text)
    assert set(answer) == {"id", "code", "msg"}
    assert answer["code"] == 0
    assert not answer["msg"].startswith("spot@")
    assert still.stats.refusals == 1


async def test_at_most_thirty_subscriptions() -> None:
    symbols = [f"{letter}{other}USDT" for letter in "ABCDEFGH" for other in "WXYZ"]
    async with Simulator("mexc", symbols, rate_per_s=0) as sim, dial(sim.ws_url + "/ws") as socket:
        names = [DEALS.replace("BTCUSDT", symbol) for symbol in symbols]
        good = await ask(socket, {"method": "SUBSCRIPTION", "params": names[:30]})
        assert good["msg"] == ",".join(names[:30])
        refused = await ask(socket, {"method": "SUBSCRIPTION", "params": names[30:31]})
        assert refused["msg"].startswith("Not Subscribed successfully!")


async def test_pushes_are_protobuf(sim: Simulator) -> None:
    async with dial(sim.ws_url + "/ws") as socket:
        await ask(socket, {"method": "SUBSCRIPTION", "params": [DEALS, TICKER, KLINE]})
        deals = await push(socket, 314)
        deal = read_fields(deals[1][0])
        assert float(deal[1][0]) > 0
        assert deal[3][0] in (1, 2)
        assert deals[2] == [b"spot@public.aggre.deals.v3.api.pb@100ms"]
        ticker = await push(socket, 315)
        assert float(ticker[1][0]) < float(ticker[3][0])
        kline = await push(socket, 308)
        assert kline[1] == [b"Min1"]
        assert kline[9][0] - kline[2][0] == 60
        assert float(kline[6][0]) <= float(kline[3][0]) <= float(kline[5][0])


async def test_versions_are_contiguous_and_rebuild_the_book(sim: Simulator) -> None:
    url = sim.rest_url + "/api/v3/depth?symbol=BTCUSDT&limit=5000"
    async with dial(sim.ws_url + "/ws") as socket:
        await ask(socket, {"method": "SUBSCRIPTION", "params": [DEPTH]})
        updates = [await push(socket, 313) for _ in range(5)]
        _, first, _ = await call("GET", url)
        while int(updates[-1][5][0]) <= first["lastUpdateId"]:
            updates.append(await push(socket, 313))
        kept = [update for update in updates if int(update[5][0]) > first["lastUpdateId"]]
        assert int(kept[0][4][0]) <= first["lastUpdateId"] + 1
        while len(kept) < 40:
            kept.append(await push(socket, 313))
        _, later, _ = await call("GET", url)
        while int(kept[-1][5][0]) < later["lastUpdateId"]:
            kept.append(await push(socket, 313))
    assert all(int(b[4][0]) == int(a[5][0]) + 1 for a, b in itertools.pairwise(kept))
    book, unsettled = Replica(first["bids"], first["asks"]), set()
    for update in kept:
        bids, asks = levels(update.get(2, [])), levels(update.get(1, []))
        book.apply(bids, asks)
        if int(update[5][0]) > later["lastUpdateId"]:
            unsettled |= {price for price, _ in bids + asks}
    expected = Replica(later["bids"], later["asks"])
    for mine, theirs in ((book.bids, expected.bids), (book.asks, expected.asks)):
        assert {p: q for p, q in mine.items() if p not in unsettled} == {
            p: q for p, q in theirs.items() if p not in unsettled
        }


async def signed(sim: Simulator, method: str, path: str = PATH, **params: Any) -> tuple[int, Any]:
    status, body, _ = await call_signed_query(sim.rest_url, "X-MEXC-APIKEY", method, path, **params)
    return status, body


async def test_an_order_lives_and_dies(still: Simulator) -> None:
    _, placed = await signed(still, "POST", **LIMIT, newClientOrderId="mine")
    assert placed["orderId"].startswith("C02__")
    _, known = await signed(still, "GET", symbol="BTCUSDT", origClientOrderId="mine")
    assert (known["orderId"], known["status"]) == (placed["orderId"], "NEW")
    _, again = await signed(still, "POST", **LIMIT, newClientOrderId="mine")
    assert again["code"] == 603
    _, listed = await signed(still, "GET", "/api/v3/openOrders", symbol="BTCUSDT")
    assert len(listed) == 1
    _, gone = await signed(still, "DELETE", symbol="BTCUSDT", orderId=placed["orderId"])
    assert gone["status"] == "CANCELED"
    _, twice = await signed(still, "DELETE", symbol="BTCUSDT", orderId=placed["orderId"])
    assert twice == {"code": -2011, "msg": "Unknown order sent."}
    _, filled = await signed(still, "POST", symbol="BTCUSDT", side="BUY", type="MARKET", quoteOrderQty="500")
    _, known = await signed(still, "GET", symbol="BTCUSDT", orderId=filled["orderId"])
    assert known["status"] == "FILLED"
    assert 490 < float(known["cummulativeQuoteQty"]) <= 500


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"symbol": "NOSUCH"}, -1121),
        ({"quantity": "0.00001"}, 30002),
        ({"quantity": "9000"}, 30004),
        ({"price": "1.001"}, 700004),
        ({"side": ""}, 700004),
    ],
)
async def test_orders_are_refused_in_mexcs_words(
    still: Simulator, changes: dict[str, str], code: int
) -> None:
    status, answer = await signed(still, "POST", **{**LIMIT, **changes})
    assert (status, answer["code"]) == (400, code)


async def test_signatures_and_clocks_are_checked(still: Simulator) -> None:
    account = "/api/v3/account"
    assert (await signed(still, "GET", account))[0] == 200
    assert (await signed(still, "GET", account, secret="wrong"))[1]["code"] == 700002
    assert (await signed(still, "GET", account, key="wrong"))[1]["code"] == 10072
    assert (await signed(still, "GET", account, timestamp=stamp_ms(-6000)))[1]["code"] == 700003
    assert (await signed(still, "GET", account, timestamp=stamp_ms(+3000)))[1]["code"] == 700003
    assert (await signed(still, "GET", account, recvWindow=60001))[1]["code"] == 700005
    assert still.stats.signature_failures == 2


async def test_the_limit_is_per_endpoint(still: Simulator) -> None:
    url = still.rest_url + "/api/v3/exchangeInfo"
    answers = [await call("GET", url) for _ in range(110)]
    refused = [answer for answer in answers if answer[0] == 429]
    assert refused  # 500 weight in 10 s at 10 a call; a window may have turned once meanwhile
    assert json.dumps(refused[0][1]) == '{"code": 429, "msg": "Too many requests"}'
    assert int(refused[0][2]["Retry-After"]) <= 10
    assert (await call("GET", still.rest_url + "/api/v3/time"))[0] == 200
