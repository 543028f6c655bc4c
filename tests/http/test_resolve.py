"""From an unknown outcome to a known one, by asking and never by sending again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import get_exchange
from cexnet.http.answers import NeverArrived
from cexnet.http.resolve import find_fate
from cexnet.simulator import Simulator
from cexnet.types import Order, OrderRequest, OrderStatus, Side
from cexnet_core.errors import (
    AuthenticationError,
    Banned,
    CexnetError,
    ConfigurationError,
    DuplicateOrder,
    ExchangeUnavailable,
    OrderNotFound,
    OutcomeUnknown,
)
from tests.http.accounts import LIMIT_BUY
from tests.http.client import PLACED, TIME, manager
from tests.http.peer import Peer, drop, hang, reply

MINE = replace(LIMIT_BUY, client_order_id="mine")
NOT_FOUND = reply({"code": -2013, "msg": "Order does not exist."}, status=400)
DUPLICATE = reply({"code": -2010, "msg": "Duplicate order sent."}, status=400)
BUSY = reply(status=503, body=b"")
ORDER = Order("BTCUSDT", "7", "mine", OrderStatus.NEW, Side.BUY, "1", "1", "0")

Query = Callable[[float], Awaitable[Order]]


def scripted(*answers: Order | CexnetError) -> tuple[Query, list[float]]:
    """A query that gives these answers in turn, the last one for ever, and notes each call's time."""
    left = list(answers)
    asked: list[float] = []

    async def query(left_s: float) -> Order:
        asked.append(asyncio.get_running_loop().time())
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Order):
            return answer
        raise answer

    return query, asked


async def fate(query: Query, settle_s: float = 0.0, deadline_s: float = 60.0) -> Order | NeverArrived:
    return await find_fate(query, "BTCUSDT", "mine", settle_s=settle_s, deadline_s=deadline_s)


MISS = OrderNotFound("no such order")
DOWN = ExchangeUnavailable("down", outcome="unknown", retryable=True)


async def test_an_order_that_shows_up_late_is_found() -> None:
    query, asked = scripted(MISS, MISS, ORDER)
    assert await fate(query) is ORDER
    assert len(asked) == 3


async def test_absence_is_believed_after_several_queries_and_the_settling_time() -> None:
    query, asked = scripted(MISS)
    found = await fate(query)
    assert isinstance(found, NeverArrived)
    assert (found.symbol, found.client_order_id, found.queries) == ("BTCUSDT", "mine", 3)
    query, asked = scripted(MISS)
    began = asyncio.get_running_loop().time()
    found = await fate(query, settle_s=0.5)
    assert isinstance(found, NeverArrived)
    assert found.queries == len(asked) > 3
    assert asked[-1] - began >= 0.5


async def test_a_query_that_failed_proves_nothing() -> None:
    query, asked = scripted(MISS, MISS, DOWN, MISS, MISS, MISS)
    assert isinstance(await fate(query), NeverArrived)
    assert len(asked) == 6


async def test_the_deadline_leaves_it_unknown() -> None:
    for trouble in (MISS, DOWN):
        query, _ = scripted(trouble)
        with pytest.raises(OutcomeUnknown, match="Call resolve_unknown") as caught:
            await fate(query, settle_s=1000, deadline_s=0.3)
        assert (caught.value.outcome, caught.value.symbol, caught.value.client_order_id) == (
            "unknown",
            "BTCUSDT",
            "mine",
        )
        assert caught.value.__cause__ is trouble


@pytest.mark.parametrize(
    "trouble", [AuthenticationError("key revoked"), Banned("out", retryable=True, retry_after_s=600)]
)
async def test_a_query_that_is_refused_never_reads_as_a_refused_order(trouble: CexnetError) -> None:
    query, asked = scripted(trouble)
    with pytest.raises(OutcomeUnknown) as caught:
        await fate(query)
    assert caught.value.__cause__ is trouble
    assert len(asked) == 1


