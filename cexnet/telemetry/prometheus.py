"""Prometheus, asked: counters and histograms of managers are gathered when a scrape comes.

Needs the extra ``metrics`` (``pip install cexnet[metrics]``). The scrape is served by a
thread; only the copying of numbers runs on the event loop, for tens of microseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.server import HTTPServer
from threading import Thread

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from cexnet.http.manager import RestManager
from cexnet.http.metrics import RestMetrics
from cexnet.websocket.manager import WebSocketManager
from cexnet.websocket.metrics import WebSocketMetrics
from cexnet_core.errors import CexnetError, ConfigurationError
from cexnet_core.latency import LatencyRecorder

# 100 ns to 10 s, three a decade: one set for a tick's handling and for a slow request.
BOUNDS_S = (*(float(f"{m}e{e}") for e in range(-7, 1) for m in (1.0, 2.5, 5.0)), 10.0)
_SCRAPE_TIMEOUT_S = 5.0

Stages = dict[str, LatencyRecorder]


@dataclass(frozen=True, slots=True)
class _Streams:
    name: str
    live: bool
    metrics: WebSocketMetrics
    stages: Stages


@dataclass(frozen=True, slots=True)
class _Requests:
    name: str
    metrics: RestMetrics
    stages: Stages


class ManagerCollector(Collector):
    """Collects from managers that live on one event loop; ``collect`` may run on any thread.

    Make it on the running loop. Managers are told apart by their name.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._managers: list[WebSocketManager | RestManager] = []

    def add(self, manager: WebSocketManager | RestManager) -> None:
        """Collect from ``manager`` too. Raises ConfigurationError for a name that is taken."""
        kind = type(manager)
        if any(type(known) is kind and known.name == manager.name for known in self._managers):
            raise ConfigurationError(
                f"metrics of two {kind.__name__}s called {manager.name!r} would be mixed up: "
                "give one of them another name"
            )
        self._managers.append(manager)

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry need not collect in order to know us."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family. Raises CexnetError when the event loop does not answer in time."""
        streams, requests = self._snapshots()
        yield from _of_streams(streams)
        yield from _of_requests(requests)

    def _snapshots(self) -> tuple[list[_Streams], list[_Requests]]:
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            return self._take()
        asked = asyncio.run_coroutine_threadsafe(self._take_soon(), self._loop)
        try:
            return asked.result(_SCRAPE_TIMEOUT_S)
        except TimeoutError:
            asked.cancel()
            raise CexnetError(
                f"metrics: the event loop did not answer within {_SCRAPE_TIMEOUT_S:g} s; it is blocked"
            ) from None

    async def _take_soon(self) -> tuple[list[_Streams], list[_Requests]]:
        return self._take()

    def _take(self) -> tuple[list[_Streams], list[_Requests]]:
        streams: list[_Streams] = []
        requests: list[_Requests] = []
        for manager in self._managers:
            if isinstance(manager, WebSocketManager):
                router = manager.router
                stages = {
                    "decode": router.decoded.copy(),
                    "handle": router.handled.copy(),
                    "total": router.total.copy(),
                }
                streams.append(_Streams(manager.name, manager.live, manager.metrics(), stages))
            else:
                requests.append(_Requests(manager.name, manager.metrics(), manager.stages()))
        return streams, requests


