"""The managers against the embedded exchange: signatures truly verified, orders truly kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import binance_rest, gateio_rest, get_exchange, mexc_rest
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
        async with get_exchange(request.param).rest_manager(sim.rest_url, credentials) as rest:
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
    assert placed.average_price is None
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
    assert found.average_price is not None
    assert 0 < float(found.average_price) <= float(price)


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
    async with get_exchange(rest.name).rest_manager(sim.rest_url, wrong) as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.query_order(symbol, order_id=placed.order_id)
    assert sim.stats.signature_failures == 1


@pytest.mark.parametrize("password", [None, "open sesame"])
async def test_orders_signed_with_a_private_key(password: str | None) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    lock = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
    async with Simulator("binance", ["BTCUSDT"], public_key=public.decode()) as sim:
        credentials = Credentials(
            sim.api_key, Secret(pem), key_password=Secret(password) if password else None
        )
        async with get_exchange("binance").rest_manager(sim.rest_url, credentials) as rest:
            for _ in range(20):  # base64 with and without the characters that a query escapes
                placed = await rest.place_order(await resting(rest, "BTCUSDT"))
                await rest.cancel_order("BTCUSDT", order_id=placed.order_id)
            assert rest.metrics().variants[0].sign.count == rest.latency.sign.count >= 40
        assert sim.stats.signature_failures == 0


async def test_odd_parameters_are_signed_as_they_are_sent(venue: Venue) -> None:
    rest, symbol, sim, _ = venue
    name = "currency_pair" if "_" in symbol else "symbol"
    path = "/api/v4/spot/open_orders" if "_" in symbol else "/api/v3/openOrders"
    odd = {name: symbol, "note": "ä/☃ +&=%", "empty": "", "list": ["a", "b c"], "n": 0.00001, "on": True}
    answer = await rest.get(path, params=odd)
    assert answer.status == 200
    assert sim.stats.signature_failures == 0