async def test_a_page_of_something_in_between_settles_nothing() -> None:
    page = reply(status=400, body=b"<html>Bad Request</html>", content_type="text/html")
    async with Peer(page, page, reply(PLACED | {"clientOrderId": "mine"})) as peer, manager(peer) as rest:
        unknown = OutcomeUnknown("?", symbol="BTCUSDT", client_order_id="mine")
        order = await rest.resolve_unknown(unknown)
        assert isinstance(order, Order)
        assert (order.order_id, len(peer.seen)) == ("7", 3)


async def test_the_error_is_enough_to_find_the_order() -> None:
    async with Peer(drop()) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown) as caught:
            await rest.place_order(LIMIT_BUY)
        assert caught.value.symbol == "BTCUSDT"
        assert rest.metrics().unsettled == 1
        own_id = caught.value.client_order_id
        peer.steps = [NOT_FOUND, BUSY, reply({**PLACED, "clientOrderId": own_id})]
        order = await rest.resolve_unknown(caught.value)
        assert isinstance(order, Order)
        assert (order.order_id, order.client_order_id) == ("7", own_id)
        assert rest.metrics().unsettled == 0
        assert [seen.method for seen in peer.seen] == ["POST"] + ["GET"] * 3
        assert {seen.query["origClientOrderId"] for seen in peer.seen[1:]} == {own_id}


async def test_an_order_that_never_arrived_is_said_to_be_so() -> None:
    async with Peer(drop()) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown) as caught:
            await rest.place_order(MINE)
        peer.steps = [NOT_FOUND]
        found = await rest.resolve_unknown(caught.value, settle_s=0)
        assert isinstance(found, NeverArrived)
        assert (found.client_order_id, found.queries) == ("mine", 3)
        with pytest.raises(OutcomeUnknown):  # by default the signature must have run out
            await rest.resolve_unknown(caught.value, deadline_s=0.2)


async def test_what_an_unknown_cancel_did_is_the_orders_status() -> None:
    async with Peer(drop()) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown) as caught:
            await rest.cancel_order("BTCUSDT", client_order_id="mine")
        peer.steps = [reply({**PLACED, "status": "CANCELED"})]
        order = await rest.resolve_unknown(caught.value)
        assert isinstance(order, Order)
        assert order.status is OrderStatus.CANCELED


async def test_what_cannot_be_looked_up_is_refused() -> None:
    async with Peer(drop()) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown) as caught:
            await rest.post("/api/v3/order", client_order_id="mine")
        with pytest.raises(ConfigurationError, match="symbol"):
            await rest.resolve_unknown(caught.value)
        peer.steps = [reply(PLACED)]
        assert isinstance(await rest.resolve_unknown(caught.value, symbol="BTCUSDT"), Order)
        peer.steps = [drop()]
        with pytest.raises(OutcomeUnknown) as caught:
            await rest.cancel_order("BTCUSDT", order_id="7")
        with pytest.raises(ConfigurationError, match="client order id"):
            await rest.resolve_unknown(caught.value)


async def test_a_duplicate_after_an_unknown_outcome_was_accepted() -> None:
    async with (
        Peer(drop(), DUPLICATE, reply({**PLACED, "clientOrderId": "mine"})) as peer,
        manager(peer) as rest,
    ):
        with pytest.raises(OutcomeUnknown):
            await rest.place_order(MINE)
        placed = await rest.place_order(MINE)
        assert (placed.order_id, placed.client_order_id) == ("7", "mine")
        assert [seen.method for seen in peer.seen] == ["POST", "POST", "GET"]
        peer.steps = [DUPLICATE]
        with pytest.raises(DuplicateOrder):  # it is settled now: this one is the caller's mistake
            await rest.place_order(MINE)


