"""Another configuration for living managers: in force at once, or refused as a whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from cexnet import Channel, Config, Subscription, TransportFactory
from cexnet.config import LogConfig, QueueConfig, RestConfig, WebSocketConfig, config_from_dict
from cexnet.http import BreakerPolicy
from cexnet.http.hedge import HedgePolicy
from cexnet.simulator import Simulator
from cexnet.simulator.faults import Fault
from cexnet.websocket import Delivery, LivenessPolicy, ReconnectPolicy, SessionState
from cexnet_core.errors import (
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    ExchangeUnavailable,
    SubscriptionError,
)
from cexnet_core.hotlog import process_log
from tests.http.peer import Peer, hang, reply
from tests.websocket.live import Log, seen

BTC, ETH = (Subscription(Channel.BOOK_TICKER, symbol) for symbol in ("BTC_USDT", "ETH_USDT"))
TRADES = Subscription(Channel.TRADES, "BTC_USDT")


def written(*subscriptions: Subscription, sheddable: tuple[Subscription, ...] = ()) -> list[dict[str, Any]]:
    return [
        {"channel": each.channel, "symbol": each.symbol, "sheddable": each in sheddable}
        for each in subscriptions
    ]


def gateio(simulator: Simulator, *subscriptions: Subscription, **tables: Any) -> Config:
    own = {"websocket_url": simulator.ws_url, "rest_url": simulator.rest_url}
    return config_from_dict(
        {"exchange": {"gateio": {**own, "subscriptions": written(*subscriptions)}}, **tables}
    )


@pytest.fixture
def exchange() -> Simulator:
    return Simulator("gateio", ("BTC_USDT", "ETH_USDT"), rate_per_s=500)


@pytest.fixture
def levels() -> Iterator[None]:
    """The log levels of the process, put back."""
    logger = logging.getLogger("cexnet")
    before = logger.level, process_log.level
    yield
    logger.setLevel(before[0])
    process_log.level = before[1]


async def test_subscriptions_of_the_configuration_come_and_go(exchange: Simulator) -> None:
    log = Log()
    async with exchange, TransportFactory(gateio(exchange, BTC)) as factory:
        stream = factory.websocket("gateio")
        await stream.initialize(None, log.on_event)
        await log.more(5)
        changed = await factory.reconfigure(gateio(exchange, ETH, TRADES))
        assert changed == ("exchange.gateio.subscriptions",)
        assert {s.kind + s.symbol for s in stream.metrics().streams if s.symbol} == {
            "BookTickerETH_USDT",
            "TradeBTC_USDT",
        }
        log.counts.clear()
        await log.until(lambda: log.counts["BookTicker", "ETH_USDT"] > 0 < log.counts["Trade", "BTC_USDT"])
        assert await factory.reconfigure(factory.config) == ()
        assert stream.metrics().reconnects == 0


async def test_a_caller_who_named_subscriptions_keeps_them(exchange: Simulator) -> None:
    log = Log()
    async with exchange, TransportFactory(gateio(exchange, BTC)) as factory:
        stream = factory.websocket("gateio")
        await stream.initialize([ETH], log.on_event)
        await factory.reconfigure(gateio(exchange, TRADES))
        assert stream.standing.subscriptions == (ETH,)
        await stream.reconfigure(subscriptions=[ETH, BTC])
        await log.until(
            lambda: log.counts["BookTicker", "BTC_USDT"] > 0 < log.counts["BookTicker", "ETH_USDT"]
        )
        assert log.counts["Trade", "BTC_USDT"] == 0


async def test_a_refused_subscription_leaves_everything_as_it_was(exchange: Simulator) -> None:
    log = Log()
    wrong = Subscription(Channel.TRADES, "NO_SUCHCOIN")
    async with exchange, TransportFactory(gateio(exchange, BTC)) as factory:
        before = factory.config
        stream, other = factory.websocket("gateio"), factory.websocket("gateio")
        rest = factory.rest("gateio")
        await other.initialize(None, Log().on_event)
        await stream.initialize(None, log.on_event)
        await log.more(5)
        faster = {"rest": {"deadline_s": 0.001}}
        with pytest.raises(SubscriptionError, match="NO_SUCHCOIN"):
            await factory.reconfigure(gateio(exchange, ETH, TRADES, wrong, **faster))
        assert factory.config is before
        for each in (stream, other):
            assert each.standing.subscriptions == (BTC,)
            await seen(
                lambda each=each: {s.symbol for s in each.metrics().streams if s.symbol} == {"BTC_USDT"}
            )
        await rest.ping()  # by the old deadline
        await log.more(5)


@pytest.mark.parametrize(
    "tables, named",
    [
        ({"network": {"local_address": "127.0.0.1"}}, "network"),
        ({"websocket": {"redundancy": 2}}, "websocket.redundancy"),
        ({"rest": {"connections": 3}}, "rest.connections"),
        ({"exchange": {"gateio": {"rest_url": "http://127.0.0.1:1"}}}, "exchange.gateio.rest_url"),
        (
            {"exchange": {"gateio": {"websocket": {"whole_books": True}}}},
            "exchange.gateio.websocket.whole_books",
        ),
    ],
)
async def test_what_cannot_change_is_named_and_nothing_is_done(tables: Any, named: str) -> None:
    own = {"websocket_url": "ws://127.0.0.1:9", "rest_url": "http://127.0.0.1:9"}
    before = {"exchange": {"gateio": own}}
    after = {"rest": {"deadline_s": 3}, **tables}
    after["exchange"] = {"gateio": {**own, **tables.get("exchange", {}).get("gateio", {})}}
    after["rest"] = {"deadline_s": 3, **tables.get("rest", {})}
    async with TransportFactory(config_from_dict(before)) as factory:
        factory.websocket("gateio")
        factory.rest("gateio")
        with pytest.raises(ConfigurationError, match="cannot change while managers live") as caught:
            await factory.reconfigure(config_from_dict(after))
        assert f"configuration: {named} cannot" in str(caught.value)
        assert factory.config.rest.deadline_s == 10.0


async def test_secrets_are_not_in_a_refusal() -> None:
    def config(secret: str) -> Config:
        credentials = {"api_key": "k3y", "api_secret": secret}
        return config_from_dict({"exchange": {"binance": {"credentials": credentials}}})

    async with TransportFactory(config("s3cret")) as factory:
        await factory.reconfigure(config("0ther"))  # no manager has it yet
        factory.rest("binance")
        with pytest.raises(ConfigurationError) as caught:
            await factory.reconfigure(config("an0ther"))
    assert "exchange.binance.credentials" in str(caught.value)
    assert not any(word in str(caught.value) for word in ("k3y", "s3cret", "0ther", "an0ther"))


@pytest.mark.parametrize(
    "wrong",
    [
        Config(rest=RestConfig(deadline_s=-1)),
        Config(websocket=WebSocketConfig(queue=QueueConfig(depth=0))),
        Config(websocket=WebSocketConfig(connect_deadline_s=0)),
        Config(log=LogConfig(level="loud")),  # type: ignore[arg-type]
    ],
)
async def test_values_of_python_are_checked_before_anything_changes(wrong: Config) -> None:
    async with TransportFactory() as factory:
        before = factory.config
        factory.websocket("gateio")
        factory.rest("gateio")
        with pytest.raises(ConfigurationError):
            await factory.reconfigure(wrong)
        assert factory.config is before


async def test_an_unknown_exchange_is_refused() -> None:
    async with TransportFactory() as factory:
        with pytest.raises(ConfigurationError, match="unknown exchange 'kraken'"):
            await factory.reconfigure(config_from_dict({"exchange": {"kraken": {}}}))


async def test_deadlines_of_requests_change() -> None:
    async with Peer(hang()) as peer:

        def config(deadline_s: float) -> Config:
            own = {"rest_url": peer.url}
            return config_from_dict({"rest": {"deadline_s": deadline_s}, "exchange": {"binance": own}})

        async with TransportFactory(config(60.0)) as factory:
            rest = factory.rest("binance")
            assert await factory.reconfigure(config(0.05)) == ("rest.deadline_s",)
            with pytest.raises(DeadlineExceeded):
                await rest.ping()


async def test_breakers_and_hedging_change() -> None:
    async with Peer(reply(status=500, body=b"")) as peer:
        own = {"rest_url": peer.url}
        async with TransportFactory(config_from_dict({"exchange": {"mexc": own}})) as factory:
            rest = factory.rest("mexc")
            with pytest.raises(ExchangeUnavailable):
                await rest.ping()
            rest.reconfigure(breaker=BreakerPolicy(minimum_calls=1), hedging=HedgePolicy(share=0.5))
            assert rest.metrics().hedges is not None
            with pytest.raises(CircuitOpen):  # the first failure opens it, the retry is refused
                await rest.ping()
            rest.reconfigure(breaker=None, hedging=None)
            assert rest.metrics().hedges is None
            assert [breaker.state for breaker in rest.metrics().breakers] == ["open"]


async def test_our_share_of_the_limits_changes() -> None:
    async with Peer(reply({})) as peer:

        def config(share: float) -> Config:
            own = {"rest_url": peer.url}
            return config_from_dict({"rest": {"limit_share": share}, "exchange": {"binance": own}})

        async with TransportFactory(config(0.5)) as factory:
            rest = factory.rest("binance")
            await rest.ping()

            def left() -> dict[str, int]:
                return {budget.scope.name: budget.remaining for budget in rest.limits().budgets}

            assert left() == {"ip_weight": 2999, "ip_requests": 30_499}
            assert await factory.reconfigure(config(1.0)) == ("rest.limit_share",)
            assert left() == {"ip_weight": 5999, "ip_requests": 60_999}


async def test_the_clocks_measurements_begin_and_end() -> None:
    async with Simulator("gateio", ["BTC_USDT"]) as sim:
        config = config_from_dict({"exchange": {"gateio": {"rest_url": sim.rest_url}}})
        async with TransportFactory(config) as factory:
            rest = factory.rest("gateio")
            await rest.ping()
            rest.reconfigure(clock_every_s=0.01)
            await rest.ping()
            await seen(lambda: rest.metrics().clock.syncs > 2)
            rest.reconfigure(clock_every_s=None)
            name = "clock of gateio"
            await seen(lambda: name not in {task.get_name() for task in asyncio.all_tasks()})


@pytest.mark.parametrize(
    "changes",
    [
        {"deadline_s": 0},
        {"clock_every_s": -1},
        {"breaker": 5},
        {"hedging": "yes"},
        {"limit_share": 1.5},
        {"connections": 5},
        {"deadline_s": 5, "connections": 5},
    ],
)
async def test_a_rest_manager_refuses_nonsense(changes: Any) -> None:
    async with TransportFactory() as factory:
        rest = factory.rest("gateio")
        with pytest.raises(ConfigurationError, match=r"^gateio: "):
            rest.reconfigure(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"redundancy": 2},
        {"connect_deadline_s": 0},
        {"max_message_bytes": 0},
        {"max_message_bytes": 1.5},
        {"max_message_bytes": 2**63},
        {"liveness": 1},
        {"queue_depth": 0},
        {"queue_depth": 1.5},
        {"queue_depth": 10**30},
        {"queue_policy": "drop_all"},
        {"subscriptions": [Subscription(Channel.ORDERS)]},
        {
            "subscriptions": [
                Subscription(Channel.CANDLES, "A", "1m"),
                Subscription(Channel.CANDLES, "A", "5m"),
            ]
        },
    ],
)
async def test_a_stream_refuses_nonsense(changes: Any) -> None:
    async with TransportFactory() as factory:
        with pytest.raises(ConfigurationError):
            await factory.websocket("gateio").reconfigure(**changes)


async def test_reconnection_and_liveness_change_under_living_connections(exchange: Simulator) -> None:
    log = Log()
    patient = ReconnectPolicy(base_s=600.0, cap_s=600.0, busy_s=600.0)
    async with exchange, TransportFactory(gateio(exchange)) as factory:
        stream = factory.websocket("gateio", on_state=log.on_state)
        await stream.initialize([BTC], log.on_event)
        await stream.reconfigure(reconnect=patient)
        exchange.inject(Fault("close", code=1012))  # busy: ``busy_s`` at least
        await log.until(lambda: (log.changes[-1].delay_s or 0) >= 600.0)
        assert log.changes[-1].state is SessionState.BACKING_OFF


async def test_silence_is_judged_by_the_new_policy(exchange: Simulator) -> None:
    log = Log()
    alert = LivenessPolicy(check_s=0.05, quiet_floor_s=0.3, gap_factor=1.0, lag_s=5.0)
    async with exchange, TransportFactory(gateio(exchange)) as factory:
        stream = factory.websocket("gateio", on_state=log.on_state)
        await stream.initialize([BTC], log.on_event)
        await log.more(50)
        await stream.reconfigure(liveness=alert)
        exchange.inject(Fault("freeze", lasting_s=60.0))
        await log.until(lambda: SessionState.STALE in log.states)


async def test_the_queue_that_initialize_made_changes(exchange: Simulator) -> None:
    def config(depth: int, policy: str) -> Config:
        return gateio(exchange, BTC, ETH, websocket={"queue": {"depth": depth, "policy": policy}})

    async with exchange, TransportFactory(config(7, "drop_newest")) as factory:
        stream = factory.websocket("gateio")
        await stream.initialize()
        queue = stream.events().queue
        assert (queue.capacity, queue.policy) == (7, "drop_newest")
        await seen(lambda: queue.dropped > 10)
        changed = await factory.reconfigure(config(50, "conflate"))
        assert changed == ("websocket.queue.depth", "websocket.queue.policy")
        assert (queue.capacity, queue.policy) == (50, "conflate")
        await seen(lambda: queue.conflated > 10)
        assert len(queue) <= 2
        assert queue.received == queue.taken + queue.dropped + queue.conflated + len(queue)
        # Those that are made later begin with it, and a queue of the user's own is left alone.
        assert factory.websocket("gateio").standing.queue_depth == 50


async def test_a_queue_of_the_users_own_has_its_own_switch(exchange: Simulator) -> None:
    own = Delivery(10, "drop_oldest")
    async with exchange, TransportFactory(gateio(exchange, BTC)) as factory:
        stream = factory.websocket("gateio")
        await stream.initialize(None, own)
        await stream.reconfigure(queue_depth=20, queue_policy="drop_newest")
        assert (own.depth, own.policy) == (10, "drop_oldest")
        own.reconfigure(policy="conflate")
        assert (own.depth, own.policy, own.queue.policy) == (10, "conflate", "conflate")
        with pytest.raises(ConfigurationError, match="choose one of"):
            own.reconfigure(policy="drop")  # type: ignore[arg-type]


@pytest.mark.usefixtures("levels")
async def test_the_log_level_is_put_in_force() -> None:
    logger = logging.getLogger("cexnet.websocket")
    logging.getLogger("cexnet").setLevel(logging.ERROR)
    template = process_log.template("cexnet.test", logging.INFO, "nothing %s")
    async with TransportFactory() as factory:
        assert logger.getEffectiveLevel() == logging.ERROR  # the program's own
        await factory.reconfigure(config_from_dict({"log": {"level": "warning"}}))
        assert (logger.isEnabledFor(logging.INFO), logger.isEnabledFor(logging.WARNING)) == (False, True)
        assert not template.is_enabled
        assert await factory.reconfigure(config_from_dict({"log": {"level": "debug"}})) == ("log.level",)
        assert logger.isEnabledFor(logging.DEBUG)
        assert template.is_enabled
        assert process_log.level == logging.DEBUG


async def test_a_closed_factory_takes_what_living_managers_refuse() -> None:
    factory = TransportFactory()
    factory.rest("gateio")
    await factory.close()
    other = config_from_dict({"rest": {"connections": 3}})
    assert await factory.reconfigure(other) == ("rest.connections",)
    assert factory.config is other
