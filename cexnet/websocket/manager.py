"""``WebSocketManager``: streams of one exchange, over as many connections as they need."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from cexnet.types import Subscription
from cexnet.websocket.backchannel import BackChannel
from cexnet.websocket.bookkeeper import Bookkeeper
from cexnet.websocket.books import BookRecovered, SnapshotProvider
from cexnet.websocket.caretaker import Caretaker
from cexnet.websocket.delivery import Delivery
from cexnet.websocket.fleet import Fleet
from cexnet.websocket.lifecycle import SessionState, StateChange
from cexnet.websocket.live import Changeable, Live, Standing
from cexnet.websocket.measuring import Measured, Measuring
from cexnet.websocket.overflow import Overflow
from cexnet.websocket.register import Handler, Register
from cexnet.websocket.session import Session
from cexnet.websocket.setting import Setting
from cexnet.websocket.strategies import MessageParser, WebSocketStrategySet
from cexnet.websocket.subscriber import Subscriber
from cexnet.websocket.tally import Tally
from cexnet.websocket.topics import TopicReport
from cexnet_core.callbacks import require_plain
from cexnet_core.errors import ConfigurationError, DeadlineExceeded
from cexnet_core.events import EventKind, SubscriptionAck
from cexnet_core.meter import MetricsPolicy
from cexnet_core.route import Router
from cexnet_core.tap import FrameTap

_logger = logging.getLogger("cexnet.websocket")
_RELEASE_TIMEOUT_S = 5.0
_STANDING = Standing()

StateListener = Callable[[StateChange], object]
TopicListener = Callable[[TopicReport], object]


class WebSocketManager(Measured, Changeable):
    """Connects, subscribes, stays connected, and delivers typed events, inline or queued.

    Inline: ``handler`` is a callable that takes one event, or a compiled ``EventSink``,
    called on the event loop's thread inside the socket's read callback. It must not block;
    an exception in it is counted, logged and isolated. Queued: ``handler`` is a
    ``Delivery`` of the depth and overflow policy that suit the consumer, who then takes
    the events out of ``events()``.

    ``on_state`` is told every ``StateChange`` of a connection, ``on_topic`` what happens to
    a topic without a caller who waits (refused or unanswered at a resubscription, silent
    while others talk). With ``snapshots``, a provider of whole books, every depth stream
    begins with one, and one with a hole is mended before it goes on; ``on_book`` is told.
    ``redundancy`` keeps that many connections on the same topics; the first arrival of
    each event is delivered. A ``tap`` gets a copy of every raw message, for a recorder.
    ``standing`` says what ``initialize()`` streams when it is not told, ``policy`` what is kept
    of the recent past for ``metrics()`` and ``slowest()``.

    Not thread-safe: use it from the loop that called ``initialize()``.
    """

    def __init__(
        self,
        strategies: WebSocketStrategySet,
        *,
        name: str = "websocket",
        on_state: StateListener | None = None,
        on_topic: TopicListener | None = None,
        snapshots: SnapshotProvider | None = None,
        on_book: Callable[[BookRecovered], object] | None = None,
        redundancy: int = 1,
        tap: FrameTap | None = None,
        standing: Standing = _STANDING,
        policy: MetricsPolicy | None = None,
    ) -> None:
        if redundancy < 1:
            raise ConfigurationError(f"redundancy={redundancy}: at least one connection is needed")
        for what, listener in (("on_state", on_state), ("on_topic", on_topic), ("on_book", on_book)):
            require_plain(what, listener)
        self.strategies = strategies
        self.redundancy = redundancy
        self._on_state = on_state
        self._on_topic = on_topic
        self._tally = Tally()
        self._books = Bookkeeper(snapshots, on_book)
        self._setting = Setting(strategies, tap=tap)
        self._register = Register(strategies, lambda stream: self._measuring.ended(stream))
        self._fleet = Fleet(self._setting, self._register, self, redundancy)
        self._caretaker = Caretaker(
            self._setting,
            self._tally,
            lambda: self._fleet.bundles,
            lambda: self.router,
            lambda: self._measuring.advance(),
        )
        self._overflow = Overflow(self._fleet.feeding, self._on_dropped_depth)
        Measured.__init__(
            self,
            Measuring(
                policy if policy is not None else MetricsPolicy(),
                lambda: self.strategies.parser,
                self._setting,
                self._caretaker,
                self._tally,
                self._overflow,
                self._fleet,
                self._books,
            ),
        )
        self._handler: Handler | Delivery | None = None
        self._subscriber = Subscriber(strategies, self._register, self._fleet, self._books, self._overflow)
        live = Live(standing, self._setting, self._fleet.sessions, self._subscriber)
        Changeable.__init__(self, name, live)
        self._backchannel = BackChannel(self._setting, self._fleet.sessions, name)
        self._moved = asyncio.Event()

    @property
    def router(self) -> Router:
        """The router: per-stream counters, stage latencies, ``on_gap`` and ``on_error``."""
        return self.strategies.parser.router

    @property
    def live(self) -> bool:
        """Whether every topic is carried by a live connection, and there is at least one."""
        return bool(self._fleet.bundles) and all(bundle.live for bundle in self._fleet.bundles)

    @property
    def states(self) -> dict[int, SessionState]:
        """Where each connection that is not closed stands, by its id."""
        return {number: session.state for number, session in self._fleet.sessions.items()}

    async def initialize(
        self,
        subscriptions: Iterable[Subscription] | None = None,
        handler: Handler | Delivery | None = None,
        *,
        deadline_s: float = 15.0,
    ) -> None:
        """Validate the strategies, connect, subscribe; return when every topic is confirmed.

        Without ``subscriptions`` those that are configured are meant. Without a ``handler``,
        events wait for ``events()`` in a ``Delivery`` of the configured depth and policy.
        From then on lost connections come back by themselves. Raises StrategyError,
        ConnectError, AuthenticationError, SubscriptionError (with the exchange's words) or
        DeadlineExceeded (naming the topics); nothing stays open then.
        """
        self.strategies.validate()
        if self._caretaker.running:
            raise ConfigurationError(f"{self.name} is initialized already: use subscribe() to add streams")
        handler = self._live.new_queue() if handler is None else handler
        wanted = self._live.begin(subscriptions, self._overflow.sink_of(handler))
        self._handler = handler
        self._take(self.strategies.parser)
        self._guard_books(self.router)
        self._caretaker.start()
        try:
            await self.subscribe(wanted, handler, deadline_s=deadline_s)
        except BaseException:
            await self._end()
            raise

    def events(self) -> Delivery:
        """The queue that ``initialize()`` was given or has made, to take events out of.

        Raises ConfigurationError before that, and when events are delivered inline.
        """
        if not isinstance(self._handler, Delivery):
            raise ConfigurationError(
                f"{self.name} has no queue of events: give initialize() a Delivery instead of a handler"
            )
        return self._handler

    async def subscribe(
        self,
        subscriptions: Iterable[Subscription],
        handler: Handler | Delivery | None = None,
        *,
        deadline_s: float = 15.0,
    ) -> None:
        """Add streams and return when each is confirmed. Raises as ``initialize``.

        Without a ``handler``, their events go where those of ``initialize()`` go.
        Reference counted: a topic that is subscribed already only gets the new handler, and
        ends when it was unsubscribed as often. After a SubscriptionError the topics that it
        does not name are subscribed. Raises ConfigurationError before ``initialize()`` and after
        ``close()``: nobody would look after the connections, or end them.
        """
        if not self._caretaker.running:
            raise ConfigurationError(f"{self.name} is not initialized, or was closed: use initialize()")
        wanted = list(subscriptions)
        if not wanted and not self._fleet.bundles:
            raise ConfigurationError("nothing to subscribe: give or configure at least one Subscription")
        sink = self._overflow.sink_of(self._handler if handler is None else handler)
        await self._subscriber.subscribe(wanted, sink, deadline_s)

    async def unsubscribe(self, subscriptions: Iterable[Subscription], *, deadline_s: float = 15.0) -> None:
        """End streams that nobody else wants; return when the exchange has confirmed it.

        Later events of them, if any still arrive, count as unrouted.
        """
        await self._subscriber.unsubscribe(subscriptions, self.name, deadline_s)

    async def wait_live(self, deadline_s: float = 15.0) -> None:
        """Return as soon as ``live`` is true. Raises DeadlineExceeded."""
        try:
            async with asyncio.timeout(deadline_s):
                while not self.live:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            states = (
                ", ".join(f"{s.connection_id} {s.state}" for s in self._fleet.sessions.values()) or "none"
            )
            raise DeadlineExceeded(
                f"{self.name} was not live within {deadline_s:g} s; connections: {states}"
            ) from None

    async def send(self, payload: bytes, *, connection: int = 0) -> None:
        """Send a text message of one's own on the n-th connection, paced.

        Raises ConnectionClosed when that connection is not open.
        """
        await self._fleet.nth(connection).link.send(payload)

    async def request(
        self, payload: bytes, request_id: str, *, deadline_s: float = 5.0, connection: int = 0
    ) -> SubscriptionAck:
        """Send a request on the n-th connection; return the answer that carries its id.

        ``payload`` must hold ``request_id`` as the exchange wants it. Raises RequestNotSent,
        ExchangeError with the exchange's words, or OutcomeUnknown when the connection or
        the time ended after it was sent: it may have been executed.
        """
        return await self._fleet.nth(connection).link.request(payload, request_id, deadline_s)

    def swap(self, parser: MessageParser) -> None:
        """Decode and route with another parser from the next message on.

        Handlers, callbacks and sequences go over to its router; ``metrics().variants`` keeps
        the counters of both apart. Not for use inside a handler, which may have more events
        of the same message behind it: there, give it to ``loop.call_soon``.
        """
        if not isinstance(parser, MessageParser):
            raise ConfigurationError(f"swap() needs a MessageParser, not {type(parser).__name__}")
        before, after = self.router, parser.router
        if before is after:
            return
        after.on_gap, after.on_restart, after.on_error = before.on_gap, before.on_restart, before.on_error
        self._take(parser)
        self._register.handle_all(after)
        after.succeed(before)
        self.strategies.parser = parser
        self._guard_books(after)
        for session in self._fleet.sessions.values():
            session.link.swap(parser)

    async def roll(self, *, deadline_s: float = 15.0) -> None:
        """Replace every connection by a new one, make before break: nothing is lost.

        Raises as ``initialize`` when a new one cannot be made; the old one stays then.
        """
        for bundle in list(self._fleet.bundles):
            before = bundle.sessions[:]
            await bundle.roll(deadline_s)
            self._tally.rolls += len(set(before) - set(bundle.sessions))

    async def close(self) -> None:
        """Close every connection, and end every task and consumer. Idempotent, bounded in time.

        Consumers of a queue still get what waits in it; an attached callback gets it before
        this returns.
        """
        await self._end()
        await self._overflow.close()

    async def _end(self) -> None:
        await self._caretaker.close()
        await self._books.close()
        await self._fleet.close()
        await self._release()
        self._subscriber.forget()
        self._live.end()
        self.router.reset()  # another initialize() begins afresh

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(_RELEASE_TIMEOUT_S):
                await self.strategies.connection.release()
        except Exception:
            self._tally.care_errors += 1
            _logger.exception("%s: what the login had got was not given back", self.name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def ping(self, deadline_s: float = 3.0) -> dict[int, float | None]:
        """Round trip to the exchange in seconds, by connection; ``None`` without an answer in time."""
        return await self._fleet.ping(deadline_s)

    # What sessions tell

    def session_changed(self, session: Session, change: StateChange) -> None:
        """A connection's state changed: count it, log it, tell the listener."""
        self._tally.changed(session, change)
        if change.loss is not None:
            _logger.warning("%s: connection %d: %s", self.name, change.connection_id, _words(change))
        if change.state is SessionState.LIVE:
            self._moved.set()
            if change.before is SessionState.SUBSCRIBING and session.connects > 1:
                # What changed while nobody carried a book shows only when it changes again.
                self._books.recover(self._fleet.alone(session))
            self._overflow.settle()
        if change.state in (SessionState.BACKING_OFF, SessionState.CLOSED):
            self.router.leave(change.connection_id)
        if change.state is SessionState.CLOSED and session.connection_id in self._fleet.sessions:
            self._fleet.bury(session)
            self._tally.retire(session)
        self._tell(self._on_state, change)

    def topic_reported(self, session: Session, report: TopicReport) -> None:
        """Something happened to a topic that no caller waits for."""
        self._tally.reported(report)
        _logger.warning("%s: %s is %s (%s)", self.name, report.topic, report.event, report.words)
        self._tell(self._on_topic, report)

    def topic_totals(self, session: Session) -> dict[str, int]:
        """Events of each topic confirmed on ``session``; over all connections that bring it.

        A topic is silent when none of them does, and each subscribes it anew.
        """
        return self._register.totals(session.topics.confirmed, self.router)

    def _on_dropped_depth(self, symbol: str) -> None:
        stream = self.router.get(EventKind.DEPTH_UPDATE, symbol)
        if stream is not None:
            stream.mark_gapped()
        self._books.mend(symbol)

    def _tell(self, listener: Callable[[Any], object] | None, news: StateChange | TopicReport) -> None:
        if listener is None:
            return
        try:
            listener(news)
        except (Exception, asyncio.CancelledError):  # called inline: a cancellation is its own
            self._tally.listener_errors += 1
            _logger.exception("%s: a listener failed on %s", self.name, news)

    def _guard_books(self, router: Router) -> None:
        broken = self._books.recovering()
        before = self._books.take(router)
        wanted = [entry.subscription for entry in self._register.entries.values()]
        self._books.watch(wanted, begin=False)
        self._books.recover(subscription for subscription in wanted if subscription.symbol in broken)
        if before is not None:
            self._caretaker.own(before.close(), "books")

    def _take(self, parser: MessageParser) -> None:
        self._measuring.take(parser)
        self._backchannel.listen(parser.router)


def _words(change: StateChange) -> str:
    then = "" if change.delay_s is None else f"; next attempt in {change.delay_s:.1f} s"
    return f"{change.error}{then}"
