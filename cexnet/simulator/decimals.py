"""Decimal text to integers and back. The simulator computes in integers only."""

from __future__ import annotations

import re

_WHOLE = re.compile(r"[0-9]{1,18}")
_DECIMAL = re.compile(r"([0-9]{1,20})(?:\.([0-9]{0,20}))?\Z")
_MAX_CACHED = 65_536


def whole(text: str) -> int | None:
    """The whole number that ``text`` is; ``None`` when it is none, or has more digits than a 64-bit one."""
    return int(text) if _WHOLE.fullmatch(text) else None


def parse_units(text: str, decimals: int) -> int:
    """``text`` as a whole number of 10**-decimals units.

    Raises ``ValueError`` when it is not plain decimal text or has finer digits.
    """
    match = _DECIMAL.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a decimal number")
    fraction = (match[2] or "").rstrip("0")
    if len(fraction) > decimals:
        raise ValueError(f"{text!r} is finer than {decimals} decimals")
    return int(match[1] + fraction.ljust(decimals, "0"))


def format_units(units: int, decimals: int, shown: int) -> str:
    """``units`` of 10**-decimals as text with exactly ``shown`` decimals (rest is cut)."""
    if shown < decimals:
        units, decimals = units // 10 ** (decimals - shown), shown
    whole, fraction = divmod(units, 10**decimals)
    if not shown:
        return str(whole)
    digits = str(fraction).rjust(decimals, "0") if decimals else ""
    return f"{whole}.{digits.ljust(shown, '0')}"


def format_short(units: int, decimals: int) -> str:
    """``units`` of 10**-decimals as the shortest text: no trailing zeros, no bare dot."""
    text = format_units(units, decimals, decimals)
    return text.rstrip("0").rstrip(".") if decimals else text


def format_signed(units: int, decimals: int) -> str:
    """As :func:`format_short`, for a number that may be negative."""
    return ("-" if units < 0 else "") + format_short(abs(units), decimals)


class Formatter:
    """Formats units of one scale; prices repeat, so recent texts are remembered.

    ``shown`` is the number of decimals on the wire, ``None`` for the shortest text.
    """

    __slots__ = ("_cache", "_decimals", "_shown")

    def __init__(self, decimals: int, shown: int | None) -> None:
        self._decimals = decimals
        self._shown = shown
        self._cache: dict[int, str] = {}

    def __call__(self, units: int) -> str:
        """The text of ``units``."""
        text = self._cache.get(units)
        if text is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            if self._shown is None:
                text = format_short(units, self._decimals)
            else:
                text = format_units(units, self._decimals, self._shown)
            self._cache[units] = text
        return text
