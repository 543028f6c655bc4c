"""Settling an order whose outcome is unknown: ask by client order id until its fate is certain.

"Not found" alone proves nothing: the order may still be on its way, or the exchange's
query may lag behind its matching engine. It is believed after the exchange would refuse
the request for its age, and only when several queries in a row said so.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from cexnet.http.answers import NeverArrived
from cexnet.types import Order
from cexnet_core.errors import CexnetError, ExchangeError, OrderNotFound, OutcomeUnknown, RequestError

_MISSES = 3
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0

# Looks the order up, within so many seconds.
Query = Callable[[float], Awaitable[Order]]


async def find_fate(
    query: Query, symbol: str, client_order_id: str, *, settle_s: float, deadline_s: float
) -> Order | NeverArrived:
    """The order, or proof by patience that there is none.

    ``NeverArrived`` needs three queries in a row that found nothing, the last one begun
    ``settle_s`` after we started. A query that fails for another reason is repeated. Raises
    OutcomeUnknown when the deadline passes first, or when a query fails for good.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    deadline = began + deadline_s
    queries = misses = 0
    pause_s = _FIRST_PAUSE_S
    while True:
        asked = loop.time()
        trouble: CexnetError
        queries += 1
        try:
            return await query(deadline - asked)
        except OrderNotFound as error:
            trouble = error
            misses += 1
            if misses >= _MISSES and asked - began >= settle_s:
                return NeverArrived(symbol, client_order_id, queries, loop.time() - began)
        except CexnetError as error:
            trouble = error
            misses = 0
            if not _may_pass(error):
                raise _still_unknown(symbol, client_order_id, queries, error) from error
        # Half of it at random: many orders may become unknown in the same moment.
        wait_s = pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        if isinstance(trouble, RequestError) and trouble.retry_after_s is not None:
            wait_s = max(wait_s, trouble.retry_after_s)
        if loop.time() + wait_s >= deadline:
            raise _still_unknown(symbol, client_order_id, queries, trouble) from trouble
        await asyncio.sleep(wait_s)
        pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)


def _may_pass(error: CexnetError) -> bool:
    """Whether asking again may bring another answer."""
    if not isinstance(error, RequestError):
        return False
    # A refusal without a code is a word of something between us and the exchange.
    foreign = type(error) is ExchangeError and not error.exchange_code
    return error.retryable or error.outcome != "rejected" or foreign


def _still_unknown(symbol: str, client_order_id: str, queries: int, last: CexnetError) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"order {client_order_id} of {symbol} may or may not exist: {queries} queries did not settle"
        f" it, the last ended in: {last}. Call resolve_unknown() again before acting",
        outcome="unknown",
        client_order_id=client_order_id,
        symbol=symbol,
    )
