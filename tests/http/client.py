"""A RestManager for the raw peer, and the answers that the peer gives it."""

from __future__ import annotations

from typing import Any

from cexnet.exchanges import binance_rest
from cexnet.http.manager import RestManager
from cexnet.http.meters import MeterRegistry
from cexnet.http.retry import FullJitterRetry
from cexnet.http.strategies import RestStrategySet
from tests.http.accounts import CREDENTIALS
from tests.http.peer import Peer

TIME = {"serverTime": 1_700_000_000_000}
PLACED = {
    "symbol": "BTCUSDT",
    "orderId": 7,
    "status": "NEW",
    "side": "BUY",
    "price": "50000.10",
    "origQty": "0.5",
    "executedQty": "0",
}


def strategies() -> RestStrategySet:
    base = binance_rest.rest_strategies(credentials=CREDENTIALS)
    at_once = FullJitterRetry(uniform=lambda low, high: 0.0)
    return RestStrategySet(base.request, base.auth, base.limits, at_once, base.exceptions)


def manager(peer: Peer, **options: Any) -> RestManager:
    # Meters of its own: within one test a port may come round again.
    options.setdefault("meters", MeterRegistry())
    return RestManager(strategies(), base_url=peer.url, name="binance", **options)
