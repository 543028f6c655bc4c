"""What a manager measures: its stages over all parsers and queues, rates, and slow messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cexnet.websocket.baseline import Baseline
from cexnet.websocket.bookkeeper import Bookkeeper
from cexnet.websocket.caretaker import Caretaker
from cexnet.websocket.fleet import Fleet
from cexnet.websocket.metrics import WebSocketLatency, WebSocketMetrics
from cexnet.websocket.overflow import Overflow
from cexnet.websocket.session import Session
from cexnet.websocket.setting import Setting
from cexnet.websocket.strategies import MessageParser
from cexnet.websocket.tally import Tally
from cexnet_core.clock import ticks_ns
from cexnet_core.latency import LatencyRecorder
from cexnet_core.meter import Measurement, Meter, MetricsPolicy, Stages, rate_of, stages_of
from cexnet_core.slow import SlowMessage
from cexnet_core.stream import Stream
from cexnet_core.summary import LatencySummary


class Measuring:
    """Measures one manager, of which it is given the parts that count.

    The parsers that ``take`` was called with are measured for good, also when another one is
    in use; before the first, the one that ``parser`` names.
    """

    def __init__(
        self,
        policy: MetricsPolicy,
        parser: Callable[[], MessageParser],
        setting: Setting,
        caretaker: Caretaker,
        tally: Tally,
        overflow: Overflow,
        fleet: Fleet,
        books: Bookkeeper,
    ) -> None:
        self._parser = parser
        self._setting = setting
        self._caretaker = caretaker
        self._tally = tally
        self._overflow = overflow
        self._fleet = fleet
        self._books = books
        self._taken: list[MessageParser] = []
        self._baseline = Baseline()
        self._meter = Meter(policy, lambda: (tally.messages(self._sessions()), self.stages()), self._drain)

    def take(self, parser: MessageParser) -> None:
        """Measure ``parser`` too, if not already; what is timed stays as it is."""
        parser.router.timer.every = self._parser().router.timer.every
        if all(parser is not known for known in self._taken):
            self._taken.append(parser)
            parser.router.timer.slowest.keep(self._meter.policy.slowest)

    def ended(self, stream: Stream) -> None:
        """A stream is routed no more; what it counted stays in the totals."""
        self._tally.ended(stream, self._baseline.stream(stream))

    def advance(self) -> None:
        """Let time pass."""
        self._meter.advance(ticks_ns())

    def latency(self) -> WebSocketLatency:
        """The live recorders."""
        timer = self._parser().router.timer
        return WebSocketLatency(
            timer.decoded,
            timer.dispatched,
            timer.handled,
            timer.total,
            timer.one_way,
            self._setting.first_event,
            self._caretaker.lag,
            self._setting.connect,
            tuple(delivery.queue.waited for delivery in self._overflow.deliveries),
        )

    def stages(self) -> Stages:
        """A histogram of its own for each stage."""
        timers = [parser.router.timer for parser in self._parsers()]
        return {
            "decoded": _together(timer.decoded for timer in timers),
            "dispatched": _together(timer.dispatched for timer in timers),
            "handled": _together(timer.handled for timer in timers),
            "total": _together(timer.total for timer in timers),
            "one_way": _together(timer.one_way for timer in timers),
            "queue_wait": _together(delivery.queue.waited for delivery in self._overflow.deliveries),
            "first_event": self._setting.first_event.copy(),
            "loop_lag": self._caretaker.lag.copy(),
            "connect": self._setting.connect.copy(),
        }

    def measure(self) -> Measurement:
        """The histograms, since the start and of late."""
        return self._meter.measure()

    def metrics(self) -> WebSocketMetrics:
        """Everything, as plain values."""
        measured = [self._meter.measure()]
        return self._tally.snapshot(
            tuple(self._baseline.variant(parser) for parser in self._parsers()),
            tuple(self._baseline.delivery(delivery) for delivery in self._overflow.deliveries),
            self._sessions(),
            LatencySummary.of(self._setting.first_event),
            LatencySummary.of(self._caretaker.lag),
            recovered_books=self._books.recovered - self._baseline.recovered_books,
            rate=rate_of(measured),
            stages=stages_of(measured),
        )

    def slowest(self, most: int | None) -> list[SlowMessage]:
        """The slowest messages of the window."""
        return self._meter.slowest(most)

    def reset(self) -> None:
        """Count and measure from now on."""
        self._baseline = Baseline(self._parsers(), self._overflow.deliveries, self._books.recovered)
        self._tally.reset(self._sessions())
        for parser in self._parsers():
            timer = parser.router.timer
            for recorder in (timer.decoded, timer.dispatched, timer.handled, timer.total, timer.one_way):
                recorder.reset()
        for delivery in self._overflow.deliveries:
            delivery.queue.waited.reset()
        self._setting.first_event.reset()
        self._setting.connect.reset()
        self._caretaker.lag.reset()
        self._meter.reset()

    def _parsers(self) -> list[MessageParser]:
        return self._taken or [self._parser()]

    def _sessions(self) -> tuple[Session, ...]:
        return tuple(self._fleet.sessions.values())

    def _drain(self) -> list[SlowMessage]:
        return [each for parser in self._taken for each in parser.router.timer.slowest.drain()]


class Measured:
    """What a ``WebSocketManager`` tells of itself."""

    def __init__(self, measuring: Measuring) -> None:
        self._measuring = measuring

    @property
    def latency(self) -> WebSocketLatency:
        """The live recorders; those of the receive line are the parser's in use."""
        return self._measuring.latency()

    def metrics(self) -> WebSocketMetrics:
        """Everything counted since the manager was made or reset. Not for a handler."""
        return self._measuring.metrics()

    def measure(self) -> Measurement:
        """The histograms behind ``metrics().stages``, since the start and of late."""
        return self._measuring.measure()

    def stages(self) -> Stages:
        """A copy of every stage's histogram over all parsers, for an exporter."""
        return self._measuring.stages()

    def slowest(self, most: int | None = None) -> list[SlowMessage]:
        """The slowest messages of the last ``window_s``, slowest first.

        As many as the policy keeps, or at most ``most``.
        """
        return self._measuring.slowest(most)

    def reset_metrics(self) -> None:
        """Count and measure from now on.

        What is so now stays: connections, waiting events, gapped books, sequences. So do the
        live counters of ``router.streams()``, on which the watch on silence relies.
        """
        self._measuring.reset()


def _together(recorders: Iterable[LatencyRecorder]) -> LatencyRecorder:
    whole = LatencyRecorder(1)
    for recorder in recorders:
        whole.merge(recorder)
    return whole
