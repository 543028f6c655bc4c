"""The metric families of REST managers, one row each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from cexnet.http.breaker import BreakerState
from cexnet.http.breakers import BreakerMetrics
from cexnet.http.endpoint import Priority
from cexnet.http.meters import Budget, LimitsView
from cexnet.http.metrics import RestMetrics, RestVariantMetrics
from cexnet.telemetry.families import Cell, Family
from cexnet_core.latency import LatencyRecorder


@dataclass(frozen=True, slots=True)
class RequestSnapshot:
    """What a REST manager told at one moment."""

    name: str
    metrics: RestMetrics
    limits: LimitsView
    stages: Mapping[str, LatencyRecorder]


Read = Callable[[RequestSnapshot], Iterable[Cell]]
Kind = Literal["counter", "gauge", "histogram"]


def _row(kind: Kind, name: str, about: str, read: Read, *labels: str) -> Family[RequestSnapshot]:
    return Family(f"cexnet_rest_{name}", kind, about, ("manager", *labels), read)


def _one(kind: Kind, name: str, about: str, number: Callable[[RestMetrics], float | None]
         ) -> Family[RequestSnapshot]:  # fmt: skip
    """A number without a label but the manager; ``None``: not known, not told."""

    def read(r: RequestSnapshot) -> Iterator[Cell]:
        if (value := number(r.metrics)) is not None:
            yield (r.name,), value

    return _row(kind, name, about, read)


def _of_breakers(kind: Kind, name: str, about: str, number: Callable[[BreakerMetrics], float]
                 ) -> Family[RequestSnapshot]:  # fmt: skip
    def read(r: RequestSnapshot) -> Iterator[Cell]:
        for breaker in r.metrics.breakers:
            yield (r.name, breaker.group), number(breaker)

    return _row(kind, name, about, read, "group")


def _of_limits(
    name: str, about: str, number: Callable[[Budget], float], choose: Callable[[Iterable[float]], float]
) -> Family[RequestSnapshot]:
    """One number a scope; where a scope has a bucket for each symbol, ``choose`` takes one of them."""

    def read(r: RequestSnapshot) -> Iterator[Cell]:
        scopes: dict[str, list[float]] = {}
        for budget in r.limits.budgets:
            scopes.setdefault(budget.scope.name, []).append(number(budget))
        for scope, numbers in scopes.items():
            yield (r.name, scope), choose(numbers)

    return _row("gauge", name, about, read, "scope")


def _of_variants(name: str, about: str, number: Callable[[RestVariantMetrics], int]
                 ) -> Family[RequestSnapshot]:  # fmt: skip
    def read(r: RequestSnapshot) -> Iterator[Cell]:
        for variant in r.metrics.variants:
            yield (r.name, variant.name), number(variant)

    return _row("counter", name, about, read, "variant")


def _errors(r: RequestSnapshot) -> Iterator[Cell]:
    failures: Counter[tuple[str, str]] = Counter()
    for variant in r.metrics.variants:
        failures.update(variant.failures)
    for (kind, outcome), count in failures.items():
        yield (r.name, kind, outcome), count


def _breaker_states(r: RequestSnapshot) -> Iterator[Cell]:
    for breaker in r.metrics.breakers:
        for state in BreakerState:
            yield (r.name, breaker.group, state.value), float(breaker.state is state)


def _waiting(r: RequestSnapshot) -> Iterator[Cell]:
    for lane in Priority:
        yield (r.name, lane.name.lower()), r.limits.waiting.get(lane, 0)


def _stages(r: RequestSnapshot) -> Iterator[Cell]:
    for stage, recorder in r.stages.items():
        yield (r.name, stage), recorder


def _known_ns(ns: float) -> float | None:
    return ns / 1e9 if ns >= 0 else None


REQUEST_FAMILIES: tuple[Family[RequestSnapshot], ...] = (
    _one("counter", "requests", "Calls that were made.", lambda m: m.requests),
    _row("counter", "errors", "Calls that raised, by class and outcome.", _errors, "error", "outcome"),
    _one("counter", "tries", "Passages of the line, retries included.", lambda m: m.tries),
    _one("counter", "retries", "Tries that followed a failed one.", lambda m: m.retries),
    _of_variants("variant_requests", "Calls by the strategy set that they began with.",
                 lambda v: v.requests),
    _of_variants("variant_errors", "Calls that raised, by strategy set.", lambda v: v.errors),
    _one("gauge", "placing_orders", "Orders that are on their way.", lambda m: m.placing),
    _one("gauge", "unsettled_orders", "Orders whose outcome is unknown.", lambda m: m.unsettled),
    _row("histogram", "stage_seconds", "Successful calls, by stage.", _stages, "stage"),
    _one("counter", "sent_requests", "Requests whose bytes were sent.", lambda m: m.pool.requests),
    _one("counter", "sockets", "Sockets that were opened for them, failed ones included.",
         lambda m: m.pool.sockets),
    _of_breakers("gauge", "breaker_open", "Whether a circuit breaker is not closed.",
                 lambda b: float(b.state is not BreakerState.CLOSED)),
    _row("gauge", "breaker_state", "1 for the state that a circuit breaker is in.",
         _breaker_states, "group", "state"),
    _of_breakers("counter", "breaker_opened", "How often a circuit breaker opened.", lambda b: b.opened),
    _of_breakers("counter", "breaker_rejected", "Calls that a circuit breaker refused.",
                 lambda b: b.rejected),
    _one("counter", "listener_errors", "Exceptions of breaker listeners.",
         lambda m: m.breaker_listener_errors),
    _one("gauge", "retry_budget_left", "Retries that the host's budget still allows.",
         lambda m: m.retry_budget.left),
    _one("gauge", "retry_budget_capacity", "Retries that the host's budget allows at most.",
         lambda m: m.retry_budget.capacity),
    _one("counter", "retry_budget_granted", "Retries that the host's budget allowed.",
         lambda m: m.retry_budget.granted),
    _one("counter", "retry_budget_refused", "Retries that the host's budget refused.",
         lambda m: m.retry_budget.refused),
    _one("counter", "hedgeable_reads", "Reads that might have been hedged.",
         lambda m: m.hedges.reads if m.hedges else None),
    _one("counter", "hedges", "Reads that were asked a second time.",
         lambda m: m.hedges.sent if m.hedges else None),
    _one("counter", "hedges_won", "Hedges that were answered first.",
         lambda m: m.hedges.won if m.hedges else None),
    _one("counter", "hedges_refused", "Hedges that their share did not allow.",
         lambda m: m.hedges.refused if m.hedges else None),
    _of_limits("limit", "What a limit allows in its window.", lambda b: b.scope.limit, min),
    _of_limits("limit_remaining", "What is left of a limit; of many buckets, the emptiest.",
               lambda b: b.remaining, min),
    _of_limits("limit_under_way", "What requests without an answer hold of a limit.",
               lambda b: b.under_way, sum),
    _of_limits("limit_blocked_seconds", "How long a throttle still holds a limit.",
               lambda b: b.blocked_s, max),
    _row("gauge", "limit_waiting", "Requests that wait for room, by lane.", _waiting, "lane"),
    _row("gauge", "ban_seconds", "How long a ban still lasts.",
         lambda r: [((r.name,), r.limits.banned_for_s)]),
    _one("gauge", "clock_offset_seconds", "The exchange's clock minus ours.",
         lambda m: m.clock.offset_ns / 1e9 if m.clock.error_bound_ns >= 0 else None),
    _one("gauge", "clock_error_bound_seconds", "The largest error of that offset.",
         lambda m: _known_ns(m.clock.error_bound_ns)),
    _one("gauge", "clock_round_trip_seconds", "The quickest round trip that measured it.",
         lambda m: _known_ns(m.clock.round_trip_ns)),
    _one("gauge", "clock_age_seconds", "How old the newest measurement is.",
         lambda m: m.clock.age_s if m.clock.age_s >= 0 else None),
    _one("gauge", "clock_drift_ratio", "Seconds that the exchange's clock gains in a second.",
         lambda m: m.clock.drift_ppm / 1e6),
    _one("gauge", "clock_stale", "Whether the clock was not measured for too long.",
         lambda m: float(m.clock.stale)),
    _one("counter", "clock_syncs", "Measurements of the exchange's clock.", lambda m: m.clock.syncs),
    _one("counter", "clock_resyncs", "Measurements that a skew error asked for.",
         lambda m: m.clock.resyncs),
    _one("counter", "clock_failures", "Measurements that brought nothing.", lambda m: m.clock.failures),
)  # fmt: skip
