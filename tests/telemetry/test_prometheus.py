"""What a scrape over HTTP says is what the managers have counted, in good Prometheus style."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import threading
import weakref
from typing import Any, get_type_hints

import aiohttp
import pytest

from cexnet import Channel, Config, ExchangeConfig, Subscription, TransportFactory
from cexnet.http.metrics import RestMetrics
from cexnet.http.retry import FullJitterRetry
from cexnet.simulator import Simulator
from cexnet.websocket.metrics import WebSocketMetrics
from cexnet_core.errors import CexnetError, ConfigurationError
from cexnet_core.hotlog import process_log
from cexnet_core.latency import LatencyRecorder

pytest.importorskip("prometheus_client", reason="the extra `metrics` is not installed")

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.registry import Collector

from cexnet.telemetry import GcWatch
from cexnet.telemetry import prometheus as prometheus_module
from cexnet.telemetry.families import BOUNDS_S, Family
from cexnet.telemetry.prometheus import ManagerCollector, MetricsServer
from tests.telemetry.engine import fetch, parsed, running_engine, values
from tests.telemetry.promlint import lint
from tests.websocket.live import Log

WS = "cexnet_websocket_"
REST = "cexnet_rest_"


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
                found = parsed(await fetch(server.url))
            finally:
                await server.close()
            metrics = stream.metrics()
    assert values(found, f"{WS}messages_total") == {("binance",): metrics.messages}
    events = values(found, f"{WS}events_total")
    assert events["BookTicker", "binance"] == metrics.events["BookTicker"] > 0
    assert values(found, f"{WS}decode_total")["binance", "shape"] == metrics.decode["shape"] > 0
    stage = values(found, f"{WS}stage_seconds_count")["binance", "total"]
    assert stage == values(found, f"{WS}stage_seconds_bucket")["+Inf", "binance", "total"] > 0
    assert values(found, f"{REST}requests_total") == {("binance",): 3}
    assert values(found, f"{REST}variant_requests_total") == {("binance", "1"): 1, ("binance", "2"): 2}
    assert values(found, f"{REST}stage_seconds_count")["binance", "total"] == 3
    assert values(found, f"{REST}breaker_open") == {("public", "binance"): 0}
    assert values(found, f"{REST}breaker_opened_total") == {("public", "binance"): 0}
    assert values(found, f"{REST}unsettled_orders") == {("binance",): 0}
    with pytest.raises(aiohttp.ClientConnectorError):
        await fetch(server.url)


# What each counter of a snapshot is scraped as. Anybody who adds a counter adds its family.
EXPORTED_STREAM = {
    "messages": "messages", "connections": "connections", "events": "events", "decode": "decode",
    "gaps": "gaps", "duplicates": "duplicates", "redundant": "redundant", "reorders": "reorders",
    "dropped": "dropped", "conflated": "dropped", "drops": "dropped", "unrouted": "dropped",
    "unrouted_overflow": "dropped", "discarded": "dropped", "handler_errors": "handler_errors",
    "unknown_channels": "unknown_channel_messages", "reconnects": "reconnects",
    "recovered_books": "recovered_books", "rolls": "rolls", "losses": "losses", "probes": "probes",
    "topic_events": "topic_reports", "strategy_errors": "strategy_errors",
    "listener_errors": "listener_errors",
}  # fmt: skip
EXPORTED_REST = {
    "requests": "requests", "errors": "errors", "tries": "tries", "retries": "retries",
    "placing": "placing_orders", "unsettled": "unsettled_orders",
    "breaker_listener_errors": "listener_errors",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "exported", "prefix"),
    [(WebSocketMetrics, EXPORTED_STREAM, WS), (RestMetrics, EXPORTED_REST, REST)],
)
async def test_no_counter_of_the_metrics_is_left_out(
    kind: type, exported: dict[str, str], prefix: str
) -> None:
    counters = {
        field for field, hint in get_type_hints(kind).items() if hint is int or str(hint).endswith(", int]")
    }
    assert counters - exported.keys() == set(), "give them a family, and a line here"
    async with running_engine() as engine:
        names = {family.name for family in await engine.scrape()}
    assert {prefix + name for name in exported.values()} <= names


async def test_the_exposition_keeps_the_rules_of_promtool() -> None:
    async with running_engine() as engine:
        families = await engine.scrape()
        text = await fetch(engine.server.url, "application/openmetrics-text; version=1.0.0")
        strict = list(openmetrics.text_string_to_metric_families(text))  # raises on any offence
    assert lint(families) == []
    assert {family.name for family in strict} == {family.name for family in families}
    series = [(each.name, *sorted(each.labels.items())) for family in families for each in family.samples]
    assert len(series) == len(set(series))


async def test_every_histogram_is_cumulative_and_complete() -> None:
    async with running_engine() as engine:
        families = await engine.scrape()
        latency = engine.rest.latency.total
        total_s = latency.mean * latency.count / 1e9
        slow = latency.count - latency.within(1_000_000)
    histograms = [family for family in families if family.type == "histogram"]
    assert len(histograms) >= 5
    for family in histograms:
        series: dict[tuple[str, ...], list[tuple[float, float]]] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                rest = tuple(text for label, text in sorted(sample.labels.items()) if label != "le")
                series.setdefault(rest, []).append((float(sample.labels["le"]), sample.value))
        for labels, buckets in series.items():
            assert [bound for bound, _ in buckets] == [*BOUNDS_S, float("inf")]
            counts = [count for _, count in buckets]
            assert counts == sorted(counts)
            assert values([family], f"{family.name}_count")[labels] == counts[-1]
            assert (values([family], f"{family.name}_sum")[labels] > 0) == (counts[-1] > 0)
    found = values(families, f"{REST}stage_seconds_sum")
    assert found["binance", "total"] == pytest.approx(total_s)
    buckets_of = values(families, f"{REST}stage_seconds_bucket")
    assert buckets_of["+Inf", "binance", "total"] - buckets_of["0.001", "binance", "total"] == slow


def test_the_targets_are_bounds_of_buckets() -> None:
    assert {0.0002, 0.001, 0.05, 0.1} <= set(BOUNDS_S)


async def test_counters_of_a_queue_go_on_under_another_policy() -> None:
    async with running_engine() as engine:
        before = values(await engine.scrape(), f"{WS}queue_received_total")
        engine.stream.events().reconfigure(policy="conflate")
        families = await engine.scrape()
    after = values(families, f"{WS}queue_received_total")
    assert after.keys() == before.keys()
    assert all(after[key] >= count for key, count in before.items())
    assert values(families, f"{WS}queue_depth") == {("binance", "conflate", "0"): 1000}


async def test_what_refused_dropped_and_degraded_is_told() -> None:
    async with running_engine() as engine:
        families = await engine.scrape()
        metrics, limits = engine.rest.metrics(), engine.rest.limits()
        (queue,) = engine.stream.metrics().deliveries
        judged = dict(engine.monitor.compliance())
    assert values(families, f"{REST}errors_total") == {("InvalidRequest", "binance", "rejected"): 1}
    assert metrics.errors == 1
    remaining = values(families, f"{REST}limit_remaining")
    assert remaining == {("binance", each.scope.name): each.remaining for each in limits.budgets}
    states = values(families, f"{REST}breaker_state")
    assert states["public", "binance", "closed"] == 1
    assert states["public", "binance", "open"] == 0
    waiting = values(families, f"{REST}limit_waiting")
    assert waiting == {("cancel", "binance"): 0, ("place", "binance"): 0,
                       ("query", "binance"): 0, ("background", "binance"): 0}  # fmt: skip
    assert ("binance",) in values(families, f"{REST}clock_offset_seconds")
    assert values(families, f"{REST}hedgeable_reads_total")["binance",] >= 1
    received = values(families, f"{WS}queue_received_total")["binance", "0"]
    assert queue.received >= received >= 100
    assert ("binance", queue.policy, "0") in values(families, f"{WS}queue_events")
    assert values(families, f"{WS}connection_states")["binance", "live"] == 1
    assert values(families, f"{WS}dropped_total").keys() == {
        ("binance", reason) for reason in ("queue_full", "conflated", "unrouted", "closing")
    }
    assert ("binance", "total") in values(families, "cexnet_target_kept_ratio")
    assert set(values(families, "cexnet_target_degraded").values()) == {0.0}
    assert judged.keys() == {"binance"}
    assert values(families, "cexnet_gc_pause_seconds_count").keys() == {()}
    assert values(families, "cexnet_hotlog_lost_total") == {(): process_log.lost}


async def test_topics_beyond_the_bound_are_added_up() -> None:
    async with running_engine(max_topics=2) as engine:
        before = engine.stream.metrics()
        topics = values(await engine.scrape(), f"{WS}topic_events_total")
        after = engine.stream.metrics()
    least, most = (
        sum(stream.delivered for stream in [each for each in metrics.streams if each.symbol][2:])
        for metrics in (before, after)
    )
    assert len(topics) == 3
    assert 0 < least <= topics["other", "binance", "other"] <= most
    with pytest.raises(ConfigurationError, match="max_topics=-1"):
        ManagerCollector(max_topics=-1)


async def test_managers_of_one_exchange_are_told_apart_by_a_name_of_ones_own() -> None:
    async with TransportFactory() as factory:
        collector = ManagerCollector()
        collector.add(factory.rest("binance"))
        collector.add(factory.rest("binance"), name="binance second")
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        found = values(parsed(generate_latest(registry).decode()), f"{REST}requests_total")
    assert found == {("binance",): 0, ("binance second",): 0}


async def test_a_manager_that_is_removed_is_told_no_more_and_let_go() -> None:
    async with running_engine() as engine:
        collector, rest = engine.collector, engine.rest
        again = TransportFactory().rest("binance")
        collector.remove(again)  # never added: nothing changes
        assert values(await engine.scrape(), REST + "requests_total")
        collector.remove(rest)
        collector.remove(rest)
        scraped = await engine.scrape()
        assert values(scraped, REST + "requests_total") == {}
        assert values(scraped, WS + "messages_total")
        collector.add(again)  # its name is free again
        assert values(await engine.scrape(), REST + "requests_total") == {("binance",): 0}
        collector.remove(again)
        gone = weakref.ref(again)
        await again.close()
        del again
        await asyncio.to_thread(gc.collect)
        assert gone() is None


async def test_pauses_are_told_without_a_monitor_too() -> None:
    with GcWatch() as watch:
        watch.recorder.record(1_000_000)
        collector = ManagerCollector()
        collector.add_gc(watch)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        found = parsed(generate_latest(registry).decode())
    assert values(found, "cexnet_gc_pause_seconds_count")[()] >= 1


async def test_a_scrape_leaves_the_loop_its_turns() -> None:
    """No thread is ever asked for the GIL here: the loop only runs when a scrape lets go of it."""
    rows = 20_000

    class Many(Collector):
        def collect(self) -> Any:
            cells = [((str(number),), float(number)) for number in range(rows)]
            family: Family[None] = Family("many", "gauge", "Many.", ("number",), lambda _: cells)
            yield family.collect([None], paced=True)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Many())
    loop = asyncio.get_running_loop()
    turns = 0
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        rendered = loop.run_in_executor(None, generate_latest, registry)
        while not rendered.done():
            turns += 1
            await asyncio.sleep(1e-3)
    finally:
        sys.setswitchinterval(before_s)
    text = await rendered
    assert text.count(b"\n") == rows + 2
    assert turns > 5  # of some 600 that there are; without a breath it would have two


async def test_a_blocked_or_closed_loop_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_module, "_SCRAPE_TIMEOUT_S", 0.01)
    collector = ManagerCollector()
    said: list[str] = []

    def scrape() -> None:
        with pytest.raises(CexnetError) as caught:
            list(collector.collect())
        said.append(str(caught.value))

    thread = threading.Thread(target=scrape)
    thread.start()
    thread.join()  # which blocks the loop
    other = asyncio.new_event_loop()
    other.close()
    monkeypatch.setattr(collector, "_loop", other)
    await asyncio.to_thread(scrape)
    assert "did not answer within 0.01 s" in said[0]
    assert "is closed" in said[1]


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
async def test_a_port_that_is_none_is_one_sentence(port: int) -> None:
    with pytest.raises(ConfigurationError, match=f"port={port}: choose 1 to 65535, or 0"):
        MetricsServer(ManagerCollector(), port=port)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
async def test_an_address_of_ipv6_makes_a_url() -> None:
    try:
        server = MetricsServer(ManagerCollector(), address="::1")
    except ConfigurationError:
        pytest.skip("nothing can listen at ::1 here")
    try:
        assert server.url.startswith("http://[::1]:")
        assert "cexnet_build_info" in await fetch(server.url)
    finally:
        await server.close()


async def test_a_port_that_is_taken_is_one_sentence() -> None:
    first = MetricsServer(ManagerCollector())
    try:
        port = int(first.url.split(":")[2].split("/")[0])
        with pytest.raises(ConfigurationError, match=f"{port}.*choose another port"):
            MetricsServer(ManagerCollector(), port=port)
    finally:
        await first.close()


async def test_histograms_of_queues_and_parsers_only_grow() -> None:
    async with running_engine() as engine:
        before = engine.stream.stages()
        parser = type(engine.stream.strategies.parser)(engine.stream.strategies.parser.schema)
        engine.stream.swap(parser)
        after = engine.stream.stages()
    for stage in ("decoded", "handled", "total", "queue_wait"):
        assert isinstance(before[stage], LatencyRecorder)
        assert after[stage].count >= before[stage].count > 0
