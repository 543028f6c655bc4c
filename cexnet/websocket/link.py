"""What can be said and heard on one connection: paced sending, questions and their answers.

A link outlives its connections: ``open()`` may be called again after ``drop()``. It starts
no task; everything runs in those of its callers, on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence

from cexnet.websocket.answers import Answers, Outcome
from cexnet.websocket.connect import CloseInfo, Connection, connect
from cexnet.websocket.reconnect import Loss
from cexnet.websocket.setting import Setting
from cexnet.websocket.strategies import ControlRequest, Endpoint, MessageParser
from cexnet_core.errors import (
    ConnectionClosed,
    ExchangeError,
    OutcomeUnknown,
    ProtocolError,
    RequestError,
    RequestNotSent,
    TransportError,
)
from cexnet_core.events import SubscriptionAck
from cexnet_core.forget import drop_frames
from cexnet_core.messages import MessageSink, PyMessageSink
from cexnet_core.ratelimit import RollingWindow

# Messages that we spread out may bunch up on the way.
PACE_GUARD_S = 0.05
# A ping of the peer must be answered whatever we have sent: its pong has a place of its own.
PONGS_PER_S = 1


class Link:
    """One connection at a time, its pace and its open questions.

    ``on_first_data`` is called when the first message of a connection has come in that
    answers nothing of ours.
    """

    def __init__(
        self,
        setting: Setting,
        parser: MessageParser,
        connection_id: int,
        on_first_data: Callable[[], None],
    ) -> None:
        self.connection_id = connection_id
        self.receiver = parser.receiver(connection_id)
        self.connection: Connection | None = None
        self.ended_for: Loss | None = None
        self._setting = setting
        self._answers = Answers(setting.subscription.settle)
        self._pace = self._new_pace()
        self._on_first_data = on_first_data
        self._awaits_data = False
        self._heard_before = 0
        self._control_messages = 0
        self._retired_messages = 0
        self._retired_discards = 0
        self._next_request_id = 1

    @property
    def messages(self) -> int:
        """Messages received over all its connections."""
        return self._retired_messages + self.receiver.messages

    @property
    def data_messages(self) -> int:
        """Those that answered no ping and no request of ours."""
        return self.messages - self._control_messages

    @property
    def discarded(self) -> int:
        """Messages that came after we had begun to close."""
        open_now = self.connection.reader.discarded if self.connection is not None else 0
        return self._retired_discards + open_now

    async def open(self, endpoint: Endpoint) -> None:
        """Connect. Raises what ``connect()`` raises."""
        strategy, network = self._setting.connection, self._setting.connection.network
        self._pace = self._new_pace()  # the exchange counts per connection
        self._heard_before = self.data_messages
        self._awaits_data = True
        handled = sys.exception()
        try:
            self.connection = await connect(
                endpoint.url,
                self._tapped(PyMessageSink(self._on_message)),
                deadline_s=strategy.connect_deadline_s,
                ssl_context=endpoint.ssl_context or network.ssl_context,
                headers=tuple(endpoint.headers.items()),
                max_message_bytes=strategy.max_message_bytes,
                # The decoder validates UTF-8 itself; doing it twice would cost every message.
                validate_utf8=False,
                proxy=network.proxy,
                proxy_ssl_context=network.proxy_ssl_context,
                local_address=network.local_address,
                happy_eyeballs_delay_s=network.happy_eyeballs_delay_s,
                deflate=network.deflate,
            )
        except BaseException as error:
            drop_frames(error, handled)  # theirs hold the URL with its listen key, and the proxy's password
            raise
        self.connection.reader.closed.add_done_callback(self._on_closed)

    def end(self, loss: Loss) -> None:
        """End the connection at once; ``loss`` says why."""
        if self.connection is not None:
            self.ended_for = loss
            self.connection.abort()

    async def drop(self) -> None:
        """End the connection at once, if there is one, and wait until it is gone."""
        connection, self.connection = self.connection, None
        self.ended_for = None
        if connection is not None:
            connection.abort()
            await connection.wait_closed()
            self._retired_discards += connection.reader.discarded

    async def close(self) -> None:
        """End the connection in good order, within the close timeout."""
        connection, self.connection = self.connection, None
        if connection is not None:
            await connection.close()
            self._retired_discards += connection.reader.discarded
        self._answers.fail(ConnectionClosed(f"connection {self.connection_id} was closed by us", code=1000))

    def loss(self, info: CloseInfo) -> Loss:
        """How the connection ended, for the life cycle."""
        if self.ended_for is not None:
            return self.ended_for
        words = f", {info.reason}" if info.reason else ""
        error = info.error or ConnectionClosed(
            f"the exchange closed connection {self.connection_id} (code {info.code}{words})",
            code=info.code,
            reason=info.reason,
        )
        # The peer that broke the protocol sent no code: the one that we answered with says it.
        code = error.code if isinstance(error, ProtocolError) else info.code
        return Loss(error, code=code, reason=info.reason)

    def take_request_ids(self, count: int) -> int:
        """The first of ``count`` unused ids for control requests."""
        first = self._next_request_id
        self._next_request_id += count
        return first

    async def send(self, payload: bytes) -> None:
        """Send one text message, paced to the exchange's limit. Raises ConnectionClosed."""
        while wait_ns := self._pace.try_acquire(1):
            await asyncio.sleep(wait_ns / 1e9)
        if self.connection is None:
            raise ConnectionClosed(f"cannot send: connection {self.connection_id} is not open")
        self.connection.send_text(payload)

    def send_now(self, payload: bytes) -> None:
        """Send one text message that cannot wait; others wait for it. Raises ConnectionClosed."""
        if self.connection is None:
            raise ConnectionClosed(f"cannot send: connection {self.connection_id} is not open")
        self.connection.send_text(payload)
        self._count_unpaced()

    async def ping(self) -> float:
        """Round trip of a ping, in seconds. Unbounded; raises ConnectionClosed."""
        if self.connection is None:
            raise ConnectionClosed(f"cannot ping: connection {self.connection_id} is not open")
        if self._setting.subscription.counts_control_frames:
            self._count_unpaced()
        return await self.connection.ping()

    async def ask(self, requests: Sequence[ControlRequest], deadline_s: float) -> Outcome:
        """Send control requests and gather answers until all came or time is up.

        Raises ConnectionClosed when the connection ends meanwhile.
        """
        asked = [self._answers.expect_control(request) for request in requests]
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline_s):
                    for pending in asked:
                        await self.send(pending.request.payload)
                    await asyncio.gather(*(pending.done for pending in asked))
            return Outcome.of(asked)
        finally:
            for pending in asked:
                self._answers.forget_control(pending)

    async def request(self, payload: bytes, request_id: str, deadline_s: float) -> SubscriptionAck:
        """Send a request and return the answer that carries ``request_id``.

        Raises RequestNotSent when nothing left us, ExchangeError with the exchange's words
        when it refused, OutcomeUnknown when the connection or the time ended before the
        answer: it may have been executed.
        """
        answer = self._answers.expect(request_id)
        sent = False
        try:
            async with asyncio.timeout(deadline_s):
                await self.send(payload)
                sent = True
                ack = await answer
        except TimeoutError:
            raise _unanswered(request_id, f"no answer within {deadline_s:g} s", sent) from None
        except TransportError as error:
            raise _unanswered(request_id, str(error), sent) from error
        finally:
            self._answers.forget(request_id)
        if not ack.ok:
            raise ExchangeError(
                f"request {request_id} was refused: {ack.message} (code {ack.code})",
                exchange_code=ack.code,
                exchange_message=ack.message,
            )
        return ack

    def on_answer(self, ack: SubscriptionAck) -> bool:
        """Take an answer that came in on this connection; False when nobody waits for it."""
        self._control_messages += 1
        return self._answers.take(ack)

    def on_control(self) -> None:
        """A message came in that is no data: a pong, a notice."""
        self._control_messages += 1

    def swap(self, parser: MessageParser) -> None:
        """Decode and route with ``parser`` from the next message on."""
        self._retired_messages += self.receiver.messages
        self.receiver = parser.receiver(self.connection_id)
        if self.connection is not None and not self._awaits_data:
            self.connection.reader.sink = self._tapped(self.receiver)

    def _new_pace(self) -> RollingWindow:
        strategy = self._setting.subscription
        limit = strategy.max_messages_per_s - PONGS_PER_S * strategy.counts_control_frames
        return RollingWindow(max(1, limit), 1.0, guard_s=PACE_GUARD_S)

    def _count_unpaced(self) -> None:
        self._pace.observe_used(self._pace.limit - self._pace.remaining + 1)

    def _tapped(self, sink: MessageSink) -> MessageSink:
        tap = self._setting.tap
        return sink if tap is None else tap.through(sink, self.connection_id)

    def _on_message(self, payload: bytes, is_text: bool, receive_ts_ns: int) -> None:
        # In the way only until the first data: then the socket feeds the receiver directly.
        self.receiver.feed(payload, is_text, receive_ts_ns)
        if self._awaits_data and self.data_messages > self._heard_before:
            self._awaits_data = False
            self._on_first_data()
        if not self._awaits_data and self.connection is not None:
            self.connection.reader.sink = self._tapped(self.receiver)

    def _on_closed(self, closed: asyncio.Future[CloseInfo]) -> None:
        error = self.loss(closed.result()).error
        if not isinstance(error, TransportError):
            error = ConnectionClosed(f"the connection ended: {error}")
        self._answers.fail(error)


def _unanswered(request_id: str, why: str, sent: bool) -> RequestError:
    if not sent:
        return RequestNotSent(f"request {request_id} was not sent: {why}", outcome="not_sent", retryable=True)
    return OutcomeUnknown(
        f"request {request_id} was sent, but: {why}. It may have been executed: query before acting",
        outcome="unknown",
    )
