"""An engine with everything on that is measured, and what a scrape of it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from cexnet import Channel, Config, ExchangeConfig, OrderRequest, Side, Subscription, TransportFactory
from cexnet.config import RestConfig, TargetsConfig
from cexnet.credentials import Credentials
from cexnet.http.hedge import HedgePolicy
from cexnet.http.manager import RestManager
from cexnet.simulator import Simulator
from cexnet.telemetry import Monitor
from cexnet.telemetry.prometheus import ManagerCollector, MetricsServer
from cexnet.websocket import Delivery, WebSocketManager
from cexnet_core.errors import ExchangeError
from cexnet_core.secret import Secret


@dataclass
class Engine:
    """One manager of each kind, watched, and where their metrics are served."""

    stream: WebSocketManager
    rest: RestManager
    monitor: Monitor
    collector: ManagerCollector
    server: MetricsServer

    async def scrape(self) -> list[Metric]:
        """What a scrape over HTTP says, in the client's own reading."""
        return parsed(await fetch(self.server.url))


async def fetch(url: str, accept: str = "text/plain") -> str:
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Accept": accept}) as response:
        text = await response.text()
        assert response.status == 200, text
        return text


def parsed(text: str) -> list[Metric]:
    return list(text_string_to_metric_families(text))


def values(families: Iterable[Metric], name: str) -> dict[tuple[str, ...], float]:
    """The samples of one name by the values of their labels, in the order of the labels' names."""
    return {
        tuple(text for _, text in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


@asynccontextmanager
async def running_engine(*, max_topics: int = 200) -> AsyncIterator[Engine]:
    """Streams and asks until there is something to tell of every stage."""
    keys = {"api_key": "simulator-key", "api_secret": "simulator-secret"}
    async with Simulator("binance", ("BTCUSDT", "ETHUSDT"), rate_per_s=500, **keys) as simulator:
        settings = ExchangeConfig(
            websocket_url=simulator.ws_url,
            rest_url=simulator.rest_url,
            credentials=Credentials(keys["api_key"], Secret(keys["api_secret"])),
        )
        rests = RestConfig(hedging=HedgePolicy(), clock_every_s=3600.0)
        config = Config(exchange={"binance": settings}, rest=rests)
        async with (
            TransportFactory(config) as factory,
            Monitor(TargetsConfig(), check_s=60.0) as monitor,
        ):
            stream, rest = factory.websocket("binance"), factory.rest("binance")
            wanted = [
                Subscription(channel, symbol)
                for channel in (Channel.TRADES, Channel.BOOK_TICKER, Channel.DEPTH)
                for symbol in ("BTCUSDT", "ETHUSDT")
            ]
            await stream.initialize(wanted, Delivery(1000, "drop_oldest"))
            taken = 0
            async for _ in stream.events():
                taken += 1
                if taken == 100:
                    break
            await rest.ping()
            with pytest.raises(ExchangeError):
                await rest.place_order(OrderRequest("NOSUCH", Side.BUY, "1", "1"))
            monitor.add(stream)
            monitor.add(rest)
            await monitor.look()
            collector = ManagerCollector(max_topics=max_topics)
            collector.add(stream)
            collector.add(rest)
            collector.add_monitor(monitor)
            server = MetricsServer(collector)
            try:
                yield Engine(stream, rest, monitor, collector, server)
            finally:
                await server.close()
