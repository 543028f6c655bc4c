"""The vocabulary shared by every floor: channels, subscriptions, orders."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal, TypeVar

from cexnet_core.errors import ConfigurationError

E = TypeVar("E", bound=enum.StrEnum)

Scope = Literal["public", "private"]  # of the market, or of our account


class Channel(enum.StrEnum):
    """What a subscription asks for: of a market, or (the last three) of our account."""

    TRADES = "trades"
    BOOK_TICKER = "book_ticker"
    DEPTH = "depth"
    CANDLES = "candles"
    ORDERS = "orders"
    FILLS = "fills"
    BALANCES = "balances"


ACCOUNT_CHANNELS = (Channel.ORDERS, Channel.FILLS, Channel.BALANCES)
MARKET_CHANNELS = tuple(channel for channel in Channel if channel not in ACCOUNT_CHANNELS)


class Side(enum.StrEnum):
    """Side of an order, or of the aggressor in a trade."""

    BUY = "buy"
    SELL = "sell"


class OrderType(enum.StrEnum):
    """How an order executes."""

    LIMIT = "limit"
    MARKET = "market"


class TimeInForce(enum.StrEnum):
    """How long an order stays in the book."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class OrderStatus(enum.StrEnum):
    """Where an order stands, in one vocabulary for all exchanges."""

    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Subscription:
    """One stream of one symbol, in the exchange's own symbol spelling, or of the account.

    Orders, fills and balances are those of the whole account: they take no symbol.
    ``interval`` is used by candles only, spelled as ``1m``, ``5m``, ``1h``, ``1d``.
    Raises ConfigurationError when the symbol is missing, or one too many.
    """

    channel: Channel
    symbol: str = ""
    interval: str = "1m"

    def __post_init__(self) -> None:
        object.__setattr__(self, "channel", _one_of(Channel, self.channel, "channel"))
        if self.channel in ACCOUNT_CHANNELS and self.symbol:
            raise ConfigurationError(
                f"{self.channel} are those of the whole account: leave out the symbol {self.symbol!r}"
            )
        if self.channel not in ACCOUNT_CHANNELS and not self.symbol:
            raise ConfigurationError(f"{self.channel} need a symbol")


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order to place. Price and quantity are decimal text: no float rounding.

    ``client_order_id`` is minted for the caller when left empty. The enumerated fields
    take their text as well (``side="buy"``); ConfigurationError names what is allowed.
    """

    symbol: str
    side: Side
    quantity: str
    price: str | None = None
    type: OrderType = OrderType.LIMIT
    time_in_force: TimeInForce = TimeInForce.GTC
    client_order_id: str = ""

    def __post_init__(self) -> None:
        for name in ("quantity", "price"):
            number = getattr(self, name)
            if not isinstance(number, str) and (number is not None or name == "quantity"):
                raise ConfigurationError(f"{name} is {number!r}: give it as text, {str(number)!r}")
        object.__setattr__(self, "side", _one_of(Side, self.side, "side"))
        object.__setattr__(self, "type", _one_of(OrderType, self.type, "type"))
        object.__setattr__(self, "time_in_force", _one_of(TimeInForce, self.time_in_force, "time_in_force"))


@dataclass(frozen=True, slots=True)
class Order:
    """The exchange's view of an order. Numbers are the exchange's decimal text.

    ``average_price`` is that of what was filled so far; ``None`` while nothing was, and
    where the exchange's answer does not say.
    """

    symbol: str
    order_id: str
    client_order_id: str
    status: OrderStatus
    side: Side
    price: str
    quantity: str
    filled_quantity: str
    average_price: str | None = None


def _one_of(kind: type[E], value: str, name: str) -> E:
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(kind)
        raise ConfigurationError(f"{name} is {value!r}: choose one of {allowed}") from None
