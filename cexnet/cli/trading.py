"""A little trading over REST, so that there is something to see and to measure."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from cexnet.cli.board import Board
from cexnet.http import RestManager
from cexnet.types import OrderRequest, OrderStatus, Side
from cexnet_core.errors import CexnetError, OutcomeUnknown

_logger = logging.getLogger("cexnet.demo")

ORDER_INTERVAL_S = 0.5
ORDER_QUANTITY = "0.1"


@dataclass(slots=True)
class Orders:
    """What became of the orders. ``unknown``: it is not known; ``refused``: any other request that failed."""

    placed: int = 0
    filled: int = 0
    cancelled: int = 0
    refused: int = 0
    unknown: int = 0

    def __str__(self) -> str:
        told = f"orders placed {self.placed:,}  filled {self.filled:,}  cancelled {self.cancelled:,}"
        if self.refused:
            told += f"  refused {self.refused:,}"
        return f"{told}  unknown {self.unknown:,}"


async def warm_up(rest: RestManager, symbols: tuple[str, ...]) -> None:
    """A first request of each kind that needs no key."""
    await rest.ping()
    await rest.server_time_ms()
    for symbol in symbols:
        await rest.depth(symbol, 100)


async def trade(
    rest: RestManager,
    symbols: tuple[str, ...],
    board: Board,
    ends_s: float,
    orders: Orders,
    *,
    every_s: float = ORDER_INTERVAL_S,
) -> None:
    """Place, query and cancel an order well below the market, one symbol after the other; all is counted."""
    turn = 0
    while time.perf_counter() < ends_s:
        symbol = symbols[turn % len(symbols)]
        turn += 1
        row = board.rows.get(symbol)
        if row is not None and row.bid > 0:
            try:
                await _round_trip(rest, symbol, row.bid * 0.9, orders)
            except OutcomeUnknown as error:
                orders.unknown += 1
                _logger.warning("order on %s: %s", symbol, error)
            except CexnetError as error:  # counted by the manager too; the demo goes on and shows it
                orders.refused += 1
                _logger.warning("order on %s: %s", symbol, error)
        await asyncio.sleep(every_s)


async def _round_trip(rest: RestManager, symbol: str, price: float, orders: Orders) -> None:
    placed = await rest.place_order(
        OrderRequest(symbol, Side.BUY, quantity=ORDER_QUANTITY, price=f"{price:.2f}")
    )
    orders.placed += 1
    order = await rest.query_order(symbol, client_order_id=placed.client_order_id)
    if order.status is OrderStatus.FILLED:
        orders.filled += 1
        return
    await rest.cancel_order(symbol, client_order_id=placed.client_order_id)
    orders.cancelled += 1
