"""Configuration: one typed tree, from Python values or from a TOML file and what lies over it.

::

    [exchange.binance]
    websocket_url = "wss://stream.testnet.binance.vision"   # default: the exchange's own host
    rest_url = "https://testnet.binance.vision"

    [exchange.binance.credentials]
    api_key = { env = "BINANCE_KEY" }                # or the text itself
    api_secret = { file = "/run/secrets/binance" }   # or { keyring = "...", user = "..." }

``tree`` has the structs, ``load`` the way from files to them, ``layers`` who wins,
``problems`` the words for what is wrong, ``show`` what is in force and why. ``reconfigure``
changes it while managers live, ``watch`` when the file changes.
"""

from cexnet.config.load import Loaded, config_from_dict, load, load_config
from cexnet.config.show import Row, as_toml, rows
from cexnet.config.tree import (
    Config,
    ExchangeConfig,
    LogConfig,
    NetworkConfig,
    QueueConfig,
    RestConfig,
    SubscriptionConfig,
    TargetsConfig,
    WebSocketConfig,
)
from cexnet.config.watch import ConfigWatch

__all__ = [
    "Config",
    "ConfigWatch",
    "ExchangeConfig",
    "Loaded",
    "LogConfig",
    "NetworkConfig",
    "QueueConfig",
    "RestConfig",
    "Row",
    "SubscriptionConfig",
    "TargetsConfig",
    "WebSocketConfig",
    "as_toml",
    "config_from_dict",
    "load",
    "load_config",
    "rows",
]
