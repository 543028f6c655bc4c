"""An order from placing to cancelling, twice: once undisturbed, once with its answer lost on the way.

    python examples/order_round_trip.py

The embedded exchange closes the connection instead of answering the second order, having executed
it. That leaves ``OutcomeUnknown``, and sending the order again could double it: ask what became of it.
"""

from __future__ import annotations

import asyncio

from cexnet import (
    Config,
    Credentials,
    ExchangeConfig,
    NeverArrived,
    Order,
    OrderRequest,
    OutcomeUnknown,
    RestManager,
    Secret,
    Side,
    TransportFactory,
)
from cexnet.simulator import Simulator

SYMBOL = "BTCUSDT"


async def place(rest: RestManager, request: OrderRequest) -> Order:
    """Place ``request`` once, whatever happens to the answer."""
    while True:
        try:
            return await rest.place_order(request)
        except OutcomeUnknown as error:
            # The client order id was minted for this call: the exchange knows the order by it.
            print(f"  unknown: {error}")
            fate = await rest.resolve_unknown(error, deadline_s=30.0)
            if not isinstance(fate, NeverArrived):
                print(f"  resolved: it arrived, and is {fate.status}")
                return fate
            # It does not exist and cannot arrive any more: now, and only now, it may be sent anew.
            print(f"  resolved: {fate.queries} queries found nothing, so it goes out once more")


async def round_trip(rest: RestManager, request: OrderRequest) -> None:
    """Place an order and take it back."""
    placed = await place(rest, request)
    print(f"  placed: {placed.side} {placed.quantity} at {placed.price}, {placed.status}")
    canceled = await rest.cancel_order(SYMBOL, client_order_id=placed.client_order_id)
    print(f"  canceled: {canceled.status}, {canceled.filled_quantity} filled")


async def main() -> None:
    """Run both round trips and count what the exchange has in its books."""
    async with Simulator("binance", (SYMBOL,)) as exchange:
        keys = Credentials(exchange.api_key, Secret(exchange.api_secret))
        settings = ExchangeConfig(rest_url=exchange.rest_url, credentials=keys)
        async with TransportFactory(Config(exchange={"binance": settings})) as factory:
            rest = factory.rest("binance")
            book = await rest.depth(SYMBOL, 5)
            far_below = f"{float(book.bids[0][0]) * 0.8:.2f}"  # it will rest in the book
            request = OrderRequest(SYMBOL, Side.BUY, quantity="0.01", price=far_below)
            print("undisturbed:")
            await round_trip(rest, request)
            print("with a lost answer:")
            exchange.inject("rest-lost:request=POST /api/v3/order")
            await round_trip(rest, request)
            print(f"orders at the exchange: {len(exchange.account.orders)}, as many as were meant")


if __name__ == "__main__":
    asyncio.run(main())
