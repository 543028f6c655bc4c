"""The exchange of docs/add-an-exchange.md, installed as another package's: found, used, and conforming."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from cexnet import (
    Channel,
    Config,
    Credentials,
    ExchangeConfig,
    OrderRequest,
    OrderStatus,
    Secret,
    Side,
    Subscription,
    TransportFactory,
)
from cexnet.exchanges import NAMES, exchange_names, get_exchange
from cexnet_core.errors import AuthenticationError, ConfigurationError, OrderNotFound
from tests.exchanges.acme import API_KEY, API_SECRET, acme_server, install, on_the_path
from tests.websocket.live import Log


@pytest.fixture
def acme(tmp_path: Path) -> Iterator[ModuleType]:
    with on_the_path(tmp_path) as (module, _):
        yield module


def config(host: str) -> Config:
    keys = Credentials(API_KEY, Secret(API_SECRET))
    own = ExchangeConfig(websocket_url=f"ws://{host}", rest_url=f"http://{host}", credentials=keys)
    return Config(exchange={"acme": own})


def test_its_entry_point_leads_to_it(acme: ModuleType) -> None:
    assert exchange_names() == (*NAMES, "acme")
    assert get_exchange("acme") is acme.EXCHANGE


async def test_it_streams_whole_books(acme: ModuleType) -> None:
    log = Log()
    async with acme_server() as (_, host), TransportFactory(config(host)) as factory:
        stream = factory.websocket("acme", whole_books=True)
        wanted = [Subscription(channel, "BTC-USD") for channel in (Channel.DEPTH, Channel.BOOK_TICKER)]
        await stream.initialize(wanted, log.on_event)
        await log.until(lambda: {type(event).__name__ for event in log.events} >= {"DepthSnapshot"})
        await log.until(lambda: sum(type(event).__name__ == "BookTicker" for event in log.events) == 3)
        assert {event.symbol for event in log.events} == {"BTC-USD"}
        with pytest.raises(ConfigurationError, match="no private streams of acme"):
            factory.websocket("acme", scope="private")


async def test_it_trades(acme: ModuleType) -> None:
    async with acme_server() as (exchange, host), TransportFactory(config(host)) as factory:
        rest = factory.rest("acme", scope="private")
        await rest.ping()
        assert await rest.server_time_ms() == 1_700_000_000_000
        placed = await rest.place_order(OrderRequest("BTC-USD", Side.BUY, "0.5", "64000"))
        assert placed.status is OrderStatus.NEW
        assert exchange.orders["1"]["client_id"] == placed.client_order_id
        ended = await rest.cancel_order("BTC-USD", client_order_id=placed.client_order_id)
        assert ended.status is OrderStatus.CANCELED
        assert (await rest.query_order("BTC-USD", order_id="1")) == ended
        with pytest.raises(OrderNotFound):
            await rest.query_order("BTC-USD", order_id="9")
        (weight,) = [b for b in rest.limits().budgets if b.scope.name == "weight"]
        assert weight.remaining < 1200
        public = factory.rest("acme", scope="public")
        await public.depth("BTC-USD", 5)
        with pytest.raises(AuthenticationError):
            await public.query_order("BTC-USD", order_id="1")
        assert exchange.refused == 0


def test_it_conforms_as_its_author_would_see(tmp_path: Path) -> None:
    install(tmp_path)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "17 passed" in done.stdout
