"""A running engine's metrics, asked for over HTTP and read back into numbers.

Families are told apart by their names alone (``cexnet_websocket_*``, ``cexnet_rest_*``), so that
an engine of another version is understood as far as it goes.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from cexnet.cli.metrics import DEFAULT_PORT
from cexnet_core.errors import CexnetError, ConfigurationError, ConnectError

_STREAMS, _REST = "cexnet_websocket_", "cexnet_rest_"
_ENDINGS = ("_total", "_bucket", "_sum", "_count")
_TIMEOUT_S = 5.0
_MOST_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class Buckets:
    """A histogram as Prometheus tells it: how many records took at most ``bound`` seconds."""

    within: dict[float, float] = field(default_factory=dict)
    sum_s: float = 0.0

    @property
    def count(self) -> float:
        """All records."""
        return self.within.get(float("inf"), 0.0)

    def since(self, earlier: Buckets) -> Buckets:
        """What came after ``earlier``."""
        within = {bound: count - earlier.within.get(bound, 0.0) for bound, count in self.within.items()}
        return Buckets(within, self.sum_s - earlier.sum_s)

    def percentile_ns(self, p: float) -> float:
        """The ``p``-th percentile, interpolated inside its bucket; NaN when there is no record.

        Infinite when it lies beyond the last bound.
        """
        wanted = self.count * p / 100.0
        lower_s, below = 0.0, 0.0
        if self.count <= 0:
            return float("nan")
        for bound_s, count in sorted(self.within.items()):
            if count >= wanted and count > below:
                if bound_s == float("inf"):
                    return bound_s
                return (lower_s + (bound_s - lower_s) * (wanted - below) / (count - below)) * 1e9
            lower_s, below = bound_s, count
        return float("inf")

    def highest_ns(self) -> float:
        """The upper bound of the slowest record's bucket."""
        full = [bound_s for bound_s, count in self.within.items() if count >= self.count]
        return min(full) * 1e9 if self.count > 0 and full else float("nan")


@dataclass(slots=True)
class ManagerSample:
    """What one manager told: plain numbers, numbers by label, and a histogram a stage."""

    values: dict[str, float] = field(default_factory=dict)
    labelled: dict[str, dict[str, float]] = field(default_factory=dict)
    stages: dict[str, Buckets] = field(default_factory=dict)

    def value(self, name: str) -> float:
        """A counter or gauge, added up where it has labels; 0 when the engine does not tell it."""
        plain = self.values.get(name)
        return plain if plain is not None else sum(self.by_label(name).values())

    def dropped(self) -> float:
        """Events that a queue had no room for; where drops are told by reason, those of that one."""
        return self.by_label("dropped").get("queue_full", self.values.get("dropped", 0.0))

    def by_label(self, name: str) -> dict[str, float]:
        """A counter or gauge with a label besides the manager's name."""
        return self.labelled.get(name, {})


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer; ``at_s`` is our monotonic clock."""

    at_s: float
    streams: dict[str, ManagerSample]
    rest: dict[str, ManagerSample]


def metrics_url(target: str) -> str:
    """The URL for a port, ``HOST:PORT`` or a URL. Raises ConfigurationError."""
    text = f"127.0.0.1:{target}" if target.isdigit() else target
    parts = urlsplit(text if "://" in text else f"http://{text}")
    try:
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError(
            f"{target!r} is no address of metrics: give a port, HOST:PORT, or a URL like "
            f"http://127.0.0.1:{DEFAULT_PORT}/metrics"
        )
    path = parts.path if parts.path not in ("", "/") else "/metrics"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


async def scrape(session: aiohttp.ClientSession, url: str) -> Scrape:
    """Ask once. Raises ConnectError when nothing answers, CexnetError for an answer of no use."""
    try:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with session.get(url, timeout=timeout) as response:
            body = await response.content.read(_MOST_BYTES)
            status = response.status
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ConnectError(f"nothing serves metrics at {url} ({_why(error)})") from error
    if status != 200:
        raise CexnetError(f"{url} answers HTTP {status}: is the path of its metrics another one?")
    return parse(body.decode("utf-8", "replace"), url)


def parse(text: str, url: str) -> Scrape:
    """Read an answer. Raises CexnetError when it is none of an engine's."""
    from prometheus_client.parser import text_string_to_metric_families  # an extra

    streams: dict[str, ManagerSample] = defaultdict(ManagerSample)
    rest: dict[str, ManagerSample] = defaultdict(ManagerSample)
    try:
        families = list(text_string_to_metric_families(text))
    except ValueError as error:
        raise CexnetError(f"{url} answers with something else than metrics: {error}") from None
    for family in families:
        for prefix, managers in ((_STREAMS, streams), (_REST, rest)):
            if not family.name.startswith(prefix):
                continue
            for sample in family.samples:
                labels = dict(sample.labels)
                manager = managers[labels.pop("manager", "")]
                name = sample.name.removeprefix(prefix)
                _add(manager, name, labels, sample.value, is_histogram=family.type == "histogram")
    if not streams and not rest:
        raise CexnetError(f"{url} serves no metrics of cexnet: is it an engine's?")
    return Scrape(time.monotonic(), dict(streams), dict(rest))


def _add(
    manager: ManagerSample, name: str, labels: dict[str, str], value: float, *, is_histogram: bool
) -> None:
    ending = next((ending for ending in _ENDINGS if name.endswith(ending)), "")
    name = name.removesuffix(ending)
    if is_histogram:
        stage = labels.get("stage") or name.removesuffix("_seconds")
        buckets = manager.stages.setdefault(stage, Buckets())
        if ending == "_bucket":
            buckets.within[float(labels["le"])] = value
        elif ending == "_sum":
            buckets.sum_s = value
    elif labels:
        manager.labelled.setdefault(name, {})["/".join(labels.values())] = value
    else:
        manager.values[name] = value


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_TIMEOUT_S:g} s"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
