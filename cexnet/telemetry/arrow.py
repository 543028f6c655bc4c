"""What managers measured as Arrow tables and Parquet files, units in the names of the columns.

Needs the extra ``arrow`` (``pip install cexnet[arrow]``), which is imported when a table is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cexnet.http.manager import RestManager
from cexnet.websocket.manager import WebSocketManager
from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder
from cexnet_core.meter import Period
from cexnet_core.summary import LatencySummary

if TYPE_CHECKING:
    import pyarrow

Manager = WebSocketManager | RestManager


def percentiles_table(*managers: Manager) -> pyarrow.Table:
    """One row for each manager, stage and period: count, rate, mean and percentiles.

    ``period`` is ``since_start`` or ``recent``, ``period_s`` its length; times of a stage
    without a record are null. On the loop of the managers.
    """
    arrow = _pyarrow()
    rows: list[dict[str, Any]] = []
    for manager in managers:
        measured = manager.measure()
        for name, period in (("since_start", measured.since_start), ("recent", measured.recent)):
            rows += _rows(manager, name, period)
    text, whole, real = arrow.dictionary(arrow.int32(), arrow.string()), arrow.int64(), arrow.float64()
    schema = arrow.schema(
        [
            *((name, text) for name in ("manager", "kind", "stage", "period")),
            ("period_s", real),
            ("count", whole),
            ("rate_per_s", real),
            ("mean_ns", real),
            *((name, whole) for name in ("p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns")),
        ]
    )
    return arrow.Table.from_pylist(rows, schema=schema)


def samples_table(*managers: Manager) -> pyarrow.Table:
    """The newest samples of every stage, oldest first: ``manager``, ``kind``, ``stage``, ``duration_ns``.

    They are those that ``manager.latency`` keeps, of the parser or strategies in use. On the loop
    of the managers, which it copies from.
    """
    arrow = _pyarrow()
    import numpy

    names: dict[str, list[str]] = {"manager": [], "kind": [], "stage": []}
    sizes, samples = [], []
    for manager in managers:
        for stage, recorder in _recorders(manager):
            samples.append(numpy.roll(recorder.samples, -recorder.oldest))
            sizes.append(len(samples[-1]))
            for column, value in (("manager", manager.name), ("kind", _kind(manager)), ("stage", stage)):
                names[column].append(value)
    columns = {}
    for column, values in names.items():
        distinct = list(dict.fromkeys(values))
        places = numpy.repeat(numpy.array([distinct.index(value) for value in values], numpy.int32), sizes)
        columns[column] = arrow.DictionaryArray.from_arrays(places, arrow.array(distinct, arrow.string()))
    durations = numpy.concatenate(samples) if samples else numpy.empty(0, numpy.int64)
    return arrow.table({**columns, "duration_ns": arrow.array(durations, arrow.int64())})


def write_parquet(table: pyarrow.Table, path: str | Path) -> None:
    """Write ``table`` to ``path``, compressed with zstd; a file there is replaced as a whole.

    Raises ConfigurationError when it cannot be written.
    """
    _pyarrow()
    from pyarrow import parquet

    target = Path(path)
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        try:
            parquet.write_table(table, unfinished, compression="zstd")
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"cannot write {target} ({error.strerror or error})") from None


def _rows(manager: Manager, name: str, period: Period) -> Iterator[dict[str, Any]]:
    for stage, recorder in period.stages.items():
        found = LatencySummary.of(recorder)
        row: dict[str, Any] = {
            "manager": manager.name,
            "kind": _kind(manager),
            "stage": stage,
            "period": name,
            "period_s": period.seconds,
            "count": found.count,
            "rate_per_s": found.count / period.seconds if period.seconds > 0 else None,
        }
        if found.count:
            columns = ("mean_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns")
            row |= {column: getattr(found, column) for column in columns}
        yield row


def _recorders(manager: Manager) -> Iterator[tuple[str, LatencyRecorder]]:
    if isinstance(manager, RestManager):
        for stage in manager.latency.STAGES:
            yield stage, getattr(manager.latency, stage)
        return
    latency = manager.latency
    for stage in ("decoded", "dispatched", "handled", "total", "one_way", "first_event", "loop_lag"):
        yield stage, getattr(latency, stage)
    for recorder in latency.queue_waits:
        yield "queue_wait", recorder


def _kind(manager: Manager) -> str:
    return "rest" if isinstance(manager, RestManager) else "websocket"


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise ConfigurationError(
            "Arrow tables and Parquet files need an extra: pip install cexnet[arrow]"
        ) from None
    return pyarrow
