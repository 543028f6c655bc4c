"""RestManager: ``request -> limit -> sign -> send -> classify -> retry?``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import msgspec

from cexnet.http.answers import OrderBook, Response, Timings
from cexnet.http.clock_sync import ClockSync
from cexnet.http.endpoint import Call, Params, Priority
from cexnet.http.faults import TransportFault
from cexnet.http.metrics import RestCounters, RestLatency
from cexnet.http.query import pairs
from cexnet.http.session import HttpSession, Try
from cexnet.http.strategies import RestStrategySet
from cexnet.types import Order, OrderRequest
from cexnet_core.clock import now_ns, ticks_ns
from cexnet_core.errors import (
    CexnetError,
    ClockSkewError,
    ConfigurationError,
    DeadlineExceeded,
    RateLimited,
    RequestError,
    RequestNotSent,
)

_logger = logging.getLogger("cexnet.http")

T = TypeVar("T")

_CLOSE_TIMEOUT_S = 5.0
_CLOCK_SAMPLES = 3


class RestManager:
    """REST requests to one exchange for one account, on one event loop.

    ``strategies`` is validated here (StrategyError); ``base_url`` is the exchange's
    origin without a path (ConfigurationError). ``deadline_s`` bounds each call as a
    whole: waiting for the limiter, every try and the pauses between them.

    Use it as ``async with``, or call ``close()``. No task runs in the background.
    """

    def __init__(
        self,
        strategies: RestStrategySet,
        *,
        base_url: str,
        name: str = "",
        deadline_s: float = 10.0,
        connections: int = 64,
        max_body_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        strategies.validate()
        if deadline_s <= 0 or connections < 1 or max_body_bytes < 1:
            raise ConfigurationError("deadline_s, connections and max_body_bytes must all be above zero")
        self.name = name
        self.strategies = strategies
        self.clock = ClockSync()
        self.latency = RestLatency()
        self.counters = RestCounters()
        self._deadline_s = deadline_s
        self._session = HttpSession(base_url, connections=connections, max_body_bytes=max_body_bytes)
        self._decoders: dict[Any, Callable[[bytes], Any]] = {}
        self._resync = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"RestManager({self.name or self._session.origin})"

    @property
    def session(self) -> HttpSession:
        """The connection pool, for its counts of sockets and requests."""
        return self._session

    async def close(self) -> None:
        """Fail what waits, close every connection. Idempotent.

        Raises DeadlineExceeded when connections do not close within 5 s.
        """
        self.strategies.limits.close()
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._session.close()
        except TimeoutError:
            raise DeadlineExceeded(
                f"{self!r}: connections did not close within {_CLOSE_TIMEOUT_S:g} s;"
                " the system closes them when the process ends"
            ) from None

    async def prewarm(self, connections: int) -> None:
        """Open ``connections`` connections, by as many pings at the same time.

        Raises what the first ping that failed raised.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(connections):
                    group.create_task(self.ping())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    # --- typed requests ---

    async def ping(self) -> None:
        """Prove the way to the exchange and back."""
        await self.call(self.strategies.request.ping())

    async def server_time_ms(self) -> int:
        """The exchange's clock, epoch milliseconds."""
        return (await self.call(self.strategies.request.server_time())).data // 1_000_000

    async def depth(self, symbol: str, limit: int = 100, *, deadline_s: float | None = None) -> OrderBook:
        """The order book of ``symbol``, at least ``limit`` levels a side where offered."""
        intent = self.strategies.request.depth(symbol, limit)
        return (await self.call(intent, deadline_s=deadline_s)).data

    async def place_order(self, order: OrderRequest, *, deadline_s: float | None = None) -> Order:
        """Place ``order`` once.

        Raises the ExchangeError that the refusal stands for, RequestNotSent or
        DeadlineExceeded when surely nothing was sent, and OutcomeUnknown with its
        ``client_order_id`` when the order may have been placed. A caller who cancels
        this coroutine should give the order an id of its own, to query it by.
        """
        intent = self.strategies.request.place_order(order)
        own = replace(intent, parse=partial(_own_order, intent.parse, intent.client_order_id))
        return (await self.call(own, deadline_s=deadline_s)).data

    async def cancel_order(
        self,
        symbol: str,
        *,
        order_id: str = "",
        client_order_id: str = "",
        deadline_s: float | None = None,
    ) -> Order:
        """Cancel by either id. Raises OutcomeUnknown when the cancel may have happened."""
        _one_id(order_id, client_order_id)
        intent = self.strategies.request.cancel_order(symbol, order_id, client_order_id)
        return (await self.call(intent, deadline_s=deadline_s)).data

    async def query_order(
        self,
        symbol: str,
        *,
        order_id: str = "",
        client_order_id: str = "",
        deadline_s: float | None = None,
    ) -> Order:
        """Look an order up by either id; raises OrderNotFound."""
        _one_id(order_id, client_order_id)
        intent = self.strategies.request.query_order(symbol, order_id, client_order_id)
        return (await self.call(intent, deadline_s=deadline_s)).data

    # --- any request ---

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        type: type[T],
        params: Params = ...,
        body: Any = ...,
        weight: int | None = ...,
        priority: Priority | None = ...,
        deadline_s: float | None = ...,
        idempotent: bool | None = ...,
        client_order_id: str = ...,
    ) -> Response[T]: ...

    @overload
    async def request(
        self,
        method: str,
        path: str,
        *,
        type: None = ...,
        params: Params = ...,
        body: Any = ...,
        weight: int | None = ...,
        priority: Priority | None = ...,
        deadline_s: float | None = ...,
        idempotent: bool | None = ...,
        client_order_id: str = ...,
    ) -> Response[Any]: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params = (),
        body: Any = None,
        weight: int | None = None,
        priority: Priority | None = None,
        deadline_s: float | None = None,
        idempotent: bool | None = None,
        client_order_id: str = "",
        type: type[Any] | None = None,
    ) -> Response[Any]:
        """Send any request of this exchange; ``path`` starts with a slash, without query.

        What is left out comes from the exchange's table; a path that is not in it is
        unsigned, weighs 1 and is idempotent when its method is GET. ``body`` is sent
        as JSON, or as it stands when it is bytes. ``type`` is what msgspec decodes the
        answer into. Raises the RequestError tree and DeadlineExceeded.
        """
        endpoint = self.strategies.request.endpoint(method.upper(), path)
        payload = b""
        if weight is None:
            weight = endpoint.weigh(dict(pairs(params))) if endpoint.weigh else endpoint.weight
        if body is not None:
            payload = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.call(
            Call(
                endpoint=endpoint,
                path=path,
                parse=self._decoder(type),
                params=params,
                body=payload,
                weight=weight,
                client_order_id=client_order_id,
                idempotent=endpoint.idempotent if idempotent is None else idempotent,
                priority=endpoint.priority if priority is None else priority,
            ),
            deadline_s=deadline_s,
        )

    async def get(self, path: str, **options: Any) -> Response[Any]:
        """``request("GET", ...)``."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Response[Any]:
        """``request("POST", ...)``."""
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Any) -> Response[Any]:
        """``request("PUT", ...)``."""
        return await self.request("PUT", path, **options)

    async def delete(self, path: str, **options: Any) -> Response[Any]:
        """``request("DELETE", ...)``."""
        return await self.request("DELETE", path, **options)

    # --- the line ---

    async def call(self, call: Call[T], *, deadline_s: float | None = None) -> Response[T]:
        """Carry ``call`` through the line until it succeeds or must not be tried again."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self._deadline_s if deadline_s is None else deadline_s)
        started_ns = ticks_ns()
        self.counters.requests += 1
        tries = 0
        resynced = False
        while True:
            tries += 1
            generation = self.clock.generation
            try:
                return await self._try(call, deadline, started_ns, tries)
            except ClockSkewError as error:
                failure: CexnetError = error
                # The time endpoint is unsigned: its own refusal cannot ask for a resync in turn.
                if call.endpoint.signed and not resynced:
                    resynced = True
                    try:
                        await self._sync_clock(generation, deadline - loop.time())
                    except RequestError as trouble:
                        self.counters.errors += 1
                        raise error from trouble
                    continue
            except CexnetError as error:
                failure = error
            pause_s = self.strategies.retry.pause_s(call, failure, tries, deadline - loop.time())
            if pause_s is None:
                self.counters.errors += 1
                raise failure
            await asyncio.sleep(pause_s)

    async def _try(self, call: Call[T], deadline: float, started_ns: int, tries: int) -> Response[T]:
        """One passage: limit, sign, send, classify. Raises what the try stands for."""
        limits, errors = self.strategies.limits, self.strategies.exceptions
        if self._session.closed:
            raise _closed(call)
        self.counters.tries += 1
        limit_ns = ticks_ns()
        reservation = await limits.acquire(call, deadline)
        attempt = Try()
        try:
            sign_ns = ticks_ns()
            wire = self.strategies.auth.sign(call, self.clock.now_ns())
            signed_ns = ticks_ns()
            answer = await self._session.send(wire, deadline, attempt)
        except TransportFault as fault:
            raise errors.fault(call, fault) from None
        finally:
            if not attempt.sent_ns:
                limits.give_back(reservation)
        # From here on the exchange has answered: nothing of ours may hide what it said.
        _guarded(limits.observe, call, answer.headers)
        try:
            refusal = errors.refusal(call, answer)
        except Exception as error:
            raise errors.unreadable(call, answer, str(error)) from error
        if refusal is not None:
            if isinstance(refusal, RateLimited):
                _guarded(limits.block, call, refusal)
            raise refusal
        try:
            data = call.parse(answer.body)
        except Exception as error:
            raise errors.unreadable(call, answer, str(error)) from error
        timings = Timings(
            limit_wait_ns=sign_ns - limit_ns,
            sign_ns=signed_ns - sign_ns,
            pool_wait_ns=answer.sent_ns - answer.started_ns,
            first_byte_ns=answer.first_byte_ns - answer.sent_ns,
            total_ns=ticks_ns() - started_ns,
        )
        self.latency.record(timings)
        return Response(data, answer.status, answer.headers, timings, tries)

    # --- clock ---

    async def sync_clock(self, *, deadline_s: float | None = None) -> None:
        """Measure the offset of the exchange's clock anew, from a few round trips."""
        deadline_s = self._deadline_s if deadline_s is None else deadline_s
        await self._sync_clock(self.clock.generation, deadline_s)

    async def _sync_clock(self, generation: int, deadline_s: float) -> None:
        """Resynchronise unless somebody did since ``generation`` was read."""
        deadline = asyncio.get_running_loop().time() + deadline_s
        try:
            async with asyncio.timeout_at(deadline), self._resync:
                if self.clock.generation == generation:
                    await self._measure_clock(deadline)
        except TimeoutError:
            raise DeadlineExceeded(
                f"{self!r}: the exchange's clock could not be measured before the deadline;"
                " the request was refused for its timestamp and not sent again"
            ) from None

    async def _measure_clock(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        self.counters.clock_syncs += 1
        self.clock.restart()
        for _ in range(_CLOCK_SAMPLES):
            intent = self.strategies.request.server_time()
            response = await self.call(intent, deadline_s=deadline - loop.time())
            self.clock.add(
                received_ns=now_ns(),
                round_trip_ns=response.timings.first_byte_ns,
                server_ns=response.data,
            )

    def _decoder(self, type: type[Any] | None) -> Callable[[bytes], Any]:
        """One msgspec decoder a type, made once."""
        if type not in self._decoders:
            decoder = msgspec.json.Decoder(Any if type is None else type)
            self._decoders[type] = decoder.decode
        return self._decoders[type]


def _guarded(act: Callable[..., None], *arguments: Any) -> None:
    """Run a limiter's bookkeeping; a failure of it is logged, for the answer matters more."""
    try:
        act(*arguments)
    except Exception:
        _logger.exception("%r failed; limits may be off until the next answer", act)


def _own_order(parse: Callable[[bytes], Order], client_order_id: str, body: bytes) -> Order:
    """The placed order. Raises ValueError when the answer is about another one."""
    order = parse(body)
    if order.client_order_id and order.client_order_id != client_order_id:
        raise ValueError(f"the answer is about order {order.client_order_id!r}, not ours")
    return order


def _one_id(order_id: str, client_order_id: str) -> None:
    if bool(order_id) == bool(client_order_id):
        raise ConfigurationError("give order_id or client_order_id, one of the two")


def _closed(call: Call[Any]) -> RequestNotSent:
    return RequestNotSent(
        f"{call.endpoint.label}: the RestManager is closed; nothing was sent",
        outcome="not_sent",
        endpoint=call.endpoint.label,
        client_order_id=call.client_order_id,
    )
