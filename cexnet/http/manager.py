"""RestManager: what an engine holds of one exchange's REST interface."""

from __future__ import annotations

import asyncio
from functools import partial
from types import TracebackType
from typing import Self, TypeVar, Unpack

from cexnet.http.answers import NeverArrived, OrderBook, Response
from cexnet.http.any_request import AnyRequest
from cexnet.http.breaker import BreakerPolicy
from cexnet.http.breakers import BreakerListener, Breakers
from cexnet.http.budget import RetryBudget, shared_budget
from cexnet.http.clock_keeper import ClockKeeper
from cexnet.http.connector import ConnectionOptions
from cexnet.http.endpoint import Call, Priority
from cexnet.http.hedge import HedgePolicy, Hedger
from cexnet.http.host_clock import ClockRegistry, HostClock
from cexnet.http.line import Line
from cexnet.http.live import RestChanges, check
from cexnet.http.meters import METERS, LimitsView, MeterRegistry
from cexnet.http.metrics import RestCounters, RestLatency, RestMetrics
from cexnet.http.orders import Orders
from cexnet.http.session import HttpSession
from cexnet.http.slow import SlowCall
from cexnet.http.strategies import (
    AuthStrategy,
    ExceptionHandlerStrategy,
    RateLimitStrategy,
    RequestStrategy,
    RestStrategySet,
    RetryStrategy,
)
from cexnet.http.trace import CallTracer, TracedLine
from cexnet.http.variant import Variants
from cexnet.http.warmth import Warmth
from cexnet.types import Order, OrderRequest
from cexnet_core.callbacks import require_plain
from cexnet_core.errors import ConfigurationError, DeadlineExceeded, OutcomeUnknown
from cexnet_core.meter import Measurement, MetricsPolicy, Stages, rate_of, stages_of
from cexnet_core.secret import Secret

T = TypeVar("T")

_CLOSE_TIMEOUT_S = 5.0
_LARGEST_BODY = 2**40  # far above any memory, and far below what sizes in C can count to
_BREAKER = BreakerPolicy()


