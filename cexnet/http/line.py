"""The line: ``request -> limit -> sign -> send -> classify -> retry?``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from cexnet.http.answers import Answer, Response, Timings
from cexnet.http.breakers import Breakers, health
from cexnet.http.budget import RetryBudget
from cexnet.http.clock_keeper import ClockKeeper
from cexnet.http.endpoint import Call, WireRequest
from cexnet.http.faults import TransportFault
from cexnet.http.hedge import Hedger
from cexnet.http.retry import may_repeat
from cexnet.http.secrecy import masked, sealed, sealed_call
from cexnet.http.session import HttpSession, Try
from cexnet.http.strategies import RateLimitStrategy
from cexnet.http.variant import Variant
from cexnet_core.clock import ticks_ns
from cexnet_core.errors import (
    Banned,
    CexnetError,
    ClockSkewError,
    DeadlineExceeded,
    OutcomeUnknown,
    RateLimited,
    RequestError,
    RequestNotSent,
)
from cexnet_core.hotlog import process_log

_BOOKKEEPING_FAILED = process_log.template(
    "cexnet.http", logging.ERROR, "%s failed; limits may be off until the next answer", per_second=10
)

T = TypeVar("T")

# What a ban lasts when neither the answer nor the limiter says.
_BAN_S = 120.0


class Line:
    """Carries calls through the slots of ``variant``, which may be exchanged at any time.

    A try keeps the variant that it began with; the next try takes the new one.
    """

    def __init__(
        self,
        variant: Variant,
        session: HttpSession,
        keeper: ClockKeeper,
        breakers: Breakers,
        budget: RetryBudget,
        hedger: Hedger | None,
    ) -> None:
        self.variant = variant
        self.session = session
        self.keeper = keeper
        self.breakers = breakers
        self.budget = budget
        self.hedger = hedger

    async def run(self, call: Call[T], deadline: float) -> Response[T]:
        """Make tries until one succeeds or none may follow; ``deadline`` is in the loop's time."""
        started_ns = ticks_ns()
        tries = 0
        resynced = False
        earlier: CexnetError | None = None
        self.variant.counters.requests += 1
        if self.keeper.due:
            self.keeper.start()
        while True:
            tries += 1
            variant = self.variant
            generation = self.keeper.generation
            try:
                if self.hedger is not None and self.hedger.covers(call):
                    again = partial(self._try, variant, call, deadline, started_ns, tries)
                    response = await self.hedger.race(call, again)
                else:
                    response = await self._try(variant, call, deadline, started_ns, tries)
                self.budget.deposit()
                return response
            except ClockSkewError as error:
                failure: CexnetError = error
                # The time endpoint is unsigned: its own refusal cannot ask for a resync in turn.
                if call.endpoint.signed and not resynced and error.outcome == "rejected":
                    resynced = True
                    await self._resync(variant, call, error, generation, deadline)
                    continue
            except CexnetError as error:
                failure = error
            pause_s = None
            if may_repeat(call, failure):
                remaining_s = deadline - asyncio.get_running_loop().time()
                pause_s = variant.retry.pause_s(call, failure, tries, remaining_s)
                if pause_s is not None and pause_s >= remaining_s:
                    pause_s = None  # whatever the strategy says: the deadline bounds the call as a whole
            if pause_s is None or not self._afford(failure):
                variant.failed(call, failure, tries, started_ns)
                if isinstance(failure, RequestError | DeadlineExceeded) and not failure.client_order_id:
                    failure.client_order_id = call.client_order_id  # a limiter does not know of it
                raise failure from failure.__cause__ or earlier
            earlier = failure
            variant.counters.retries += 1
            await asyncio.sleep(pause_s)

    async def _try(
        self, variant: Variant, call: Call[T], deadline: float, started_ns: int, tries: int
    ) -> Response[T]:
        """One passage: limit, sign, send, classify. Raises what the try stands for."""
        if self.session.closed:
            raise _closed(call)
        limits = variant.limits
        variant.counters.tries += 1
        attempt = Try()
        answer: Answer | None = None
        if call.withdrawal is not None:
            call.withdrawal.begin_try(attempt)
        limit_ns = ticks_ns()
        breaker, ticket = self.breakers.admit(call, limit_ns)
        try:
            reservation = await limits.acquire(call, deadline)
            try:
                try:
                    sign_ns = ticks_ns()
                    wire = variant.auth.sign(call, self.keeper.clock.now_ns())
                    signed_ns = ticks_ns()
                    answer = await sealed(self.session.send(wire, deadline, attempt))
                finally:
                    _guarded(limits.settle if attempt.sent_ns else limits.give_back, reservation)
            except TransportFault as fault:
                raise self._without_answer(variant, call, fault) from None
            data = self._classify(variant, call, wire, answer)
        except BaseException as error:
            breaker.settle(ticket, health(error, sent=attempt.sent_ns != 0), ticks_ns(), 0)
            if attempt.sent_ns and not call.idempotent and _would_repeat(error, answer):
                raise _undecided(call, error) from error
            raise
        ended_ns = ticks_ns()
        breaker.settle(ticket, True, ended_ns, ended_ns - signed_ns)
        timings = Timings(
            limit_wait_ns=sign_ns - limit_ns,
            sign_ns=signed_ns - sign_ns,
            pool_wait_ns=answer.sent_ns - answer.started_ns,
            first_byte_ns=answer.first_byte_ns - answer.sent_ns,
            total_ns=ended_ns - started_ns,
        )
        variant.succeeded(call, timings, tries, ended_ns)
        return Response(data, answer.status, answer.headers, timings, tries)

    def _classify(self, variant: Variant, call: Call[T], wire: WireRequest, answer: Answer) -> T:
        """What the answer brought; raises what it refused. Nothing of ours may hide what it said."""
        limits, exceptions = variant.limits, variant.exceptions
        _guarded(limits.observe, call, answer.headers)
        try:
            refusal = sealed_call(exceptions.refusal, call, answer)
            if refusal is None:
                return sealed_call(call.parse, answer.body)
        except Exception as error:
            raise masked(exceptions.unreadable(call, answer, str(error)), call, wire) from error
        self._obey(limits, call, refusal)
        raise masked(refusal, call, wire)

    def _without_answer(self, variant: Variant, call: Call[Any], fault: TransportFault) -> CexnetError:
        """What a try stands for whose answer did not come, or not whole; its head counts all the same."""
        error = variant.exceptions.fault(call, fault)
        if fault.status:
            _guarded(variant.limits.observe, call, fault.headers)
            self._obey(variant.limits, call, error)
        return error

    def _obey(self, limits: RateLimitStrategy, call: Call[Any], refusal: CexnetError) -> None:
        """Hold back what a throttle or a ban is about."""
        if isinstance(refusal, RateLimited):
            _guarded(limits.block, call, refusal)
            if isinstance(refusal, Banned):
                told_s = _BAN_S if refusal.retry_after_s is None else refusal.retry_after_s
                self.breakers.ban(ticks_ns(), limits.banned_for_s or told_s)

    async def _resync(
        self, variant: Variant, call: Call[Any], refusal: ClockSkewError, generation: int, deadline: float
    ) -> None:
        """Measure the clock before the one try that may follow a skew error."""
        if call.withdrawal is not None:
            call.withdrawal.begin_try(None)
        try:
            await self.keeper.resync(generation, deadline - asyncio.get_running_loop().time())
        except CexnetError as trouble:
            variant.counters.fail(refusal)
            raise refusal from trouble
        variant.counters.retries += 1

    def _afford(self, failure: CexnetError) -> bool:
        """Take a retry from the host's budget, or tell the caller that there was none."""
        if self.budget.take():
            return True
        failure.add_note(
            "It was not tried again: too many retries to this host have failed of late, and the"
            " retry budget must first be earned back by requests that succeed."
        )
        return False


