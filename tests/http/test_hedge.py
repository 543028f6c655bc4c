"""Hedged reads: asked again only when late, only reads, only a share of them."""

from __future__ import annotations

import asyncio

import pytest

from cexnet.http.hedge import HedgePolicy
from cexnet_core.errors import ConfigurationError, ExchangeUnavailable, OutcomeUnknown
from tests.http.accounts import LIMIT_BUY
from tests.http.client import PLACED, TIME, manager
from tests.http.peer import Peer, drop, hang, reply

EAGER = HedgePolicy(minimum_reads=5, share=1.0)


async def test_off_unless_asked_for() -> None:
    async with Peer(reply(TIME)) as peer, manager(peer) as rest:
        await rest.ping()
        assert rest.metrics().hedges is None


async def test_a_late_answer_is_overtaken_by_its_hedge() -> None:
    async with Peer(reply(TIME)) as peer, manager(peer, hedging=EAGER) as rest:
        for _ in range(5):
            await rest.server_time_ms()
        peer.steps = [hang(), reply(TIME)]
        assert await rest.server_time_ms() == TIME["serverTime"]
        hedges = rest.metrics().hedges
        assert hedges is not None
        assert (hedges.reads, hedges.sent, hedges.won, hedges.refused) == (6, 1, 1, 0)
        assert len(peer.seen) == 7
        assert rest.counters.tries == 7  # both passed the limiter


async def test_nothing_is_hedged_before_enough_is_known() -> None:
    async with Peer(hang()) as peer, manager(peer, hedging=EAGER, deadline_s=0.2) as rest:
        with pytest.raises(Exception, match="no answer before the deadline"):
            await rest.ping()
        assert len(peer.seen) == 1


async def test_orders_are_never_hedged() -> None:
    async with Peer(reply(PLACED)) as peer, manager(peer, hedging=EAGER) as rest:
        for _ in range(10):
            await rest.place_order(LIMIT_BUY)
        peer.steps = [hang()]
        with pytest.raises(OutcomeUnknown):
            await rest.place_order(LIMIT_BUY, deadline_s=0.3)
        assert len(peer.seen) == 11
        assert rest.metrics().hedges.reads == 0  # type: ignore[union-attr]


async def test_the_share_bounds_them() -> None:
    eighth = HedgePolicy(minimum_reads=1, share=0.125)
    async with Peer(reply(TIME)) as peer, manager(peer, hedging=eighth, breaker=None) as rest:
        for _ in range(16):
            await rest.ping()
        peer.steps = [hang()]
        for _ in range(4):
            with pytest.raises(Exception, match="no answer before the deadline"):
                await rest.get("/api/v3/ping", deadline_s=0.1)
        hedges = rest.metrics().hedges
        assert hedges is not None
        assert hedges.sent <= (hedges.reads) // 8
        assert hedges.refused > 0


async def test_a_first_answer_that_fails_leaves_its_hedge_a_chance() -> None:
    async with Peer(reply(TIME)) as peer, manager(peer, hedging=EAGER) as rest:
        for _ in range(5):
            await rest.server_time_ms()
        gate = asyncio.Event()

        async def late_failure(seen: object, writer: asyncio.StreamWriter) -> None:
            await gate.wait()
            writer.close()

        async def late_answer(seen: object, writer: asyncio.StreamWriter) -> None:
            gate.set()
            for _ in range(50):
                await asyncio.sleep(0)
            await reply(TIME)(seen, writer)  # type: ignore[arg-type]

        peer.steps = [late_failure, late_answer, drop()]
        assert await rest.server_time_ms() == TIME["serverTime"]
        assert rest.counters.retries == 0


async def test_when_both_fail_the_first_failure_is_raised_and_retried_as_ever() -> None:
    async with Peer(reply(TIME)) as peer, manager(peer, hedging=EAGER, breaker=None) as rest:
        for _ in range(5):
            await rest.ping()
        peer.steps = [reply(status=503, body=b"")]
        with pytest.raises(ExchangeUnavailable):
            await rest.ping()
        assert rest.counters.retries == 2


async def test_a_cancelled_read_takes_both_with_it() -> None:
    async with Peer(reply(TIME)) as peer, manager(peer, hedging=EAGER) as rest:
        for _ in range(5):
            await rest.ping()
        peer.steps = [hang()]
        read = asyncio.create_task(rest.ping())
        while len(peer.seen) < 7:
            await asyncio.sleep(0.001)
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
        limits = rest.strategies.limits
        assert limits.waiting == 0  # type: ignore[attr-defined]
        peer.steps = [reply(TIME)]
        await rest.ping()


@pytest.mark.parametrize(
    "options", [{"percentile": 0}, {"percentile": 100}, {"share": 0}, {"share": 1.5}, {"minimum_reads": 0}]
)
def test_nonsense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="percentile must lie"):
        HedgePolicy(**options)  # type: ignore[arg-type]
