"""Changes of a living manager that meet each other, or what the machine has not got."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NoReturn

import pytest

from cexnet import Config, Subscription, TransportFactory
from cexnet.simulator import Simulator
from cexnet.simulator.faults import Fault
from cexnet_core.errors import ConfigurationError, SubscriptionError
from tests.config.test_reconfigure import BTC, ETH, TRADES, gateio
from tests.websocket.live import Log


@pytest.fixture
def exchange() -> Simulator:
    return Simulator("gateio", ("BTC_USDT", "ETH_USDT"), rate_per_s=500)


def process_bytes() -> int:
    """How much address space this process has."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmSize:"):
            return int(line.split()[1]) * 1024
    pytest.skip("the system does not say how much memory is in use")


async def test_changes_at_the_same_time_are_all_in_force(exchange: Simulator) -> None:
    log = Log()
    async with exchange, TransportFactory(gateio(exchange, BTC)) as factory:
        stream = factory.websocket("gateio")
        await stream.initialize()
        await asyncio.gather(
            factory.reconfigure(gateio(exchange, BTC, ETH)),
            stream.reconfigure(queue_depth=10),
            stream.reconfigure(subscriptions=[BTC, TRADES]),
            stream.reconfigure(subscriptions=[TRADES]),
        )
        assert (stream.standing.queue_depth, stream.events().depth) == (10, 10)
        assert stream.standing.subscriptions == (TRADES,)
        assert [s.symbol for s in stream.metrics().streams if s.symbol] == ["BTC_USDT"]
        stream.events().attach(log.on_event)
        await log.until(lambda: log.counts["Trade", "BTC_USDT"] > 0)


async def test_what_is_refused_or_taken_back_leaves_topics_to_their_handlers(exchange: Simulator) -> None:
    log, own = Log(), Log()
    async with exchange, TransportFactory(gateio(exchange, BTC)) as factory:
        stream = factory.websocket("gateio")
        await stream.initialize(None, log.on_event)
        await stream.subscribe([ETH], own.on_event)
        exchange.inject(Fault("refuse-topic", topic="BTC_USDT"))
        with pytest.raises(SubscriptionError):
            await factory.reconfigure(gateio(exchange, BTC, ETH, TRADES))
        own.counts.clear()
        await own.until(lambda: own.counts["BookTicker", "ETH_USDT"] > 3)
        change = stream.prepare(subscriptions=[BTC, ETH, TRADES])
        await change.extend()
        await log.until(lambda: log.counts["BookTicker", "ETH_USDT"] > 3)
        await change.retract()  # another manager's part was refused
        own.counts.clear()
        await own.until(lambda: own.counts["BookTicker", "ETH_USDT"] > 3)
        await stream.unsubscribe([ETH])  # once, as it was subscribed
        assert {s.symbol for s in stream.metrics().streams if s.symbol} == {"BTC_USDT"}


async def test_a_manager_made_during_a_change_goes_along(exchange: Simulator) -> None:
    def config(*subscriptions: Subscription, depth: int) -> Config:
        return gateio(exchange, *subscriptions, websocket={"queue": {"depth": depth}})

    async with exchange, TransportFactory(config(BTC, depth=100)) as factory:
        await factory.websocket("gateio").initialize()
        exchange.inject(Fault("ack-late", topic="ETH_USDT", delay_s=0.2))
        change = asyncio.create_task(factory.reconfigure(config(BTC, ETH, depth=7)))
        await asyncio.sleep(0)  # it waits for the exchange now
        stream = factory.websocket("gateio")
        await change
        assert (stream.standing.subscriptions, stream.standing.queue_depth) == ((BTC, ETH), 7)


async def test_what_a_manager_made_during_a_change_cannot_change_is_refused(exchange: Simulator) -> None:
    async with exchange, TransportFactory(gateio(exchange, BTC)) as factory:
        stream = factory.websocket("gateio")
        await stream.initialize()
        exchange.inject(Fault("ack-late", topic="ETH_USDT", delay_s=0.2))
        change = asyncio.create_task(factory.reconfigure(gateio(exchange, BTC, ETH, rest={"connections": 3})))
        await asyncio.sleep(0)
        factory.rest("gateio")
        with pytest.raises(ConfigurationError, match="connections cannot change"):
            await change
        assert stream.standing.subscriptions == (BTC,)
        with pytest.raises(ConfigurationError, match="is not subscribed"):
            await stream.unsubscribe([ETH])


async def test_a_queue_that_memory_has_no_room_for_changes_nothing(exchange: Simulator) -> None:
    resource = pytest.importorskip("resource")
    in_use = process_bytes()
    before = resource.getrlimit(resource.RLIMIT_AS)
    async with exchange, TransportFactory(gateio(exchange, BTC)) as factory:
        stream = factory.websocket("gateio")
        await stream.initialize()
        standing = stream.standing
        resource.setrlimit(resource.RLIMIT_AS, (in_use + 2**30, before[1]))
        try:
            with pytest.raises(ConfigurationError, match="no memory for"):
                await stream.reconfigure(subscriptions=[BTC, ETH], queue_depth=2**28)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
        assert (stream.standing, stream.events().depth) == (standing, standing.queue_depth)
        with pytest.raises(ConfigurationError, match="is not subscribed"):
            await stream.unsubscribe([ETH])


async def test_a_strategy_that_fails_to_take_one_change_back_leaves_no_other(exchange: Simulator) -> None:
    async with exchange, TransportFactory(gateio(exchange, BTC)) as factory:
        first, second, third = (factory.websocket("gateio") for _ in range(3))
        for stream in (first, second, third):
            await stream.initialize(None, Log().on_event)

        def broken(*_: object) -> NoReturn:
            raise ValueError("cannot be unsubscribed")

        first.strategies.subscription.unsubscribe = broken
        third.strategies.subscription.subscribe = broken
        with pytest.raises(ValueError, match="cannot be unsubscribed"):
            await factory.reconfigure(gateio(exchange, BTC, ETH))
        assert [s.symbol for s in second.metrics().streams if s.symbol] == ["BTC_USDT"]
        assert factory.config == gateio(exchange, BTC)
