"""Which topics go to which connections: the bundles of a manager and their sessions."""

from __future__ import annotations

import asyncio
import itertools

from cexnet.types import Subscription
from cexnet.websocket.bundle import Bundle
from cexnet.websocket.register import Entry, Handler, Register
from cexnet.websocket.session import Session, SessionOwner
from cexnet.websocket.setting import Setting
from cexnet_core.errors import ConnectionClosed


class Fleet:
    """Opens connections where topics need them and knows each by its id.

    ``sessions`` has every connection that is not closed, ``bundles`` those with topics.
    """

    def __init__(self, setting: Setting, register: Register, owner: SessionOwner, copies: int) -> None:
        self.bundles: list[Bundle] = []
        self.sessions: dict[int, Session] = {}
        self.copies = copies
        self._setting = setting
        self._register = register
        self._owner = owner
        self._ids = itertools.count()

    def nth(self, number: int) -> Session:
        """The n-th open connection. Raises ConnectionClosed when there is none."""
        sessions = list(self.sessions.values())
        if not 0 <= number < len(sessions):
            raise ConnectionClosed(f"there is no connection {number}: initialize() opens them")
        return sessions[number]

    async def ping(self, deadline_s: float) -> dict[int, float | None]:
        """Round trip of every connection in seconds, asked all at once; ``None``: no answer in time."""

        async def measure(session: Session) -> float | None:
            try:
                async with asyncio.timeout(deadline_s):
                    return await session.link.ping()
            except (TimeoutError, ConnectionClosed):
                return None

        sessions = list(self.sessions.values())
        measured = await asyncio.gather(*map(measure, sessions))
        return {session.connection_id: trip for session, trip in zip(sessions, measured, strict=True)}

    def feeding(self, handler: Handler) -> list[Session]:
        """Connections with topics whose events go to ``handler``."""
        return [session for bundle in self._register.bundles_of(handler) for session in bundle.sessions]

    def alone(self, session: Session) -> list[Subscription]:
        """Subscriptions that no other connection than ``session`` carries now."""
        entries = self._register.entries
        return [
            entries[topic].subscription
            for bundle in self.bundles
            if session in bundle.sessions
            and not any(twin.carries_data for twin in bundle.sessions if twin is not session)
            for topic in bundle.topics
            if topic in entries
        ]

    async def place(self, topics: dict[str, Subscription], deadline_s: float) -> None:
        """Put topics on connections with room, opening more where there is none.

        Raises as ``Session.open`` and ``Topics.subscribe``. Registers what was confirmed.
        """
        strategy = self._setting.subscription
        work: dict[Bundle, tuple[str, ...]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for shard in strategy.shards(list(topics)):
                    bundle = self._with_room(strategy.group(shard[0]), len(shard))
                    if bundle is None:
                        bundle = Bundle(strategy.group(shard[0]), self.copies, self._new_session)
                        self.bundles.append(bundle)
                        group.create_task(bundle.open(shard, deadline_s))
                    else:
                        group.create_task(bundle.subscribe(shard, deadline_s))
                    work[bundle] = shard
        except BaseExceptionGroup as failures:
            # One cause is what the caller can act on; the others follow from it or repeat it.
            raise failures.exceptions[0] from None
        finally:
            self.bundles = [bundle for bundle in self.bundles if bundle.sessions]
            for bundle, shard in work.items():
                for topic in shard:
                    if bundle.sessions and topic in bundle.topics:
                        self._register.entries[topic] = Entry(topics[topic], bundle)

    async def withdraw(self, topics: dict[Bundle, list[str]], deadline_s: float) -> None:
        """End topics; a connection that is left without any is closed. Raises as unsubscribe."""
        for bundle, ended in topics.items():
            if bundle.topics.keys() <= set(ended):
                self.bundles.remove(bundle)  # exchanges end idle connections anyway
                await bundle.close()
            else:
                await bundle.unsubscribe(ended, deadline_s)

    def bury(self, session: Session) -> None:
        """A connection has ended for good; it takes along what nobody else carries."""
        self.sessions.pop(session.connection_id, None)
        for bundle in self.bundles:
            if session in bundle.sessions:
                bundle.sessions.remove(session)
                if not bundle.sessions:
                    self._register.forget(bundle)
        self.bundles = [bundle for bundle in self.bundles if bundle.sessions]

    async def close(self) -> None:
        """Close every connection. Idempotent, bounded."""
        bundles, self.bundles = self.bundles, []
        await asyncio.gather(*(bundle.close() for bundle in bundles))
        for bundle in bundles:
            self._register.forget(bundle)

    def _with_room(self, group: str, topics: int) -> Bundle | None:
        limit = self._setting.subscription.max_topics_per_connection
        for bundle in self.bundles:
            if bundle.live and bundle.group == group and len(bundle.topics) + topics <= limit:
                return bundle
        return None

    def _new_session(self) -> Session:
        parser = self._setting.strategies.parser
        session = Session(self._setting, parser, next(self._ids), self._owner)
        self.sessions[session.connection_id] = session
        return session
