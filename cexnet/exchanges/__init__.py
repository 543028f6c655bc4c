"""The exchanges that cexnet knows, by name. Each module is tables first, code second."""

from __future__ import annotations

from importlib import import_module

from cexnet.exchanges.exchange import Exchange
from cexnet_core.errors import ConfigurationError

NAMES = ("binance", "binance_usdm", "gateio", "mexc", "okx")


def get_exchange(name: str) -> Exchange:
    """The exchange called ``name``. Raises ConfigurationError naming those there are."""
    if name not in NAMES:
        raise ConfigurationError(f"unknown exchange {name!r}: choose one of {', '.join(NAMES)}")
    exchange: Exchange = import_module(f"cexnet.exchanges.{name}").EXCHANGE
    return exchange


__all__ = ["NAMES", "Exchange", "get_exchange"]
