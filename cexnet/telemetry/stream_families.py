"""The metric families of WebSocket managers, one row each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from cexnet.telemetry.families import Cell, Family
from cexnet.websocket.lifecycle import SessionState
from cexnet.websocket.metrics import StreamMetrics, WebSocketMetrics
from cexnet_core.latency import LatencyRecorder

# The label of what is added up because it is beyond the bound on topics.
OTHER = "other"
# Not stages of a message: they have families of their own.
_APART = ("first_event", "loop_lag")


@dataclass(frozen=True, slots=True)
class StreamSnapshot:
    """What a WebSocket manager told at one moment; ``max_topics`` have series of their own."""

    name: str
    live: bool
    states: tuple[SessionState, ...]
    metrics: WebSocketMetrics
    stages: Mapping[str, LatencyRecorder]
    first_event: LatencyRecorder
    loop_lag: LatencyRecorder
    max_topics: int


Read = Callable[[StreamSnapshot], Iterable[Cell]]


def _row(kind: Literal["counter", "gauge", "histogram"], name: str, about: str, read: Read,
         *labels: str) -> Family[StreamSnapshot]:  # fmt: skip
    return Family(f"cexnet_websocket_{name}", kind, about, ("manager", *labels), read)


def _plain(name: str, about: str, *, counted: str = "") -> Family[StreamSnapshot]:
    """A counter of the metrics that has no label but the manager."""
    attribute = counted or name
    return _row("counter", name, about, lambda s: [((s.name,), getattr(s.metrics, attribute))])


def _by(name: str, about: str, label: str, *, counted: str = "") -> Family[StreamSnapshot]:
    """A counter of the metrics that is a dictionary."""
    attribute = counted or name

    def read(s: StreamSnapshot) -> Iterator[Cell]:
        for value, count in getattr(s.metrics, attribute).items():
            yield (s.name, value), count

    return _row("counter", name, about, read, label)


def _of_topics(name: str, about: str, count: Callable[[StreamMetrics], int]) -> Family[StreamSnapshot]:
    """A counter by topic, of the first ``max_topics``; the rest is added up."""

    def read(s: StreamSnapshot) -> Iterator[Cell]:
        topics = [stream for stream in s.metrics.streams if stream.symbol]
        for stream in topics[: s.max_topics]:
            yield (s.name, stream.kind, stream.symbol), count(stream)
        if len(topics) > s.max_topics:
            yield (s.name, OTHER, OTHER), sum(map(count, topics[s.max_topics :]))

    return _row("counter", name, about, read, "kind", "symbol")


def _of_queues(
    kind: Literal["counter", "gauge"], name: str, about: str, attribute: str
) -> Family[StreamSnapshot]:
    """One number of every queue, by its place among them; a gauge by the policy in force too."""
    # A policy may change while the queue lives: as a label it would end a counter, and begin another.
    labels = ("queue", "policy") if kind == "gauge" else ("queue",)

    def read(s: StreamSnapshot) -> Iterator[Cell]:
        for index, queue in enumerate(s.metrics.deliveries):
            yield (s.name, str(index), queue.policy)[: 1 + len(labels)], getattr(queue, attribute)

    return _row(kind, name, about, read, *labels)


def _dropped(s: StreamSnapshot) -> Iterator[Cell]:
    metrics = s.metrics
    yield (s.name, "queue_full"), metrics.dropped
    yield (s.name, "conflated"), metrics.conflated
    yield (s.name, "unrouted"), sum(metrics.unrouted.values()) + metrics.unrouted_overflow
    yield (s.name, "closing"), metrics.discarded


def _states(s: StreamSnapshot) -> Iterator[Cell]:
    for state in SessionState:
        if state is not SessionState.CLOSED:
            yield (s.name, state.value), s.states.count(state)


def _stages(s: StreamSnapshot) -> Iterator[Cell]:
    for stage, recorder in s.stages.items():
        if stage not in _APART:
            yield (s.name, stage), recorder


def _of_variants(s: StreamSnapshot) -> Iterator[Cell]:
    for variant in s.metrics.variants:
        yield (s.name, variant.name), sum(variant.events.values())


STREAM_FAMILIES: tuple[Family[StreamSnapshot], ...] = (
    _plain("messages", "Messages received."),
    _by("events", "Decoded events by kind.", "kind"),
    _by("decode", "Messages by the path that decoded them; errors could not be decoded.", "path"),
    _plain("gaps", "Holes in the sequences of streams."),
    _plain("duplicates", "Events that came twice and were not delivered again."),
    _plain("redundant", "Events that had come on another connection first."),
    _plain("reorders", "Events that came out of order."),
    _row("counter", "dropped", "Events that were not delivered, by reason; closing counts messages.",
         _dropped, "reason"),
    _of_topics("topic_events", "Events delivered by topic.", lambda stream: stream.delivered),
    _of_topics("topic_gaps", "Holes in sequences by topic.", lambda stream: stream.gaps),
    _row("counter", "variant_events", "Decoded events by the parser that decoded them.",
         _of_variants, "variant"),
    _row("counter", "unknown_channel_messages", "Valid messages that the wire schema does not describe.",
         lambda s: [((s.name,), sum(s.metrics.unknown_channels.values()))]),
    _plain("handler_errors", "Exceptions of handlers."),
    _plain("listener_errors", "Exceptions of listeners."),
    _plain("strategy_errors", "Exceptions of the exchange's strategies."),
    _plain("reconnects", "Connections that came back after a loss."),
    _by("losses", "Lost connections by what ended them.", "cause"),
    _plain("rolls", "Planned replacements of connections."),
    _plain("probes", "Questions whether a quiet connection is alive."),
    _plain("recovered_books", "Books that were mended by a snapshot."),
    _by("topic_reports", "What happened to topics that no caller waited for.", "event",
        counted="topic_events"),
    _row("gauge", "live", "Whether a live connection carries every topic.",
         lambda s: [((s.name,), float(s.live))]),
    _row("gauge", "connections", "Connections that the manager keeps.",
         lambda s: [((s.name,), s.metrics.connections)]),
    _row("gauge", "connection_states", "Connections by state.", _states, "state"),
    _row("gauge", "topics", "Streams that events are delivered of.",
         lambda s: [((s.name,), sum(1 for stream in s.metrics.streams if stream.symbol))]),
    _row("histogram", "stage_seconds",
         "From the socket to the handler, by stage; the total of every message, its parts of a sample.",
         _stages, "stage"),
    _row("histogram", "first_event_seconds", "From a start or a loss to the first data after it.",
         lambda s: [((s.name,), s.first_event)]),
    _row("histogram", "loop_lag_seconds", "How late the event loop was.",
         lambda s: [((s.name,), s.loop_lag)]),
    _of_queues("gauge", "queue_events", "Events that wait in a queue.", "waiting"),
    _of_queues("gauge", "queue_depth", "Events that a queue holds at most.", "depth"),
    _of_queues("counter", "queue_received", "Events that came to a queue.", "received"),
    _of_queues("counter", "queue_dropped", "Events that a full queue dropped.", "dropped"),
    _of_queues("counter", "queue_conflated", "Events that gave way to newer ones in a queue.", "conflated"),
    _of_queues("counter", "queue_callback_errors", "Exceptions of a queue's callback.", "callback_errors"),
)  # fmt: skip
