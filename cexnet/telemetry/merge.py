"""The metrics of several managers as those of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from cexnet.http.manager import RestManager
from cexnet.websocket.manager import WebSocketManager
from cexnet_core.errors import ConfigurationError
from cexnet_core.meter import rate_of, stages_of
from cexnet_core.summary import Rate, StageMetrics


@dataclass(frozen=True, slots=True)
class MergedMetrics:
    """What ``managers`` of one ``kind`` ("websocket" or "rest") have measured together.

    ``counts`` are the plain counters of their ``metrics()``, added up. ``stages`` are taken
    from all records of a stage together, not from the managers' percentiles; rates are added.
    """

    kind: str
    managers: tuple[str, ...]
    counts: dict[str, int]
    rate: Rate
    stages: dict[str, StageMetrics]


def merge_metrics(managers: Iterable[WebSocketManager | RestManager]) -> MergedMetrics:
    """Add up the metrics of managers of one kind, on the loop that they live on.

    Raises ConfigurationError for none at all, for WebSocket and REST together, and for one
    that is given twice.
    """
    chosen = list(managers)
    if not chosen:
        raise ConfigurationError("merge_metrics: no manager was given")
    kinds = {_kind(manager) for manager in chosen}
    if len(kinds) > 1:
        raise ConfigurationError(
            "merge_metrics: the stages of WebSocketManagers and RestManagers are different things: "
            "merge each kind by itself"
        )
    if len({id(manager) for manager in chosen}) < len(chosen):
        raise ConfigurationError("merge_metrics: a manager was given twice and would count twice")
    snapshots = [manager.metrics() for manager in chosen]
    measured = [manager.measure() for manager in chosen]
    counters = [
        field.name for field in fields(snapshots[0]) if type(getattr(snapshots[0], field.name)) is int
    ]
    return MergedMetrics(
        kinds.pop(),
        tuple(manager.name for manager in chosen),
        {name: sum(getattr(snapshot, name) for snapshot in snapshots) for name in counters},
        rate_of(measured),
        stages_of(measured),
    )


def _kind(manager: object) -> str:
    if isinstance(manager, WebSocketManager):
        return "websocket"
    if isinstance(manager, RestManager):
        return "rest"
    raise ConfigurationError(f"merge_metrics: {type(manager).__name__} is no manager of cexnet")
