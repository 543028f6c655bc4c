"""Prometheus, asked: counters and histograms are gathered when a scrape comes.

Needs the extra ``metrics`` (``pip install cexnet[metrics]``). The scrape is served by a
thread. Only the copying of numbers runs on the event loop, one manager at a time; what is
made of them is the thread's work, and it hands the GIL back every 100 us or so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.server import HTTPServer
from importlib.metadata import version
from threading import Thread

try:
    from prometheus_client import CollectorRegistry, start_http_server
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}: pip install 'cexnet[metrics]'", name=error.name) from None

from cexnet.http.manager import RestManager
from cexnet.telemetry.monitor import Monitor
from cexnet.telemetry.pauses import GcWatch
from cexnet.telemetry.process_families import PROCESS_FAMILIES, ProcessSnapshot
from cexnet.telemetry.request_families import REQUEST_FAMILIES, RequestSnapshot
from cexnet.telemetry.stream_families import STREAM_FAMILIES, StreamSnapshot
from cexnet.websocket.manager import WebSocketManager
from cexnet_core.build_info import MODE
from cexnet_core.errors import CexnetError, ConfigurationError
from cexnet_core.hotlog import process_log

_SCRAPE_TIMEOUT_S = 5.0

Manager = WebSocketManager | RestManager


@dataclass(frozen=True, slots=True)
class _Snapshots:
    streams: list[StreamSnapshot]
    requests: list[RequestSnapshot]
    process: ProcessSnapshot


class ManagerCollector(Collector):
    """Collects from what lives on one event loop; ``collect`` may run on any thread.

    Make it on the running loop. Topics have series of their own up to ``max_topics`` a
    manager; those beyond are added up as ``other``. Raises ConfigurationError when that is
    below 0.
    """

    def __init__(self, *, max_topics: int = 200) -> None:
        if max_topics < 0:
            raise ConfigurationError(f"ManagerCollector: max_topics={max_topics} must be at least 0")
        self._loop = asyncio.get_running_loop()
        self._max_topics = max_topics
        self._managers: list[tuple[str, Manager]] = []
        self._monitors: list[Monitor] = []
        self._gc: GcWatch | None = None
        self._version = version("cexnet")

    def add(self, manager: Manager, *, name: str = "") -> None:
        """Collect from ``manager`` too, under ``name`` or its own.

        Raises ConfigurationError for a name that another one of its kind has.
        """
        name, kind = name or manager.name, type(manager)
        if any(type(known) is kind and taken == name for taken, known in self._managers):
            raise ConfigurationError(
                f"metrics of two {kind.__name__}s called {name!r} would be mixed up: "
                "give one of them another name"
            )
        self._managers.append((name, manager))

    def remove(self, manager: Manager) -> None:
        """Collect from ``manager`` no more and let go of it, as is due once it is closed. Idempotent.

        Its series end; its name is free again. On the event loop, as ``add``.
        """
        self._managers = [(name, each) for name, each in self._managers if each is not manager]

    def add_monitor(self, monitor: Monitor) -> None:
        """Tell how the targets of ``monitor`` stand, and the collector's pauses that it times."""
        self._monitors.append(monitor)
        self._gc = self._gc or monitor.pauses

    def add_gc(self, watch: GcWatch) -> None:
        """Tell the collector's pauses that ``watch`` times, where no monitor does so."""
        self._gc = watch

    def describe(self) -> Iterable[Metric]:
        """Nothing: a registry need not collect in order to know us."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every family. Raises CexnetError when the event loop does not answer in time."""
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        paced = here is not self._loop
        taken = self._ask() if paced else self._take()
        for stream_family in STREAM_FAMILIES:
            yield stream_family.collect(taken.streams, paced=paced)
        for request_family in REQUEST_FAMILIES:
            yield request_family.collect(taken.requests, paced=paced)
        for process_family in PROCESS_FAMILIES:
            yield process_family.collect([taken.process], paced=paced)

    def _ask(self) -> _Snapshots:
        """Have the loop take the snapshots, and wait for them on this thread."""
        taking = self._take_in_turns()
        try:
            asked = asyncio.run_coroutine_threadsafe(taking, self._loop)
        except RuntimeError:
            taking.close()
            raise CexnetError("metrics: the event loop that they are taken on is closed") from None
        try:
            return asked.result(_SCRAPE_TIMEOUT_S)
        except TimeoutError:
            asked.cancel()
            raise CexnetError(
                f"metrics: the event loop did not answer within {_SCRAPE_TIMEOUT_S:g} s; it is blocked"
            ) from None

    async def _take_in_turns(self) -> _Snapshots:
        taken: list[StreamSnapshot | RequestSnapshot] = []
        for name, manager in list(self._managers):
            taken.append(self._take_one(name, manager))
            await asyncio.sleep(0)  # others have their turn
        return self._put_together(taken)

    def _take(self) -> _Snapshots:
        return self._put_together([self._take_one(name, manager) for name, manager in self._managers])

    def _take_one(self, name: str, manager: Manager) -> StreamSnapshot | RequestSnapshot:
        if isinstance(manager, RestManager):
            return RequestSnapshot(name, manager.metrics(), manager.limits(), manager.stages())
        latency = manager.latency
        return StreamSnapshot(
            name=name,
            live=manager.live,
            states=tuple(manager.states.values()),
            metrics=manager.metrics(),
            stages=manager.stages(),
            first_event=latency.first_event.copy(),
            loop_lag=latency.loop_lag.copy(),
            max_topics=self._max_topics,
        )

    def _put_together(self, taken: list[StreamSnapshot | RequestSnapshot]) -> _Snapshots:
        process = ProcessSnapshot(
            version=self._version,
            build_mode=MODE,
            hotlog_written=process_log.written,
            hotlog_lost=process_log.lost,
            hotlog_held_back=process_log.held_back,
            hotlog_handler_errors=process_log.handler_errors,
            gc_pauses=self._gc.recorder.copy() if self._gc is not None else None,
            compliance=tuple(found for monitor in self._monitors for found in monitor.compliance()),
        )
        return _Snapshots(
            [each for each in taken if isinstance(each, StreamSnapshot)],
            [each for each in taken if isinstance(each, RequestSnapshot)],
            process,
        )


class MetricsServer:
    """``/metrics`` over HTTP, from a thread of its own, until ``close()``.

    ``port`` 0 picks a free one. Raises ConfigurationError when the port is taken or is none.
    """

    def __init__(self, collector: ManagerCollector, *, port: int = 0, address: str = "127.0.0.1") -> None:
        if not 0 <= port <= 65_535:
            raise ConfigurationError(f"MetricsServer: port={port}: choose 1 to 65535, or 0 for a free one")
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
        host = f"[{address}]" if ":" in address else address
        self.url = f"http://{host}:{self._server.server_port}/metrics"

    async def close(self) -> None:
        """Stop serving and wait for the thread."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._server.shutdown)
        self._server.server_close()
        await loop.run_in_executor(None, self._thread.join)
