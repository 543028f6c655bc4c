"""Counts what happens to the connections of a manager, those that are gone included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cexnet.websocket.lifecycle import SessionState, StateChange
from cexnet.websocket.metrics import (
    DeliveryMetrics,
    LatencySummary,
    StreamMetrics,
    VariantMetrics,
    WebSocketMetrics,
    total_counts,
    total_streams,
)
from cexnet.websocket.session import Session
from cexnet.websocket.topics import TopicReport
from cexnet_core.stream import Stream
from cexnet_core.summary import Rate, StageMetrics

_OF_STREAMS = ("gaps", "duplicates", "redundant", "reorders", "handler_errors")


class Tally:
    """Counters of one manager; :meth:`snapshot` adds those of its parsers and connections."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.rolls = 0
        self.care_errors = 0
        self.listener_errors = 0
        self._reconnects = 0
        self._losses: Counter[str] = Counter()
        self._topic_events: Counter[str] = Counter()
        self._messages = 0
        self._discarded = 0
        self._probes = 0
        self._strategy_errors = 0
        self._ended: Counter[str] = Counter()

    def changed(self, session: Session, change: StateChange) -> None:
        """A connection's state changed."""
        if change.loss is not None:
            self._losses[_cause(change)] += 1
        if change.state is SessionState.LIVE and change.before is SessionState.SUBSCRIBING:
            self._reconnects += session.connects > 1

    def reported(self, report: TopicReport) -> None:
        """Something happened to a topic."""
        self._topic_events[report.event] += 1

    def ended(self, stream: Stream, before: StreamMetrics | None) -> None:
        """A stream is routed no more: keep what it counted since the reset, ``before`` which it had."""
        for name in _OF_STREAMS:
            self._ended[name] += getattr(stream, name) - (getattr(before, name) if before else 0)

    def retire(self, session: Session) -> None:
        """A connection is gone for good: keep what it counted."""
        self._discarded += session.link.discarded
        self._messages += session.link.messages
        self._probes += session.probes
        self._strategy_errors += session.strategy_errors

    def messages(self, sessions: Iterable[Session]) -> int:
        """Messages on all connections, those of ``sessions`` and those that are gone."""
        return self._messages + sum(session.link.messages for session in sessions)

    def reset(self, sessions: Iterable[Session]) -> None:
        """Count from now on. What ``sessions`` have counted stays with them and is taken off."""
        self._forget()
        for session in sessions:
            self._discarded -= session.link.discarded
            self._messages -= session.link.messages
            self._probes -= session.probes
            self._strategy_errors -= session.strategy_errors

    def snapshot(
        self,
        variants: tuple[VariantMetrics, ...],
        deliveries: tuple[DeliveryMetrics, ...],
        sessions: Sequence[Session],
        first_event: LatencySummary,
        loop_lag: LatencySummary,
        *,
        recovered_books: int,
        rate: Rate,
        stages: dict[str, StageMetrics],
    ) -> WebSocketMetrics:
        """Everything counted so far."""
        streams = total_streams(variants)
        return WebSocketMetrics(
            messages=self.messages(sessions),
            connections=len(sessions),
            events=total_counts(variant.events for variant in variants),
            decode=total_counts(variant.decode for variant in variants),
            gaps=self._ended["gaps"] + sum(stream.gaps for stream in streams),
            duplicates=self._ended["duplicates"] + sum(stream.duplicates for stream in streams),
            redundant=self._ended["redundant"] + sum(stream.redundant for stream in streams),
            reorders=self._ended["reorders"] + sum(stream.reorders for stream in streams),
            dropped=sum(delivery.dropped for delivery in deliveries),
            conflated=sum(delivery.conflated for delivery in deliveries),
            drops=total_counts(delivery.drops for delivery in deliveries),
            handler_errors=self._ended["handler_errors"] + sum(stream.handler_errors for stream in streams),
            unrouted=total_counts(variant.unrouted for variant in variants),
            unrouted_overflow=sum(variant.unrouted_overflow for variant in variants),
            discarded=self._discarded + sum(session.link.discarded for session in sessions),
            unknown_channels=total_counts(variant.unknown_channels for variant in variants),
            streams=streams,
            reconnects=self._reconnects,
            recovered_books=recovered_books,
            rolls=self.rolls,
            losses=dict(self._losses),
            probes=self._probes + sum(session.probes for session in sessions),
            topic_events=dict(self._topic_events),
            strategy_errors=self._strategy_errors
            + self.care_errors
            + sum(session.strategy_errors for session in sessions),
            listener_errors=self.listener_errors,
            first_event=first_event,
            loop_lag=loop_lag,
            variants=variants,
            deliveries=deliveries,
            rate=rate,
            stages=stages,
        )


def _cause(change: StateChange) -> str:
    if change.status:
        return f"http {change.status}"
    if change.code:
        return f"code {change.code}"
    return change.reason or type(change.error).__name__
