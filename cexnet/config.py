"""Configuration: one typed tree, from Python values or a TOML file.

::

    [exchange.binance]
    websocket_url = "wss://stream.testnet.binance.vision"   # default: the exchange's own host
    rest_url = "https://testnet.binance.vision"

    [exchange.binance.credentials]
    api_key = "..."
    api_secret = "..."
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from cexnet.credentials import Credentials, Secret
from cexnet_core.errors import ConfigurationError


class ExchangeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of one exchange.

    The URLs replace scheme, host and port of the exchange's own (a test net, a
    simulator), never the path. ``credentials`` are needed by signed requests only.
    """

    websocket_url: str | None = None
    rest_url: str | None = None
    credentials: Credentials | None = None


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole tree. An exchange without a table of its own gets the defaults."""

    exchange: dict[str, ExchangeConfig] = {}

    def __post_init__(self) -> None:
        for name, settings in self.exchange.items():
            if not isinstance(settings, ExchangeConfig):
                raise ConfigurationError(
                    f"configuration of {name!r} is a {type(settings).__name__}: give an "
                    "ExchangeConfig, or build the whole tree with config_from_dict()"
                )

    def of(self, name: str) -> ExchangeConfig:
        """Settings of the exchange ``name``."""
        return self.exchange.get(name, _DEFAULT)


_DEFAULT = ExchangeConfig()


def config_from_dict(tree: dict[str, Any]) -> Config:
    """Validate a plain tree. Raises ConfigurationError naming the key and what is allowed."""
    try:
        return msgspec.convert(tree, Config, dec_hook=_to_secret)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"configuration: {error}") from None


def load_config(path: str | Path) -> Config:
    """Read a TOML file. Raises ConfigurationError when it is missing or wrong."""
    try:
        with Path(path).open("rb") as file:
            return config_from_dict(tomllib.load(file))
    except FileNotFoundError:
        raise ConfigurationError(f"configuration file {path} does not exist") from None
    except OSError as error:
        raise ConfigurationError(f"configuration file {path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"configuration file {path} is not TOML: {error}") from None
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from None


def _to_secret(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise ConfigurationError(f"{kind.__name__} cannot be made from {type(value).__name__}")
