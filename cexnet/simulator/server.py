"""The simulator: a real exchange on loopback, one persona, two ports."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from picows import WSCloseCode, WSUpgradeRequest, WSUpgradeResponseWithListener

from cexnet.simulator.account import ASSET_DECIMALS, Account
from cexnet.simulator.connection import Connection, text_frame
from cexnet.simulator.decimals import parse_units
from cexnet.simulator.door import Door, port_in_use
from cexnet.simulator.faults import Fault, FaultScript, parse_fault
from cexnet.simulator.flow import Flow
from cexnet.simulator.housekeeping import keep_house
from cexnet.simulator.limits import WindowLimit
from cexnet.simulator.market import Market
from cexnet.simulator.pace import Pace
from cexnet.simulator.personas import PERSONAS
from cexnet.simulator.playback import Capture, play
from cexnet.simulator.stats import Stats
from cexnet.simulator.symbols import make_spec
from cexnet.simulator.topics import Topics
from cexnet.simulator.witness import Witness
from cexnet_core.errors import ConfigurationError

DEFAULT_RATE_PER_S = 500.0
_log = logging.getLogger(__name__)
_CLOSE_S = 2.0  # bound on waiting for clients at close
_FIRST_SEQUENCE = 7_000_000


class Milestone(asyncio.Event):
    """An event that can be awaited directly as well: ``await sim.finished``."""

    def __await__(self) -> Generator[Any, None, bool]:
        return self.wait().__await__()


class Simulator:
    """An embedded exchange. Use as ``async with Simulator("binance") as sim:``.

    ``exchange``    one of ``PERSONAS``.
    ``symbols``     in the exchange's spelling; empty takes its defaults.
    ``port``        of the WebSocket server, 0 picks a free one; REST listens on
                    ``rest_port`` (default: the next port, or a free one).
    ``seed``        of the order flow: the same seed gives the same orders.
    ``rate_per_s``  market-data messages a second to aim at, over all clients and
                    streams; ``None`` is as fast as the slowest client reads.
    ``capture``     a capture file to play instead of random flow. Every client that
                    subscribed gets all of its market-data messages in order, whatever
                    it subscribed to (those of its route, where an exchange splits streams
                    over paths); recorded acks are replaced by our own.
    ``speed``       of the playback: 1.0 as recorded, N times, ``None`` flat out.
    ``public_key``  Ed25519 key registered for ``api_key``, as PEM text or 32 raw bytes, for
                    exchanges that take such signatures (Binance). They count as well as HMAC.
    ``clock_s``     seconds since 1970 for what lives long (MEXC's listen keys).
    ``ping_interval_s``  overrides the exchange's own (tests).
    ``limit_scale`` of the exchange's REST limits: 100.0 for a hundredfold, 0.1 for a tenth.
    ``faults``      what goes wrong, as :class:`Fault` or as text (:func:`parse_fault`).
    ``fault_seed``  of the faults that strike with a probability.

    Raises :class:`ConfigurationError` on entering for an unknown exchange, an unreadable
    capture or a port in use. All of it runs on the loop that entered it.
    """

    def __init__(
        self,
        exchange: str,
        symbols: Sequence[str] = (),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        rest_port: int | None = None,
        seed: int = 1,
        rate_per_s: float | None = DEFAULT_RATE_PER_S,
        capture: str | Path | None = None,
        speed: float | None = 1.0,
        api_key: str = "simulator-key",
        api_secret: str = "simulator-secret",
        public_key: str | bytes | None = None,
        clock_s: Callable[[], float] = time.time,
        ping_interval_s: float | None = None,
        limit_scale: float = 1.0,
        faults: Iterable[Fault | str] = (),
        fault_seed: int = 1,
    ) -> None:
        if exchange not in PERSONAS:
            known = ", ".join(sorted(PERSONAS))
            raise ConfigurationError(f"unknown exchange {exchange!r}; choose one of {known}")
        if not 0 <= (rate_per_s or 0) < inf or (speed is not None and not speed > 0):
            raise ConfigurationError(
                f"rate_per_s {rate_per_s} and speed {speed}: give a rate of at least 0 messages a second "
                "and a speed above 0 (None: flat out)"
            )
        if not limit_scale > 0:
            raise ConfigurationError(f"limit_scale {limit_scale}: give a factor above 0")
        for name, number in (("port", port), ("rest_port", rest_port or 0)):
            if not 0 <= number <= 65535:
                raise ConfigurationError(f"{name} {number}: choose 1 to 65535, or 0 for a free one")
        self.stats = Stats()
        self.topics = Topics(self.stats)
        self.finished = Milestone()
        self.witness: Witness | None = None
        self.api_key = api_key
        self.api_secret = api_secret
        self.public_key = public_key
        self.clock_s = clock_s
        self.limit_scale = limit_scale
        self.persona = PERSONAS[exchange](self)
        self.ping_interval_s = ping_interval_s or self.persona.ping_interval_s
        self.connections: dict[Connection, None] = {}
        self.faults = FaultScript(self, map(as_fault, faults), fault_seed)
        self.door = Door(self._accept, host, port)
        self._host, self._port, self._rest_port = host, port, rest_port
        self._rate_per_s, self._speed = rate_per_s, speed
        self._capture = Capture(Path(capture), self.persona.is_control) if capture else None
        self._frames = [text_frame(r.message) for r in self._capture.messages] if self._capture else []
        self.flow = Flow(seed)
        self.account = Account(self.persona.client_ids, self.flow, self.persona)
        self.markets: dict[str, Market] = {}
        recorded = self._capture.symbols if self._capture else ()
        for symbol in (*(symbols or self.persona.default_symbols), *recorded):
            self._add_market(symbol)
        self.account.fund(self.markets.values())
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._failures: list[BaseException] = []
        self._playing = self._played = 0

    @property
    def playing(self) -> bool:
        """Whether this simulator plays a capture instead of random flow."""
        return self._capture is not None

    @property
    def capture_messages(self) -> int:
        """Number of market-data messages in the capture."""
        return len(self._frames)

    async def __aenter__(self) -> Self:
        await self.door.open()
        try:
            await self._start_rest()
        except OSError as error:
            self.door.shut()
            raise port_in_use(self._host, self._rest_port or 0, error) from error
        self.faults.start()
        self.own(keep_house(self), "housekeeping")
        if self._capture is None:
            self.own(Pace(self, self._rate_per_s).run(), "flow")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def ws_url(self) -> str:
        """``ws://host:port``; the client adds the exchange's own path."""
        return f"ws://{self._host}:{self.door.port}"

    @property
    def rest_url(self) -> str:
        """``http://host:port``; the client adds ``/api/...``."""
        return f"http://{self._host}:{self._rest_port}"

    async def close(self) -> None:
        """Stop at once: tasks, clients, both servers. Bounded; safe to call twice.

        Raises what made a background task fail, if one did.
        """
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # failures are kept by _ended
        self.door.shut()
        self.faults.close()
        ends = [connection.ended.wait() for connection in self.connections]
        for connection in list(self.connections):
            connection.close(WSCloseCode.GOING_AWAY, "")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.gather(*ends)
        for connection in list(self.connections):
            connection.close(WSCloseCode.GOING_AWAY, "", abort=True)
        await self._rest.cleanup()
        if self._failures:
            raise self._failures.pop()

    def inject(self, fault: Fault | str) -> None:
        """Arm one more fault now, for clients that are there and those to come.

        What it waits for is counted from now. Raises :class:`ConfigurationError`.
        """
        self.faults.inject(as_fault(fault))

    async def lift(self, name: str) -> None:
        """Disarm every fault called ``name`` and end those that last."""
        await self.faults.lift(name)

    def server_ms(self) -> int:
        """The exchange's own clock, which judges timestamps: true unless a fault skews it."""
        return time.time_ns() // 1_000_000 + round(self.faults.rest.skew_s * 1000)

    def limit(self, limit: int, window_s: float, *, bans: bool = False) -> WindowLimit:
        """A limit of the exchange, scaled by ``limit_scale`` (to at least 1)."""
        return WindowLimit(max(1, round(limit * self.limit_scale)), window_s, bans=bans)

    def connected(self, connection: Connection) -> None:
        """A client is there (called by its connection)."""
        self.stats.connections += 1
        self.connections[connection] = None

    def disconnected(self, connection: Connection) -> None:
        """A client is gone (called by its connection)."""
        self.connections.pop(connection, None)
        self.topics.drop(connection)
        if connection.playback is not None:
            connection.playback.cancel()

    def subscribe(self, topic: str, connection: Connection) -> None:
        """Feed ``connection`` from ``topic``, or start the capture for it."""
        self.stats.subscriptions += 1
        if connection.tampering is not None:
            connection.tampering.subscribed(topic)
        if self._capture is None:
            self.topics.subscribe(topic, connection)
        elif connection.playback is None:
            self._playing += 1
            self.finished.clear()
            work = play(self._capture, self._frames, connection, self.stats, self._speed)
            connection.playback = self.own(work, "playback")
            connection.playback.add_done_callback(self._playback_ended)

    def deposit(self, asset: str, amount: str) -> None:
        """Give the account ``amount`` (decimal text, may start with ``-``) of ``asset``."""
        units = parse_units(amount.removeprefix("-"), ASSET_DECIMALS)
        self.account.deposit(asset, -units if amount.startswith("-") else units)

    def recorded_snapshot(self, symbol: str) -> Any | None:
        """The capture's next depth snapshot of ``symbol``, if it has one."""
        return self._capture.snapshot(symbol) if self._capture is not None else None

    def _add_market(self, symbol: str) -> None:
        spec = make_spec(symbol, self.persona.symbol_separator)
        if spec.symbol in self.markets:
            return
        market = Market(spec, self.persona.depth_intervals_ms, self.persona, _FIRST_SEQUENCE)
        self.persona.prepare(market)
        self.markets[spec.symbol] = market
        self.flow.populate(market)

    def _accept(self, request: WSUpgradeRequest) -> Connection | WSUpgradeResponseWithListener | None:
        session = self.persona.open(request.path.decode("ascii", "replace"))
        return self.faults.admit(Connection(self, session)) if session is not None else None

    async def _start_rest(self) -> None:
        application = web.Application(middlewares=[self.faults.rest.middleware])
        self.persona.add_routes(application.router)
        self._rest = web.AppRunner(application, access_log=None, shutdown_timeout=_CLOSE_S)
        await self._rest.setup()
        if self._rest_port is None:
            self._rest_port = self._port + 1 if self._port else 0
        try:
            await web.TCPSite(self._rest, self._host, self._rest_port).start()
        except OSError:
            await self._rest.cleanup()
            raise
        self._rest_port = self._rest.addresses[0][1]

    def _playback_ended(self, task: asyncio.Task[None]) -> None:
        self._playing -= 1
        if not task.cancelled() and task.exception() is None:
            self._played += 1
        if not self._playing and self._played:
            self.finished.set()

    def own(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task that :meth:`close` ends; a failure is logged at once and raised there."""
        task = asyncio.create_task(work, name=f"simulator-{name}")
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._failures.append(failure)
            _log.error("%s failed", task.get_name(), exc_info=failure)


def as_fault(fault: Fault | str) -> Fault:
    """A fault as it is, or read from text. Raises :class:`ConfigurationError`."""
    return parse_fault(fault) if isinstance(fault, str) else fault


async def serve(simulator: Simulator) -> None:
    """Run a simulator by itself until cancelled. Prints nothing; the caller knows its URLs."""
    async with simulator:
        await asyncio.Event().wait()