class RestManager(AnyRequest):
    """REST requests to one exchange for one account, on one event loop.

    ``strategies`` is validated here (StrategyError); ``base_url`` is the exchange's
    origin without a path (ConfigurationError). ``deadline_s`` bounds each call as a
    whole: waiting for the limiter, every try and the pauses between them. ``meters`` are
    the limits and bans that managers of one host share; by default all in this process.
    ``limit_share`` is the part of those limits that they may use together; ``None`` leaves it as
    another manager has set it. ``options`` has proxy, TLS and source address.

    ``breaker`` is the circuit breakers' policy; with ``None`` only a ban opens them.
    ``on_breaker`` is told when one turns. ``retry_budget`` replaces the one that all managers
    of this process share a host. ``hedging`` turns hedged reads on. ``clock_every_s`` has the
    exchange's clock measured in the background, from the first call on; it is measured after
    a skew error in any case. ``clocks`` are shared by the managers of a factory: one task then
    measures a host for all of them, and ends with the last; left out, the clock is this manager's.
    ``policy`` says what is kept of the recent past for ``metrics()`` and ``slowest()``, ``trace``
    follows each call (see ``cexnet.http.trace``).

    Use it as ``async with``, or call ``close()``. Its only tasks are that measuring one and the
    one of ``keep_warm()``.
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
        breaker: BreakerPolicy | None = _BREAKER,
        on_breaker: BreakerListener | None = None,
        retry_budget: RetryBudget | None = None,
        hedging: HedgePolicy | None = None,
        clock_every_s: float | None = None,
        limit_share: float | None = None,
        meters: MeterRegistry = METERS,
        clocks: ClockRegistry | None = None,
        options: ConnectionOptions | None = None,
        policy: MetricsPolicy | None = None,
        trace: CallTracer | None = None,
    ) -> None:
        super().__init__()
        self._variants = Variants(strategies, policy if policy is not None else MetricsPolicy())
        if not deadline_s > 0 or connections < 1 or max_body_bytes < 1:
            raise ConfigurationError("deadline_s, connections and max_body_bytes must all be above zero")
        if max_body_bytes > _LARGEST_BODY:
            raise ConfigurationError(
                f"max_body_bytes={max_body_bytes}: at most {_LARGEST_BODY} can be one body"
            )
        if clock_every_s is not None and clock_every_s <= 0:
            raise ConfigurationError("clock_every_s must be above zero, or None for no background task")
        require_plain("on_breaker", on_breaker)
        self.name = name
        self._deadline_s = deadline_s
        self._session = HttpSession(
            base_url, connections=connections, max_body_bytes=max_body_bytes, options=options
        )
        self._meters = meters.of(self._session.host, self._session.way)
        if limit_share is not None:
            self._meters.take_share(limit_share)
        self._variants.share(self._meters)
        known_as = name or self._session.origin
        host_clock = HostClock() if clocks is None else clocks.of(self._session.host)
        self.clock = host_clock.sync
        self._keeper = ClockKeeper(
            host_clock, self._ask_time, name=known_as, every_s=clock_every_s, deadline_s=deadline_s
        )
        line = Line(
            self._variants.current,
            self._session,
            self._keeper,
            Breakers(breaker, known_as, on_breaker),
            retry_budget if retry_budget is not None else shared_budget(self._session.host),
            Hedger(hedging) if hedging is not None else None,
        )
        self._line = line if trace is None else TracedLine(line, trace, known_as)
        self._orders = Orders(self._line)
        self._warmth: Warmth | None = None
        self._closed = False

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

    @property
    def strategies(self) -> RestStrategySet:
        """The strategy set that the next try will use."""
        return self._line.variant.strategies

    @property
    def counters(self) -> RestCounters:
        """Live counts of the variant in use; ``metrics()`` has all of them."""
        return self._line.variant.counters

    @property
    def latency(self) -> RestLatency:
        """Live histograms of the variant in use."""
        return self._line.variant.latency

    def swap(
        self,
        name: str = "",
        *,
        request: RequestStrategy | None = None,
        auth: AuthStrategy | None = None,
        limits: RateLimitStrategy | None = None,
        retry: RetryStrategy | None = None,
        exceptions: ExceptionHandlerStrategy | None = None,
    ) -> None:
        """Exchange the strategies that are given, all at once, from the next try on.

        A try that is under way, or waits in the limiter, ends under the set that it began
        with. ``metrics().variants`` keeps what is measured under each ``name`` apart; a name
        that was used before goes on where it stopped, left empty it is a number. Limits of
        another table count from now on only. Raises StrategyError, or ConfigurationError
        for a limiter of another host, and changes nothing when the new set cannot be used.
        """
        given = {
            "request": request,
            "auth": auth,
            "limits": limits,
            "retry": retry,
            "exceptions": exceptions,
        }
        changed = {slot: strategy for slot, strategy in given.items() if strategy is not None}
        self._line.variant = self._variants.swap(name, changed)

    def reconfigure(self, **changes: Unpack[RestChanges]) -> None:
        """Change while running, from the next call on; what is left out stays as it is.

        Everything is checked before anything changes. Raises ConfigurationError naming what
        cannot change or makes no sense.
        """
        check(self.name or self._session.origin, changes)
        if "deadline_s" in changes:
            self._deadline_s = changes["deadline_s"]
            self._keeper.wait_at_most(self._deadline_s)
        if "clock_every_s" in changes:
            self._keeper.measure_every(changes["clock_every_s"])
        if "breaker" in changes:
            self._line.breakers.reconfigure(changes["breaker"])
        if "limit_share" in changes:
            self._meters.take_share(changes["limit_share"])
        if "hedging" in changes:
            hedger, policy = self._line.hedger, changes["hedging"]
            if hedger is not None and policy is not None:
                hedger.reconfigure(policy)
            else:
                self._line.hedger = Hedger(policy) if policy is not None else None

    def metrics(self) -> RestMetrics:
        """A snapshot of everything that was counted. Not for the hot path."""
        line = self._line
        variants = self._variants.metrics()
        measured = [self.measure()]
        return RestMetrics(
            name=self.name,
            requests=sum(variant.requests for variant in variants),
            errors=sum(variant.errors for variant in variants),
            tries=sum(variant.tries for variant in variants),
            retries=sum(variant.retries for variant in variants),
            placing=self._orders.placing,
            unsettled=self._orders.unsettled,
            pool=self._session.usage,
            variants=variants,
            breakers=line.breakers.metrics(),
            breaker_listener_errors=line.breakers.listener_errors,
            retry_budget=line.budget.metrics(),
            hedges=line.hedger.metrics() if line.hedger is not None else None,
            clock=self._keeper.metrics(),
            rate=rate_of(measured),
            stages=stages_of(measured),
        )

    def measure(self) -> Measurement:
        """The histograms behind ``metrics().stages``, since the start and of late."""
        return self._variants.measuring.meter.measure()

    def slowest(self, most: int | None = None) -> list[SlowCall]:
        """The slowest calls of the last ``window_s``, failed ones included, slowest first.

        As many as the policy keeps, or at most ``most``.
        """
        return self._variants.measuring.meter.slowest(most)

    def reset_metrics(self) -> None:
        """Count and measure from now on.

        What protects the manager stays as it is, with its counts: breakers, retry budget,
        hedges, clock, limits, the pool, and orders without an outcome.
        """
        self._variants.reset()

    def stages(self) -> Stages:
        """A copy of the histograms of all variants together, by stage, for an exporter."""
        return self._variants.stages()

    def limits(self) -> LimitsView:
        """What is left of every limit in use, who waits for room, and the ban."""
        return self.strategies.limits.view()

    async def close(self) -> None:
        """Fail what waits, end the clock's task, close every connection. Idempotent.

        Raises DeadlineExceeded when connections do not close within 5 s.
        """
        self._closed = True
        try:
            self._variants.close()
        finally:  # a limiter of somebody's own may have raised
            await self._end()

    async def _end(self) -> None:
        await self._keeper.close()
        if self._warmth is not None:
            await self._warmth.close()
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
        loop = asyncio.get_running_loop()
        pings = [loop.create_task(self._ping_quietly()) for _ in range(connections)]
        if not pings:
            return
        try:
            # A TaskGroup would forget that it was cancelled when a ping fails in that moment.
            done, _ = await asyncio.wait(pings, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for ping in pings:
                ping.cancel()
            await asyncio.gather(*pings, return_exceptions=True)
        for ping in pings:
            if ping in done:
                ping.result()

    async def keep_warm(self, connections: int, *, every_s: float = 20.0) -> None:
        """Open ``connections`` and keep as many from going idle, by pings every ``every_s``.

        The pings have the lowest priority and weigh on the exchange's limits. Lasts until
        ``close()``, or until called again; with 0 connections it ends. Raises
        ConfigurationError for a number below 0, a period that is not above 0, or after ``close()``.
        """
        if connections < 0:
            raise ConfigurationError(f"connections={connections}: must be at least 0")
        if connections and self._closed:
            raise ConfigurationError(f"{self!r} is closed: it has no connections to keep warm")
        after = Warmth(partial(self.prewarm, connections), every_s) if connections else None
        # In one step: whoever calls or closes while the old one ends must find the new one.
        before, self._warmth = self._warmth, after
        if before is not None:
            await before.close()

    # --- typed requests ---

    async def ping(self) -> None:
        """Prove the way to the exchange and back."""
        await self.call(self.strategies.request.ping())

    async def _ping_quietly(self) -> None:
        call = self.strategies.request.ping()
        call.priority = Priority.BACKGROUND
        await self.call(call)

    async def server_time_ms(self) -> int:
        """The exchange's clock, epoch milliseconds."""
        return (await self.call(self.strategies.request.server_time())).data // 1_000_000

    async def sync_clock(self, *, deadline_s: float | None = None) -> None:
        """Measure the offset of the exchange's clock anew, from a few round trips."""
        deadline_s = self._deadline_s if deadline_s is None else deadline_s
        await self._keeper.resync(self._keeper.generation, deadline_s)

    async def depth(self, symbol: str, limit: int = 100, *, deadline_s: float | None = None) -> OrderBook:
        """The order book of ``symbol``, at least ``limit`` levels a side where offered."""
        intent = self.strategies.request.depth(symbol, limit)
        return (await self.call(intent, deadline_s=deadline_s)).data

    async def place_order(self, order: OrderRequest, *, deadline_s: float | None = None) -> Order:
        """Place ``order`` once.

        Raises the ExchangeError that the refusal stands for, RequestNotSent or
        DeadlineExceeded when surely nothing was sent, OrderCancelled when ``cancel_order``
        took it back before, and OutcomeUnknown when the order may have been placed: give
        that to ``resolve_unknown``. An id that is refused as a duplicate, though we minted it or
        after an unknown outcome, was accepted: the order is looked up and returned.
        A caller who cancels this coroutine should give the order an id of its own.
        """
        return await self._orders.place(order, self._deadline(deadline_s))

    async def cancel_order(
        self,
        symbol: str,
        *,
        order_id: str = "",
        client_order_id: str = "",
        deadline_s: float | None = None,
    ) -> Order:
        """Cancel by either id. Raises OutcomeUnknown when the cancel may have happened.

        By client order id, an order of this manager that still waits to be sent is taken
        back without asking the exchange; its ``place_order`` raises OrderCancelled.
        """
        return await self._orders.cancel(symbol, order_id, client_order_id, self._deadline(deadline_s))

    async def query_order(
        self,
        symbol: str,
        *,
        order_id: str = "",
        client_order_id: str = "",
        deadline_s: float | None = None,
    ) -> Order:
        """Look an order up by either id; raises OrderNotFound."""
        return await self._orders.query(symbol, order_id, client_order_id, self._deadline(deadline_s))

    # --- listen keys of private streams ---

    async def create_listen_key(self, *, deadline_s: float | None = None) -> Secret:
        """A new listen key. Raises ConfigurationError where the exchange has none."""
        return (await self.call(self.strategies.request.create_listen_key(), deadline_s=deadline_s)).data

    async def keep_listen_key(self, key: Secret, *, deadline_s: float | None = None) -> None:
        """Keep a listen key alive for another full term; raises ExchangeError when it ended."""
        await self.call(self.strategies.request.keep_listen_key(key), deadline_s=deadline_s)

    async def close_listen_key(self, key: Secret, *, deadline_s: float | None = None) -> None:
        """End a listen key; raises ExchangeError when there is none such."""
        await self.call(self.strategies.request.close_listen_key(key), deadline_s=deadline_s)

    async def resolve_unknown(
        self,
        error: OutcomeUnknown,
        *,
        symbol: str = "",
        deadline_s: float | None = None,
        settle_s: float | None = None,
    ) -> Order | NeverArrived:
        """What became of the order that ``error`` is about: the order, or NeverArrived.

        The order is queried by its client order id. That it does not exist is believed
        ``settle_s`` after we began to ask: by default when the exchange would refuse the
        request for its age, plus 1 s. ``symbol`` is needed for errors of ``request()``. After
        an unknown cancel, the order's status tells; to cancel again does no harm.
        ``deadline_s`` is ``settle_s`` and the manager's own on top unless given. Raises
        OutcomeUnknown when it passes, or when queries fail for good: ask again then.
        """
        settle_s = self._orders.settle_s() if settle_s is None else settle_s
        deadline_s = settle_s + self._deadline_s if deadline_s is None else deadline_s
        return await self._orders.resolve(symbol or error.symbol, error.client_order_id, settle_s, deadline_s)

    async def call(self, call: Call[T], *, deadline_s: float | None = None) -> Response[T]:
        """Carry ``call``, made by the request strategy, through the line.

        The way to the headers and timings of a typed request:
        ``rest.call(rest.strategies.request.depth("BTCUSDT", 100))``.
        """
        return await self._line.run(call, self._deadline(deadline_s))

    def _deadline(self, deadline_s: float | None) -> float:
        """The end of a call that begins now, in the loop's time."""
        if deadline_s is None:
            deadline_s = self._deadline_s
        elif deadline_s != deadline_s:  # the loop would no longer know which of its timers is next
            raise ConfigurationError("deadline_s is not a number: give seconds")
        return asyncio.get_running_loop().time() + deadline_s

    async def _ask_time(self, lane: Priority, deadline_s: float) -> Response[int]:
        call = self.strategies.request.server_time()
        call.priority = lane
        return await self.call(call, deadline_s=deadline_s)
