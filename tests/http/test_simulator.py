"""The managers against the embedded exchange: signatures truly verified, orders truly kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import ModuleType

import pytest

from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import binance_rest, gateio_rest, mexc_rest
from cexnet.http.manager import RestManager
from cexnet.simulator import Simulator
from cexnet.simulator.personas import PERSONAS
from cexnet.types import OrderRequest, OrderStatus, Side
from cexnet_core.errors import (
    AuthenticationError,
    DuplicateOrder,
    InvalidRequest,
    OrderFinished,
    OrderNotFound,
)

VENUES = {
    "binance": (binance_rest, "BTCUSDT"),
    "gateio": (gateio_rest, "BTC_USDT"),
    "mexc": (mexc_rest, "BTCUSDT"),
}
Venue = tuple[RestManager, str, Simulator, ModuleType]


@pytest.fixture(params=[name for name in VENUES if name in PERSONAS])
async def venue(request: pytest.FixtureRequest) -> AsyncIterator[Venue]:
    module, symbol = VENUES[request.param]
    async with Simulator(request.param, [symbol], rate_per_s=50) as sim:
        credentials = Credentials(sim.api_key, Secret(sim.api_secret))
        async with module.rest_manager(sim.rest_url, credentials) as rest:
            yield rest, symbol, sim, module


async def resting(rest: RestManager, symbol: str, client_order_id: str = "") -> OrderRequest:
    """An order far below the market."""
    book = await rest.depth(symbol, 5)
    price = f"{float(book.bids[0][0]) * 0.8:.2f}"
    return OrderRequest(symbol, Side.BUY, "0.01", price, client_order_id=client_order_id)


async def test_clock_and_book(venue: Venue) -> None:
    rest, symbol, _, _ = venue
    await rest.ping()
    assert await rest.server_time_ms() > 1_600_000_000_000
    book = await rest.depth(symbol, 20)
    assert book.sequence > 0
    assert float(book.bids[0][0]) < float(book.asks[0][0])
    await rest.sync_clock()
    assert abs(rest.clock.offset_ns) < 10**9


async def test_an_order_lives_and_is_cancelled(venue: Venue) -> None:
    rest, symbol, sim, _ = venue
    placed = await rest.place_order(await resting(rest, symbol))
    assert placed.status is OrderStatus.NEW
    assert placed.client_order_id
    found = await rest.query_order(symbol, client_order_id=placed.client_order_id)
    assert (found.order_id, found.side, found.status) == (
        placed.order_id,
        Side.BUY,
        OrderStatus.NEW,
    )
    canceled = await rest.cancel_order(symbol, order_id=placed.order_id)
    assert canceled.status is OrderStatus.CANCELED
    assert canceled.client_order_id == placed.client_order_id
    again = await rest.query_order(symbol, order_id=placed.order_id)
    assert again.status is OrderStatus.CANCELED
    assert (sim.stats.orders, sim.stats.signature_failures) == (1, 0)
    assert rest.counters.errors == 0


async def test_an_order_that_crosses_is_filled(venue: Venue) -> None:
    rest, symbol, _, _ = venue
    book = await rest.depth(symbol, 5)
    price = f"{float(book.asks[-1][0]) * 1.02:.2f}"
    placed = await rest.place_order(OrderRequest(symbol, Side.BUY, "0.001", price))
    found = await rest.query_order(symbol, order_id=placed.order_id)
    assert found.status is OrderStatus.FILLED
    assert float(found.filled_quantity) == 0.001


async def test_the_exchanges_refusals(venue: Venue) -> None:
    rest, symbol, sim, module = venue
    with pytest.raises(OrderNotFound):
        await rest.query_order(symbol, order_id="999999999")
    with pytest.raises(InvalidRequest):
        await rest.depth("NOSUCH_PAIR")
    mine = module.CLIENT_ORDER_IDS.prefix + "once"
    placed = await rest.place_order(await resting(rest, symbol, mine))
    with pytest.raises(DuplicateOrder) as caught:
        await rest.place_order(await resting(rest, symbol, mine))
    assert caught.value.client_order_id == mine
    await rest.cancel_order(symbol, client_order_id=mine)
    with pytest.raises((OrderNotFound, OrderFinished)):
        await rest.cancel_order(symbol, order_id=placed.order_id)
    wrong = Credentials(sim.api_key, Secret("not the secret"))
    async with module.rest_manager(sim.rest_url, wrong) as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.query_order(symbol, order_id=placed.order_id)
    assert sim.stats.signature_failures == 1
