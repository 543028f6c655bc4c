"""RestManagers against embedded exchanges that fail on purpose."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import binance_rest, gateio_rest, mexc_rest
from cexnet.http.limits import LimitScope
from cexnet.http.manager import RestManager
from cexnet.simulator import Simulator
from cexnet.simulator.account import AccountOrder
from cexnet.types import OrderRequest, Side

VENUES = {"binance": binance_rest, "gateio": gateio_rest, "mexc": mexc_rest}
# Far above what a test sends: on both sides alike, or the limiter would be all that is tested.
LIMIT_SCALE = 10_000


class Venue(NamedTuple):
    """A manager, the exchange it talks to and the symbol that they trade.

    ``attempts`` counts, by client order id, the orders whose signature and time were good: also
    those that the exchange then refused as doubles, which must not have been sent.
    """

    rest: RestManager
    sim: Simulator
    symbol: str
    attempts: Counter[str]

    def order(self, client_order_id: str = "") -> OrderRequest:
        """An order that rests far below the market."""
        return OrderRequest(self.symbol, Side.BUY, "0.1", "100", client_order_id=client_order_id)

    @property
    def place_request(self) -> str:
        """Method and path of a new order."""
        return self.sim.persona.words.place_request

    def book(self) -> Counter[str]:
        """How many orders the exchange accepted under each client order id."""
        return Counter(ours.client_id for ours in self.sim.account.orders.values())


def count_attempts(sim: Simulator) -> Counter[str]:
    """Count from now on what reaches the account."""
    attempts: Counter[str] = Counter()
    place = sim.account.place

    def counted(*market: Any, **fields: Any) -> AccountOrder:
        attempts[fields["client_id"]] += 1
        return place(*market, **fields)

    sim.account.place = counted  # type: ignore[method-assign]
    return attempts


@asynccontextmanager
async def venue(name: str, *faults: str, seed: int = 1, limit_scale: int = 1) -> AsyncIterator[Venue]:
    """``limit_scale`` widens the exchange's limits and our table of them alike."""
    module = VENUES[name]
    symbol = "BTC_USDT" if name == "gateio" else "BTCUSDT"
    async with Simulator(
        name, [symbol], rate_per_s=0, limit_scale=limit_scale, faults=faults, fault_seed=seed
    ) as sim:
        limits: tuple[LimitScope, ...] = tuple(
            dataclasses.replace(scope, limit=scope.limit * limit_scale) for scope in module.LIMITS
        )
        strategies = module.rest_strategies(
            credentials=Credentials(sim.api_key, Secret(sim.api_secret)), limits=limits
        )
        async with RestManager(strategies, base_url=sim.rest_url, name=name) as rest:
            yield Venue(rest, sim, symbol, count_attempts(sim))
