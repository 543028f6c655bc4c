"""Families of metrics as rows of a table: name, type, labels, words, and how to read a snapshot.

The tables are in ``stream_families``, ``request_families`` and ``process_families``. Here a row
becomes what the Prometheus client writes, on the thread that serves the scrape.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.samples import Sample

from cexnet_core.latency import LatencyRecorder

S = TypeVar("S")

# The values of a row's labels, and the number or the histogram that they stand for.
Cell = tuple[tuple[str, ...], "float | LatencyRecorder"]

# 100 ns to 10 s, three a decade: one set for a tick's handling and for a slow request. The
# targets (200 us, 1, 50 and 100 ms) are among them, so that shares within them are exact.
BOUNDS_S = (*(float(f"{m}e{e}") for e in range(-7, 1) for m in (1, 2, 5)), 10.0)
_BUCKETS = tuple((repr(bound_s), round(bound_s * 1e9)) for bound_s in BOUNDS_S)

# Whoever renders holds the GIL for so many samples (some 100 us), then lets the loop have it.
_AT_ONCE = 32
_BREATH_S = 50e-6


@dataclass(frozen=True, slots=True)
class Family(Generic[S]):
    """One family. ``read`` gives its cells for a snapshot, which it may not change."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    about: str
    labels: tuple[str, ...]
    read: Callable[[S], Iterable[Cell]]

    def collect(self, snapshots: Iterable[S], *, paced: bool) -> Metric:
        """What the client library renders. ``paced``: letting other threads have the GIL in between."""
        family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
        if self.kind == "counter":
            family = CounterMetricFamily(self.name, self.about, labels=self.labels)
        elif self.kind == "gauge":
            family = GaugeMetricFamily(self.name, self.about, labels=self.labels)
        else:
            family = HistogramMetricFamily(self.name, self.about, labels=self.labels)
        for snapshot in snapshots:
            for labels, value in self.read(snapshot):
                if not isinstance(value, LatencyRecorder):
                    assert not isinstance(family, HistogramMetricFamily)
                    family.add_metric(labels, value)
                    continue
                assert isinstance(family, HistogramMetricFamily)
                family.add_metric(labels, _cumulated(value), value.mean * value.count / 1e9)
                if paced:
                    time.sleep(_BREATH_S)
        if paced:
            family.samples = _Paced(family.samples)
        return family


class _Paced(list[Sample]):
    """Samples that let other threads have the GIL while somebody goes through them."""

    def __iter__(self) -> Iterator[Sample]:
        for index, sample in enumerate(super().__iter__()):
            if index % _AT_ONCE == 0:
                time.sleep(_BREATH_S)
            yield sample


def _cumulated(recorder: LatencyRecorder) -> list[tuple[str, float]]:
    buckets = [(bound, float(recorder.within(bound_ns))) for bound, bound_ns in _BUCKETS]
    return [*buckets, ("+Inf", float(recorder.count))]
