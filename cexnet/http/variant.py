"""A strategy set in use: validated once, its slots direct, its measurements its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cexnet.http.answers import Timings
from cexnet.http.endpoint import Call
from cexnet.http.measuring import Measuring
from cexnet.http.meters import HostMeters
from cexnet.http.metrics import RestCounters, RestLatency, RestVariantMetrics
from cexnet.http.strategies import RestStrategySet
from cexnet_core.errors import CexnetError
from cexnet_core.meter import MetricsPolicy, Stages


class Variant:
    """One strategy set under a name. Raises StrategyError when the set cannot be used.

    ``measuring`` is the manager's; ``measured`` continues the measurements of an earlier variant
    of the same name.
    """

    __slots__ = (
        "auth",
        "counters",
        "exceptions",
        "latency",
        "limits",
        "measuring",
        "name",
        "request",
        "retry",
        "strategies",
    )

    def __init__(
        self,
        name: str,
        strategies: RestStrategySet,
        measuring: Measuring,
        measured: Variant | None = None,
    ) -> None:
        strategies.validate()
        self.name = name
        self.strategies = strategies
        self.request = strategies.request
        self.auth = strategies.auth
        self.limits = strategies.limits
        self.retry = strategies.retry
        self.exceptions = strategies.exceptions
        self.measuring = measuring
        self.counters: RestCounters = measured.counters if measured else RestCounters()
        self.latency: RestLatency = measured.latency if measured else RestLatency()

    def succeeded(self, call: Call[Any], timings: Timings, tries: int, ended_ns: int) -> None:
        """A call ended well under this variant, at ``ended_ns`` of ``ticks_ns``."""
        self.latency.record(timings)
        self.measuring.succeeded(self.name, call, timings, tries, ended_ns)

    def failed(self, call: Call[Any], error: CexnetError, tries: int, started_ns: int) -> None:
        """A call that began at ``started_ns`` of ``ticks_ns`` ended with ``error`` under this variant."""
        self.counters.fail(error)
        self.measuring.failed(self.name, call, error, tries, started_ns)

    def metrics(self) -> RestVariantMetrics:
        """A snapshot."""
        return RestVariantMetrics.of(self.name, self.counters, self.latency)


class Variants:
    """The variants of one manager by name, and the one that is in use."""

    def __init__(self, strategies: RestStrategySet, policy: MetricsPolicy) -> None:
        self._by_name: dict[str, Variant] = {}
        self.measuring = Measuring(policy, lambda: (self._calls(), self.stages()))
        self.current = Variant("1", strategies, self.measuring)
        self._by_name[self.current.name] = self.current
        self._limiters = [self.current.limits]
        self._meters: HostMeters | None = None

    def share(self, meters: HostMeters) -> None:
        """Have this limiter, and all that come later, count with the host's other managers."""
        self._meters = meters
        self.current.limits.share(meters)

    def swap(self, name: str, changed: Mapping[str, Any]) -> Variant:
        """Take the strategies in ``changed``, by slot, into use; raises as Variant does."""
        name = name or str(len(self._by_name) + 1)
        strategies = replace(self.current.strategies, **changed)
        variant = Variant(name, strategies, self.measuring, self._by_name.get(name))
        if not any(variant.limits is known for known in self._limiters):
            if self._meters is not None:
                variant.limits.share(self._meters)
            self._limiters.append(variant.limits)
        self.current = self._by_name[name] = variant
        return self.current

    def metrics(self) -> tuple[RestVariantMetrics, ...]:
        """A snapshot of each, in the order in which their names first appeared."""
        return tuple(variant.metrics() for variant in self._by_name.values())

    def stages(self) -> Stages:
        """The histograms of all variants added up by stage, without the rings of newest samples."""
        total = RestLatency(capacity=1)
        for variant in self._by_name.values():
            total.merge(variant.latency)
        return {stage: getattr(total, stage) for stage in total.STAGES}

    def reset(self) -> None:
        """Count and measure from now on."""
        for variant in self._by_name.values():
            variant.counters.reset()
            variant.latency.reset()
        self.measuring.meter.reset()

    def _calls(self) -> int:
        return sum(variant.counters.requests for variant in self._by_name.values())

    def close(self) -> None:
        """Close every limiter that was ever in use: calls may still wait in an earlier one.

        What one of them raises is raised when the others are closed; of several, the first.
        """
        troubles: list[Exception] = []
        while self._limiters:
            try:
                self._limiters.pop(0).close()
            except Exception as error:  # noqa: BLE001 - raised below
                troubles.append(error)
        if troubles:
            for other in troubles[1:]:
                troubles[0].add_note(f"Another limiter could not be closed either: {other!r}")
            raise troubles[0]
