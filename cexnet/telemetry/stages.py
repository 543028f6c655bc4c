"""Which stages of a manager are judged, by which target and by which recorder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cexnet.config.tree import Remedy, TargetsConfig
from cexnet.http.manager import RestManager
from cexnet.telemetry.compliance import Target
from cexnet.telemetry.remedies import AGAINST_LOAD, AGAINST_THE_NETWORK
from cexnet.websocket.manager import WebSocketManager
from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder

Manager = WebSocketManager | RestManager

# One slow event of three says little; connections are made so rarely that each one counts.
_MANY = 20
_EACH = 1
# A recorder takes what is longer for an hour.
_LONGEST_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. ``recorder()`` is that in use, ``None`` when there is none now.

    ``least`` records say something; ``helped_by`` are the remedies that may be of use.
    """

    target: Target
    recorder: Callable[[], LatencyRecorder | None]
    least: int = _MANY
    helped_by: tuple[Remedy, ...] = ()


def stages_of(manager: Manager, targets: TargetsConfig) -> Iterator[Stage]:
    """The stages of ``manager`` that ``targets`` says something of."""

    def target(name: str, limit_ms: float) -> Target:
        return Target(name, max(1, round(min(limit_ms, _LONGEST_MS) * 1e6)), targets.share)

    if isinstance(manager, WebSocketManager):
        handling = target("handling", targets.websocket_handling_ms)
        every = (*AGAINST_THE_NETWORK, *AGAINST_LOAD)
        yield Stage(handling, lambda: manager.latency.total, helped_by=every)
        if targets.queue_wait_ms is not None:
            wait = target("queue wait", targets.queue_wait_ms)
            yield Stage(wait, lambda: _waited(manager), helped_by=AGAINST_LOAD)
        connect = target("connect", targets.connect_ms)
        yield Stage(connect, lambda: manager.latency.connect, _EACH, AGAINST_THE_NETWORK)
        recovery = target("recovery", targets.recovery_ms)
        yield Stage(recovery, lambda: manager.latency.first_event, _EACH, AGAINST_THE_NETWORK)
    else:
        yield Stage(target("total", targets.rest_total_ms), lambda: manager.latency.total)
        yield Stage(target("sign", targets.rest_sign_ms), lambda: manager.latency.sign)
        yield Stage(target("connect", targets.connect_ms), lambda: manager.session.connects, _EACH)


def _waited(stream: WebSocketManager) -> LatencyRecorder | None:
    try:
        return stream.events().queue.waited
    except ConfigurationError:
        return None  # inline, or not initialized yet
