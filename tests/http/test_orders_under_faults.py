"""Orders against exchanges that fail on purpose: none doubled, none lost, each fate known.

The limits are raised ten-thousandfold in the exchange and in our table of them, so that the
orders are not paced; everything else is as it ships.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from cexnet.http.answers import NeverArrived
from cexnet.types import Order
from cexnet_core.errors import (
    Banned,
    CircuitOpen,
    DeadlineExceeded,
    OutcomeUnknown,
    RequestError,
)
from tests.http.faulty import LIMIT_SCALE, VENUES, Venue, venue

ORDERS = {"binance": 3_334, "gateio": 3_333, "mexc": 3_333}
WORKERS = 16
# The exchanges here accept at once or never; by default we wait until a request would be too old.
SETTLE_S = 2.0
# Every one of them often enough that it certainly strikes; those that stop all traffic, a few times.
FAULTS = (
    *(
        f"{name}{',' if ':' in name else ':'}p=0.006,times=always"
        for name in (
            "rest-error:executed=no",
            "rest-error:executed=yes,status=503",
            "rest-error:executed=yes,status=504",
            "rest-error:executed=yes,status=502",
            "rest-maintenance:executed=no",
            "rest-maintenance:executed=yes",
            "rest-duplicate:request=POST",
            "rest-slow:delay=0.02",
            "rest-lost:executed=no",
            "rest-lost:executed=yes",
            "rest-reset:executed=no",
            "rest-reset:executed=yes",
            "rest-reset-body",
            "rest-reset-half",
            "rest-stale",
            "rest-hang-up:delay=0",
            "rest-hang-up:delay=0.002",
            "rest-truncated",
            "rest-mislabelled",
            "rest-empty",
        )
    ),
    "rest-slow:delay=3600,p=0.02,times=3,request=POST",
    "rest-forbidden:p=0.01,times=1,request=POST",
    "rest-throttle:retry_after=1,p=0.01,times=1,request=POST",
    "rest-ban:for=1,p=0.01,request=POST,after=500",
    "skew:skew=120,for=0.2,p=0.01,times=2,after=200",
    "skew:skew=-120,for=0.2,p=0.01,times=2,after=200",
)


class Ledger:
    """What became of every call, by client order id."""

    def __init__(self, place: Venue) -> None:
        self._venue = place
        self.accepted: set[str] = set()
        self.refused: set[str] = set()
        self.ended: Counter[str] = Counter()
        self._left = ORDERS[place.sim.persona.name]

    async def run(self) -> None:
        """Place all orders and settle what is unknown."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work(group))

    async def _work(self, group: asyncio.TaskGroup) -> None:
        while self._left:
            self._left -= 1
            try:
                placed = await self._venue.rest.place_order(self._venue.order(), deadline_s=5.0)
            except OutcomeUnknown as error:
                self.ended["unknown"] += 1
                group.create_task(self._settle(error))
            except RequestError as error:
                self.ended[error.outcome] += 1
                self.refused.add(error.client_order_id)
                if isinstance(error, Banned | CircuitOpen):
                    await asyncio.sleep(error.retry_after_s or 0.1)
            except DeadlineExceeded:
                self.ended["not_sent"] += 1
            else:
                self.ended["done"] += 1
                self._accept(placed)

    async def _settle(self, unknown: OutcomeUnknown) -> None:
        """Its fate; the questions meet the same faults, and some must be put anew."""
        while True:
            try:
                fate = await self._venue.rest.resolve_unknown(unknown, settle_s=SETTLE_S)
            except OutcomeUnknown as still:
                self.ended["asked again"] += 1
                unknown = still
                continue
            if isinstance(fate, NeverArrived):
                self.refused.add(fate.client_order_id)
            else:
                assert fate.client_order_id == unknown.client_order_id
                self._accept(fate)
            return

    def _accept(self, placed: Order) -> None:
        assert placed.client_order_id not in self.accepted
        self.accepted.add(placed.client_order_id)


async def place_all(name: str) -> Ledger:
    """Place this venue's share of the orders and check that its book and our ledger agree."""
    async with venue(name, *FAULTS, seed=4, limit_scale=LIMIT_SCALE) as place:
        ledger = Ledger(place)
        await ledger.run()
        book = place.book()
        assert max(book.values()) == 1
        assert place.attempts == book  # no order came twice, not even to be refused as a double
        assert ledger.accepted == set(book)  # what we believe in is there, and nothing else is
        assert not ledger.refused & set(book)
        assert place.sim.stats.faults.keys() == {text.partition(":")[0] for text in FAULTS}
        metrics = place.rest.metrics()
        assert (metrics.placing, metrics.unsettled) == (0, 0)
        return ledger


async def test_ten_thousand_orders_none_doubled_none_lost() -> None:
    async with asyncio.TaskGroup() as group:
        venues = [group.create_task(place_all(name)) for name in VENUES]
    ended = sum((one.result().ended for one in venues), Counter())
    asked_again = ended.pop("asked again", 0)
    assert ended.total() == sum(ORDERS.values()) == 10_000
    assert set(ended) <= {"done", "rejected", "unknown", "not_sent"}
    assert ended["done"] > 5_000
    assert ended["unknown"] > 200
    assert asked_again < ended["unknown"] // 3
