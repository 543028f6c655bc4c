"""Cancel a request at its first await, its second, and so on: nothing may be left of it."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import pytest

from cexnet.http.connector import ConnectionOptions
from cexnet.http.endpoint import Priority
from cexnet.http.limits import LimitScope, ScopedLimiter
from cexnet.http.manager import RestManager
from cexnet.http.meters import MeterRegistry
from cexnet.http.strategies import RestStrategySet
from tests.http.accounts import LIMIT_BUY
from tests.http.client import PLACED, strategies
from tests.http.leaks import sockets, tasks, until
from tests.http.peer import Peer, Seen, head, reply
from tests.websocket.certificates import self_signed

SERVER_TLS, CLIENT_TLS = self_signed("localhost")


class Stepped:
    """Runs a coroutine in a task of its own, which is cancelled as it suspends for the n-th time.

    ``late`` lets the loop turn once more before, so that what it waited for may have come.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Any], at: int, *, late: bool) -> None:
        self.suspended = 0
        self._at = at
        self._late = late
        self.task = asyncio.create_task(self._drive(coroutine))

    async def _drive(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return await self._step(coroutine)

    @types.coroutine
    def _step(self, coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        problem: BaseException | None = None
        while True:
            try:
                waits_for = coroutine.send(None) if problem is None else coroutine.throw(problem)
            except StopIteration as end:
                return end.value
            self.suspended += 1
            if self.suspended == self._at:
                if self._late:
                    asyncio.get_running_loop().call_soon(self.task.cancel)
                else:
                    self.task.cancel()
            problem = None
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001 - it goes into the coroutine
                problem = error


async def in_pieces(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Head and body arrive in several reads."""
    whole = head(200, {"Content-Length": "2"}) + b"{}"
    for at in range(0, len(whole), 16):
        writer.write(whole[at : at + 16])
        await writer.drain()
        await asyncio.sleep(0)


def limited(limiter: ScopedLimiter) -> RestStrategySet:
    base = strategies()
    return RestStrategySet(base.request, base.auth, limiter, base.retry, base.exceptions)


async def cancelled_everywhere(scenario: Callable[[int], Coroutine[Any, Any, bool]]) -> int:
    """Run ``scenario(n)`` for n = 1, 2, ... until it completes uncancelled; the number of awaits."""
    before = sockets()
    for at in range(1, 500):
        finished = await scenario(at)
        await until(lambda: sockets() <= before, f"no socket left, cancelled at await {at}")
        assert tasks() == set()
        if finished:
            return at - 1
    raise AssertionError("it never completed")


async def ended(stepped: Stepped) -> bool:
    """Whether it completed; False when it was cancelled. Anything else is raised."""
    await asyncio.wait([stepped.task])
    if stepped.task.cancelled():
        return False
    stepped.task.result()
    return True


def nothing_held(limiter: ScopedLimiter) -> None:
    view = limiter.view()
    assert not view.waiting
    assert all(not budget.under_way for budget in view.budgets)


@pytest.mark.parametrize("late", [False, True], ids=["at once", "a turn later"])
@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
async def test_in_connecting_sending_and_reading(tls: bool, late: bool) -> None:
    async def scenario(at: int) -> bool:
        limiter = ScopedLimiter([LimitScope("orders_10s", 100, 10)])
        options = ConnectionOptions(ssl_context=CLIENT_TLS if tls else None)
        async with Peer(reply(PLACED), tls=SERVER_TLS if tls else None) as peer:
            peer.steps = [in_pieces, reply(PLACED)]
            rest = RestManager(
                limited(limiter), base_url=peer.url, meters=MeterRegistry(), connections=1, options=options
            )
            stepped = Stepped(rest.request("POST", "/api/v3/order"), at, late=late)
            finished = await ended(stepped)
            nothing_held(limiter)
            sent = rest.session.requests_sent
            assert sum(100 - budget.remaining for budget in limiter.view().budgets) == sent <= 1
            # The pool's only connection is free, or gone and its place free.
            peer.steps = [reply(PLACED)]
            assert (await rest.place_order(LIMIT_BUY)).order_id == "7"
            await rest.close()
            await until(lambda: not peer.open, "the server sees every connection closed")
        return finished

    assert await cancelled_everywhere(scenario) >= 3


@pytest.mark.parametrize("late", [False, True], ids=["at once", "a turn later"])
async def test_in_the_limiters_line(late: bool) -> None:
    async def scenario(at: int) -> bool:
        limiter = ScopedLimiter([LimitScope("orders_10s", 1, 3600)])
        async with Peer(reply({})) as peer:
            rest = RestManager(limited(limiter), base_url=peer.url, meters=MeterRegistry(), connections=1)
            call = rest.strategies.request.place_order(LIMIT_BUY)
            deadline = asyncio.get_running_loop().time() + 3600
            first = await limiter.acquire(call, deadline)
            stepped = Stepped(rest.request("POST", "/api/v3/order", deadline_s=3600), at, late=late)
            await until(lambda: limiter.waiting or stepped.task.done(), "it waits in line")
            limiter.give_back(first)
            finished = await ended(stepped)
            nothing_held(limiter)
            assert (
                sum(1 - budget.remaining for budget in limiter.view().budgets) == rest.session.requests_sent
            )
            if not rest.session.requests_sent:
                limiter.give_back(await limiter.acquire(call, deadline))
            await rest.close()
        return finished

    assert await cancelled_everywhere(scenario) >= 3


@pytest.mark.parametrize("late", [False, True], ids=["at once", "a turn later"])
async def test_in_the_pools_line(late: bool) -> None:
    async def scenario(at: int) -> bool:
        limiter = ScopedLimiter([LimitScope("ip_weight", 100, 10)])
        gate = asyncio.Event()

        async def held(seen: Seen, writer: asyncio.StreamWriter) -> None:
            await gate.wait()
            await reply({})(seen, writer)

        async with Peer(held, reply({})) as peer:
            rest = RestManager(limited(limiter), base_url=peer.url, meters=MeterRegistry(), connections=1)
            first = asyncio.create_task(rest.ping())
            await peer.arrived.wait()
            stepped = Stepped(rest.request("GET", "/api/v3/time"), at, late=late)
            await until(lambda: stepped.suspended, "it waits for the only connection")
            gate.set()
            await first
            finished = await ended(stepped)
            nothing_held(limiter)
            await rest.ping()
            await rest.close()
            await until(lambda: not peer.open, "the server sees every connection closed")
            assert peer.connections <= 2
        return finished

    assert await cancelled_everywhere(scenario) >= 2


async def test_in_the_moment_of_its_turn_at_the_pool() -> None:
    """Who is cancelled when it has just been given the connection leaves it to the next in line."""
    gate = asyncio.Event()

    async def held(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await reply({})(seen, writer)

    async with Peer(held, reply({})) as peer:
        limiter = ScopedLimiter([LimitScope("ip_weight", 100, 10)])
        options: dict[str, Any] = {"meters": MeterRegistry(), "connections": 1}
        async with RestManager(limited(limiter), base_url=peer.url, **options) as rest:
            call = rest.strategies.request.ping()
            call.parse = lambda body: second.cancel()  # its answer has freed the connection just now
            first = asyncio.create_task(rest.call(call))
            await peer.arrived.wait()
            second = asyncio.create_task(rest.ping())
            third = asyncio.create_task(rest.get("/api/v3/ping", deadline_s=2.0))
            await until(lambda: rest.counters.tries == 3, "both wait for the only connection")
            gate.set()
            await asyncio.gather(first, third)
            assert second.cancelled()
            assert (peer.connections, len(peer.seen)) == (1, 2)


async def test_all_of_a_crowd_cancelled_at_once() -> None:
    async with Peer(in_pieces) as peer:
        for turns in range(30):
            limiter = ScopedLimiter([LimitScope("ip_weight", 8, 3600)])
            rest = RestManager(limited(limiter), base_url=peer.url, meters=MeterRegistry())
            crowd = [
                asyncio.create_task(rest.request("GET", "/api/v3/time", deadline_s=7200, priority=lane))
                for lane in Priority
                for _ in range(6)
            ]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in crowd:
                task.cancel()
            await asyncio.wait(crowd)
            nothing_held(limiter)
            counted = sum(8 - budget.remaining for budget in limiter.view().budgets)
            assert counted == rest.session.requests_sent <= 8
            await rest.close()
        await until(lambda: not peer.open, "the server sees every connection closed")
    await until(lambda: not tasks(), "no task left")
