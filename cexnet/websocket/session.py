"""One connection, kept alive: it does what its life cycle says, and tells what came of it.

A session belongs to one manager and one event loop. It owns one task, which performs the
machine's actions one after the other; ``close()`` cancels and awaits it. ``tick()`` is
called at regular intervals by the manager's caretaker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from cexnet.websocket.lifecycle import (
    Action,
    Answered,
    Authenticate,
    Authenticated,
    Close,
    Connect,
    Connected,
    Input,
    Lifecycle,
    Lost,
    Probe,
    RetryDue,
    SessionState,
    Start,
    StateChange,
    Stop,
    Subscribe,
    Subscribed,
    Wait,
    Watch,
    WentQuiet,
)
from cexnet.websocket.link import Link
from cexnet.websocket.liveness import ConnectionJudge, TopicJudge, Verdict
from cexnet.websocket.reconnect import Backoff, Loss
from cexnet.websocket.setting import Setting
from cexnet.websocket.strategies import ControlRequest, MessageParser
from cexnet.websocket.topics import TopicReport, Topics
from cexnet_core.clock import ticks_ns
from cexnet_core.errors import CexnetError, ConnectionClosed, DeadlineExceeded

_logger = logging.getLogger("cexnet.websocket")


class SessionOwner(Protocol):
    """What a session asks and tells its manager."""

    def session_changed(self, session: Session, change: StateChange) -> None:
        """The state changed."""

    def topic_reported(self, session: Session, report: TopicReport) -> None:
        """Something happened to a topic that no caller waits for."""

    def topic_totals(self, session: Session) -> dict[str, int]:
        """How many events each confirmed topic has had so far."""


class Session:
    """One connection and what is subscribed on it."""

    def __init__(
        self, setting: Setting, parser: MessageParser, connection_id: int, owner: SessionOwner
    ) -> None:
        self.connection_id = connection_id
        self.link = Link(setting, parser, connection_id, self._on_first_data)
        self.topics = Topics(setting, self.link, self._on_report)
        self.error: Exception | None = None
        self.connects = 0
        self.probes = 0
        self.strategy_errors = 0
        self.roll_due_s: float | None = None
        self.judge = ConnectionJudge(setting.connection.liveness, setting.clock())
        self._topic_judge = TopicJudge(setting.connection.liveness)
        self._setting = setting
        self._owner = owner
        self._backoff = Backoff(setting.connection.reconnect, setting.rng)
        self._machine = Lifecycle(self._backoff, setting.connection.classify)
        self._runner: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[None] | None = None
        self._alarm: asyncio.Future[Input] | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._login: ControlRequest | None = None
        self._open_deadline_s = 0.0
        self._began_s = 0.0
        self._excused_s = 0.0
        self._held_since_s: float | None = None
        self._released = asyncio.Event()
        self._released.set()
        self._next_beat_s = 0.0
        self._beat_messages = 0
        self._hung_up_messages: int | None = None
        self._next_topic_check_s = 0.0
        self._login_end: ConnectionClosed | None = None

    @property
    def state(self) -> SessionState:
        """Where the connection stands."""
        return self._machine.state

    @property
    def carries_data(self) -> bool:
        """Whether it is subscribed, even if it has gone quiet."""
        return self.state in (SessionState.LIVE, SessionState.STALE)

    @property
    def is_held(self) -> bool:
        """Whether it neither reads nor reconnects, between ``hold()`` and ``release()``."""
        return self._held_since_s is not None

    async def open(self, topics: Sequence[str], deadline_s: float) -> None:
        """Connect, log in, subscribe ``topics``; from then on stay connected.

        Raises ConnectError, AuthenticationError, SubscriptionError or DeadlineExceeded;
        the session is closed again in each case.
        """
        self.topics.desired = dict.fromkeys(topics)
        self._open_deadline_s = deadline_s
        self._opened = asyncio.get_running_loop().create_future()
        self._runner = asyncio.create_task(self._run(), name=f"cexnet-{self.connection_id}")
        try:
            await self._opened
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the connection and end the task. Idempotent; bounded by the close timeout."""
        self._released.set()
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)  # it reports its own failures
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(ConnectionClosed("closed by us while it was being opened", code=1000))
        self._tell(Close(self._setting.clock()))
        await self.link.close()

    async def drain(self) -> None:
        """Return when all that the peer sent before now has been handled.

        A pong comes behind everything that was sent before it. Bounded by the probe's
        deadline and the time for which it is held; returns early when the connection ends.
        """
        while self.link.connection is not None:
            await self._released.wait()
            excused_s = self._excused_s
            with contextlib.suppress(TimeoutError, ConnectionClosed):
                async with asyncio.timeout(self._setting.connection.liveness.probe_deadline_s):
                    await self.link.ping()
                    return
            if self._excused_s == excused_s and not self.is_held:
                return

    def hold(self) -> None:
        """Read nothing, and do not reconnect, until ``release()``: the silence is ours.

        Idempotent. A connection that is not live yet goes on until it is: to be held then.
        """
        connection = self.link.connection
        if self._held_since_s is None:
            self._released.clear()
            self._held_since_s = self._setting.clock()
        if self.carries_data and connection is not None and not connection.is_paused:
            connection.pause_reading()
            self._held_since_s = self._setting.clock()

    def release(self) -> None:
        """Go on after ``hold()``. Idempotent."""
        if self._held_since_s is not None:
            self.excuse(self._setting.clock() - self._held_since_s)
            self._held_since_s = None
            self._released.set()
            if self.link.connection is not None:
                self.link.connection.resume_reading()

    def excuse(self, seconds: float) -> None:
        """The event loop was blocked: nobody could be heard for ``seconds``."""
        self._excused_s += seconds
        self.judge.pulse.excuse(seconds)
        self._topic_judge.excuse(seconds)

    def reconfigure(self) -> None:
        """Go by the strategy's policies as they are now; histories and counts go on."""
        strategy = self._setting.connection
        self._backoff.policy = strategy.reconnect
        self.judge.policy = self._topic_judge.policy = strategy.liveness

    def end_login(self, words: str) -> None:
        """The login no longer holds, in the exchange's ``words``: connect and log in anew."""
        self._login_end = ConnectionClosed(
            f"the exchange ended the login of connection {self.connection_id}: {words}",
            reason="login ended",
        )
        self._raise_alarm(Lost(self._setting.clock(), Loss.of(self._login_end)))

    def tick(self, now_s: float, *, peers_talk: bool) -> None:
        """Look after the connection: heartbeat, silence of the whole, silence of topics.

        ``peers_talk``: another connection with the same topics has had data since.
        """
        if self.state is not SessionState.LIVE:
            return
        if self._is_hung_up():
            reset = ConnectionClosed(
                f"connection {self.connection_id} was reset, which the event loop did not report",
                code=1006,
            )
            self._raise_alarm(Lost(now_s, Loss.of(reset)))
            return
        self._beat(now_s)
        if self.is_held:
            return
        match self.judge.judge(self.link.data_messages, now_s, peers_talk=peers_talk):
            case Verdict.PROBE:
                self._raise_alarm(WentQuiet(now_s))
            case Verdict.FROZEN:
                silence_s = self.judge.pulse.silence_s(now_s)
                frozen = ConnectionClosed(
                    f"connection {self.connection_id} is frozen: it answers pings, but no data for "
                    f"{silence_s:.0f} s where data was to be expected",
                    reason="frozen",
                )
                self._raise_alarm(Lost(now_s, Loss(frozen, reason=frozen.reason)))
            case Verdict.UNHEARD:
                _logger.warning("connection %d has hardly been heard: it is replaced", self.connection_id)
                self.roll_due_s = now_s
            case Verdict.FINE:
                self._check_topics(now_s)

    # The task

    async def _run(self) -> None:
        """Do what the machine says; the outcome of each action is its next input."""
        action = self._tell(Start(self._setting.clock()))
        while action is not None and not isinstance(action, Stop):
            action = self._tell(await self._outcome(action))
        await self.link.drop()
        if self._opened is not None and not self._opened.done() and self.error is not None:
            self._opened.set_exception(self.error)

    def _tell(self, event: Input) -> Action | None:
        step = self._machine.handle(event)
        loss = event.loss if isinstance(event, Lost) else None
        if loss is not None:
            self.error = loss.error
        if isinstance(event, Start) or (loss and step.before in (SessionState.LIVE, SessionState.STALE)):
            self._began_s = event.at_s
        if step.after is not step.before:
            delay_s = step.action.delay_s if isinstance(step.action, Wait) else None
            self._owner.session_changed(
                self,
                StateChange(
                    self.connection_id, step.before, step.after, loss, self._backoff.failures, delay_s
                ),
            )
        return step.action

    async def _outcome(self, action: Action) -> Input:
        try:
            match action:
                case Connect():
                    return await self._connect()
                case Authenticate():
                    return await self._authenticate()
                case Subscribe():
                    return await self._subscribe()
                case Watch():
                    return await self._watch()
                case Probe():
                    return await self._probe()
                case Wait(delay_s):
                    await self.link.drop()
                    await asyncio.sleep(delay_s)
                    await self._released.wait()
                    return RetryDue(self._setting.clock())
                case Stop():
                    return Close(self._setting.clock())
        except CexnetError as error:
            return Lost(self._setting.clock(), self.link.ended_for or Loss.of(error))
        except Exception as error:
            # A mistake in a strategy costs one attempt, never the session.
            self.strategy_errors += 1
            _logger.exception("connection %d: the exchange's strategy failed", self.connection_id)
            return Lost(self._setting.clock(), Loss.of(error))

    async def _connect(self) -> Input:
        strategy = self._setting.connection
        await self._setting.connect_slot()
        self._login_end = None
        await strategy.prepare()
        began_ns = ticks_ns()
        await self.link.open(strategy.endpoint(tuple(self.topics.desired)))
        self._setting.connect.record(ticks_ns() - began_ns)
        self.connects += 1
        now_s = self._setting.clock()
        self.roll_due_s = self._setting.roll_due_s(now_s)
        self._login = strategy.login(self.link.take_request_ids(1))
        return Authenticated(now_s) if self._login is None else Connected(now_s)

    async def _authenticate(self) -> Input:
        assert self._login is not None
        outcome = await self.link.ask([self._login], self._setting.connection.connect_deadline_s)
        replace(outcome, unauthorized=bool(outcome.refused)).raise_unauthorized("login")
        if outcome.unanswered:
            raise DeadlineExceeded(f"no answer to the login of connection {self.connection_id} in time")
        return Authenticated(self._setting.clock())

    async def _subscribe(self) -> Input:
        if self._machine.was_live:
            await self.topics.resubscribe()
        else:
            await self.topics.subscribe(tuple(self.topics.desired), self._open_deadline_s)
        now_s = self._setting.clock()
        liveness = self._setting.connection.liveness
        self.judge.restart(now_s, self.link.data_messages)
        self._topic_judge.restart(self._owner.topic_totals(self), now_s)
        self._next_topic_check_s = now_s + liveness.topic_check_s
        self._put_off_beat(now_s)
        return Subscribed(now_s)

    async def _watch(self) -> Input:
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)
        assert self.link.connection is not None
        closed = self.link.connection.reader.closed
        if self._login_end is not None:
            return Lost(self._setting.clock(), Loss.of(self._login_end))
        self._alarm = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait((closed, self._alarm), return_when=asyncio.FIRST_COMPLETED)
        finally:
            while (renewal := self._renewal) is not None:
                self._renewal = None
                renewal.cancel()
                await asyncio.gather(renewal, return_exceptions=True)  # it reports its own failures
        if closed.done():
            return Lost(self._setting.clock(), self.link.loss(closed.result()))
        return self._alarm.result()

    async def _renew(self, topics: Sequence[str]) -> None:
        """A task beside the watch: a dead peer must be found out while its answers are awaited."""
        try:
            await self.topics.renew(topics)
        except CexnetError as error:
            self._raise_alarm(Lost(self._setting.clock(), Loss.of(error)))
        except Exception as error:
            self.strategy_errors += 1
            _logger.exception("connection %d: renewing topics failed", self.connection_id)
            self._raise_alarm(Lost(self._setting.clock(), Loss.of(error)))

    async def _probe(self) -> Input:
        """Any sign of life will do; time in which the loop was blocked does not count."""
        connection = self.link.connection
        assert connection is not None
        self.probes += 1
        deadline_s = self._setting.connection.liveness.probe_deadline_s
        while True:
            seen, excused_s = (connection.reader.pongs, connection.reader.messages), self._excused_s
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(deadline_s):
                    await self.link.ping()
            if (connection.reader.pongs, connection.reader.messages) != seen:
                return Answered(self._setting.clock())
            if self._excused_s == excused_s and not self.is_held:
                raise ConnectionClosed(
                    f"connection {self.connection_id} is dead: no data, and no answer to a ping "
                    f"within {deadline_s:g} s",
                    reason="half-open",
                )

    # What the ticks do

    def _raise_alarm(self, found: Input) -> None:
        if self._alarm is not None and not self._alarm.done():
            self._alarm.set_result(found)

    def _is_hung_up(self) -> bool:
        """Whether TCP had ended at the last look already and nothing has come in since."""
        connection, before = self.link.connection, self._hung_up_messages
        has_hung_up = connection is not None and connection.has_hung_up
        self._hung_up_messages = self.link.messages if has_hung_up else None
        return has_hung_up and before == self._hung_up_messages

    def _check_topics(self, now_s: float) -> None:
        if now_s < self._next_topic_check_s:
            return
        self._next_topic_check_s = now_s + self._setting.connection.liveness.topic_check_s
        silent = self._topic_judge.silent(self._owner.topic_totals(self), now_s)
        topics = [*self.topics.missing(), *silent]
        if (topics or self.topics.unwanted) and (self._renewal is None or self._renewal.done()):
            self._renewal = asyncio.create_task(
                self._renew(topics), name=f"cexnet-renewal-{self.connection_id}"
            )

    def _beat(self, now_s: float) -> None:
        heartbeat, connection = self._setting.connection.heartbeat, self.link.connection
        if heartbeat is None or connection is None:
            return
        if heartbeat.only_when_quiet and self.link.messages != self._beat_messages:
            self._put_off_beat(now_s)
        if now_s < self._next_beat_s:
            return
        self._put_off_beat(now_s)
        try:
            self.link.send_now(heartbeat.message())
        except ConnectionClosed:
            return  # the watch sees it end, and says why
        except Exception:
            self.strategy_errors += 1
            _logger.exception("connection %d: the heartbeat's message failed", self.connection_id)

    def _put_off_beat(self, now_s: float) -> None:
        heartbeat = self._setting.connection.heartbeat
        self._next_beat_s = now_s + (heartbeat.interval_s if heartbeat is not None else 0.0)
        self._beat_messages = self.link.messages

    # What its parts tell

    def _on_first_data(self) -> None:
        elapsed_s = self._setting.clock() - self._began_s
        self._setting.first_event.record(max(0, int(elapsed_s * 1e9)))

    def _on_report(self, report: TopicReport) -> None:
        self._owner.topic_reported(self, report)
