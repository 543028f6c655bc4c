"""``WebSocketManager``: streams of one exchange, over as many connections as they need."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from cexnet.types import Channel, Subscription
from cexnet.websocket.metrics import StreamMetrics, WebSocketMetrics
from cexnet.websocket.session import Session, SessionState
from cexnet.websocket.strategies import WebSocketStrategySet
from cexnet_core.errors import ConfigurationError, ConnectionClosed
from cexnet_core.events import DecodeError, Event, EventKind, EventSink, SubscriptionAck
from cexnet_core.route import Router

_logger = logging.getLogger("cexnet.websocket")

Handler = Callable[[Event], object] | EventSink
StateListener = Callable[[int, SessionState, Exception | None], object]

_KINDS_OF = {
    Channel.TRADES: (EventKind.TRADE,),
    Channel.BOOK_TICKER: (EventKind.BOOK_TICKER,),
    Channel.DEPTH: (EventKind.DEPTH_UPDATE, EventKind.DEPTH_SNAPSHOT),
    Channel.CANDLES: (EventKind.CANDLE,),
}


class WebSocketManager:
    """Connects, subscribes, and calls handlers with typed events, inline.

    ``handler`` is called on the event loop's thread, inside the socket's read callback:
    it must not block. It is a callable that takes one event, or a compiled
    ``EventSink``. An exception in it is counted, logged and isolated. ``on_state``
    is told ``(connection_id, state, error)`` at each change of a connection.

    Not thread-safe: use it from the loop that called ``initialize()``.
    """

    def __init__(
        self,
        strategies: WebSocketStrategySet,
        *,
        name: str = "websocket",
        on_state: StateListener | None = None,
    ) -> None:
        self.name = name
        self.strategies = strategies
        self._on_state = on_state
        self._sessions: list[Session] = []
        self._topics: dict[str, Session] = {}
        self._next_connection_id = 0
        self._retired_messages = 0

    @property
    def router(self) -> Router:
        """The router: per-stream counters, stage latencies, ``on_gap`` and ``on_error``."""
        return self.strategies.parser.router

    @property
    def live(self) -> bool:
        """Whether every connection is live and there is at least one."""
        return bool(self._sessions) and all(s.state is SessionState.LIVE for s in self._sessions)

    async def initialize(
        self,
        subscriptions: Iterable[Subscription],
        handler: Handler,
        *,
        deadline_s: float = 15.0,
    ) -> None:
        """Validate the strategies, connect, subscribe; return when every topic is confirmed.

        Raises StrategyError, ConnectError, SubscriptionError (with the exchange's
        words) or DeadlineExceeded (naming the topics); nothing stays open then.
        """
        self.strategies.validate()
        if self._sessions:
            raise ConfigurationError(f"{self.name} is initialized already: use subscribe() to add streams")
        router = self.router
        router.add(EventKind.SUBSCRIPTION_ACK, "", self._on_ack)
        router.add(EventKind.DECODE_ERROR, "", self._on_decode_error)
        router.add(EventKind.PONG, "", _ignore)
        router.add(EventKind.RAW_MESSAGE, "", _ignore)  # counted by the decoder, by channel
        try:
            await self.subscribe(subscriptions, handler, deadline_s=deadline_s)
        except BaseException:
            await self.close()
            raise

    async def subscribe(
        self,
        subscriptions: Iterable[Subscription],
        handler: Handler,
        *,
        deadline_s: float = 15.0,
    ) -> None:
        """Add streams and return when each is confirmed. Raises as ``initialize``.

        A topic that is subscribed already only gets the new handler.
        """
        wanted = list(subscriptions)
        if not wanted and not self._sessions:
            raise ConfigurationError("nothing to subscribe: give at least one Subscription")
        spelled = self.strategies.subscription.topic
        topics = {spelled(subscription): subscription for subscription in wanted}
        for subscription in wanted:
            for kind in _KINDS_OF[subscription.channel]:
                self.router.add(kind, subscription.symbol, handler)
        missing = [topic for topic in topics if topic not in self._topics]
        await self._place(missing, deadline_s)

    async def unsubscribe(self, subscriptions: Iterable[Subscription], *, deadline_s: float = 15.0) -> None:
        """End streams and return when the exchange has confirmed it.

        Later events of them, if any still arrive, count as unrouted.
        """
        by_session: dict[Session, list[str]] = {}
        wanted = list(subscriptions)
        for subscription in wanted:
            topic = self.strategies.subscription.topic(subscription)
            session = self._topics.get(topic)
            if session is None:
                raise ConfigurationError(f"{topic} is not subscribed on {self.name}")
            by_session.setdefault(session, []).append(topic)
        for session, topics in by_session.items():
            await session.unsubscribe(topics, deadline_s)
            for topic in topics:
                del self._topics[topic]
        for subscription in wanted:
            for kind in _KINDS_OF[subscription.channel]:
                self.router.remove(kind, subscription.symbol)

    async def send(self, payload: bytes, *, connection: int = 0) -> None:
        """Send a text message of one's own on the n-th connection, paced.

        Raises ConnectionClosed when that connection is not open.
        """
        if connection >= len(self._sessions):
            raise ConnectionClosed(f"{self.name} has no connection {connection}: initialize() it")
        await self._sessions[connection].send(payload)

    async def close(self) -> None:
        """Close every connection and end every task. Idempotent, bounded in time."""
        sessions, self._sessions = self._sessions, []
        self._topics.clear()
        self.router.reset()  # what an exchange numbers may start anew before the next initialize()
        await asyncio.gather(*(session.close() for session in sessions))
        self._retired_messages += sum(session.receiver.messages for session in sessions)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def metrics(self) -> WebSocketMetrics:
        """Everything counted since the manager was made."""
        streams = tuple(
            StreamMetrics(
                stream.kind_name,
                stream.symbol,
                stream.delivered,
                stream.gaps,
                stream.duplicates,
                stream.reorders,
                stream.handler_errors,
            )
            for stream in self.router.streams()
        )
        counters = self.strategies.parser.decoder.counters
        live = sum(session.receiver.messages for session in self._sessions)
        return WebSocketMetrics(
            messages=self._retired_messages + live,
            connections=len(self._sessions),
            events=dict(counters.events),
            decode={
                "shape": counters.shape,
                "ondemand": counters.ondemand,
                "protobuf": counters.protobuf,
                "errors": counters.errors,
            },
            gaps=sum(stream.gaps for stream in streams),
            duplicates=sum(stream.duplicates for stream in streams),
            reorders=sum(stream.reorders for stream in streams),
            dropped=0,  # inline delivery has no queue that could drop
            handler_errors=sum(stream.handler_errors for stream in streams),
            unrouted=dict(self.router.unrouted),
            unknown_channels=dict(self.strategies.parser.decoder.unknown_channels),
            streams=streams,
        )

    async def _place(self, topics: list[str], deadline_s: float) -> None:
        """Put topics on connections with room, opening more where there is none."""
        try:
            async with asyncio.TaskGroup() as group:
                for shard in self.strategies.subscription.shards(topics):
                    endpoint = self.strategies.connection.endpoint(shard)
                    session = self._with_room(endpoint.url, len(shard))
                    if session is None:
                        session = Session(self.strategies, self._next_connection_id, self._changed)
                        self._next_connection_id += 1
                        self._sessions.append(session)
                        group.create_task(session.open(endpoint, shard, deadline_s))
                    else:
                        group.create_task(session.subscribe(shard, deadline_s))
                    self._topics.update(dict.fromkeys(shard, session))
        except BaseExceptionGroup as failures:
            for topic in topics:
                if topic not in self._topics[topic].confirmed:
                    del self._topics[topic]
            self._retire_closed()
            # One cause is what the caller can act on; the others follow from it or repeat it.
            raise failures.exceptions[0] from None

    def _with_room(self, url: str, topics: int) -> Session | None:
        limit = self.strategies.subscription.max_topics_per_connection
        for session in self._sessions:
            room = limit - len(session.confirmed)
            if session.state is SessionState.LIVE and session.url == url and topics <= room:
                return session
        return None

    def _retire_closed(self) -> None:
        closed = [s for s in self._sessions if s.state is SessionState.CLOSED]
        self._retired_messages += sum(session.receiver.messages for session in closed)
        self._sessions = [s for s in self._sessions if s.state is not SessionState.CLOSED]

    def _changed(self, session: Session, state: SessionState) -> None:
        if self._on_state is not None:
            self._on_state(session.connection_id, state, session.error)

    def _on_ack(self, ack: SubscriptionAck) -> None:
        for session in self._sessions:
            if session.connection_id == ack.connection_id:
                if not session.on_ack(ack):
                    _logger.warning("%s: an answer that no request of ours waits for: %r", self.name, ack)
                return

    def _on_decode_error(self, event: DecodeError) -> None:
        _logger.warning("%s: undecodable message: %s", self.name, event.reason)


def _ignore(event: Event) -> None:
    """Events that need no action of ours."""
