"""A manager with a snapshot provider: books begin whole and are mended after gaps and losses."""

from __future__ import annotations

import pytest

from cexnet.config import Config, ExchangeConfig
from cexnet.exchanges import get_exchange
from cexnet.factory import TransportFactory
from cexnet.simulator import Simulator
from cexnet.types import Channel
from cexnet.websocket import MessageParser, SessionState
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import DepthSnapshot, DepthUpdate
from tests.websocket.live import QUICK, Log, quick_manager, topics_of


def assert_whole(log: Log, symbol: str) -> None:
    """From the first snapshot on, each update follows the event before it."""
    last = -1
    for event in log.events:
        if event.symbol != symbol:
            continue
        if isinstance(event, DepthSnapshot):
            last = event.sequence
        elif isinstance(event, DepthUpdate) and last >= 0:
            assert event.first_sequence <= last + 1 <= event.sequence
            last = event.sequence
    assert last >= 0


@pytest.mark.parametrize("name", ["binance", "gateio", "mexc"])
@pytest.mark.parametrize("fault", ["gap:after=20", "reset:after=60"])
async def test_books_are_mended(name: str, fault: str) -> None:
    log = Log()
    exchange = get_exchange(name)
    symbols = exchange.symbols[:2]
    async with Simulator(name, symbols, rate_per_s=1000) as simulator:
        config = Config(
            exchange={name: ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)}
        )
        async with TransportFactory(config) as factory:
            manager = factory.websocket(name, on_state=log.on_state, whole_books=True)
            manager.strategies.connection.reconnect = QUICK
            await manager.initialize(topics_of(*symbols, channels=(Channel.DEPTH,)), log.on_event)
            snapshots = {("DepthSnapshot", symbol) for symbol in symbols}
            await log.until(lambda: snapshots <= log.counts.keys())
            simulator.inject(fault)
            await log.until(lambda: manager.metrics().recovered_books >= 1)
            await log.until(lambda: manager.live)
            await log.more(20)
            metrics = manager.metrics()
    for symbol in symbols:
        assert_whole(log, symbol)
    assert metrics.reconnects == fault.startswith("reset")


async def test_swap_takes_the_books_along() -> None:
    log = Log()
    exchange = get_exchange("binance")
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=1000) as simulator:
        config = Config(
            exchange={"binance": ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)}
        )
        async with TransportFactory(config) as factory:
            manager = factory.websocket("binance", whole_books=True)
            await manager.initialize(topics_of("BTCUSDT", channels=(Channel.DEPTH,)), log.on_event)
            await log.until(lambda: ("DepthSnapshot", "BTCUSDT") in log.counts)
            manager.swap(MessageParser(exchange.schema, name="other"))
            simulator.inject("gap")
            await log.until(lambda: manager.metrics().recovered_books == 1)
            await log.more(20)
    assert_whole(log, "BTCUSDT")
    assert SessionState.BACKING_OFF not in log.states


async def test_on_book_without_a_provider_is_refused() -> None:
    log = Log()
    async with Simulator("binance", ("BTCUSDT",)) as simulator:
        with pytest.raises(ConfigurationError, match="snapshot provider"):
            quick_manager("binance", simulator, log, on_book=print)
