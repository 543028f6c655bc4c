"""Strategies exchanged while requests run: between tries, all at once, measured apart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from cexnet.exchanges import binance_rest
from cexnet.http.answers import Answer
from cexnet.http.classify import TableErrors
from cexnet.http.endpoint import Call
from cexnet.http.faults import TransportFault
from cexnet.http.limits import LimitScope, ScopedLimiter
from cexnet.http.retry import FullJitterRetry
from cexnet.http.strategies import Reservation, RetryStrategy
from cexnet_core.errors import (
    CexnetError,
    ClockSkewError,
    ConfigurationError,
    ExchangeUnavailable,
    OutcomeUnknown,
    RequestError,
    RequestNotSent,
    StrategyError,
)
from cexnet_core.hotlog import process_log
from tests.http.accounts import CREDENTIALS, LIMIT_BUY
from tests.http.client import PLACED, TIME, manager
from tests.http.leaks import until
from tests.http.peer import Peer, Step, drop, reply

BUSY = reply(status=503, body=b"")


class Watched(RetryStrategy):
    """Tries again for ever, at once, and tells who was asked."""

    def __init__(self, asked: list[str], name: str) -> None:
        self.asked = asked
        self.name = name

    def pause_s(self, call: Call[Any], error: CexnetError, tries: int, remaining_s: float) -> float | None:
        self.asked.append(self.name)
        return 0.0


async def test_metrics_are_kept_apart_by_name_and_go_on_with_it() -> None:
    async with Peer(reply(TIME)) as peer, manager(peer) as rest:
        await rest.ping()
        rest.swap("b", retry=FullJitterRetry(tries=1))
        assert rest.counters.requests == 0
        await rest.ping()
        await rest.ping()
        rest.swap("1", retry=FullJitterRetry())
        await rest.ping()
        shown = {one.name: one for one in rest.metrics().variants}
        assert list(shown) == ["1", "b"]
        assert (shown["1"].requests, shown["b"].requests) == (2, 2)
        assert (shown["1"].total.count, shown["b"].sign.count) == (2, 2)
        assert rest.metrics().requests == 4
        rest.swap(retry=FullJitterRetry())
        assert rest.metrics().variants[-1].name == "3"


async def test_the_next_try_of_a_running_call_takes_the_new_strategy() -> None:
    asked: list[str] = []
    async with Peer(BUSY) as peer, manager(peer, breaker=None) as rest:
        rest.swap("old", retry=Watched(asked, "old"))
        call = asyncio.create_task(rest.ping())
        while asked.count("old") < 3:
            await asyncio.sleep(0)
        rest.swap("new", retry=FullJitterRetry(tries=1))
        with pytest.raises(ExchangeUnavailable):
            await call
        shown = {one.name: one for one in rest.metrics().variants}
        assert (shown["old"].requests, shown["old"].errors) == (1, 0)
        assert (shown["new"].requests, shown["new"].errors, shown["new"].tries) == (0, 1, 1)
        assert rest.metrics().tries == len(peer.seen) == rest.metrics().retries + 1


async def test_a_try_that_waits_ends_under_the_limits_it_began_with() -> None:
    one = ScopedLimiter([LimitScope("orders_10s", 1, 600)])
    wide = ScopedLimiter([LimitScope("orders_10s", 100, 600)])
    async with Peer(reply(PLACED)) as peer, manager(peer, deadline_s=1000) as rest:
        rest.swap(limits=one)
        await rest.place_order(LIMIT_BUY)
        stuck = asyncio.create_task(rest.place_order(LIMIT_BUY))
        while not one.waiting:
            await asyncio.sleep(0)
        rest.swap(limits=wide)
        await rest.place_order(LIMIT_BUY)
        assert (one.waiting, wide.remaining["orders_10s"]) == (1, 99)
        await rest.close()
        with pytest.raises(RequestNotSent, match="closed"):
            await stuck
        assert len(peer.seen) == 2


async def test_keys_are_rolled_without_a_new_manager() -> None:
    other = binance_rest.rest_strategies(credentials=replace(CREDENTIALS, api_key="other"))
    async with Peer(reply(PLACED)) as peer, manager(peer) as rest:
        await rest.place_order(LIMIT_BUY)
        rest.swap(auth=other.auth)
        await rest.place_order(LIMIT_BUY)
        assert [seen.headers["x-mbx-apikey"] for seen in peer.seen] == [CREDENTIALS.api_key, "other"]
        assert len({seen.connection for seen in peer.seen}) == 1


async def test_a_set_that_cannot_be_used_changes_nothing() -> None:
    async with Peer(reply(TIME)) as peer, manager(peer) as rest:
        before = rest.strategies
        with pytest.raises(StrategyError, match="retry must be a RetryStrategy"):
            rest.swap(retry=object())  # type: ignore[arg-type]
        assert rest.strategies is before
        await rest.ping()
        assert [one.name for one in rest.metrics().variants] == ["1"]


async def test_a_limiter_that_counts_for_another_host_changes_nothing() -> None:
    async with Peer(reply(TIME)) as peer, Peer(reply(TIME)) as other, manager(other) as its_own:
        await its_own.ping()
        async with manager(peer) as rest:
            before = rest.strategies
            with pytest.raises(ConfigurationError, match="another host"):
                rest.swap(limits=its_own.strategies.limits)
            rest.swap(retry=FullJitterRetry())
            assert rest.strategies.limits is before.limits
            assert [one.name for one in rest.metrics().variants] == ["1", "2"]
        await its_own.ping()  # nor has closing this manager closed it


async def test_no_strategy_can_have_an_order_sent_twice() -> None:
    asked: list[str] = []
    async with Peer(drop()) as peer, manager(peer) as rest:
        rest.swap(retry=Watched(asked, "careless"))
        with pytest.raises(OutcomeUnknown):
            await rest.place_order(LIMIT_BUY)
        assert len(peer.seen) == 1
        assert not asked


class Liar(TableErrors):
    """Says of everything that it was not sent, or was sent too late."""

    def __init__(self, claim: CexnetError) -> None:
        super().__init__(binance_rest.ERRORS)
        self.claim = claim

    def refusal(self, call: Call[Any], answer: Answer) -> Any:
        return self.claim

    def fault(self, call: Call[Any], fault: TransportFault) -> CexnetError:
        return self.claim


@pytest.mark.parametrize("behave", [drop(), BUSY], ids=["no answer", "an answer"])
@pytest.mark.parametrize("kind", [RequestNotSent, ClockSkewError])
async def test_no_classification_can_have_an_order_sent_twice(kind: type[RequestError], behave: Step) -> None:
    claim = kind("it did not leave us", outcome="not_sent", retryable=True)
    async with Peer(behave) as peer, manager(peer) as rest:
        rest.swap(exceptions=Liar(claim))
        with pytest.raises(OutcomeUnknown, match=r"may have been executed, whatever .*did not leave us"):
            await rest.place_order(LIMIT_BUY)
        assert [seen.method for seen in peer.seen] == ["POST"]


async def test_an_order_without_an_answer_is_not_signed_anew() -> None:
    async with Peer(drop()) as peer, manager(peer) as rest:
        rest.swap(exceptions=Liar(ClockSkewError("too late", outcome="rejected")))
        with pytest.raises(OutcomeUnknown):
            await rest.place_order(LIMIT_BUY)
        assert [seen.method for seen in peer.seen] == ["POST"]


class Late(RetryStrategy):
    """Would rather come back an hour later."""

    def pause_s(self, call: Call[Any], error: CexnetError, tries: int, remaining_s: float) -> float | None:
        return 3600.0


async def test_no_strategy_can_pause_beyond_the_deadline() -> None:
    async with Peer(BUSY) as peer, manager(peer) as rest:
        rest.swap(retry=Late())
        async with asyncio.timeout(20):
            with pytest.raises(ExchangeUnavailable):
                await rest.server_time_ms()
        assert (len(peer.seen), rest.counters.retries) == (1, 0)


class Breaking(ScopedLimiter):
    """Counts, and then breaks: so does one that keeps its counts where they cannot be reached."""

    def settle(self, reservation: Reservation) -> None:
        super().settle(reservation)
        raise ConnectionError("the counts cannot be reached")


async def test_no_limiter_can_hide_what_became_of_an_order(caplog: pytest.LogCaptureFixture) -> None:
    async with Peer(reply(PLACED), drop()) as peer, manager(peer) as rest:
        rest.swap(limits=Breaking(binance_rest.LIMITS))
        assert (await rest.place_order(LIMIT_BUY)).order_id == "7"
        with pytest.raises(OutcomeUnknown):
            await rest.place_order(LIMIT_BUY)
        assert process_log.flush()
        assert "limits may be off" in caplog.text
        assert all(not budget.under_way for budget in rest.limits().budgets)


class Stuck(ScopedLimiter):
    def close(self) -> None:
        raise ConnectionError("the counts cannot be reached")


async def test_no_limiter_can_keep_a_manager_open() -> None:
    async with Peer(reply(TIME)) as peer, manager(peer) as rest:
        rest.swap(limits=Stuck(binance_rest.LIMITS))
        await rest.ping()
        with pytest.raises(ConnectionError, match="counts cannot be reached"):
            await rest.close()
        await until(lambda: not peer.open, "the server sees the connection closed")
