"""Each fault of the embedded exchange: what an order ends in, and how many are in the book."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from cexnet.types import OrderStatus
from cexnet_core.errors import (
    Banned,
    CexnetError,
    CircuitOpen,
    DeadlineExceeded,
    DuplicateOrder,
    ExchangeError,
    OutcomeUnknown,
    RateLimited,
    RequestError,
)
from tests.http.faulty import VENUES, Venue, venue

PATIENCE_S = 20.0


class Fate(NamedTuple):
    """What becomes of an order: how the call ends, and how many orders there are then."""

    ends: type[CexnetError] | None
    outcome: str
    orders: int


ACCEPTED = Fate(None, "done", 1)
IN_THE_BOOK, NOT_THERE = Fate(OutcomeUnknown, "unknown", 1), Fate(OutcomeUnknown, "unknown", 0)
FATES: dict[str, Fate] = {
    "rest-throttle": Fate(RateLimited, "rejected", 0),
    "rest-ban": Fate(Banned, "rejected", 0),
    "rest-forbidden": Fate(ExchangeError, "rejected", 0),
    "rest-error:status=500": NOT_THERE,
    "rest-error:status=500,executed=yes": IN_THE_BOOK,
    "rest-error:status=502": NOT_THERE,
    "rest-error:status=502,executed=yes": IN_THE_BOOK,
    "rest-error:status=503": NOT_THERE,
    "rest-error:status=503,executed=yes": IN_THE_BOOK,
    "rest-error:status=504": NOT_THERE,
    "rest-error:status=504,executed=yes": IN_THE_BOOK,
    "rest-maintenance": NOT_THERE,
    "rest-maintenance:executed=yes": IN_THE_BOOK,
    "rest-duplicate": ACCEPTED,  # nobody else can have used the id that we minted
    "rest-slow:delay=0.05": ACCEPTED,
    "rest-slow:delay=3600": IN_THE_BOOK,
    "rest-lost": IN_THE_BOOK,
    "rest-lost:executed=no": NOT_THERE,
    "rest-reset": IN_THE_BOOK,
    "rest-reset:executed=no": NOT_THERE,
    "rest-reset-body": IN_THE_BOOK,
    "rest-reset-half": IN_THE_BOOK,
    "rest-stale": NOT_THERE,
    "rest-hang-up": ACCEPTED,
    "rest-truncated": IN_THE_BOOK,
    "rest-mislabelled": ACCEPTED,
    "rest-empty": IN_THE_BOOK,
    "skew:skew=120": ACCEPTED,
    "skew:skew=-120": ACCEPTED,
}


@pytest.fixture(params=VENUES)
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Venue]:
    async with venue(request.param) as made:
        await made.rest.ping()  # from here on connections are reused
        yield made


async def placed(place: Venue, deadline_s: float) -> tuple[type[CexnetError] | None, str, str]:
    """How an order's call ends: error class, outcome, client order id."""
    try:
        order = await place.rest.place_order(place.order(), deadline_s=deadline_s)
    except RequestError as error:
        return type(error), error.outcome, error.client_order_id
    assert order.status is OrderStatus.NEW
    return None, "done", order.client_order_id


@pytest.mark.parametrize("fault", FATES)
async def test_an_order_under_one_fault(place: Venue, fault: str) -> None:
    fate = FATES[fault]
    place.sim.inject(fault)
    ends, outcome, client_order_id = await placed(place, 2.0 if "3600" in fault else PATIENCE_S)
    assert (ends is None) is (fate.ends is None)
    assert fate.ends is None or (ends is not None and issubclass(ends, fate.ends))
    assert outcome == fate.outcome
    assert place.book() == place.attempts == ({client_order_id: 1} if fate.orders else {})
    assert place.sim.stats.faults == {fault.partition(":")[0]: 1}
    if fate.orders:
        found = await place.rest.query_order(place.symbol, client_order_id=client_order_id)
        assert found.client_order_id == client_order_id


@pytest.mark.parametrize("fault", [f for f in FATES if FATES[f].outcome != "rejected" and "3600" not in f])
async def test_the_next_order_is_untouched(place: Venue, fault: str) -> None:
    place.sim.inject(fault)
    await placed(place, PATIENCE_S)
    before = place.book().total()
    assert (await placed(place, PATIENCE_S))[1] == "done"
    assert place.book().total() == before + 1
    assert max(place.attempts.values()) == 1


@pytest.mark.parametrize("fault", [f for f in FATES if FATES[f].outcome == "unknown" and "3600" not in f])
async def test_a_read_is_asked_again_and_answered(place: Venue, fault: str) -> None:
    order = await place.rest.place_order(place.order())
    place.sim.inject(fault)
    found = await place.rest.query_order(place.symbol, order_id=order.order_id, deadline_s=PATIENCE_S)
    assert found.order_id == order.order_id
    assert place.rest.counters.retries == 1


async def test_an_id_of_the_callers_own_may_truly_be_taken(place: Venue) -> None:
    place.sim.inject("rest-duplicate")
    with pytest.raises(DuplicateOrder):
        await place.rest.place_order(place.order("t-mine"))
    assert place.book() == place.attempts == {"t-mine": 1}


async def test_an_order_that_crosses_the_servers_close_is_sent_once(place: Venue) -> None:
    """The keep-alive race in earnest: the server closes while the next order is on its way."""
    place.sim.inject("rest-hang-up:delay=3600")
    assert (await placed(place, PATIENCE_S))[1] == "done"
    second = asyncio.create_task(placed(place, PATIENCE_S))
    for _ in range(50):  # a few turns of the loop suffice to write on a connection that is there
        await asyncio.sleep(0)
    await place.sim.lift("rest-hang-up")
    ends, outcome, _ = await second
    assert (ends, outcome) == (OutcomeUnknown, "unknown")
    assert place.book().total() == place.attempts.total() == 1


async def test_a_ban_keeps_everything_from_being_sent_until_it_is_over(place: Venue) -> None:
    place.sim.inject("rest-ban")
    assert (await placed(place, PATIENCE_S))[1] == "rejected"
    before = place.sim.stats.rest_requests
    for _ in range(5):
        with pytest.raises((Banned, CircuitOpen, DeadlineExceeded)):
            await place.rest.place_order(place.order(), deadline_s=1.0)
    assert place.sim.stats.rest_requests == before
    assert place.book().total() == 0
