"""The same topics on one connection or several, and their replacement without a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from cexnet.websocket.session import Session
from cexnet_core.errors import ConnectionClosed, SubscriptionError


class Bundle:
    """Topics of one shard, on ``copies`` connections. The router drops what comes twice.

    ``group`` is the subscription strategy's: topics of other groups do not belong here.
    """

    def __init__(self, group: str, copies: int, make_session: Callable[[], Session]) -> None:
        self.group = group
        self.copies = copies
        self.topics: dict[str, None] = {}
        self.sessions: list[Session] = []
        self._make_session = make_session
        # A roll copies the topics: none may come or go meanwhile.
        self._lock = asyncio.Lock()

    @property
    def live(self) -> bool:
        """Whether at least one connection carries the topics."""
        return any(session.carries_data for session in self.sessions)

    async def open(self, topics: Sequence[str], deadline_s: float) -> None:
        """Open every connection. Raises as ``Session.open``; nothing stays open then."""
        async with self._lock:
            self.topics.update(dict.fromkeys(topics))
            self.sessions = [self._make_session() for _ in range(self.copies)]
            try:
                await _all(session.open(topics, deadline_s) for session in self.sessions)
            except BaseException:
                await self._close_all()
                raise

    async def subscribe(self, topics: Sequence[str], deadline_s: float) -> None:
        """Ask for more topics on every connection. Raises as ``Topics.subscribe``.

        A connection that is just coming back asks for them when it is there.
        """
        async with self._lock:
            carrying = [session for session in self.sessions if session.carries_data]
            if not carrying:
                raise ConnectionClosed("no connection is live to subscribe on: wait_live() first")
            try:
                await _all(session.topics.subscribe(topics, deadline_s) for session in carrying)
            except SubscriptionError as error:
                self._settle(topics, [topic for topic in topics if topic not in error.topics])
                raise
            except BaseException:
                self._settle(topics, ())
                raise
            self._settle(topics, topics)

    async def unsubscribe(self, topics: Sequence[str], deadline_s: float) -> None:
        """End topics on every connection. Raises as ``Topics.unsubscribe``."""
        async with self._lock:
            for topic in topics:
                self.topics.pop(topic, None)
            carrying = [session for session in self.sessions if session.carries_data]
            for session in self.sessions:
                session.topics.forget(topics)
            await _all(session.topics.unsubscribe(topics, deadline_s) for session in carrying)

    async def roll(self, deadline_s: float, only: Session | None = None) -> None:
        """Replace the connections one by one, or ``only`` one: make before break.

        The old one goes when every topic is confirmed on the new one and all that the
        exchange had sent before that has come in. Raises as ``Session.open``; the old one
        stays then.
        """
        async with self._lock:
            for old in [only] if only is not None else list(self.sessions):
                if old not in self.sessions:
                    continue
                new = self._make_session()
                self.sessions.append(new)
                try:
                    await new.open(tuple(self.topics), deadline_s)
                except BaseException:
                    if new in self.sessions:
                        self.sessions.remove(new)
                    raise
                await old.drain()
                new.judge.pulse.inherit(old.judge.pulse)
                if old in self.sessions:  # it may have died while we waited
                    self.sessions.remove(old)
                await old.close()

    async def close(self) -> None:
        """Close every connection. Idempotent, bounded."""
        await self._close_all()

    def _settle(self, asked: Sequence[str], kept: Sequence[str]) -> None:
        """Of the topics asked for, keep those of ``kept`` that any connection has confirmed."""
        confirmed = [t for t in kept if any(t in session.topics.confirmed for session in self.sessions)]
        self.topics.update(dict.fromkeys(confirmed))
        for session in self.sessions:
            session.topics.abandon([topic for topic in asked if topic not in confirmed])
            session.topics.desired.update(dict.fromkeys(confirmed))

    async def _close_all(self) -> None:
        sessions, self.sessions = self.sessions, []
        await asyncio.gather(*(session.close() for session in sessions))


async def _all(work: Any) -> None:
    """Run coroutines together; the first failure cancels the rest and is raised alone."""
    coroutines: list[Coroutine[Any, Any, None]] = list(work)
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except BaseExceptionGroup as failures:
        # One cause is what the caller can act on; the others follow from it or repeat it.
        raise failures.exceptions[0] from None
