"""What the configuration says of requests holds for the managers that the factory makes."""

from __future__ import annotations

import asyncio

import pytest

from cexnet import Config, TransportFactory
from cexnet.config import ExchangeConfig, NetworkConfig, RestConfig, config_from_dict
from cexnet.http import BreakerChange, BreakerPolicy
from cexnet.simulator import Simulator
from cexnet_core.errors import CircuitOpen, ConfigurationError, DeadlineExceeded, ExchangeUnavailable
from tests.http.peer import Peer, hang, reply
from tests.websocket.proxies import socks5_proxy


async def test_breaker_and_listener() -> None:
    changes: list[BreakerChange] = []
    rest = RestConfig(breaker=BreakerPolicy(minimum_calls=3))
    async with Peer(reply(status=500, body=b"")) as peer:
        config = Config(exchange={"mexc": ExchangeConfig(rest_url=peer.url)}, rest=rest)
        async with TransportFactory(config) as factory:
            manager = factory.rest("mexc", on_breaker=changes.append)
            with pytest.raises(ExchangeUnavailable):
                await manager.ping()
            with pytest.raises(CircuitOpen):
                await manager.ping()
    assert [(change.manager, change.group, change.after) for change in changes] == [
        ("mexc", "public", "open")
    ]


async def test_an_exchanges_own_table_counts() -> None:
    async with Peer(hang()) as peer:
        own = ExchangeConfig(rest_url=peer.url, rest=RestConfig(deadline_s=0.05))
        async with TransportFactory(Config(exchange={"binance": own})) as factory:
            with pytest.raises(DeadlineExceeded):
                await factory.rest("binance").ping()


async def test_clock_and_hedging() -> None:
    async with Simulator("gateio", ["BTC_USDT"]) as sim:
        tree = {
            "rest": {"clock_every_s": 0.05, "hedging": {"share": 0.1}},
            "exchange": {"gateio": {"rest_url": sim.rest_url}},
        }
        async with TransportFactory(config_from_dict(tree)) as factory:
            manager = factory.rest("gateio")
            await manager.ping()
            while manager.metrics().clock.syncs < 2:
                await asyncio.sleep(0.01)
            assert manager.metrics().hedges is not None


async def test_through_the_configured_proxy() -> None:
    async with (
        Peer(reply({"serverTime": 5})) as peer,
        socks5_proxy() as (proxy, seen),
    ):
        own = ExchangeConfig(rest_url=peer.url)
        config = Config(exchange={"binance": own}, network=NetworkConfig(proxy=proxy))
        async with TransportFactory(config) as factory:
            manager = factory.rest("binance")
            assert await manager.server_time_ms() == 5
            assert manager.metrics().pool.requests == 1
        assert len(seen) == 1


@pytest.mark.parametrize(
    "table",
    [{"breaker": {"probes": 0}}, {"breaker": {"porbes": 1}}, {"hedging": {"share": 2}}, {"clock_every_s": 0}],
)
def test_nonsense_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        config_from_dict({"rest": table})
