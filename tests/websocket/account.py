"""What the tests of private streams share: an account at the embedded exchange, heard and traded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from cexnet.config import Config, config_from_dict
from cexnet.factory import TransportFactory
from cexnet.http.manager import RestManager
from cexnet.simulator import Simulator
from cexnet.types import ACCOUNT_CHANNELS, OrderRequest, Subscription
from cexnet.websocket import WebSocketManager
from cexnet_core.events import BalanceUpdate, Event, Fill, OrderUpdate
from tests.websocket.live import QUICK, Log

PAIRS = {"binance": "BTCUSDT", "gateio": "BTC_USDT", "mexc": "BTCUSDT"}
EXCHANGES = tuple(PAIRS)
ACCOUNT = [Subscription(channel) for channel in ACCOUNT_CHANNELS]

E = TypeVar("E", bound=Event)


def config(sim: Simulator, name: str, *, key: str = "", secret: str = "") -> Config:
    credentials = {"api_key": key or sim.api_key, "api_secret": secret or sim.api_secret}
    urls = {"websocket_url": sim.ws_url, "rest_url": sim.rest_url}
    return config_from_dict({"exchange": {name: {**urls, "credentials": credentials}}})


@dataclass
class Desk:
    """An account: its stream, its orders, and what it has heard."""

    name: str
    sim: Simulator
    stream: WebSocketManager
    rest: RestManager
    log: Log

    @property
    def symbol(self) -> str:
        return PAIRS[self.name]

    def events(self, kind: type[E]) -> list[E]:
        return [event for event in self.log.events if isinstance(event, kind)]

    @property
    def orders(self) -> list[OrderUpdate]:
        return self.events(OrderUpdate)

    @property
    def fills(self) -> list[Fill]:
        return self.events(Fill)

    @property
    def balances(self) -> list[BalanceUpdate]:
        return self.events(BalanceUpdate)

    async def listen(self) -> None:
        await self.stream.initialize(ACCOUNT, self.log.on_event)

    def order(self, name: str, **changes: Any) -> OrderRequest:
        """A small bid far below the market, with an id that every exchange takes."""
        wanted: dict[str, Any] = {"side": "buy", "quantity": "0.01", "price": "60000", **changes}
        return OrderRequest(self.symbol, client_order_id=self.own_id(name), **wanted)

    def own_id(self, name: str) -> str:
        return f"t-{name}"

    async def place(self, name: str, **changes: Any) -> str:
        """Place such an order and return the exchange's id of it."""
        return (await self.rest.place_order(self.order(name, **changes))).order_id

    async def cancel(self, name: str) -> None:
        await self.rest.cancel_order(self.symbol, client_order_id=self.own_id(name))

    async def hear(self, name: str, status: str = "new") -> None:
        """Wait until the stream has told of that order in that state, and of the balance after."""
        await self.log.until(lambda: (self.own_id(name), status) in self.states())

    def states(self) -> list[tuple[str, str]]:
        return [(order.client_order_id, order.status) for order in self.orders]


@asynccontextmanager
async def desk(name: str, *, key: str = "", secret: str = "", **simulated: Any) -> AsyncIterator[Desk]:
    """A desk at an exchange whose market only moves when we move it; not listening yet."""
    log = Log()
    async with (
        Simulator(name, [PAIRS[name]], **{"rate_per_s": 0, **simulated}) as sim,
        TransportFactory(config(sim, name, key=key, secret=secret)) as factory,
        TransportFactory(config(sim, name)) as own,
    ):
        stream = factory.websocket(name, scope="private", on_state=log.on_state, on_topic=log.on_topic)
        stream.strategies.connection.reconnect = QUICK
        yield Desk(name, sim, stream, own.rest(name), log)
