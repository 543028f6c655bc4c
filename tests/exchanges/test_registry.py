"""Exchanges of other packages, found by their entry points."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cexnet import (
    Channel,
    Config,
    Credentials,
    ExchangeConfig,
    OrderRequest,
    Secret,
    Side,
    Subscription,
    TransportFactory,
)
from cexnet.exchanges import NAMES, exchange_names, get_exchange
from cexnet.simulator import Simulator
from cexnet_core.errors import ConfigurationError
from tests.websocket.live import Log

TWIN = """
from dataclasses import replace
from cexnet.exchanges.binance import EXCHANGE as binance

EXCHANGE = replace(binance, name="twin")
"""
Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package with one entry point on the path, as pip would."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name: str, module: str, source: str) -> None:
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[cexnet.exchanges]\n{name} = {module}:EXCHANGE\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


async def test_an_exchange_of_another_package_streams(install: Install) -> None:
    install("twin", "their_twin", TWIN)
    assert exchange_names() == (*NAMES, "twin")
    log = Log()
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=200) as simulator:
        config = Config(exchange={"twin": ExchangeConfig(websocket_url=simulator.ws_url)})
        async with TransportFactory(config) as factory:
            await factory.websocket("twin").initialize(
                [Subscription(Channel.BOOK_TICKER, "BTCUSDT")], log.on_event
            )
            await log.more(5)


async def test_it_has_private_streams_if_it_says_how(install: Install) -> None:
    install("twin", "their_twin", TWIN)
    log = Log()
    async with Simulator("binance", ("BTCUSDT",)) as simulator:
        own = ExchangeConfig(
            websocket_url=simulator.ws_url,
            rest_url=simulator.rest_url,
            credentials=Credentials(simulator.api_key, Secret(simulator.api_secret)),
        )
        async with TransportFactory(Config(exchange={"twin": own})) as factory:
            account = factory.websocket("twin", scope="private")
            await account.initialize([Subscription(Channel.ORDERS)], log.on_event)
            rest = factory.rest("twin", scope="private")
            assert rest.name == "twin"
            await rest.place_order(OrderRequest("BTCUSDT", Side.BUY, "0.01", "60000"))
            await log.more(1)
        assert type(log.events[0]).__name__ == "OrderUpdate"


def test_our_own_names_cannot_be_taken(install: Install) -> None:
    install("binance", "their_binance", "raise RuntimeError('must not be imported')")
    assert get_exchange("binance").name == "binance"
    assert exchange_names() == NAMES


@pytest.mark.parametrize(
    "source, words",
    [
        ("import no_such_module", "no_such_module"),
        ("", "EXCHANGE"),
        ("EXCHANGE = 5", "is a int"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("def", "SyntaxError"),
    ],
)
def test_a_broken_one_is_named(install: Install, source: str, words: str) -> None:
    install("broken", "their_broken", source)
    with pytest.raises(ConfigurationError, match=words) as caught:
        get_exchange("broken")
    assert "'broken'" in str(caught.value)


def test_a_name_that_two_packages_have_is_refused(install: Install) -> None:
    install("twin", "their_twin", TWIN)
    install("twin", "another_twin", TWIN)
    with pytest.raises(ConfigurationError, match="another_twin:EXCHANGE, their_twin:EXCHANGE"):
        get_exchange("twin")


def test_an_unknown_one_names_all(install: Install) -> None:
    install("venue", "their_venue", "")
    with pytest.raises(ConfigurationError, match="okx, venue"):
        get_exchange("bitfoo")
