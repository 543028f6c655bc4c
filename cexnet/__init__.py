"""cexnet: the networking core of a crypto trading engine.

An application touches ``TransportFactory`` and the two managers that it makes::

    socket -> frame -> message -> event -> route -> handler      WebSocketManager
    request -> limit -> sign -> send -> classify -> retry?       RestManager

Each name is imported when it is first asked for, so ``import cexnet`` itself costs next to
nothing; ``from cexnet import TransportFactory`` imports what that one needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cexnet_core import errors
from cexnet_core.errors import *  # noqa: F403 - the whole exception tree is public here

if TYPE_CHECKING:  # as _HOMES has it, for type checkers and editors
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

    __version__: str

__all__ = [  # noqa: PLE0604 - the exception names are strings too
    "BalanceUpdate",
    "BookTicker",
    "Candle",
    "Channel",
    "Config",
    "Credentials",
    "DecodeError",
    "Delivery",
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

_HOMES = {
    "cexnet.config": ("Config", "ExchangeConfig", "config_from_dict", "load_config"),
    "cexnet.credentials": ("Credentials", "Secret"),
    "cexnet.factory": ("TransportFactory",),
    "cexnet.http": ("NeverArrived", "RestManager"),
    "cexnet.types": (
        *("Channel", "Order", "OrderRequest", "OrderStatus", "OrderType"),
        *("Side", "Subscription", "TimeInForce"),
    ),
    "cexnet.websocket": ("Delivery", "WebSocketManager"),
    "cexnet_core.events": (
        *("BalanceUpdate", "BookTicker", "Candle", "DecodeError", "DepthSnapshot", "DepthUpdate"),
        *("Event", "EventKind", "Fill", "OrderUpdate", "RawMessage", "Trade"),
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # else any name would pass for ours

    def __getattr__(name: str) -> Any:
        """A public name that was not asked for yet (PEP 562)."""
        if name in _HOME:
            value = getattr(import_module(_HOME[name]), name)
        elif f"cexnet.{name}" in _HOMES:
            return import_module(f"cexnet.{name}")  # which makes it an attribute
        elif name == "__version__":
            from importlib.metadata import version

            value = version("cexnet")
        else:
            raise AttributeError(f"module 'cexnet' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
