"""A monitor over real managers: alerts with their causes, what is done, and back to normal."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from typing import Any

import pytest

from cexnet import Channel, Config, ExchangeConfig, Subscription, TransportFactory
from cexnet.config import TargetsConfig
from cexnet.simulator import Simulator
from cexnet.telemetry import Alert, Condition, Monitor
from cexnet.websocket import Delivery
from cexnet_core.errors import ConfigurationError
from tests.websocket.live import Log

WANTED = [Subscription(Channel.BOOK_TICKER, "BTCUSDT")]
# Nobody handles an event in ten nanoseconds: this target is always missed.
HOPELESS = TargetsConfig(websocket_handling_ms=1e-5)
EASY = TargetsConfig(
    websocket_handling_ms=60_000,
    rest_total_ms=60_000,
    rest_sign_ms=60_000,
    connect_ms=60_000,
    recovery_ms=60_000,
)


class Told:
    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.moved = asyncio.Event()

    def __call__(self, alert: Alert) -> None:
        self.alerts.append(alert)
        self.moved.set()


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def run(targets: TargetsConfig, monitor: Monitor, log: Log, busy: Any) -> None:
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=500) as simulator:
        settings = ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)
        config = Config(exchange={"binance": settings}, targets=targets)
        async with TransportFactory(config) as factory:
            stream, rest = factory.websocket("binance"), factory.rest("binance")
            await stream.initialize(WANTED, log.on_event)
            monitor.add(stream)
            monitor.add(rest)
            gc.collect()  # what earlier tests left behind is not this stream's fault
            async with monitor:
                await busy(stream, rest)


async def test_a_degraded_stream_is_told_probed_and_rolled() -> None:
    told, log = Told(), Log()
    monitor = Monitor(HOPELESS, on_alert=told, check_s=0.05, window_s=0.5, patience=2)

    async def busy(stream: Any, rest: Any) -> None:
        await until(lambda: len(monitor.measures) == 2)
        await log.more(50)
        assert stream.metrics().rolls == 1

    # The collector is kept out: a pause of it would be named as the cause, and nothing be rolled.
    gc.disable()
    try:
        await run(HOPELESS, monitor, log, busy)
    finally:
        gc.enable()
    alert = told.alerts[0]
    assert (alert.manager, alert.compliance.target.name) == ("binance", "handling")
    assert alert.compliance.condition is Condition.DEGRADED
    assert alert.compliance.share == 0.0
    probe, roll = monitor.measures
    assert (probe.action, roll.action, roll.result) == ("probe", "roll", "connections replaced")
    assert "ms" in probe.result
    assert len(told.alerts) == 1  # told once, not at each look
    assert log.losses == []


async def test_what_keeps_its_targets_is_left_alone_and_shown() -> None:
    monitor, log = Monitor(EASY, check_s=0.05, patience=1), Log()

    async def busy(stream: Any, rest: Any) -> None:
        await until(lambda: len(monitor.compliance()) == 6)
        for _ in range(25):
            await rest.ping()
        await log.more(50)
        # The stream's was made before anybody looked: of it and of recovery there is nothing to see.
        await until(lambda: sum(found.count > 0 for _, found in monitor.compliance()) == 4)

    await run(EASY, monitor, log, busy)
    assert {found.target.name for _, found in monitor.compliance()} == {
        "handling",
        "recovery",
        "connect",
        "total",
        "sign",
    }
    # What happened before the window counts since the start.
    by_name = {(name, found.target.name): found for name, found in monitor.compliance()}
    assert by_name["binance", "recovery"].total == 1
    assert all(found.total_share == 1.0 and found.violations == 0 for found in by_name.values())
    assert all(found.share == 1.0 for _, found in monitor.compliance())
    made = [found.total for _, found in monitor.compliance() if found.target.name == "connect"]
    assert made == [1, 1]  # the stream's connection, and that of the requests
    assert list(monitor.alerts) == list(monitor.measures) == []
    assert monitor.look_errors == 0


async def test_our_own_pauses_are_named_and_nothing_is_rolled_for_them() -> None:
    told, log = Told(), Log()
    monitor = Monitor(HOPELESS, on_alert=told, check_s=0.05, window_s=2.0, patience=2)
    ballast = [[] for _ in range(200_000)]

    async def busy(stream: Any, rest: Any) -> None:
        gc.collect()
        await told.moved.wait()
        await log.more(100)
        assert stream.metrics().rolls == 0

    await run(HOPELESS, monitor, log, busy)
    assert ballast
    assert "garbage collection" in told.alerts[0].causes[0]
    assert list(monitor.measures) == []


async def test_back_to_normal_is_told_too() -> None:
    told = Told()
    slow = True

    class Sluggish(Log):
        def on_event(self, event: Any) -> None:
            if slow:
                time.sleep(0.003)
            super().on_event(event)

    log = Sluggish()

    async def busy(stream: Any, rest: Any) -> None:
        nonlocal slow
        await until(lambda: told.alerts)
        slow = False
        await until(lambda: len(told.alerts) == 2)

    limits = TargetsConfig(websocket_handling_ms=2.0, share=0.5, rest_total_ms=60_000, recovery_ms=60_000)
    monitor = Monitor(limits, on_alert=told, check_s=0.05, window_s=0.5, patience=2, recover=False)
    await run(limits, monitor, log, busy)
    assert [alert.compliance.condition for alert in told.alerts] == [Condition.DEGRADED, Condition.NORMAL]


async def test_a_callback_that_fails_is_counted() -> None:
    log = Log()

    def broken(alert: Alert) -> None:
        raise RuntimeError("no pager")

    monitor = Monitor(HOPELESS, on_alert=broken, check_s=0.02, window_s=0.2, patience=1, recover=False)

    async def busy(stream: Any, rest: Any) -> None:
        await until(lambda: monitor.callback_errors >= 1)
        await log.more(50)

    await run(HOPELESS, monitor, log, busy)
    assert monitor.look_errors == 0


async def test_a_stream_that_was_reset_and_rolled_is_judged_at_once() -> None:
    log = Log()
    monitor = Monitor(EASY, check_s=0.05, window_s=60.0)

    async def busy(stream: Any, rest: Any) -> None:
        await until(lambda: len(monitor.compliance()) > 3)
        for _ in range(5):  # as many connections as before, quicker or slower ones
            stream.reset_metrics()
            await stream.roll()
            await monitor.look()

    await run(EASY, monitor, log, busy)
    assert monitor.look_errors == 0


@pytest.mark.parametrize("limit_ms", [1e30, float("inf")])
async def test_what_may_take_for_ever_is_never_late(limit_ms: float) -> None:
    log = Log()
    targets = EASY

    async def busy(stream: Any, rest: Any) -> None:
        nonlocal targets
        await log.more(5)
        targets = TargetsConfig(websocket_handling_ms=limit_ms, rest_total_ms=limit_ms)
        await rest.ping()
        await monitor.look()
        assert [found.violations for _, found in monitor.compliance()[:1]] == [0]
        assert "total" in {found.target.name for _, found in monitor.compliance()}

    monitor = Monitor(lambda: targets, check_s=60.0, window_s=60.0, patience=1)
    await run(EASY, monitor, log, busy)


def test_senseless_times_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="check_s"):
        Monitor(check_s=0.0)


async def test_a_manager_that_is_added_twice_is_watched_once() -> None:
    monitor = Monitor(EASY, check_s=0.05, window_s=0.5)

    async def busy(stream: Any, rest: Any) -> None:
        monitor.add(stream)  # run() has added it
        await until(lambda: any(found.target.name == "handling" for _, found in monitor.compliance()))
        targets = [found.target.name for _, found in monitor.compliance()]
        assert targets.count("handling") == 1

    await run(EASY, monitor, Log(), busy)


async def test_a_manager_that_is_removed_is_let_go() -> None:
    """Also one that was degraded and relieved of load."""
    targets = TargetsConfig(websocket_handling_ms=1e-5, remedies=("conflate",))
    async with Monitor(targets, check_s=0.05, window_s=0.5, patience=1) as monitor:
        async with Simulator("binance", ("BTCUSDT",), rate_per_s=500) as simulator:
            settings = ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)
            async with TransportFactory(Config(exchange={"binance": settings})) as factory:
                stream, rest = factory.websocket("binance"), factory.rest("binance")
                await stream.initialize(WANTED, Delivery(1000, "drop_oldest"))
                monitor.add(stream)
                monitor.add(rest)
                await until(lambda: monitor.measures)
        assert "conflated" in monitor.measures[0].result
        gone: list[Any] = [weakref.ref(stream), weakref.ref(rest)]
        del stream, rest, factory
        gc.collect()
        assert [ref() is None for ref in gone] == [False, False]
        for ref in gone:
            monitor.remove(ref())
            monitor.remove(ref())  # which changes nothing
        assert monitor.compliance() == []
        await monitor.look()
        gc.collect()
        assert [ref() is None for ref in gone] == [True, True]


async def test_a_callback_may_remove_the_manager_that_it_is_told_of() -> None:
    log = Log()
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=500) as simulator:
        settings = ExchangeConfig(websocket_url=simulator.ws_url)
        async with TransportFactory(Config(exchange={"binance": settings})) as factory:
            stream = factory.websocket("binance")
            await stream.initialize(WANTED, log.on_event)
            hopeless = TargetsConfig(websocket_handling_ms=1e-5, connect_ms=1e-5)
            monitor = Monitor(
                hopeless, on_alert=lambda alert: monitor.remove(stream), check_s=60.0, patience=1
            )
            monitor.add(stream)
            await monitor.look()
            await stream.roll()
            await log.more(50)
            await monitor.look()
            assert [alert.compliance.target.name for alert in monitor.alerts] == ["handling"]
            assert list(monitor.measures) == []
            await monitor.close()
