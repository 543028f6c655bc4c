"""What the managers of a factory share: limits, a clock and one task for it, and their end."""

from __future__ import annotations

import asyncio
import time

import pytest

from cexnet import Channel, Config, Subscription, TransportFactory, WebSocketManager
from cexnet.config import ExchangeConfig, RestConfig
from cexnet.http.limits import ScopedLimiter
from cexnet.http.manager import RestManager
from cexnet.http.meters import METERS
from cexnet.simulator import Simulator
from cexnet_core.errors import AuthenticationError, ConfigurationError
from tests.http.accounts import CREDENTIALS, LIMIT_BUY
from tests.http.client import PLACED
from tests.http.peer import Peer, Seen, reply
from tests.websocket.live import Log

AHEAD_NS = 100_000_000_000


async def venue(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Binance, its clock far ahead."""
    stamp_ms = (time.time_ns() + AHEAD_NS) // 1_000_000
    await reply({"serverTime": stamp_ms} if seen.path == "/api/v3/time" else PLACED)(seen, writer)


def of_binance(peer: Peer, *, credentials: bool = True, clock_every_s: float | None = None) -> Config:
    METERS.forget()  # within one run a port may come round again
    own = ExchangeConfig(rest_url=peer.url, credentials=CREDENTIALS if credentials else None)
    return Config(exchange={"binance": own}, rest=RestConfig(clock_every_s=clock_every_s))


def clock_tasks() -> int:
    return sum(task.get_name().startswith("clock of") for task in asyncio.all_tasks())


def left(manager: RestManager, scope: str) -> int:
    (found,) = [budget.remaining for budget in manager.limits().budgets if budget.scope.name == scope]
    return found


async def test_public_never_signs_and_private_does() -> None:
    async with Peer(venue) as peer, TransportFactory(of_binance(peer)) as factory:
        public = factory.rest("binance", scope="public")
        with pytest.raises(AuthenticationError, match="no credentials") as caught:
            await public.query_order("BTCUSDT", order_id="7")
        assert caught.value.outcome == "not_sent"
        await public.server_time_ms()
        (seen,) = peer.seen
        assert not {"x-mbx-apikey"} & set(seen.headers)
        for manager in (factory.rest("binance", scope="private"), factory.rest("binance")):
            await manager.query_order("BTCUSDT", order_id="7")
            assert "signature" in peer.seen[-1].query


async def test_private_needs_credentials_and_the_default_does_not() -> None:
    async with Peer(venue) as peer, TransportFactory(of_binance(peer, credentials=False)) as factory:
        with pytest.raises(ConfigurationError, match=r"configure exchange\.binance\.credentials"):
            factory.rest("binance", scope="private")
        with pytest.raises(ConfigurationError, match="public or private"):
            factory.rest("binance", scope="both")  # type: ignore[arg-type]
        await factory.rest("binance").server_time_ms()


async def test_limits_of_a_host_and_of_an_account_are_shared() -> None:
    async with Peer(venue) as peer, TransportFactory(of_binance(peer)) as factory:
        private, public = factory.rest("binance", scope="private"), factory.rest("binance", scope="public")
        await private.place_order(LIMIT_BUY)
        await public.server_time_ms()
        async with TransportFactory(factory.config) as other_factory:
            other = other_factory.rest("binance")
            await other.place_order(LIMIT_BUY)
            assert left(private, "orders_10s") == left(other, "orders_10s") == 98
            assert left(private, "ip_requests") == left(public, "ip_requests") == 61_000 - 3


async def test_one_task_measures_the_clock_of_a_host_for_all() -> None:
    async with Peer(venue) as peer, TransportFactory(of_binance(peer, clock_every_s=0.01)) as factory:
        first, second = factory.rest("binance"), factory.rest("binance", scope="public")
        for manager in (first, second):
            await manager.server_time_ms()
        while first.metrics().clock.syncs < 2:
            await asyncio.sleep(0.001)
        assert clock_tasks() == 1
        assert first.clock is second.clock
        assert first.metrics().clock.offset_ns == pytest.approx(AHEAD_NS, abs=1e9)
        await first.close()
        syncs = second.metrics().clock.syncs
        while second.metrics().clock.syncs < syncs + 3:
            await asyncio.sleep(0.001)
        assert (clock_tasks(), second.metrics().clock.failures <= 1) == (1, True)
        await second.close()
        assert clock_tasks() == 0


async def test_a_skew_error_resynchronises_the_other_managers_too() -> None:
    async with Peer(venue) as peer, TransportFactory(of_binance(peer)) as factory:
        first, second = factory.rest("binance"), factory.rest("binance")
        await first.sync_clock()
        before_ms = time.time_ns() // 1_000_000
        await second.query_order("BTCUSDT", order_id="7")
        assert int(peer.seen[-1].query["timestamp"]) - before_ms > 90_000
        async with TransportFactory(factory.config) as other:
            assert other.rest("binance").metrics().clock.stale


async def test_close_ends_streams_requests_and_clocks() -> None:
    before = asyncio.all_tasks()
    log = Log()
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=200) as simulator:
        own = ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)
        config = Config(exchange={"binance": own}, rest=RestConfig(clock_every_s=0.01))
        factory = TransportFactory(config)
        stream = factory.websocket("binance", whole_books=True)
        await stream.initialize([Subscription(Channel.DEPTH, "BTCUSDT")], log.on_event)
        await factory.rest("binance").ping()
        await log.more(5)
        assert clock_tasks() == 1
        await factory.close()
        await factory.close()
        assert clock_tasks() == 0
    assert asyncio.all_tasks() - before == set()


class Stubborn(ScopedLimiter):
    """A limiter of somebody's own that cannot be closed."""

    def close(self) -> None:
        raise RuntimeError("stuck")


async def test_a_manager_that_fails_to_close_stops_no_other() -> None:
    async with Peer(venue) as peer:
        factory = TransportFactory(of_binance(peer, clock_every_s=0.01))
        stuck, fine = factory.rest("binance"), factory.rest("binance")
        for manager in (stuck, fine):
            await manager.ping()
        stuck.swap(limits=Stubborn([]))
        with pytest.raises(RuntimeError, match="stuck"):
            await factory.close()
        assert stuck.session.closed
        assert fine.session.closed
        assert clock_tasks() == 0
        await factory.close()


async def test_what_could_not_be_closed_is_closed_the_next_time() -> None:
    class Locked(WebSocketManager):
        async def close(self) -> None:
            if locked:
                raise RuntimeError("locked")
            await super().close()

    locked = [True]
    log = Log()
    async with Simulator("binance", ("BTCUSDT",)) as exchange:
        factory = TransportFactory(
            Config(exchange={"binance": ExchangeConfig(websocket_url=exchange.ws_url)})
        )
        stream, other = factory.websocket("binance"), factory.websocket("binance")
        stream.__class__ = Locked
        for manager in (stream, other):
            await manager.initialize([Subscription(Channel.TRADES, "BTCUSDT")], log.on_event)
        with pytest.raises(RuntimeError, match="locked"):
            await factory.close()
        assert (stream.live, other.live) == (True, False)
        locked.clear()
        await factory.close()
        assert not stream.live
