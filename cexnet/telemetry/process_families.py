"""The metric families of what a process has once: hot log, collector's pauses, targets, build."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cexnet.telemetry.compliance import Compliance, Condition
from cexnet.telemetry.families import Cell, Family
from cexnet_core.latency import LatencyRecorder


@dataclass(frozen=True, slots=True)
class ProcessSnapshot:
    """What the process told at one moment. ``gc_pauses`` None: nobody times them.

    ``compliance`` has the name of the manager with each target.
    """

    version: str
    build_mode: str
    hotlog_written: int
    hotlog_lost: int
    hotlog_held_back: int
    hotlog_handler_errors: int
    gc_pauses: LatencyRecorder | None
    compliance: tuple[tuple[str, Compliance], ...]


def _hotlog(name: str, about: str, number: Callable[[ProcessSnapshot], int]) -> Family[ProcessSnapshot]:
    return Family(f"cexnet_hotlog_{name}", "counter", about, (), lambda p: [((), number(p))])


def _target(name: str, about: str, number: Callable[[Compliance], float]) -> Family[ProcessSnapshot]:
    def read(p: ProcessSnapshot) -> Iterator[Cell]:
        worst: dict[tuple[str, str], Compliance] = {}  # managers of one name are not told apart
        for manager, found in p.compliance:
            key = (manager, found.target.name)
            if key not in worst or found.share < worst[key].share:
                worst[key] = found
        for key, found in worst.items():
            yield key, number(found)

    return Family(f"cexnet_target_{name}", "gauge", about, ("manager", "target"), read)


def _pauses(p: ProcessSnapshot) -> Iterable[Cell]:
    return [] if p.gc_pauses is None else [((), p.gc_pauses)]


PROCESS_FAMILIES: tuple[Family[ProcessSnapshot], ...] = (
    Family("cexnet_build_info", "gauge", "1; its labels tell version and build mode of cexnet.",
           ("version", "mode"), lambda p: [((p.version, p.build_mode), 1.0)]),
    _hotlog("written", "Records that the hot log has handed to logging.", lambda p: p.hotlog_written),
    _hotlog("lost", "Records that found the hot log's ring full.", lambda p: p.hotlog_lost),
    _hotlog("held_back", "Records over the bound of their template.", lambda p: p.hotlog_held_back),
    _hotlog("handler_errors", "Exceptions that got out of a logging handler.",
            lambda p: p.hotlog_handler_errors),
    Family("cexnet_gc_pause_seconds", "histogram", "Garbage collections, which stop every thread.",
           (), _pauses),
    _target("limit_seconds", "What a target allows.", lambda c: c.target.limit_ns / 1e9),
    _target("wanted_ratio", "The share of records that must keep it.", lambda c: c.target.share),
    _target("kept_ratio", "The share of the window's records that kept it.", lambda c: c.share),
    _target("records", "Records in the window.", lambda c: c.count),
    _target("violations", "Records in the window that did not keep it.", lambda c: c.count - c.within),
    _target("degraded", "Whether the monitor calls the target degraded.",
            lambda c: float(c.condition is Condition.DEGRADED)),
)  # fmt: skip
