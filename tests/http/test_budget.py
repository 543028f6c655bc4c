"""Retries are a share of what succeeds, across the managers of a host."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet.http.budget import RetryBudget, shared_budget
from cexnet.http.manager import RestManager
from cexnet_core.errors import ConfigurationError, ExchangeUnavailable
from tests.http.client import TIME, manager, strategies
from tests.http.peer import Peer, reply

BUSY = reply(status=503, body=b"")


@given(
    capacity=st.integers(0, 8),
    quarters=st.integers(0, 4),
    acts=st.lists(st.booleans(), max_size=80),
)
def test_no_more_retries_than_earned(capacity: int, quarters: int, acts: list[bool]) -> None:
    budget = RetryBudget(capacity, quarters / 4)
    left = 4 * capacity  # in quarters of a retry, exactly
    granted = refused = 0
    for success in acts:
        if success:
            budget.deposit()
            left = min(4 * capacity, left + quarters)
        else:
            may = left >= 4
            assert budget.take() is may
            left -= 4 * may
            granted += may
            refused += not may
    metrics = budget.metrics()
    assert (metrics.left * 4, metrics.granted, metrics.refused) == (left, granted, refused)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="must not be negative"):
        RetryBudget(-1)
    with pytest.raises(ConfigurationError, match="must not be negative"):
        RetryBudget(1, -0.1)


def test_one_budget_a_host_while_anybody_uses_it() -> None:
    one = shared_budget("https://a.example")
    assert shared_budget("https://a.example") is one
    assert shared_budget("https://b.example") is not one
    one.take()
    del one
    gc.collect()
    assert shared_budget("https://a.example").metrics().granted == 0


async def test_managers_of_one_host_share_and_an_empty_budget_ends_the_retries() -> None:
    async with Peer(BUSY) as peer, manager(peer, breaker=None) as one, manager(peer, breaker=None) as two:
        for rest in (one, two) * 10:
            with pytest.raises(ExchangeUnavailable) as caught:
                await rest.ping()
        # 20 retries, two for each of the first ten calls, and first tries ever after.
        assert len(peer.seen) == 20 + 20
        assert "retry budget" in caught.value.__notes__[0]
        assert one.metrics().retry_budget == two.metrics().retry_budget
        assert (two.metrics().retry_budget.granted, two.metrics().retry_budget.refused) == (20, 10)
        peer.steps = [reply(TIME)]
        for _ in range(8):
            await one.ping()
        peer.steps = [BUSY, reply(TIME)]
        await two.ping()
        assert two.metrics().retry_budget.granted == 21


async def test_a_host_has_one_budget_however_it_is_spelled() -> None:
    async with Peer(BUSY) as peer:
        base = peer.url.replace("127.0.0.1", "localhost")
        one, two = (
            RestManager(strategies(), base_url=url, name="binance", breaker=None)
            for url in (base, base.replace("localhost", "LocalHost"))
        )
        async with one, two:
            with pytest.raises(ExchangeUnavailable):
                await one.ping()
            assert two.metrics().retry_budget == one.metrics().retry_budget
            assert two.metrics().retry_budget.granted > 0


async def test_a_budget_of_its_own() -> None:
    none = RetryBudget(0)
    async with Peer(BUSY) as peer, manager(peer, retry_budget=none) as rest:
        with pytest.raises(ExchangeUnavailable):
            await rest.ping()
        assert len(peer.seen) == 1
