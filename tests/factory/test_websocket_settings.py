"""What the configuration says of streams holds for the connections that the factory's managers make."""

from __future__ import annotations

import pytest

from cexnet import Channel, Config, Subscription, TransportFactory
from cexnet.config import ExchangeConfig, NetworkConfig, WebSocketConfig
from cexnet.simulator import Simulator
from cexnet_core.errors import ConfigurationError, ProtocolError
from tests.websocket.live import Log
from tests.websocket.proxies import http_proxy, socks5_proxy

WANTED = [Subscription(Channel.BOOK_TICKER, "BTCUSDT")]


async def stream(simulator: Simulator, **tables: object) -> Log:
    """Stream a little, with ``tables`` in the configuration."""
    log = Log()
    config = Config(exchange={"binance": ExchangeConfig(websocket_url=simulator.ws_url)}, **tables)  # type: ignore[arg-type]
    async with TransportFactory(config) as factory:
        manager = factory.websocket("binance")
        await manager.initialize(WANTED, log.on_event)
        await log.more(5)
    return log


@pytest.mark.parametrize("make_proxy", [http_proxy, socks5_proxy])
async def test_through_the_configured_proxy(make_proxy: object) -> None:
    async with (
        Simulator("binance", ("BTCUSDT",), rate_per_s=200) as simulator,
        make_proxy() as (proxy, seen),  # type: ignore[operator]
    ):
        assert (await stream(simulator, network=NetworkConfig(proxy=proxy))).events
        assert len(seen) == 1


async def test_from_the_configured_address() -> None:
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=200) as simulator:
        config = Config(
            exchange={"binance": ExchangeConfig(websocket_url=simulator.ws_url)},
            network=NetworkConfig(local_address="127.0.0.2"),
        )
        log = Log()
        async with TransportFactory(config) as factory:
            await factory.websocket("binance").initialize(WANTED, log.on_event)
            assert [connection.peer for connection in simulator.connections] == ["127.0.0.2"]


async def test_redundancy_of_the_configuration_and_of_the_call() -> None:
    config = Config(websocket=WebSocketConfig(redundancy=3))
    async with TransportFactory(config) as factory:
        assert factory.websocket("binance").redundancy == 3
        assert factory.websocket("binance", redundancy=1).redundancy == 1


async def test_a_bound_on_messages_is_obeyed() -> None:
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=200) as simulator:
        config = Config(
            exchange={"binance": ExchangeConfig(websocket_url=simulator.ws_url)},
            websocket=WebSocketConfig(max_message_bytes=16),
        )
        async with TransportFactory(config) as factory:
            with pytest.raises(ProtocolError, match="16"):
                await factory.websocket("binance").initialize(WANTED, print)


async def test_tls_files_are_read_when_the_manager_is_made() -> None:
    async with TransportFactory(Config(network=NetworkConfig(ca_file="absent.pem"))) as factory:
        with pytest.raises(ConfigurationError, match=r"absent\.pem"):
            factory.websocket("binance")
