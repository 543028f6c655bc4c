"""What the REST line counts of its calls, and what it says when its own bookkeeping fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from cexnet.exchanges import binance_rest
from cexnet.http.endpoint import Call
from cexnet.http.limits import ScopedLimiter
from cexnet_core.errors import ClockSkewError, InsufficientFunds, OutcomeUnknown, RequestNotSent
from cexnet_core.hotlog import process_log
from tests.http.accounts import LIMIT_BUY
from tests.http.client import TIME, manager
from tests.http.peer import Peer, drop, reply


async def test_errors_are_told_apart_by_class_and_outcome() -> None:
    poor = reply({"code": -2010, "msg": "Account has insufficient balance for requested action."}, status=400)
    skew = reply({"code": -1021, "msg": "Timestamp outside"}, status=400)
    async with Peer(poor, poor, drop(), skew, reply(status=403)) as peer, manager(peer) as rest:
        for expected in (InsufficientFunds, InsufficientFunds, OutcomeUnknown):
            with pytest.raises(expected):
                await rest.place_order(LIMIT_BUY)
        with pytest.raises(ClockSkewError):  # the clock cannot be measured
            await rest.query_order("BTCUSDT", order_id="7")
        await rest.close()
        with pytest.raises(RequestNotSent):
            await rest.ping()
        metrics = rest.metrics()
    failures = metrics.variants[0].failures
    assert failures["InsufficientFunds", "rejected"] == 2
    assert failures["OutcomeUnknown", "unknown"] == 1
    assert failures["ClockSkewError", "rejected"] == 1
    assert failures["RequestNotSent", "not_sent"] == 1
    assert sum(failures.values()) == metrics.errors


class Forgetful(ScopedLimiter):
    """A limiter whose own bookkeeping fails."""

    def observe(self, call: Call[Any], headers: Mapping[str, str]) -> None:
        raise ZeroDivisionError


async def test_a_limiter_that_fails_is_said_at_most_ten_times_a_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Peer(reply(TIME)) as peer, manager(peer) as rest:
        rest.swap(limits=Forgetful(binance_rest.LIMITS))
        process_log.flush()
        held_back = process_log.held_back
        for _ in range(60):
            assert await rest.server_time_ms() == TIME["serverTime"]  # the answer matters more
        assert process_log.flush()
    said = [record for record in caplog.records if "limits may be off" in record.getMessage()]
    said = [record for record in said if record.name == "cexnet.http"]
    assert len(said) + process_log.held_back - held_back == 60
    assert said[0].exc_info is not None
    assert said[0].exc_info[0] is ZeroDivisionError
