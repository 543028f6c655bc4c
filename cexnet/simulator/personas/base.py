"""What every persona has: the half that is the same for all exchanges."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from aiohttp import web

from cexnet.simulator.account import BalanceChange, ClientIdScope, Execution
from cexnet.simulator.market import Candle, DepthChange, Market, Ticker, Trade

if TYPE_CHECKING:
    from cexnet.simulator.connection import Connection
    from cexnet.simulator.personas.words import RestWords
    from cexnet.simulator.server import Simulator

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def now_ms() -> int:
    """Wall clock in whole milliseconds."""
    return time.time_ns() // 1_000_000


def compact(value: Any) -> str:
    """JSON without blanks, as the exchanges write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Session:
    """The exchange's side of one connection: what it asked for and what it may still ask.

    ``connection`` is set by the connection itself before anything is called.
    """

    connection: Connection

    def __init__(self, persona: Persona) -> None:
        self.persona = persona
        self.topics: dict[str, None] = {}
        self.client_messages_per_s = persona.client_messages_per_s

    def on_open(self) -> None:
        """The connection is up."""

    def on_message(self, payload: bytes) -> None:
        """A whole text or binary message came in."""
        raise NotImplementedError

    def carries(self, message: str) -> bool:
        """Whether a captured message belongs on this connection's route. Default: any does."""
        return True

    def announce_end(self) -> None:
        """Say that the connection ends soon, as planned. Default: the exchange does not say."""

    def revoke(self) -> None:
        """The account's authorization has ended. Default: nothing here is private."""

    def lapsed(self) -> str:
        """Why the exchange would close this connection now; "" to keep it."""
        return ""

    def listen(self, name: str, topic: str) -> None:
        """Count ``name`` as subscribed and feed this connection from ``topic``."""
        self.topics[name] = None
        self.persona.sim.subscribe(topic, self.connection)

    def listen_private(self, name: str, topic: str) -> None:
        """As :meth:`listen`, for a stream of the account, which no capture holds."""
        sim = self.persona.sim
        self.topics[name] = None
        sim.stats.subscriptions += 1
        if self.connection.tampering is not None:
            self.connection.tampering.subscribed(topic)
        sim.topics.subscribe(topic, self.connection)

    def unlisten(self, name: str, topic: str) -> bool:
        """Undo :meth:`listen`; False when it was not subscribed."""
        if name not in self.topics:
            return False
        del self.topics[name]
        self.persona.sim.topics.unsubscribe(topic, self.connection)
        return True


class Persona:
    """An exchange's tables and formats. Subclasses fill in the class variables.

    ``depth_intervals_ms`` are its update speeds. ``ping_interval_s`` is how often it
    pings by protocol (``None``: never), ``pong_deadline_s`` how long it waits for the
    answer. ``steps_per_message`` bounds the moves of the market made to get one message out.
    ``idle_close_s`` closes a connection without traffic either way and
    ``no_topic_close_s`` one that never subscribed. ``words`` are its REST refusals.
    """

    words: RestWords

    name: ClassVar[str]
    default_symbols: ClassVar[tuple[str, ...]]
    symbol_separator: ClassVar[str] = ""
    client_ids: ClassVar[ClientIdScope] = "open"
    depth_intervals_ms: ClassVar[tuple[int, ...]] = (100,)
    client_messages_per_s: ClassVar[int] = 100
    steps_per_message: ClassVar[int] = 8
    ping_interval_s: ClassVar[float | None] = None
    pong_deadline_s: ClassVar[float] = 60.0
    idle_close_s: ClassVar[float | None] = None
    no_topic_close_s: ClassVar[float | None] = None

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim

    def open(self, path: str) -> Session | None:
        """A session for a WebSocket path with its query, ``None`` when there is no such path."""
        raise NotImplementedError

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Register the REST endpoints."""

    def is_control(self, message: str) -> bool:
        """Whether a captured message is an answer to the recorder, not market data."""
        return False

    def prepare(self, market: Market) -> None:
        """Make per-market tables before the market's first event."""

    def on_trade(self, market: Market, trade: Trade) -> None:
        """A trade happened: book our fills, tell the public."""
        self.sim.account.on_public_trade(trade)
        self.push_trade(market, trade)

    def on_ticker(self, market: Market, ticker: Ticker) -> None:
        """The best bid or ask changed."""
        self.push_ticker(market, ticker)

    def on_execution(self, execution: Execution, changes: list[BalanceChange]) -> None:
        """Tell the account's private streams of an order. Default: there are none."""

    def on_deposit(self, change: BalanceChange) -> None:
        """Tell the account's private streams of money from outside. Default: there are none."""

    def push_trade(self, market: Market, trade: Trade) -> None:
        """Send a trade to its subscribers."""

    def push_ticker(self, market: Market, ticker: Ticker) -> None:
        """Send the best bid and ask to their subscribers."""

    def push_depth(self, market: Market, interval_ms: int, change: DepthChange) -> None:
        """Send changed levels, and whatever else goes out at this speed."""

    def push_candle(self, market: Market, candle: Candle, closed: bool) -> None:
        """Send a candle; ``closed`` when its interval is over."""
