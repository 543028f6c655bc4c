"""What a scrape over HTTP says is what the managers have counted."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from cexnet import Channel, Config, ExchangeConfig, Subscription, TransportFactory
from cexnet.http.retry import FullJitterRetry
from cexnet.simulator import Simulator
from cexnet_core.errors import ConfigurationError

pytest.importorskip("prometheus_client", reason="the extra `metrics` is not installed")

from prometheus_client.parser import text_string_to_metric_families

from cexnet.telemetry.prometheus import ManagerCollector, MetricsServer
from tests.websocket.live import Log


async def scrape(url: str) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        text = await response.text()
        assert response.status == 200, text
    return {
        (sample.name, sample.labels.pop("manager"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_scrape_tells_what_was_counted() -> None:
    log = Log()
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=500) as simulator:
        settings = ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)
        async with TransportFactory(Config(exchange={"binance": settings})) as factory:
            stream, rest = factory.websocket("binance"), factory.rest("binance")
            wanted = [Subscription(channel, "BTCUSDT") for channel in (Channel.TRADES, Channel.BOOK_TICKER)]
            await stream.initialize(wanted, log.on_event)
            await log.more(50)
            await rest.ping()
            rest.swap(retry=FullJitterRetry())  # what is scraped does not start anew
            await rest.ping()
            await rest.ping()
            collector = ManagerCollector()
            collector.add(stream)
            collector.add(rest)
            with pytest.raises(ConfigurationError, match="another name"):
                collector.add(stream)
            server = MetricsServer(collector)
            try:
                await stream.unsubscribe(wanted)  # from here on the counters stand still
                await asyncio.sleep(0)
                found = await scrape(server.url)
            finally:
                await server.close()
            metrics = stream.metrics()
    name = "cexnet_websocket_"
    assert found[(f"{name}messages_total", "binance")] == metrics.messages
    assert found[(f"{name}events_total", "binance", "BookTicker")] == metrics.events["BookTicker"] > 0
    assert found[(f"{name}decode_total", "binance", "shape")] == metrics.decode["shape"] > 0
    stage = (f"{name}stage_seconds_count", "binance", "total")
    assert found[stage] == found[(f"{name}stage_seconds_bucket", "binance", "+Inf", "total")] > 0
    buckets = [
        value for key, value in found.items() if key[0] == f"{name}stage_seconds_bucket" and key[2] == "total"
    ]
    assert buckets == sorted(buckets)
    assert found[("cexnet_rest_requests_total", "binance")] == 3
    assert found[("cexnet_rest_stage_seconds_count", "binance", "total")] == 3
    assert found[("cexnet_rest_breaker_open", "binance", "public")] == 0
    assert found[("cexnet_rest_breaker_opened_total", "binance", "public")] == 0
    assert found[("cexnet_rest_unsettled_orders", "binance")] == 0
    with pytest.raises(aiohttp.ClientConnectorError):
        await scrape(server.url)


async def test_a_port_that_is_taken_is_one_sentence() -> None:
    first = MetricsServer(ManagerCollector())
    try:
        port = int(first.url.split(":")[2].split("/")[0])
        with pytest.raises(ConfigurationError, match=f"{port}.*choose another port"):
            MetricsServer(ManagerCollector(), port=port)
    finally:
        await first.close()