def _of_streams(snapshots: list[_Streams]) -> Iterator[Metric]:
    def counter(name: str, about: str, label: str = "") -> CounterMetricFamily:
        labels = ["manager", label] if label else ["manager"]
        return CounterMetricFamily(f"cexnet_websocket_{name}", about, labels=labels)

    plain = {
        "messages": "Messages received.",
        "gaps": "Sequence gaps in streams.",
        "duplicates": "Events that came twice and were not delivered again.",
        "reorders": "Events that came out of order.",
        "dropped": "Events that a queue had no room for.",
        "handler_errors": "Exceptions of handlers.",
        "reconnects": "Connections that came back after a loss.",
        "recovered_books": "Books that were mended by a snapshot.",
        "rolls": "Planned replacements of connections.",
        "probes": "Questions whether a quiet connection is alive.",
    }
    for name, about in plain.items():
        family = counter(name, about)
        for found in snapshots:
            family.add_metric([found.name], getattr(found.metrics, name))
        yield family
    labelled = {
        "events": ("kind", "Decoded events by kind."),
        "decode": ("path", "Messages by the path that decoded them; errors could not be decoded."),
        "losses": ("cause", "Lost connections by what ended them."),
    }
    for name, (label, about) in labelled.items():
        family = counter(name, about, label)
        for found in snapshots:
            for value, count in getattr(found.metrics, name).items():
                family.add_metric([found.name, value], count)
        yield family
    live = GaugeMetricFamily(
        "cexnet_websocket_live", "Whether a live connection carries every topic.", labels=["manager"]
    )
    connections = GaugeMetricFamily(
        "cexnet_websocket_connections", "Connections that the manager keeps.", labels=["manager"]
    )
    for found in snapshots:
        live.add_metric([found.name], float(found.live))
        connections.add_metric([found.name], found.metrics.connections)
    yield live
    yield connections
    yield _histogram(
        "cexnet_websocket_stage_seconds",
        "From the socket to the handler, by stage; decode and handle of one message in eight.",
        ((found.name, found.stages) for found in snapshots),
    )


def _of_requests(snapshots: list[_Requests]) -> Iterator[Metric]:
    def counter(name: str, about: str, *labels: str) -> CounterMetricFamily:
        return CounterMetricFamily(f"cexnet_rest_{name}", about, labels=["manager", *labels])

    about = {
        "requests": "Calls that were made.",
        "errors": "Calls that raised.",
        "tries": "Passages of the line, retries included.",
        "retries": "Tries that followed a failed one.",
    }
    for name, text in about.items():
        family = counter(name, text)
        for found in snapshots:
            family.add_metric([found.name], getattr(found.metrics, name))
        yield family
    syncs = counter("clock_syncs", "Measurements of the exchange's clock.")
    unsettled = GaugeMetricFamily(
        "cexnet_rest_unsettled_orders", "Orders whose outcome is unknown.", labels=["manager"]
    )
    not_closed = GaugeMetricFamily(
        "cexnet_rest_breaker_open", "Whether a circuit breaker is not closed.", labels=["manager", "group"]
    )
    opened = counter("breaker_opened", "How often a circuit breaker opened.", "group")
    rejected = counter("breaker_rejected", "Calls that an open circuit breaker refused.", "group")
    for found in snapshots:
        syncs.add_metric([found.name], found.metrics.clock.syncs)
        unsettled.add_metric([found.name], found.metrics.unsettled)
        for breaker in found.metrics.breakers:
            labels = [found.name, breaker.group]
            not_closed.add_metric(labels, float(breaker.state != "closed"))
            opened.add_metric(labels, breaker.opened)
            rejected.add_metric(labels, breaker.rejected)
    yield from (syncs, unsettled, not_closed, opened, rejected)
    yield _histogram(
        "cexnet_rest_stage_seconds",
        "Successful calls, by stage.",
        ((found.name, found.stages) for found in snapshots),
    )


def _histogram(name: str, about: str, managers: Iterable[tuple[str, Stages]]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, about, labels=["manager", "stage"])
    for manager, stages in managers:
        for stage, recorder in stages.items():
            buckets = [(repr(bound), float(recorder.within(round(bound * 1e9)))) for bound in BOUNDS_S]
            buckets.append(("+Inf", float(recorder.count)))
            family.add_metric([manager, stage], buckets, recorder.mean * recorder.count / 1e9)
    return family


class MetricsServer:
    """``/metrics`` over HTTP, from a thread of its own, until ``close()``.

    ``port`` 0 picks a free one. Raises ConfigurationError when the port is taken.
    """

    def __init__(self, collector: ManagerCollector, *, port: int = 0, address: str = "127.0.0.1") -> None:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        self._server: HTTPServer
        self._thread: Thread
        try:
            self._server, self._thread = start_http_server(port, address, registry)
        except OSError as error:
            raise ConfigurationError(
                f"cannot serve metrics at {address}:{port} ({error.strerror}): choose another port"
            ) from None
        self.url = f"http://{address}:{self._server.server_port}/metrics"

    async def close(self) -> None:
        """Stop serving and wait for the thread."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._server.shutdown)
        self._server.server_close()
        await loop.run_in_executor(None, self._thread.join)
