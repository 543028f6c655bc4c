"""The exchanges by name: cexnet's own, each module tables first, and those of other packages.

A package adds an exchange by an entry point that names its ``Exchange``::

    [project.entry-points."cexnet.exchanges"]
    venue = "our_package.venue:EXCHANGE"
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from cexnet.exchanges.exchange import Exchange
from cexnet_core.errors import ConfigurationError

NAMES = ("binance", "binance_usdm", "gateio", "mexc", "okx")
GROUP = "cexnet.exchanges"


def get_exchange(name: str) -> Exchange:
    """The exchange called ``name``; cexnet's own cannot be replaced.

    Raises ConfigurationError: for an unknown name, naming those there are, and for an entry
    point of another package that does not lead to an ``Exchange``.
    """
    if name in NAMES:
        exchange: Exchange = import_module(f"cexnet.exchanges.{name}").EXCHANGE
        return exchange
    for point in entry_points(group=GROUP, name=name):
        return _load(point)
    raise ConfigurationError(f"unknown exchange {name!r}: choose one of {', '.join(exchange_names())}")


def exchange_names() -> tuple[str, ...]:
    """Every name that ``get_exchange`` takes: cexnet's own, then those of other packages."""
    others = {point.name for point in entry_points(group=GROUP)}
    return (*NAMES, *sorted(others.difference(NAMES)))


def _load(point: EntryPoint) -> Exchange:
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"the exchange {point.name!r} ({point.value}) cannot be loaded: {error}"
        ) from error
    if not isinstance(found, Exchange):
        raise ConfigurationError(
            f"the exchange {point.name!r}: {point.value} is a {type(found).__name__}, an Exchange is needed"
        )
    return found


__all__ = ["GROUP", "NAMES", "Exchange", "exchange_names", "get_exchange"]
