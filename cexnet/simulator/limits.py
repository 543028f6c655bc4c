"""Request limits as the exchanges meter them: fixed windows, then a ban for hammering."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

_HAMMERING = 50  # requests in one window after the first 429 that earn a ban
_BAN_S = 120  # Binance and MEXC: bans last from 2 minutes up


class Verdict(NamedTuple):
    """Outcome of one request: ``ok``, ``limited`` or ``banned``; when it ends, and the count."""

    state: str
    used: int
    reset_s: float


@dataclass(slots=True)
class _Meter:
    window: int = -1
    used: int = 0
    refused: int = 0


class WindowLimit:
    """At most ``limit`` weight in each clock-aligned window of ``window_s``, per key.

    ``bans`` makes a client that keeps hammering after the refusal lose access for two
    minutes.
    """

    def __init__(self, limit: int, window_s: float, *, bans: bool = False) -> None:
        self.limit = limit
        self.window_s = window_s
        self._bans = bans
        self._meters: dict[str, _Meter] = {}
        self._banned_until_s: dict[str, float] = {}

    def take(self, key: str, weight: int = 1) -> Verdict:
        """Count one request of ``key``; ``reset_s`` is seconds until it may try again."""
        now_s = time.time()
        banned_until_s = self._banned_until_s.get(key, 0.0)
        if now_s < banned_until_s:
            return Verdict("banned", self.limit, banned_until_s - now_s)
        meter = self._meters.setdefault(key, _Meter())
        window = int(now_s // self.window_s)
        if meter.window != window:
            meter.window, meter.used, meter.refused = window, 0, 0
        reset_s = (window + 1) * self.window_s - now_s
        if meter.used + weight <= self.limit:
            meter.used += weight
            return Verdict("ok", meter.used, reset_s)
        meter.refused += 1
        if self._bans and meter.refused > _HAMMERING:
            self._banned_until_s[key] = now_s + _BAN_S
            return Verdict("banned", meter.used, _BAN_S)
        return Verdict("limited", meter.used, reset_s)
