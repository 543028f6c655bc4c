"""A little trading over REST, so that there is something to see and to measure."""

from __future__ import annotations

import asyncio
import logging
import time

from cexnet.cli.board import Board
from cexnet.http import RestManager
from cexnet.types import OrderRequest, Side
from cexnet_core.errors import CexnetError

_logger = logging.getLogger("cexnet.demo")

ORDER_INTERVAL_S = 0.5
ORDER_QUANTITY = "0.1"


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
    *,
    every_s: float = ORDER_INTERVAL_S,
) -> None:
    """Place, query and cancel an order well below the market, one symbol after the other."""
    turn = 0
    while time.perf_counter() < ends_s:
        symbol = symbols[turn % len(symbols)]
        turn += 1
        row = board.rows.get(symbol)
        if row is not None and row.bid > 0:
            try:
                await _round_trip(rest, symbol, row.bid * 0.9)
            except CexnetError as error:  # counted by the manager; the demo goes on and shows it
                _logger.warning("order on %s: %s", symbol, error)
        await asyncio.sleep(every_s)


async def _round_trip(rest: RestManager, symbol: str, price: float) -> None:
    placed = await rest.place_order(
        OrderRequest(symbol, Side.BUY, quantity=ORDER_QUANTITY, price=f"{price:.2f}")
    )
    await rest.query_order(symbol, client_order_id=placed.client_order_id)
    await rest.cancel_order(symbol, client_order_id=placed.client_order_id)
