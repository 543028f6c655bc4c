"""The exchanges by name: cexnet's own, each module tables first, and those of other packages.

A package adds an exchange by an entry point that names its ``Exchange``; docs/add-an-exchange.md
has a whole one, and ``cexnet.testing`` the tests that it should pass::

    [project.entry-points."cexnet.exchanges"]
    venue = "our_package.venue:EXCHANGE"
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from cexnet.credentials import Credentials
from cexnet.exchanges.exchange import Exchange
from cexnet.websocket.listen_key import ListenKey
from cexnet.websocket.strategies import WebSocketStrategySet
from cexnet_core.errors import ConfigurationError

PRIVATE_NAMES = ("binance", "gateio", "mexc")
NAMES = ("binance", "binance_usdm", "gateio", "mexc", "okx")
GROUP = "cexnet.exchanges"


def get_exchange(name: str) -> Exchange:
    """The exchange called ``name``; cexnet's own cannot be replaced.

    Raises ConfigurationError: for an unknown name, naming those there are, for an entry
    point of another package that does not lead to an ``Exchange``, and for a name that two have.
    """
    if name in NAMES:
        exchange: Exchange = import_module(f"cexnet.exchanges.{name}").EXCHANGE
        return exchange
    found = {point.value: point for point in entry_points(group=GROUP, name=name)}
    if len(found) > 1:
        raise ConfigurationError(
            f"several packages name an exchange {name!r} ({', '.join(sorted(found))}): uninstall all but one"
        )
    for point in found.values():
        return _load(point)
    raise ConfigurationError(f"unknown exchange {name!r}: choose one of {', '.join(exchange_names())}")


def private_strategies(
    name: str,
    base_url: str | None,
    credentials: Credentials,
    listen_key: Callable[[], ListenKey],
) -> WebSocketStrategySet:
    """A fresh strategy set for the account's streams; ``listen_key`` makes one where needed.

    ``None`` as base URL means the exchange's own host. Raises ConfigurationError for an
    exchange without private streams here, naming those of cexnet's own that have them.
    """
    make = get_exchange(name).private_strategies
    if make is None:
        raise ConfigurationError(
            f"cexnet has no private streams of {name}: only of {', '.join(PRIVATE_NAMES)}"
        )
    return make(base_url, credentials, listen_key)


def exchange_names() -> tuple[str, ...]:
    """Every name that ``get_exchange`` takes: cexnet's own, then those of other packages."""
    others = {point.name for point in entry_points(group=GROUP)}
    return (*NAMES, *sorted(others.difference(NAMES)))


def _load(point: EntryPoint) -> Exchange:
    try:
        found = point.load()
    except Exception as error:
        raise ConfigurationError(
            f"the exchange {point.name!r} ({point.value}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, Exchange):
        raise ConfigurationError(
            f"the exchange {point.name!r}: {point.value} is a {type(found).__name__}, an Exchange is needed"
        )
    return found


__all__ = [
    "GROUP",
    "NAMES",
    "PRIVATE_NAMES",
    "Exchange",
    "exchange_names",
    "get_exchange",
    "private_strategies",
]
