"""A strategy set in use: validated once, its slots direct, its measurements its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cexnet.http.meters import HostMeters
from cexnet.http.metrics import RestCounters, RestLatency, RestVariantMetrics
from cexnet.http.strategies import RestStrategySet

_logger = logging.getLogger("cexnet.http")


class Variant:
    """One strategy set under a name. Raises StrategyError when the set cannot be used.

    ``measured`` continues the measurements of an earlier variant of the same name.
    """

    __slots__ = (
        "auth",
        "counters",
        "exceptions",
        "latency",
        "limits",
        "name",
        "request",
        "retry",
        "strategies",
    )

    def __init__(self, name: str, strategies: RestStrategySet, measured: Variant | None = None) -> None:
        strategies.validate()
        self.name = name
        self.strategies = strategies
        self.request = strategies.request
        self.auth = strategies.auth
        self.limits = strategies.limits
        self.retry = strategies.retry
        self.exceptions = strategies.exceptions
        self.counters: RestCounters = measured.counters if measured else RestCounters()
        self.latency: RestLatency = measured.latency if measured else RestLatency()

    def metrics(self) -> RestVariantMetrics:
        """A snapshot."""
        return RestVariantMetrics.of(self.name, self.counters, self.latency)


class Variants:
    """The variants of one manager by name, and the one that is in use."""

    def __init__(self, strategies: RestStrategySet) -> None:
        self.current = Variant("1", strategies)
        self._by_name = {self.current.name: self.current}
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
        variant = Variant(name, strategies, self._by_name.get(name))
        if not any(variant.limits is known for known in self._limiters):
            if self._meters is not None:
                variant.limits.share(self._meters)
            self._limiters.append(variant.limits)
        self.current = self._by_name[name] = variant
        return self.current

    def metrics(self) -> tuple[RestVariantMetrics, ...]:
        """A snapshot of each, in the order in which their names first appeared."""
        return tuple(variant.metrics() for variant in self._by_name.values())

    def latency(self) -> RestLatency:
        """The histograms of all variants added up, without the rings of newest samples."""
        total = RestLatency(capacity=1)
        for variant in self._by_name.values():
            total.merge(variant.latency)
        return total

    def close(self) -> None:
        """Close every limiter that was ever in use: calls may still wait in an earlier one.

        What one raises is logged: the others, and the connections, are closed all the same.
        """
        for limits in self._limiters:
            try:
                limits.close()
            except Exception:
                _logger.exception("%r could not be closed", limits)
