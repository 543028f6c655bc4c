"""The histograms of a manager added up over its parsers and queues, for an exporter."""

from __future__ import annotations

from collections.abc import Iterable

from cexnet.websocket.delivery import Delivery
from cexnet.websocket.strategies import MessageParser
from cexnet_core.latency import LatencyRecorder


def stages_of(parsers: Iterable[MessageParser], deliveries: Iterable[Delivery]) -> dict[str, LatencyRecorder]:
    """Copies by stage. They only ever grow, whatever parser is swapped in."""
    stages = {name: LatencyRecorder(1) for name in ("decoded", "handled", "total", "queue_wait")}
    for parser in parsers:
        stages["decoded"].merge(parser.router.decoded)
        stages["handled"].merge(parser.router.handled)
        stages["total"].merge(parser.router.total)
    for delivery in deliveries:
        stages["queue_wait"].merge(delivery.queue.waited)
    return stages
