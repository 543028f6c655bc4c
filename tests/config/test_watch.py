"""A watched file: what is right comes in force, what is wrong is told and changes nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cexnet import TransportFactory
from cexnet.config import ConfigWatch, load_config
from cexnet.simulator import Simulator
from cexnet.simulator.faults import Fault
from cexnet_core.errors import CexnetError, ConfigurationError, SubscriptionError
from tests.websocket.live import Log, seen


def text(deadline_s: object, more: str = "") -> str:
    return f"[rest]\ndeadline_s = {deadline_s}\n{more}"


class Heard:
    def __init__(self) -> None:
        self.changes: list[tuple[str, ...]] = []
        self.errors: list[CexnetError] = []

    def watch(self, path: Path, factory: TransportFactory, **options: Any) -> ConfigWatch:
        options = {"on_change": self.changes.append, "on_error": self.errors.append, **options}
        return ConfigWatch(path, factory, every_s=0.01, **options)


async def test_what_changes_is_put_in_force_and_told(tmp_path: Path) -> None:
    path, heard = tmp_path / "engine.toml", Heard()
    path.write_text(text(9.0))
    async with TransportFactory(load_config(path)) as factory, heard.watch(path, factory) as watch:
        watch.start()  # it runs already
        path.write_text(text(7.0))
        await seen(lambda: factory.config.rest.deadline_s == 7.0)
        await seen(lambda: heard.changes == [("rest.deadline_s",)])
        # As editors do it: another file takes its name.
        other = tmp_path / "engine.toml.new"
        other.write_text(text(5.0))
        other.replace(path)
        await seen(lambda: factory.config.rest.deadline_s == 5.0)
    assert heard.errors == []
    assert watch.changes == 2
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "cexnet-config-watch"]


async def test_a_change_before_the_start_is_seen_too(tmp_path: Path) -> None:
    path, heard = tmp_path / "engine.toml", Heard()
    path.write_text(text(9.0))
    async with TransportFactory(load_config(path)) as factory:
        path.write_text(text(8.0))
        async with heard.watch(path, factory):
            await seen(lambda: heard.changes)
            assert factory.config.rest.deadline_s == 8.0


@pytest.mark.parametrize(
    "broken, words",
    [
        ("[rest\n", "is not TOML"),
        (text("'soon'"), "rest.deadline_s = 'soon'"),
        (text(1, "connections = 3"), "rest.connections cannot change"),
    ],
)
async def test_a_broken_file_is_told_once_and_mended(tmp_path: Path, broken: str, words: str) -> None:
    path, heard = tmp_path / "engine.toml", Heard()
    path.write_text(text(9.0))
    async with TransportFactory(load_config(path)) as factory:
        factory.rest("binance")
        watch = heard.watch(path, factory)
        await watch.look()
        path.write_text(broken)
        for _ in range(3):
            await watch.look()
        assert [words in str(error) for error in heard.errors] == [True]
        assert watch.errors == 1
        assert factory.config.rest.deadline_s == 9.0
        path.unlink()
        await watch.look()
        assert "does not exist" in str(heard.errors[1])
        path.write_text(text(6.0))
        await watch.look()
        assert factory.config.rest.deadline_s == 6.0
        assert heard.changes == [("rest.deadline_s",)]


async def test_a_file_is_not_put_in_force_while_it_is_written(tmp_path: Path) -> None:
    path, heard = tmp_path / "engine.toml", Heard()
    path.write_text(text(3.0))

    class Writer(dict[str, Any]):
        """Keywords that let the other program go on when they are read: after the file was."""

        def items(self) -> Any:
            if not path.read_text():
                path.write_text(text(4.0))
            return super().items()

    async with TransportFactory(load_config(path)) as factory:
        watch = ConfigWatch(path, factory, on_change=heard.changes.append, overrides=Writer(targets={}))
        await watch.look()
        path.write_text("")  # which is a whole and valid file, of defaults
        await watch.look()
        assert (factory.config.rest.deadline_s, heard.changes) == (3.0, [])
        await watch.look()
        assert (factory.config.rest.deadline_s, heard.changes) == (4.0, [("rest.deadline_s",)])


async def test_what_the_network_refused_is_tried_again(tmp_path: Path) -> None:
    path, heard, log = tmp_path / "engine.toml", Heard(), Log()
    topics = '{channel="book_ticker", symbol="BTC_USDT"}'
    async with Simulator("gateio", ("BTC_USDT", "ETH_USDT"), rate_per_s=500) as exchange:

        def written(topics: str) -> str:
            return f'[exchange.gateio]\nwebsocket_url = "{exchange.ws_url}"\nsubscriptions = [{topics}]\n'

        path.write_text(written(topics))
        async with TransportFactory(load_config(path)) as factory:
            await factory.websocket("gateio").initialize(None, log.on_event)
            watch = heard.watch(path, factory)
            await watch.look()
            exchange.inject(Fault("refuse-topic", topic="ETH_USDT", times=2))
            path.write_text(written(topics + ', {channel="book_ticker", symbol="ETH_USDT"}'))
            for _ in range(3):
                await watch.look()
            assert isinstance(heard.errors[0], SubscriptionError)
            assert len(heard.errors) == 1
            assert heard.changes == [("exchange.gateio.subscriptions",)]
            await log.until(lambda: log.counts["BookTicker", "ETH_USDT"] > 0)


async def test_environment_and_keywords_lie_over_the_file(tmp_path: Path) -> None:
    path, heard = tmp_path / "engine.toml", Heard()
    path.write_text(text(9.0, "[env.production.rest]\nmax_body_bytes = 5\n"))
    options: dict[str, Any] = {"rest": {"connections": 7}}
    async with TransportFactory() as factory:
        await heard.watch(path, factory, env="production", overrides=options).look()
        assert (factory.config.rest.max_body_bytes, factory.config.rest.connections) == (5, 7)


async def test_callbacks_that_fail_are_counted(tmp_path: Path) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("no pager")

    path = tmp_path / "engine.toml"
    path.write_text(text(9.0))
    async with TransportFactory() as factory:
        watch = ConfigWatch(path, factory, on_change=fail, on_error=fail)
        await watch.look()
        path.write_text("broken")
        await watch.look()
        assert watch.callback_errors == 2
        assert (watch.changes, watch.errors) == (1, 1)


def test_a_pause_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="every_s"):
        ConfigWatch(tmp_path, TransportFactory(), every_s=0)
