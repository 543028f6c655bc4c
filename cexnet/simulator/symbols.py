"""Default markets, and plausible rules for a symbol that has no entry."""

from __future__ import annotations

from cexnet.simulator.market import MarketSpec
from cexnet_core.errors import ConfigurationError

# base: (start price in dollars, price decimals against a dollar quote, quantity decimals)
_BASES: dict[str, tuple[str, int, int]] = {
    "BTC": ("64000.00", 2, 5),
    "ETH": ("3200.00", 2, 4),
    "SOL": ("150.00", 2, 3),
    "BNB": ("580.00", 2, 3),
    "XRP": ("0.5200", 4, 1),
    "DOGE": ("0.12000", 5, 0),
    "ADA": ("0.4500", 4, 1),
}
_OTHER_BASE = ("1.2500", 4, 1)

# quote: (price of an unlisted pair, price decimals, quantity decimals, least notional)
_QUOTES: dict[str, tuple[str, int, int, str]] = {
    "FDUSD": ("1.2500", 4, 1, "5"),
    "USDT": ("1.2500", 4, 1, "5"),
    "USDC": ("1.2500", 4, 1, "5"),
    "TUSD": ("1.2500", 4, 1, "5"),
    "USD": ("1.2500", 4, 1, "5"),
    "EUR": ("1.1500", 4, 1, "5"),
    "TRY": ("40.000", 3, 1, "10"),
    "BTC": ("0.00065000", 8, 2, "0.0001"),
    "ETH": ("0.0120000", 7, 2, "0.001"),
    "BNB": ("0.060000", 6, 2, "0.01"),
}
_DOLLARS = ("FDUSD", "USDT", "USDC", "TUSD", "USD")

# Typical value of one random order, in whole 10**-4 units of the quote currency.
_TYPICAL_VALUE_E4 = {"BTC": 200, "ETH": 3_000, "BNB": 20_000}
_TYPICAL_VALUE_OTHER_E4 = 15_000_000


def typical_lots(spec: MarketSpec, price_ticks: int) -> int:
    """Lots of an order of everyday size at ``price_ticks``; at least 10."""
    value = _TYPICAL_VALUE_E4.get(spec.quote, _TYPICAL_VALUE_OTHER_E4)
    scale = int(10 ** (spec.price_decimals + spec.quantity_decimals))
    return max(10, value * scale // (10**4 * max(1, price_ticks)))


def make_spec(symbol: str, separator: str) -> MarketSpec:
    """Rules for ``symbol``, spelled with ``separator`` between base and quote (may be "").

    Raises :class:`ConfigurationError` when base and quote cannot be told apart.
    """
    base, quote = _split(symbol.upper(), separator)
    if base in _BASES and quote in _DOLLARS:
        price, price_decimals, quantity_decimals = _BASES[base]
        return MarketSpec(symbol.upper(), base, quote, price_decimals, quantity_decimals, price)
    price, price_decimals, quantity_decimals, least = _QUOTES.get(quote, (*_OTHER_BASE, "5"))
    return MarketSpec(symbol.upper(), base, quote, price_decimals, quantity_decimals, price, least)


def _split(symbol: str, separator: str) -> tuple[str, str]:
    if separator:
        base, _, quote = symbol.partition(separator)
        quote = quote.partition(separator)[0]
    else:
        quote = next((q for q in _QUOTES if symbol.endswith(q) and symbol != q), "")
        base = symbol.removesuffix(quote) if quote else ""
    if not base or not quote:
        example = f"BTC{separator}USDT"
        raise ConfigurationError(
            f"symbol {symbol!r} has no base and quote that the simulator can tell apart; "
            f"spell it like {example!r}"
        )
    return base, quote
