"""``--metrics-port``: what a command's managers count, for Prometheus."""

from __future__ import annotations

from contextlib import AsyncExitStack
from importlib.util import find_spec

from cexnet.http import RestManager
from cexnet.websocket import WebSocketManager
from cexnet_core.errors import ConfigurationError

# Where `cexnet top` looks by default: what OpenTelemetry's Prometheus exporters use.
DEFAULT_PORT = 9464


async def serve_metrics(stack: AsyncExitStack, port: int, *managers: WebSocketManager | RestManager) -> str:
    """Serve metrics until ``stack`` is closed; their URL. ``port`` 0 picks a free one.

    Raises ConfigurationError when the port is taken or the extra is not installed.
    """
    if not 0 <= port <= 65_535:
        raise ConfigurationError(f"--metrics-port is {port}: choose 1 to 65535, or 0 for a free one")
    if find_spec("prometheus_client") is None:
        raise ConfigurationError("--metrics-port needs an extra: pip install 'cexnet[metrics]'")
    from cexnet.telemetry.pauses import GcWatch
    from cexnet.telemetry.prometheus import ManagerCollector, MetricsServer

    collector = ManagerCollector()
    collector.add_gc(stack.enter_context(GcWatch()))
    for manager in managers:
        collector.add(manager)
    server = MetricsServer(collector, port=port)
    stack.push_async_callback(server.close)
    return server.url
