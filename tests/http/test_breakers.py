"""Breakers in the line: what opens them, what passes them, and who is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cexnet.http.breaker import BreakerPolicy, BreakerState
from cexnet.http.breakers import BreakerChange
from cexnet_core.errors import (
    CircuitOpen,
    DeadlineExceeded,
    ExchangeUnavailable,
    InvalidRequest,
    OutcomeUnknown,
)
from tests.http.accounts import LIMIT_BUY
from tests.http.client import PLACED, TIME, manager
from tests.http.peer import Peer, drop, hang, reply

# Opens at the fourth failure and stays open for the rest of a test.
STRICT = BreakerPolicy(minimum_calls=4, open_s=600, longest_open_s=600)
NO_RETRY: dict[str, Any] = {"idempotent": False}


async def fail(rest: Any, times: int, method: str = "GET", path: str = "/api/v3/account") -> None:
    for _ in range(times):
        with pytest.raises(OutcomeUnknown):
            await rest.request(method, path, **NO_RETRY)


async def test_failures_open_the_group_and_its_listener_hears() -> None:
    changes: list[BreakerChange] = []
    async with (
        Peer(drop()) as peer,
        manager(peer, breaker=STRICT, on_breaker=changes.append) as rest,
    ):
        await fail(rest, 4)
        with pytest.raises(CircuitOpen, match="nothing was sent") as caught:
            await rest.place_order(LIMIT_BUY)
        assert caught.value.outcome == "not_sent"
        assert caught.value.client_order_id
        assert 500 < (caught.value.retry_after_s or 0) <= 600
        assert len(peer.seen) == 4
        peer.steps = [reply(TIME)]
        await rest.ping()  # public endpoints are another group
        assert [(one.manager, one.group, one.before, one.after) for one in changes] == [
            ("binance", "private", BreakerState.CLOSED, BreakerState.OPEN)
        ]
        assert changes[0].reason == "4 of 4 calls failed within 10 s"
        shown = {one.group: one for one in rest.metrics().breakers}
        assert (shown["private"].state, shown["private"].opened, shown["private"].rejected) == ("open", 1, 1)
        assert shown["public"].state == "closed"


async def test_cancels_pass_what_queries_opened_unless_told_otherwise() -> None:
    async with Peer(drop()) as peer, manager(peer, breaker=STRICT) as rest:
        await fail(rest, 4)
        peer.steps = [reply({**PLACED, "status": "CANCELED"})]
        assert (await rest.cancel_order("BTCUSDT", order_id="7")).order_id == "7"
        peer.steps = [drop()]
        for _ in range(3):  # of four cancels, with the one that succeeded
            with pytest.raises(OutcomeUnknown):
                await rest.cancel_order("BTCUSDT", order_id="7")
        with pytest.raises(CircuitOpen):
            await rest.cancel_order("BTCUSDT", order_id="7")
    together = BreakerPolicy(minimum_calls=4, open_s=600, longest_open_s=600, cancels_apart=False)
    async with Peer(drop()) as peer, manager(peer, breaker=together) as rest:
        await fail(rest, 4)
        with pytest.raises(CircuitOpen):
            await rest.cancel_order("BTCUSDT", order_id="7")


async def test_refusals_are_answers_and_open_nothing() -> None:
    async with (
        Peer(reply({"code": -1121, "msg": "no"}, status=400)) as peer,
        manager(peer, breaker=STRICT) as rest,
    ):
        for _ in range(20):
            with pytest.raises(InvalidRequest):
                await rest.query_order("X", order_id="1")
        assert {one.state for one in rest.metrics().breakers} == {BreakerState.CLOSED}


async def test_garbage_and_silence_are_failures() -> None:
    async with Peer(reply(body=b"<html>")) as peer, manager(peer, breaker=STRICT) as rest:
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                await rest.place_order(LIMIT_BUY)
        peer.steps = [hang()]
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                await rest.query_order("BTCUSDT", order_id="1", deadline_s=0.05)
        with pytest.raises(CircuitOpen):
            await rest.query_order("BTCUSDT", order_id="1")


async def test_slow_answers_open_it() -> None:
    slow = BreakerPolicy(minimum_calls=4, slow_s=1e-9, slow_ratio=1.0, open_s=600, longest_open_s=600)
    async with Peer(reply(TIME)) as peer, manager(peer, breaker=slow) as rest:
        for _ in range(4):
            await rest.ping()
        with pytest.raises(CircuitOpen):
            await rest.ping()


async def test_probes_close_it_again() -> None:
    changes: list[BreakerChange] = []
    quick = BreakerPolicy(minimum_calls=4, open_s=0.01, probes=2)
    async with (
        Peer(drop()) as peer,
        manager(peer, breaker=quick, on_breaker=changes.append) as rest,
    ):
        await fail(rest, 4)
        peer.steps = [reply(PLACED)]
        while rest.metrics().breakers[0].state is not BreakerState.CLOSED:
            try:
                await rest.query_order("BTCUSDT", order_id="7")
            except CircuitOpen as error:
                await asyncio.sleep(error.retry_after_s or 0)
        assert [one.after for one in changes] == ["open", "half_open", "closed"]


async def test_a_cancelled_probe_makes_room_for_the_next() -> None:
    quick = BreakerPolicy(minimum_calls=4, open_s=0.01, probes=1)
    async with Peer(drop()) as peer, manager(peer, breaker=quick) as rest:
        await fail(rest, 4)
        peer.steps = [hang()]
        seen = len(peer.seen)
        while len(peer.seen) == seen:
            probe = asyncio.create_task(rest.query_order("BTCUSDT", order_id="7"))
            while not probe.done() and len(peer.seen) == seen:
                await asyncio.sleep(0)
            if probe.done():
                assert isinstance(probe.exception(), CircuitOpen)
        with pytest.raises(CircuitOpen, match="being probed"):
            await rest.query_order("BTCUSDT", order_id="7")
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        peer.steps = [reply(PLACED)]
        assert (await rest.query_order("BTCUSDT", order_id="7")).order_id == "7"


async def test_a_ban_opens_groups_that_come_later_too() -> None:
    ban = reply({"code": -1003, "msg": "banned"}, status=418, headers={"Retry-After": "120"})
    async with Peer(ban) as peer, manager(peer, breaker=None) as rest:
        with pytest.raises(Exception, match="418"):
            await rest.ping()
        for _ in range(2):
            with pytest.raises(CircuitOpen):
                await rest.query_order("BTCUSDT", order_id="7")
        assert len(peer.seen) == 1


async def test_after_a_ban_traffic_goes_on() -> None:
    changes: list[BreakerChange] = []
    ban = reply({"code": -1003, "msg": "banned"}, status=418, headers={"Retry-After": "0.05"})
    async with Peer(ban, reply(TIME)) as peer, manager(peer, on_breaker=changes.append) as rest:
        with pytest.raises(Exception, match="418"):
            await rest.server_time_ms()
        for _ in range(3):
            while True:
                try:
                    await rest.server_time_ms()
                    break
                except CircuitOpen as error:
                    await asyncio.sleep(error.retry_after_s or 0)
        assert [one.after for one in changes] == ["open", "half_open", "closed"]
        assert changes[0].reason.startswith("banned for 0.0")
        assert len(peer.seen) == 4


async def test_what_failed_before_the_breaker_opened_is_its_cause() -> None:
    once = BreakerPolicy(minimum_calls=1, open_s=600, longest_open_s=600)
    async with Peer(reply(status=503, body=b"")) as peer, manager(peer, breaker=once) as rest:
        with pytest.raises(CircuitOpen) as caught:
            await rest.ping()
        assert isinstance(caught.value.__cause__, ExchangeUnavailable)


@pytest.mark.parametrize("failure", [ValueError, asyncio.CancelledError])
async def test_a_listener_that_fails_harms_nothing(failure: type[BaseException]) -> None:
    def listener(change: BreakerChange) -> None:
        raise failure

    async with Peer(drop()) as peer, manager(peer, breaker=STRICT, on_breaker=listener) as rest:
        await fail(rest, 4)
        assert rest.metrics().breaker_listener_errors == 1
        with pytest.raises(CircuitOpen):
            await rest.get("/api/v3/account")


async def test_without_a_policy_failures_open_nothing() -> None:
    async with Peer(reply(status=500, body=b"")) as peer, manager(peer, breaker=None) as rest:
        for _ in range(30):
            with pytest.raises(ExchangeUnavailable):
                await rest.ping()
        assert rest.metrics().breakers[0].state is BreakerState.CLOSED
