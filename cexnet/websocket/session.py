"""The life of one connection: connect, subscribe, stay alive, close.

A session belongs to one manager and one event loop. It owns two tasks (the heartbeat,
where the exchange wants one, and the close watcher); ``close()`` cancels and awaits both.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cexnet.websocket.connect import CloseInfo, Connection, connect
from cexnet.websocket.strategies import (
    ControlRequest,
    Endpoint,
    Heartbeat,
    Settlement,
    WebSocketStrategySet,
)
from cexnet_core.errors import (
    ConnectionClosed,
    DeadlineExceeded,
    SubscriptionError,
    TransportError,
)
from cexnet_core.events import SubscriptionAck
from cexnet_core.ratelimit import RollingWindow
from cexnet_core.route import Receiver

_logger = logging.getLogger("cexnet.websocket")


class SessionState(enum.StrEnum):
    """Where a connection stands in its life."""

    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    CLOSED = "closed"


StateListener = Callable[["Session", SessionState], None]


@dataclass(slots=True)
class _Pending:
    """A control request on the wire and what has been answered of it so far."""

    request: ControlRequest
    done: asyncio.Future[None]
    confirmed: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    def absorb(self, settlement: Settlement) -> None:
        """Take one answer; finished when every topic of the request has been decided."""
        self.confirmed.update(settlement.confirmed)
        self.refused.update(settlement.refused)
        if not self.undecided() and not self.done.done():
            self.done.set_result(None)

    def undecided(self) -> list[str]:
        """Topics that the exchange has neither confirmed nor refused."""
        return [
            topic
            for topic in self.request.topics
            if topic not in self.confirmed and topic not in self.refused
        ]


class Session:
    """One connection and the topics on it."""

    def __init__(self, strategies: WebSocketStrategySet, connection_id: int, on_state: StateListener) -> None:
        self.connection_id = connection_id
        self.receiver: Receiver = strategies.parser.receiver(connection_id)
        self.state = SessionState.CLOSED
        self.error: Exception | None = None
        self.url = ""
        self.confirmed: set[str] = set()
        self._strategies = strategies
        self._on_state = on_state
        self._connection: Connection | None = None
        self._heartbeat: asyncio.Task[None] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._pending: list[_Pending] = []
        self._next_request_id = 1
        self._pace = RollingWindow(strategies.subscription.max_messages_per_s, 1.0)

    async def open(self, endpoint: Endpoint, topics: Sequence[str], deadline_s: float) -> None:
        """Connect to ``endpoint`` and subscribe ``topics``.

        Raises ConnectError, SubscriptionError or DeadlineExceeded; the connection is
        closed again in each case.
        """
        strategy = self._strategies.connection
        self.url = endpoint.url
        self._enter(SessionState.CONNECTING)
        try:
            self._connection = connection = await connect(
                endpoint.url,
                self.receiver,
                deadline_s=min(deadline_s, strategy.connect_deadline_s),
                ssl_context=endpoint.ssl_context,
                headers=tuple(endpoint.headers.items()),
                max_message_bytes=strategy.max_message_bytes,
                # The decoder validates UTF-8 itself; doing it twice would cost every message.
                validate_utf8=False,
            )
            name = f"cexnet-{self.connection_id}"
            self._watch = asyncio.create_task(self._watch_close(connection), name=f"{name}-watch")
            if strategy.heartbeat is not None:
                self._heartbeat = asyncio.create_task(
                    self._beat(connection, strategy.heartbeat), name=f"{name}-heartbeat"
                )
            self._enter(SessionState.SUBSCRIBING)
            await self.subscribe(topics, deadline_s)
        except BaseException as error:
            await self.close()
            self.error = error if isinstance(error, Exception) else None
            raise
        self._enter(SessionState.LIVE)

    async def subscribe(self, topics: Sequence[str], deadline_s: float) -> None:
        """Ask for ``topics`` and return when each is confirmed.

        Raises SubscriptionError with the exchange's words when any is refused,
        DeadlineExceeded naming those never answered, ConnectionClosed when it ended.
        """
        requests = self._strategies.subscription.subscribe(topics, self._next_request_id)
        asked = await self._ask(requests, deadline_s, "subscribe")
        for pending in asked:
            self.confirmed.update(pending.confirmed)
        _raise_refusals(asked)

    async def unsubscribe(self, topics: Sequence[str], deadline_s: float) -> None:
        """End ``topics`` and return when the exchange has confirmed it. Raises as subscribe."""
        requests = self._strategies.subscription.unsubscribe(topics, self._next_request_id)
        asked = await self._ask(requests, deadline_s, "unsubscribe")
        for pending in asked:
            self.confirmed.difference_update(pending.confirmed)
        _raise_refusals(asked)

    async def send(self, payload: bytes) -> None:
        """Send one text message, paced to the exchange's limit. Raises ConnectionClosed."""
        while wait_ns := self._pace.try_acquire(1):
            await asyncio.sleep(wait_ns / 1e9)
        if self._connection is None:
            raise ConnectionClosed("cannot send: the session is not open; initialize() it first")
        self._connection.send_text(payload)

    def on_ack(self, ack: SubscriptionAck) -> bool:
        """Settle the request that ``ack`` answers; False when it answers none of ours."""
        settlement = self._strategies.subscription.settle(ack, [pending.request for pending in self._pending])
        if settlement is None:
            return False
        for pending in self._pending:
            if pending.request is settlement.request:
                pending.absorb(settlement)
        return True

    async def close(self) -> None:
        """Close the connection and end both tasks. Idempotent; bounded by the close timeout."""
        tasks = [task for task in (self._heartbeat, self._watch) if task is not None]
        self._heartbeat = self._watch = None
        for task in tasks:
            task.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._fail_pending(ConnectionClosed("the session was closed by us", code=1000))
        if self.state is not SessionState.CLOSED:
            self._enter(SessionState.CLOSED)

    async def _ask(self, requests: list[ControlRequest], deadline_s: float, verb: str) -> list[_Pending]:
        self._next_request_id += len(requests)
        loop = asyncio.get_running_loop()
        asked = [_Pending(request, loop.create_future()) for request in requests]
        try:
            async with asyncio.timeout(deadline_s):
                for pending in asked:
                    self._pending.append(pending)
                    await self.send(pending.request.payload)
                await asyncio.gather(*(pending.done for pending in asked))
        except TimeoutError:
            missing = [topic for pending in asked for topic in pending.undecided()]
            raise DeadlineExceeded(
                f"{verb}: no answer within {deadline_s:g} s for {', '.join(missing)}; "
                "check the symbol spelling, or allow more time with deadline_s"
            ) from None
        finally:
            for pending in asked:
                if not pending.done.cancel() and not pending.done.cancelled():
                    pending.done.exception()  # seen: asyncio need not report it again
                with contextlib.suppress(ValueError):
                    self._pending.remove(pending)
        return asked

    async def _beat(self, connection: Connection, heartbeat: Heartbeat) -> None:
        while True:
            await asyncio.sleep(heartbeat.interval_s)
            try:
                connection.send_text(heartbeat.message())
            except ConnectionClosed:
                return  # the watcher reports the end, with its reason

    async def _watch_close(self, connection: Connection) -> None:
        info: CloseInfo = await connection.wait_closed()
        reason = f", {info.reason}" if info.reason else ""
        self.error = info.error or ConnectionClosed(
            f"the exchange closed connection {self.connection_id} (code {info.code}{reason})",
            code=info.code,
            reason=info.reason,
        )
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self._fail_pending(self.error)
        _logger.warning("connection %d ended: %s", self.connection_id, self.error)
        self._enter(SessionState.CLOSED)

    def _fail_pending(self, error: Exception) -> None:
        if not isinstance(error, TransportError):
            error = ConnectionClosed(f"the connection ended: {error}")
        for pending in self._pending:
            if not pending.done.done():
                pending.done.set_exception(error)

    def _enter(self, state: SessionState) -> None:
        self.state = state
        self._on_state(self, state)


def _raise_refusals(asked: list[_Pending]) -> None:
    refused = {topic: why for pending in asked for topic, why in pending.refused.items()}
    if refused:
        words = "; ".join(f"{topic}: {why}" for topic, why in refused.items())
        raise SubscriptionError(f"the exchange refused {words}", topics=tuple(refused))
