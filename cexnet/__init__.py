"""cexnet: the networking core of a crypto trading engine.

An application touches ``TransportFactory`` and the two managers that it makes::

    socket -> frame -> message -> event -> route -> handler      WebSocketManager
    request -> limit -> sign -> send -> classify -> retry?       RestManager
"""

from __future__ import annotations

from importlib.metadata import version

from cexnet.config import Config, ExchangeConfig, config_from_dict, load_config
from cexnet.credentials import Credentials, Secret
from cexnet.factory import TransportFactory
from cexnet.http import NeverArrived, RestManager
from cexnet.types import (
    Channel,
    Order,
    OrderRequest,
    OrderStatus,
    OrderType,
    Side,
    Subscription,
    TimeInForce,
)
from cexnet.websocket import Delivery, WebSocketManager
from cexnet_core import errors
from cexnet_core.errors import *  # noqa: F403 - the whole exception tree is public here
from cexnet_core.events import (
    BalanceUpdate,
    BookTicker,
    Candle,
    DecodeError,
    DepthSnapshot,
    DepthUpdate,
    Event,
    EventKind,
    Fill,
    OrderUpdate,
    RawMessage,
    Trade,
)

__version__ = version("cexnet")

__all__ = [  # noqa: PLE0604 - the exception names are strings too
    "BalanceUpdate",
    "BookTicker",
    "Candle",
    "Channel",
    "Config",
    "Credentials",
    "Delivery",
    "DecodeError",
    "DepthSnapshot",
    "DepthUpdate",
    "Event",
    "EventKind",
    "ExchangeConfig",
    "Fill",
    "NeverArrived",
    "Order",
    "OrderRequest",
    "OrderStatus",
    "OrderType",
    "OrderUpdate",
    "RawMessage",
    "RestManager",
    "Secret",
    "Side",
    "Subscription",
    "TimeInForce",
    "Trade",
    "TransportFactory",
    "WebSocketManager",
    "config_from_dict",
    "load_config",
    *errors.__all__,
]
