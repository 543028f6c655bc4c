"""What of a running manager may change, and how: checked as a whole, then done as a whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

from cexnet.types import Subscription
from cexnet.websocket.delivery import Delivery, OverflowPolicy
from cexnet.websocket.liveness import LivenessPolicy
from cexnet.websocket.reconnect import ReconnectPolicy
from cexnet.websocket.register import Handler, Route
from cexnet.websocket.session import Session
from cexnet.websocket.setting import Setting
from cexnet.websocket.subscriber import Subscriber
from cexnet_core.errors import CexnetError, ConfigurationError
from cexnet_core.queue import POLICIES, EventQueue

_logger = logging.getLogger("cexnet.websocket")

# Of anything that is counted: what the core takes, and what its memory has room for.
MOST = 2**31 - 1


class StreamChanges(TypedDict, total=False):
    """What ``WebSocketManager.reconfigure`` takes; what is left out stays as it is.

    ``connect_deadline_s`` and ``max_message_bytes`` hold for connections that are made from
    then on, the rest at once.
    """

    reconnect: ReconnectPolicy
    liveness: LivenessPolicy
    connect_deadline_s: float
    max_message_bytes: int
    queue_depth: int
    queue_policy: OverflowPolicy
    subscriptions: Sequence[Subscription]
    sheddable: Sequence[Subscription]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a manager streams, and into which queue, when ``initialize()`` is not told.

    ``sheddable`` are subscriptions that may be given up for a while under load.
    Raises ConfigurationError for a depth that is none or an unknown policy.
    """

    subscriptions: tuple[Subscription, ...] = ()
    sheddable: tuple[Subscription, ...] = ()
    queue_depth: int = 65_536
    queue_policy: OverflowPolicy = "drop_oldest"

    def __post_init__(self) -> None:
        is_depth = isinstance(self.queue_depth, int) and 1 <= self.queue_depth <= MOST
        if not is_depth or self.queue_policy not in POLICIES:
            raise ConfigurationError(
                f"queue_depth={self.queue_depth!r} must be a whole number from 1 to {MOST} and queue_policy="
                f"{self.queue_policy!r} one of {', '.join(POLICIES)}"
            )


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back to normal: how many queues, and which subscriptions."""

    queues: int
    subscriptions: tuple[Subscription, ...]


class Live:
    """The part of a manager that ``reconfigure`` changes.

    ``queue`` is the one that the manager has made itself; ``is_told`` says that its caller
    named the subscriptions, so that those of a configuration are not its affair. ``changing``
    is held from the check of a change to its end: what was checked must still be so.
    """

    def __init__(
        self, standing: Standing, setting: Setting, sessions: Mapping[int, Session], subscriber: Subscriber
    ) -> None:
        self.standing = standing
        self.setting = setting
        self.sessions = sessions
        self.subscriber = subscriber
        self.queue: Delivery | None = None
        self.sink: Any = None
        self.is_running = False
        self.is_told = False
        self.changing = asyncio.Lock()

    def new_queue(self) -> Delivery:
        """A queue as it is configured, for a caller who has given no handler."""
        self.queue = Delivery(self.standing.queue_depth, self.standing.queue_policy)
        return self.queue

    def begin(self, subscriptions: Iterable[Subscription] | None, sink: Any) -> tuple[Subscription, ...]:
        """The manager starts with ``subscriptions``, or with those it knows; which those are."""
        if subscriptions is not None:
            self.standing = replace(self.standing, subscriptions=tuple(subscriptions))
        self.is_told = subscriptions is not None
        self.sink, self.is_running = sink, True
        return self.standing.subscriptions

    def end(self) -> None:
        """The manager has closed."""
        self.is_running, self.queue, self.sink = False, None, None


class StreamChange:
    """A change that has been checked. ``extend``, ``apply`` and ``finish`` carry it out.

    ``extend`` subscribes what is new, and may fail: everything is as before then. After it,
    ``retract`` takes it back. ``apply`` cannot fail. ``finish`` ends what is not wanted any more.
    Raises ConfigurationError when made of what cannot be.
    """

    def __init__(self, live: Live, name: str, changes: StreamChanges) -> None:
        self._live = live
        self._name = name
        self._changes: dict[str, Any] = dict(changes)
        known = StreamChanges.__annotations__
        if unknown := self._changes.keys() - known:
            raise ConfigurationError(
                f"{name}: {', '.join(sorted(unknown))} cannot change while the manager lives: make a new "
                f"one. What can change: {', '.join(known)}"
            )
        if not self._changes.get("connect_deadline_s", 1.0) > 0.0:
            raise ConfigurationError(
                f"{name}: connect_deadline_s={self._changes['connect_deadline_s']!r} must be above 0"
            )
        most_bytes = self._changes.get("max_message_bytes", 1)
        if not isinstance(most_bytes, int) or not 1 <= most_bytes <= MOST:
            raise ConfigurationError(
                f"{name}: max_message_bytes={most_bytes!r} must be a whole number from 1 to {MOST}"
            )
        for key, kind in (("reconnect", ReconnectPolicy), ("liveness", LivenessPolicy)):
            if key in self._changes and not isinstance(self._changes[key], kind):
                found = type(self._changes[key]).__name__
                raise ConfigurationError(f"{name}: {key} is a {found}, a {kind.__name__} is needed")
        for key in ("subscriptions", "sheddable"):
            if key in self._changes:
                self._changes[key] = tuple(self._changes[key])
        standing = {key: self._changes[key] for key in Standing.__slots__ if key in self._changes}
        self._standing = replace(live.standing, **standing)
        if live.queue is not None and self._standing.queue_depth > live.queue.depth:
            try:
                EventQueue(self._standing.queue_depth, self._standing.queue_policy)
            except MemoryError as error:
                raise ConfigurationError(f"{name}: queue_depth cannot change: {error}") from None
        before, after = live.standing.subscriptions, self._standing.subscriptions
        live.subscriber.check(after)
        self._added = [wanted for wanted in dict.fromkeys(after) if wanted not in before]
        self._removed = [wanted for wanted in dict.fromkeys(before) if wanted not in after]
        self._handlers: dict[Route, Handler] = {}

    async def extend(self, deadline_s: float = 15.0) -> None:
        """Subscribe what is new. Raises as ``WebSocketManager.subscribe``; nothing is changed then."""
        if not self._live.is_running or not self._added:
            return
        subscriber = self._live.subscriber
        others = [wanted for wanted in self._added if subscriber.wants(wanted)]
        self._handlers = subscriber.handlers_of(others)
        try:
            await subscriber.subscribe(self._added, self._live.sink, deadline_s)
        except BaseException:
            # Some of them may have been confirmed before one was refused.
            self._added = [new for new in self._added if new not in others and subscriber.wants(new)]
            await self.retract(deadline_s)
            raise

    async def retract(self, deadline_s: float = 15.0) -> None:
        """Take ``extend`` back; what others had subscribed goes to their handlers again."""
        self._live.subscriber.hand_back(self._handlers)
        await self._unsubscribe(self._added, deadline_s)

    def apply(self) -> None:
        """Everything but subscriptions, at once."""
        live = self._live
        for key in ("reconnect", "liveness", "connect_deadline_s", "max_message_bytes"):
            if key in self._changes:
                setattr(live.setting.connection, key, self._changes[key])
        for session in live.sessions.values():
            session.reconfigure()
        if live.queue is not None and not self._changes.keys().isdisjoint(("queue_depth", "queue_policy")):
            live.queue.reconfigure(depth=self._standing.queue_depth, policy=self._standing.queue_policy)
        live.standing = self._standing

    async def finish(self, deadline_s: float = 15.0) -> None:
        """Unsubscribe what is not wanted any more."""
        await self._unsubscribe([s for s in self._removed if self._live.subscriber.wants(s)], deadline_s)

    async def _unsubscribe(self, subscriptions: list[Subscription], deadline_s: float) -> None:
        if not self._live.is_running or not subscriptions:
            return
        try:
            await self._live.subscriber.unsubscribe(subscriptions, self._name, deadline_s)
        except CexnetError as error:
            # They are not wanted from now on all the same, and the connection goes on asking.
            _logger.warning("%s: the exchange has not confirmed an unsubscription: %s", self._name, error)


class Changeable:
    """The part of a manager's face that changes what it does while it runs."""

    def __init__(self, name: str, live: Live) -> None:
        self.name = name
        self._live = live

    async def reconfigure(self, *, deadline_s: float = 15.0, **changes: Unpack[StreamChanges]) -> None:
        """Change while running; what is left out stays as it is. All of it is done, or nothing.

        ``subscriptions`` are compared with those of ``initialize()``, or of this method before:
        new ones go to the handler of ``initialize()``, missing ones end; others that
        ``subscribe()`` has added are left alone. Depth and policy are those of the queue that
        ``initialize()`` makes or has made; one of your own has a ``reconfigure()`` of its own.
        Raises ConfigurationError naming what cannot change or makes no sense, and as
        ``subscribe`` for new subscriptions.
        """
        async with self.changing:
            change = self.prepare(**changes)
            await change.extend(deadline_s)
            change.apply()
            await change.finish(deadline_s)

    @property
    def changing(self) -> asyncio.Lock:
        """Held by whoever changes what the manager does, from ``prepare`` on."""
        return self._live.changing

    def prepare(self, **changes: Unpack[StreamChanges]) -> StreamChange:
        """Check a change as ``reconfigure`` does, to carry it out in step with others."""
        return StreamChange(self._live, self.name, changes)

    @property
    def standing(self) -> Standing:
        """Subscriptions, those of them that may be shed, and the queue, as they are configured."""
        return self._live.standing

    @property
    def is_told(self) -> bool:
        """Whether ``initialize()`` was given subscriptions, and does not go by ``standing``."""
        return self._live.is_told

    @property
    def is_held(self) -> bool:
        """Whether a full queue keeps connections from being read, or from coming back."""
        return self._live.subscriber.is_held

    def conflate(self) -> int:
        """Keep the newest book ticker of each symbol only, in every queue that has nothing else.

        Until ``restore()``; returns how many queues that relieves. What it replaces is counted as
        conflated. Inline handlers and queues with other events are left as they are.
        """
        return self._live.subscriber.conflate()

    async def shed(
        self, subscriptions: Iterable[Subscription] | None = None, *, deadline_s: float = 15.0
    ) -> list[Subscription]:
        """Unsubscribe for a while, whoever wants them, until ``restore()``; returns which.

        Without ``subscriptions`` those that are configured as sheddable are meant. Raises as
        ``unsubscribe`` when the exchange does not confirm it; they are shed all the same.
        """
        wanted = self.standing.sheddable if subscriptions is None else subscriptions
        return await self._live.subscriber.shed(wanted, deadline_s)

    async def restore(self, *, deadline_s: float = 15.0) -> Restored:
        """Undo ``conflate()`` and ``shed()``: queues by their own policy, every topic subscribed.

        Raises as ``subscribe`` for topics that are not back; try again then.
        """
        queues = self._live.subscriber.relax()
        return Restored(queues, tuple(await self._live.subscriber.restore(deadline_s)))
