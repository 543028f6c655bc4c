"""What one connection has asked the exchange, and what has been answered of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cexnet.websocket.strategies import ControlRequest, Settlement
from cexnet_core.errors import AuthenticationError, ConfigurationError, SubscriptionError
from cexnet_core.events import SubscriptionAck

Settle = Callable[[SubscriptionAck, Sequence[ControlRequest]], Settlement | None]


@dataclass(slots=True)
class Pending:
    """A control request on the wire. ``done`` when each of its topics has been decided."""

    request: ControlRequest
    done: asyncio.Future[None]
    confirmed: dict[str, None] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    unauthorized: bool = False

    def absorb(self, settlement: Settlement) -> None:
        """Take one answer. An answer that comes twice changes nothing."""
        self.confirmed.update(dict.fromkeys(settlement.confirmed))
        self.refused.update(settlement.refused)
        self.unauthorized |= settlement.unauthorized
        if not self.undecided() and not self.done.done():
            self.done.set_result(None)

    def undecided(self) -> list[str]:
        """Topics that the exchange has neither confirmed nor refused."""
        return [t for t in self.request.topics if t not in self.confirmed and t not in self.refused]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the topics of several control requests."""

    confirmed: tuple[str, ...]
    refused: dict[str, str]
    unanswered: tuple[str, ...]
    unauthorized: bool = False

    @classmethod
    def of(cls, asked: Sequence[Pending]) -> Outcome:
        """The answers so far, in the order of asking."""
        return cls(
            tuple(topic for pending in asked for topic in pending.confirmed),
            {topic: why for pending in asked for topic, why in pending.refused.items()},
            tuple(topic for pending in asked for topic in pending.undecided()),
            any(pending.unauthorized for pending in asked),
        )

    def raise_unauthorized(self, what: str) -> None:
        """Raise AuthenticationError with the exchange's words if it refused who asked."""
        if self.unauthorized:
            words = "; ".join(dict.fromkeys(self.refused.values()))
            raise AuthenticationError(
                f"the exchange refused the {what}: {words}; check key, secret, permissions and clock",
                outcome="rejected",
                exchange_message=words,
            )

    def raise_refusals(self) -> None:
        """Raise SubscriptionError with the exchange's words if it refused any topic."""
        if self.refused:
            words = "; ".join(f"{topic}: {why}" for topic, why in self.refused.items())
            raise SubscriptionError(f"the exchange refused {words}", topics=tuple(self.refused))


class Answers:
    """Everything that is still open on one connection."""

    def __init__(self, settle: Settle) -> None:
        self._settle = settle
        self._controls: list[Pending] = []
        self._requests: dict[str, asyncio.Future[SubscriptionAck]] = {}

    def expect_control(self, request: ControlRequest) -> Pending:
        """Wait for the answers to a control request. Pair with :meth:`forget_control`."""
        pending = Pending(request, asyncio.get_running_loop().create_future())
        self._controls.append(pending)
        return pending

    def forget_control(self, pending: Pending) -> None:
        """Stop waiting."""
        self._controls = [other for other in self._controls if other is not pending]
        _discard(pending.done)

    def expect(self, request_id: str) -> asyncio.Future[SubscriptionAck]:
        """Wait for the answer with that id. Raises ConfigurationError when one is open already."""
        if request_id in self._requests:
            raise ConfigurationError(f"a request with the id {request_id!r} is still open: choose another")
        future: asyncio.Future[SubscriptionAck] = asyncio.get_running_loop().create_future()
        self._requests[request_id] = future
        return future

    def forget(self, request_id: str) -> None:
        """Stop waiting for that id."""
        _discard(self._requests.pop(request_id))

    def take(self, ack: SubscriptionAck) -> bool:
        """Give an answer to whoever waits for it; False when nobody does."""
        waiting = self._requests.get(ack.request_id)
        if waiting is not None:
            if not waiting.done():
                waiting.set_result(ack)
            return True
        settlement = self._settle(ack, [pending.request for pending in self._controls])
        if settlement is None:
            return False
        for pending in self._controls:
            if pending.request is settlement.request:
                pending.absorb(settlement)
        return True

    def fail(self, error: Exception) -> None:
        """No answer can come any more: everyone who waits gets ``error``."""
        for pending in self._controls:
            if not pending.done.done():
                pending.done.set_exception(error)
        for answer in self._requests.values():
            if not answer.done():
                answer.set_exception(error)


def _discard(future: asyncio.Future[None] | asyncio.Future[SubscriptionAck]) -> None:
    if not future.cancel() and not future.cancelled():
        future.exception()  # seen: asyncio need not report it again