async def test_a_duplicate_after_the_caller_gave_up_waiting_was_accepted() -> None:
    async with Peer(hang()) as peer, manager(peer) as rest:
        create = asyncio.create_task(rest.place_order(MINE))
        await peer.arrived.wait()
        create.cancel()
        await asyncio.gather(create, return_exceptions=True)
        assert rest.metrics().unsettled == 1
        peer.steps = [DUPLICATE, reply({**PLACED, "clientOrderId": "mine"})]
        assert (await rest.place_order(MINE)).order_id == "7"


async def test_a_duplicate_of_an_id_that_we_minted_was_accepted() -> None:
    async with Peer(DUPLICATE, NOT_FOUND, reply(PLACED)) as peer, manager(peer) as rest:
        assert (await rest.place_order(LIMIT_BUY)).order_id == "7"
        assert [seen.method for seen in peer.seen] == ["POST", "GET", "GET"]
        peer.steps = [DUPLICATE]
        with pytest.raises(DuplicateOrder):
            await rest.place_order(MINE)


async def test_a_duplicate_after_a_try_that_surely_did_nothing_is_the_callers_mistake() -> None:
    """The id belongs to an earlier order, which must not be taken for this one."""
    skewed = reply({"code": -1021, "msg": "Timestamp outside of the recvWindow."}, status=400)
    earlier = reply({**PLACED, "clientOrderId": "mine", "price": "1.00", "status": "FILLED"})
    async with Peer(skewed, *[reply(TIME)] * 3, DUPLICATE, earlier) as peer, manager(peer) as rest:
        with pytest.raises(DuplicateOrder):
            await rest.place_order(MINE)
        assert [seen.method for seen in peer.seen] == ["POST", "GET", "GET", "GET", "POST"]


async def test_a_duplicate_that_cannot_be_looked_up_stays_unknown() -> None:
    async with Peer(drop(), DUPLICATE, BUSY) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown):
            await rest.place_order(MINE)
        with pytest.raises(OutcomeUnknown, match="queries did not settle") as caught:
            await rest.place_order(MINE, deadline_s=2)
        assert caught.value.client_order_id == "mine"
        assert [seen.method for seen in peer.seen].count("POST") == 2


async def test_a_duplicate_of_our_own_that_cannot_be_looked_up_is_remembered() -> None:
    refused = reply({"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, status=401)
    async with Peer(DUPLICATE, refused) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown) as caught:
            await rest.place_order(LIMIT_BUY)
        assert rest.metrics().unsettled == 1
        own_id = caught.value.client_order_id
        peer.steps = [DUPLICATE, reply({**PLACED, "clientOrderId": own_id})]
        assert (await rest.place_order(replace(LIMIT_BUY, client_order_id=own_id))).order_id == "7"
        assert rest.metrics().unsettled == 0


VENUES = {
    "binance": ("BTCUSDT", "lost", "none"),
    "gateio": ("BTC_USDT", "t-lost", "t-none"),
    "mexc": ("BTCUSDT", "lost", "none"),
}


@pytest.mark.parametrize("exchange", VENUES)
async def test_every_exchange_tells_the_fate_of_an_order(exchange: str) -> None:
    symbol, lost, none = VENUES[exchange]
    async with Simulator(exchange, [symbol]) as sim:
        credentials = Credentials(sim.api_key, Secret(sim.api_secret))
        async with get_exchange(exchange).rest_manager(sim.rest_url, credentials) as rest:
            bid = (await rest.depth(symbol, 5)).bids[0][0]
            price = f"{float(bid) * 0.8:.2f}"
            await rest.place_order(OrderRequest(symbol, Side.BUY, "0.01", price, client_order_id=lost))
            unknown = OutcomeUnknown("?", outcome="unknown", client_order_id=lost, symbol=symbol)
            order = await rest.resolve_unknown(unknown)
            assert isinstance(order, Order)
            assert order.client_order_id == lost
            unknown = OutcomeUnknown("?", outcome="unknown", client_order_id=none, symbol=symbol)
            assert isinstance(await rest.resolve_unknown(unknown, settle_s=0), NeverArrived)