def _guarded(act: Callable[..., None], *arguments: Any) -> None:
    """Run a limiter's bookkeeping; a failure of it is logged, for the answer matters more."""
    try:
        act(*arguments)
    except Exception as error:  # noqa: BLE001 - a strategy's, and there may be any
        _BOOKKEEPING_FAILED.log(repr(act), exception=error)


def _would_repeat(error: BaseException, answer: Answer | None) -> bool:
    """Whether a strategy says of what was written that it was not sent, or, unanswered, that it was late."""
    if isinstance(error, ClockSkewError):
        return answer is None or error.outcome == "not_sent"
    return isinstance(error, RequestError) and error.outcome == "not_sent"


def _undecided(call: Call[Any], claim: BaseException) -> OutcomeUnknown:
    label = call.endpoint.label
    return OutcomeUnknown(
        f"{label} was written to the exchange, so that it may have been executed, whatever the"
        f" ExceptionHandlerStrategy says ({claim}). Query the order"
        f" {call.client_order_id or '(no client order id)'} before acting",
        outcome="unknown",
        endpoint=label,
        client_order_id=call.client_order_id,
    )


def _closed(call: Call[Any]) -> RequestNotSent:
    return RequestNotSent(
        f"{call.endpoint.label}: the RestManager is closed; nothing was sent",
        outcome="not_sent",
        endpoint=call.endpoint.label,
        client_order_id=call.client_order_id,
    )
