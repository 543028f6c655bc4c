"""A cancel takes back an order that still waits; nothing of it reaches the exchange."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cexnet.exchanges import binance_rest
from cexnet.http.limits import LimitScope, ScopedLimiter
from cexnet.http.manager import RestManager
from cexnet.http.retry import FullJitterRetry
from cexnet.types import OrderRequest, OrderStatus
from cexnet_core.errors import (
    CexnetError,
    DeadlineExceeded,
    DuplicateOrder,
    OrderCancelled,
    OrderNotFound,
    RequestNotSent,
)
from tests.http.accounts import LIMIT_BUY
from tests.http.client import PLACED, manager, strategies
from tests.http.peer import Peer, hang, reply

MINE = replace(LIMIT_BUY, client_order_id="mine")
# One order, and the next in ten minutes.
ONE_ORDER = (LimitScope("orders_10s", 1, 600),)


def one_order(peer: Peer, **options: Any) -> RestManager:
    base = replace(strategies(), limits=ScopedLimiter(ONE_ORDER))
    return RestManager(base, base_url=peer.url, deadline_s=1000, **options)


async def waiting(rest: RestManager) -> None:
    limits = rest.strategies.limits
    assert isinstance(limits, ScopedLimiter)
    while not limits.waiting:
        await asyncio.sleep(0)


async def test_an_order_in_the_limiter_is_taken_back() -> None:
    async with Peer(reply(PLACED)) as peer, one_order(peer) as rest:
        await rest.place_order(LIMIT_BUY)
        create = asyncio.create_task(rest.place_order(MINE))
        await waiting(rest)
        assert rest.metrics().placing == 1
        canceled = await rest.cancel_order("BTCUSDT", client_order_id="mine")
        assert (canceled.status, canceled.order_id) == (OrderStatus.CANCELED, "")
        assert (canceled.client_order_id, canceled.quantity, canceled.filled_quantity) == ("mine", "0.5", "0")
        with pytest.raises(OrderCancelled, match="nothing was sent") as caught:
            await create
        assert isinstance(caught.value, RequestNotSent)
        assert (caught.value.outcome, caught.value.client_order_id) == ("not_sent", "mine")
        assert not create.cancelled()
        assert len(peer.seen) == 1
        assert rest.metrics().placing == 0
        limits = rest.strategies.limits
        assert isinstance(limits, ScopedLimiter)
        assert limits.waiting == 0


async def test_an_order_that_waits_for_a_connection_is_taken_back() -> None:
    async with Peer(hang()) as peer, manager(peer, connections=1, deadline_s=1000) as rest:
        first = asyncio.create_task(rest.ping())
        await peer.arrived.wait()
        create = asyncio.create_task(rest.place_order(MINE))
        for _ in range(20):
            await asyncio.sleep(0)
        assert (await rest.cancel_order("BTCUSDT", client_order_id="mine")).status is OrderStatus.CANCELED
        with pytest.raises(OrderCancelled):
            await create
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert len(peer.seen) == 1


async def test_an_order_between_two_tries_is_taken_back() -> None:
    async with Peer(reply({})) as peer:
        url = peer.url  # nobody listens there any more
    slow = replace(strategies(), retry=FullJitterRetry(base_s=500, cap_s=500, uniform=lambda low, high: high))
    async with RestManager(slow, base_url=url, deadline_s=1000) as rest:
        create = asyncio.create_task(rest.place_order(MINE))
        while not rest.counters.retries:
            await asyncio.sleep(0)
        assert (await rest.cancel_order("BTCUSDT", client_order_id="mine")).order_id == ""
        with pytest.raises(OrderCancelled):
            await create
        assert rest.counters.tries == 1


async def test_an_order_on_its_way_is_cancelled_at_the_exchange() -> None:
    unknown = reply({"code": -2011, "msg": "Unknown order sent."}, status=400)
    async with Peer(hang(), unknown) as peer, manager(peer, deadline_s=1000) as rest:
        create = asyncio.create_task(rest.place_order(MINE))
        await peer.arrived.wait()
        with pytest.raises(OrderNotFound):
            await rest.cancel_order("BTCUSDT", client_order_id="mine")
        assert [seen.method for seen in peer.seen] == ["POST", "DELETE"]
        assert not create.done()
        create.cancel()
        with pytest.raises(asyncio.CancelledError):
            await create


async def test_only_the_order_that_is_named_is_taken_back() -> None:
    canceled = reply({**PLACED, "status": "CANCELED"})
    async with Peer(reply(PLACED), canceled) as peer, one_order(peer) as rest:
        await rest.place_order(LIMIT_BUY)
        create = asyncio.create_task(rest.place_order(MINE))
        await waiting(rest)
        await rest.cancel_order("ETHUSDT", client_order_id="mine")
        await rest.cancel_order("BTCUSDT", client_order_id="other")
        await rest.cancel_order("BTCUSDT", order_id="7")
        assert [seen.method for seen in peer.seen] == ["POST", "DELETE", "DELETE", "DELETE"]
        assert not create.done()
        create.cancel()
        await asyncio.gather(create, return_exceptions=True)


async def test_the_callers_own_cancellation_stays_one() -> None:
    async with Peer(reply(PLACED)) as peer, one_order(peer) as rest:
        await rest.place_order(LIMIT_BUY)
        create = asyncio.create_task(rest.place_order(MINE))
        await waiting(rest)
        cancel = asyncio.create_task(rest.cancel_order("BTCUSDT", client_order_id="mine"))
        await asyncio.sleep(0)
        create.cancel()
        with pytest.raises(asyncio.CancelledError):
            await create
        assert (await cancel).status is OrderStatus.CANCELED
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await rest.place_order(MINE)
        with pytest.raises(DeadlineExceeded):
            await rest.place_order(MINE, deadline_s=0.01)
        assert len(peer.seen) == 1


async def test_the_task_that_placed_it_goes_on_unharmed() -> None:
    async with Peer(reply(PLACED)) as peer, one_order(peer) as rest:
        await rest.place_order(LIMIT_BUY)

        async def engine() -> str:
            try:
                await rest.place_order(MINE)
            except OrderCancelled:
                await asyncio.sleep(0)  # would raise, were the cancellation still pending
                assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
                return "went on"
            return "placed"

        task = asyncio.create_task(engine())
        await waiting(rest)
        await rest.cancel_order("BTCUSDT", client_order_id="mine")
        assert await task == "went on"


async def test_an_id_that_is_being_placed_is_not_placed_twice() -> None:
    async with Peer(hang()) as peer, manager(peer, deadline_s=1000) as rest:
        create = asyncio.create_task(rest.place_order(MINE))
        await peer.arrived.wait()
        with pytest.raises(DuplicateOrder, match="being placed already") as caught:
            await rest.place_order(MINE)
        assert caught.value.outcome == "not_sent"
        assert len(peer.seen) == 1
        create.cancel()
        await asyncio.gather(create, return_exceptions=True)


async def test_a_cancel_at_every_step_takes_back_or_asks_the_exchange() -> None:
    """After 0, 1, 2, ... turns of the loop: never both, never neither."""
    canceled = reply({**PLACED, "status": "CANCELED"})
    taken_back = asked = 0
    for turns in range(200):
        async with Peer(reply(PLACED), canceled) as peer, manager(peer) as rest:
            create = asyncio.create_task(
                rest.place_order(OrderRequest("BTCUSDT", "buy", "1", "2", client_order_id="m"))
            )  # type: ignore[arg-type]
            for _ in range(turns):
                await asyncio.sleep(0)
            finished = create.done()
            try:
                order = await rest.cancel_order("BTCUSDT", client_order_id="m")
            except CexnetError:
                pytest.fail("the cancel failed")
            if order.order_id:
                asked += 1
                outcome = (await asyncio.gather(create, return_exceptions=True))[0]
                assert not isinstance(outcome, OrderCancelled)
            else:
                taken_back += 1
                with pytest.raises(OrderCancelled):
                    await create
                assert not peer.seen
            if finished:
                break
    else:
        pytest.fail("the call never finished")
    assert taken_back > 2
    assert asked > 2


def test_binance_says_how_long_a_signature_holds() -> None:
    assert binance_rest.rest_strategies(recv_window_ms=3000).auth.validity_s == 3
