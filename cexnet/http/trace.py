"""Traces of the send line: who wants to follow calls gets told, from begin to end.

A ``RestManager`` that is given a ``CallTracer`` runs its calls on a ``TracedLine``; without one it
runs them on the plain ``Line``, which knows nothing of this module. What a tracer is told
holds no parameter, no header and no body, so that it cannot give a secret away.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar, cast

from yarl import URL

from cexnet.http.answers import Answer, Response
from cexnet.http.endpoint import Call, WireRequest
from cexnet.http.faults import TransportFault
from cexnet.http.line import Line
from cexnet.http.strategies import Reservation
from cexnet.http.variant import Variant
from cexnet_core.clock import ticks_ns
from cexnet_core.errors import CexnetError, RequestError
from cexnet_core.hotlog import process_log

_TRACER_FAILED = process_log.template("cexnet.http", logging.ERROR, "a tracer failed in %s", per_second=10)

T = TypeVar("T")
R = TypeVar("R")
Stage = Literal["limit_wait", "sign", "pool_wait", "first_byte", "body"]


@dataclass(frozen=True, slots=True)
class TracedCall:
    """What a tracer learns of a call. ``path`` is the endpoint's pattern: ``/orders/{id}``.

    ``manager`` is the manager's name; ``scheme``, ``host`` and ``port`` are the exchange's.
    """

    manager: str
    method: str
    path: str
    scheme: str
    host: str
    port: int
    client_order_id: str


class TryTrace(Protocol):
    """One passage of the line: limit, sign, send, classify."""

    def stage(self, name: Stage, began_ns: int, ended_ns: int) -> None:
        """A stage is over; times are ``cexnet_core.clock.ticks_ns``."""

    def end(self, status: int, error: BaseException | None) -> None:
        """The try is over. ``status`` is the answer's, 0 without one."""


class CallTrace(Protocol):
    """One call, with all its tries."""

    def begin_try(self, number: int) -> TryTrace:
        """A try begins, the first one with number 1. Hedges of a read share a number."""

    def end(self, tries: int, error: BaseException | None) -> None:
        """The call is over, with what it raised."""


class CallTracer(Protocol):
    """Follows calls. Called on the manager's loop, inside requests: must not block.

    What it raises is logged and harms no request.
    """

    def begin(self, call: TracedCall) -> CallTrace:
        """A call begins."""


class _Followed:
    """A call's trace, if the tracer did not fail, and how many tries began."""

    __slots__ = ("trace", "tries")

    def __init__(self, trace: CallTrace | None) -> None:
        self.trace = trace
        self.tries = 0


_current: ContextVar[_Followed] = ContextVar("cexnet_traced_call")


class TracedLine(Line):
    """Takes the place of ``line`` and tells ``tracer`` of every call; ``manager`` names it."""

    def __init__(self, line: Line, tracer: CallTracer, manager: str) -> None:
        super().__init__(line.variant, line.session, line.keeper, line.breakers, line.budget, line.hedger)
        url = URL(line.session.origin)
        self._tracer = tracer
        self._where = (url.scheme, url.host or "", url.port or 0)
        self._manager = manager

    async def run(self, call: Call[T], deadline: float) -> Response[T]:
        """See Line."""
        if self.keeper.due:
            # Its task measures the clock for good and is no part of this call.
            Context().run(self.keeper.start)
        followed = _Followed(_told(self._tracer.begin, self._describe(call)))
        before = _current.set(followed)
        failure: BaseException | None = None
        try:
            return await super().run(call, deadline)
        except BaseException as error:
            failure = error
            raise
        finally:
            _current.reset(before)
            if followed.trace is not None:
                _told(followed.trace.end, followed.tries, failure)
            failure = None

    async def _try(
        self, variant: Variant, call: Call[T], deadline: float, started_ns: int, tries: int
    ) -> Response[T]:
        followed = _current.get()
        followed.tries = max(followed.tries, tries)
        trace = None if followed.trace is None else _told(followed.trace.begin_try, tries)
        if trace is None:
            return await super()._try(variant, call, deadline, started_ns, tries)
        watched = _WatchedVariant(variant, trace)
        failure: BaseException | None = None
        try:
            return await super()._try(cast(Variant, watched), call, deadline, started_ns, tries)
        except BaseException as error:
            failure = error
            raise
        finally:
            _told(trace.end, watched.exceptions.status, failure)
            failure = None

    def _describe(self, call: Call[Any]) -> TracedCall:
        endpoint = call.endpoint
        return TracedCall(self._manager, endpoint.method, endpoint.path, *self._where, call.client_order_id)


class _WatchedVariant:
    """A variant whose strategies are timed for one try."""

    def __init__(self, variant: Variant, trace: TryTrace) -> None:
        self._variant = variant
        self.limits = _WatchedLimits(variant.limits, trace)
        self.auth = _WatchedAuth(variant.auth, trace)
        self.exceptions = _WatchedExceptions(variant.exceptions, trace)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._variant, name)


class _Watched:
    """A strategy seen by one try; what is not timed goes straight through."""

    def __init__(self, strategy: Any, trace: TryTrace) -> None:
        self._strategy = strategy
        self._trace = trace

    def __getattr__(self, name: str) -> Any:
        return getattr(self._strategy, name)


class _WatchedLimits(_Watched):
    async def acquire(self, call: Call[Any], deadline: float) -> Reservation:
        began_ns = ticks_ns()
        try:
            return cast(Reservation, await self._strategy.acquire(call, deadline))
        finally:
            _told(self._trace.stage, "limit_wait", began_ns, ticks_ns())


class _WatchedAuth(_Watched):
    def sign(self, call: Call[Any], now_ns: int) -> WireRequest:
        began_ns = ticks_ns()
        wire = self._strategy.sign(call, now_ns)
        _told(self._trace.stage, "sign", began_ns, ticks_ns())
        return cast(WireRequest, wire)


class _WatchedExceptions(_Watched):
    """What classifies a try's end also sees its times and its status."""

    status = 0

    def refusal(self, call: Call[Any], answer: Answer) -> RequestError | None:
        self.status = answer.status
        _told(self._trace.stage, "pool_wait", answer.started_ns, answer.sent_ns)
        _told(self._trace.stage, "first_byte", answer.sent_ns, answer.first_byte_ns)
        _told(self._trace.stage, "body", answer.first_byte_ns, answer.done_ns)
        return cast(RequestError | None, self._strategy.refusal(call, answer))

    def fault(self, call: Call[Any], fault: TransportFault) -> CexnetError:
        self.status = fault.status
        return cast(CexnetError, self._strategy.fault(call, fault))


def _told(tell: Callable[..., R], *news: Any) -> R | None:
    """Tell a tracer; a failure of it is logged, for the request matters more."""
    try:
        return tell(*news)
    except Exception as error:  # noqa: BLE001 - a tracer's, and there may be any
        _TRACER_FAILED.log(repr(tell), exception=error)
        return None
