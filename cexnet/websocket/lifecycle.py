"""The life of one connection as a state machine without I/O.

Whoever drives it tells it what happened (an *input*, with the time) and does the one
*action* that it answers with; the outcome of that action is the next input::

    action = machine.handle(Start(now_s)).action        # Connect()
    ...                                                 # connect, then
    action = machine.handle(Connected(now_s)).action    # Authenticate()

``TRANSITIONS`` is the whole machine but for two questions that a table cannot answer:
whether a loss is worth another attempt, and after how long. ``reconnect`` decides those.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from cexnet.websocket.reconnect import Backoff, Fault, Loss


class SessionState(enum.StrEnum):
    """Where a connection stands in its life."""

    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    SUBSCRIBING = "subscribing"
    LIVE = "live"
    STALE = "stale"
    BACKING_OFF = "backing_off"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Start:
    """Begin, or begin again after the end."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Connected:
    """The upgrade succeeded and the exchange wants a login."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Logged in, or connected where there is nothing to log in to."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The exchange has answered for every topic."""

    at_s: float


@dataclass(frozen=True, slots=True)
class WentQuiet:
    """No data for longer than this connection's history explains."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Answered:
    """The peer answered the probe, or data came after all."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection, or the attempt at one, is gone."""

    at_s: float
    loss: Loss


@dataclass(frozen=True, slots=True)
class RetryDue:
    """The wait is over."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Close:
    """The user has closed it."""

    at_s: float


Input = Start | Connected | Authenticated | Subscribed | WentQuiet | Answered | Lost | RetryDue | Close


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a connection. Ends in Connected, Authenticated or Lost."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Log in. Ends in Authenticated or Lost."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Ask for every desired topic. Ends in Subscribed or Lost."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Stay until something happens. Ends in WentQuiet or Lost."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask the peer for a sign of life. Ends in Answered or Lost."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Make sure that the old connection is gone, then wait. Ends in RetryDue."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Make sure that the connection is gone; nothing follows."""


Action = Connect | Authenticate | Subscribe | Watch | Probe | Wait | Stop

_S = SessionState

# Every other pair of state and input changes nothing: it came too late to matter.
TRANSITIONS: dict[tuple[SessionState, type[Input]], tuple[SessionState, Action]] = {
    (_S.CLOSED, Start): (_S.CONNECTING, Connect()),
    (_S.CONNECTING, Connected): (_S.AUTHENTICATING, Authenticate()),
    (_S.CONNECTING, Authenticated): (_S.SUBSCRIBING, Subscribe()),
    (_S.AUTHENTICATING, Authenticated): (_S.SUBSCRIBING, Subscribe()),
    (_S.SUBSCRIBING, Subscribed): (_S.LIVE, Watch()),
    (_S.LIVE, WentQuiet): (_S.STALE, Probe()),
    (_S.STALE, Answered): (_S.LIVE, Watch()),
    (_S.BACKING_OFF, RetryDue): (_S.CONNECTING, Connect()),
    (_S.CONNECTING, Close): (_S.CLOSED, Stop()),
    (_S.AUTHENTICATING, Close): (_S.CLOSED, Stop()),
    (_S.SUBSCRIBING, Close): (_S.CLOSED, Stop()),
    (_S.LIVE, Close): (_S.CLOSED, Stop()),
    (_S.STALE, Close): (_S.CLOSED, Stop()),
    (_S.BACKING_OFF, Close): (_S.CLOSED, Stop()),
}

# Here ``Lost`` leads to BACKING_OFF with a Wait, or to CLOSED when that makes no sense.
CAN_BE_LOST = frozenset({_S.CONNECTING, _S.AUTHENTICATING, _S.SUBSCRIBING, _S.LIVE, _S.STALE})


@dataclass(frozen=True, slots=True)
class Step:
    """What an input led to. ``action`` is ``None`` when the input came too late."""

    before: SessionState
    after: SessionState
    action: Action | None


@dataclass(frozen=True, slots=True)
class StateChange:
    """One connection went from ``before`` to ``state``; ``loss`` says why, after a loss.

    ``delay_s`` is the wait before the next attempt (in BACKING_OFF), ``attempt`` counts
    the failures in a row.
    """

    connection_id: int
    before: SessionState
    state: SessionState
    loss: Loss | None = None
    attempt: int = 0
    delay_s: float | None = None

    @property
    def error(self) -> Exception | None:
        """What ended the connection or the attempt, if something did."""
        return self.loss.error if self.loss is not None else None

    @property
    def code(self) -> int:
        """The WebSocket close code, 0 without one."""
        return self.loss.code if self.loss is not None else 0

    @property
    def reason(self) -> str:
        """The words of the peer's close frame."""
        return self.loss.reason if self.loss is not None else ""

    @property
    def status(self) -> int:
        """The HTTP status of a refused upgrade, 0 without one."""
        return self.loss.status if self.loss is not None else 0


class Lifecycle:
    """One connection's machine. Starts, and can start again, in CLOSED.

    A loss before the connection was ever live ends it: whoever opened it learns why at
    once. ``classify`` tells what a loss asks of us.
    """

    def __init__(self, backoff: Backoff, classify: Callable[[Loss], Fault]) -> None:
        self.state = SessionState.CLOSED
        self.was_live = False
        self._backoff = backoff
        self._classify = classify
        self._live_since_s: float | None = None

    def handle(self, event: Input) -> Step:
        """Take one input; the action of the result is for the caller to do."""
        before = self.state
        if isinstance(event, Lost):
            if before not in CAN_BE_LOST:
                return Step(before, before, None)
            after, action = self._after_loss(event)
        else:
            row = TRANSITIONS.get((before, type(event)))
            if row is None:
                return Step(before, before, None)
            after, action = row
        self._enter(after, event.at_s)
        return Step(before, after, action)

    def _after_loss(self, event: Lost) -> tuple[SessionState, Action]:
        if not self.was_live:
            return SessionState.CLOSED, Stop()
        since_s = self._live_since_s
        if since_s is not None and event.at_s - since_s >= self._backoff.policy.healthy_s:
            self._backoff.healthy()
        delay_s = self._backoff.next_s(self._classify(event.loss), event.loss.retry_after_s)
        if delay_s is None:
            return SessionState.CLOSED, Stop()
        return SessionState.BACKING_OFF, Wait(delay_s)

    def _enter(self, state: SessionState, at_s: float) -> None:
        if state is SessionState.LIVE and self.state is SessionState.SUBSCRIBING:
            self.was_live = True
            self._live_since_s = at_s
        elif state in (SessionState.BACKING_OFF, SessionState.CLOSED):
            self._live_since_s = None
            if state is SessionState.CLOSED:
                self.was_live = False
                self._backoff.healthy()
        self.state = state
