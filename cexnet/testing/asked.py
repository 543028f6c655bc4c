"""Is what was asked for in what is sent? Two questions that differ must not look alike on the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from cexnet.http.endpoint import Call
from cexnet.http.strategies import RestStrategySet
from cexnet.testing.case import Case
from cexnet.types import Side, TimeInForce
from cexnet_core.errors import ConfigurationError
from cexnet_core.query import encode_pairs, pairs

Asking = Callable[[], Call[Any]]


def lost_on_the_way(case: Case) -> Iterator[str]:
    """Another symbol, side, price, quantity or id gives another request, or is refused in words."""
    rest = case.rest()
    for intent, what, one, other in questions(case, rest):
        try:
            first, second = one(), other()
        except ConfigurationError:
            continue  # the exchange has no such order, or is not asked that way
        if sent(first) == sent(second):
            yield (
                f"{intent} ({first.endpoint.label}): another {what} makes no difference to what is sent:"
                f" {sent(first)}"
            )


def sent(call: Call[Any]) -> str:
    """What a call sends before it is signed, as text."""
    return f"{call.path}?{encode_pairs(pairs(call.params))} {call.body.decode('utf-8', 'replace')}"


def questions(case: Case, rest: RestStrategySet) -> Iterator[tuple[str, str, Asking, Asking]]:
    """The intent, what differs, and the two ways of asking."""
    requests, symbol, others = rest.request, case.symbol, case.exchange.symbols[1:2]
    levels = case.exchange.snapshot_levels
    offered = case.intents(rest)
    for other in others if "depth" in offered else ():
        yield (
            "depth",
            "symbol",
            partial(requests.depth, symbol, levels),
            partial(requests.depth, other, levels),
        )
    if "place_order" not in offered:
        return
    place = requests.place_order
    mine, another = (place(case.order()).client_order_id for _ in range(2))
    order = replace(case.order(), client_order_id=mine)
    changes: list[tuple[str, dict[str, Any]]] = [
        ("side", {"side": Side.SELL}),
        ("quantity", {"quantity": "3"}),
        ("price", {"price": "11"}),
        ("time in force", {"time_in_force": TimeInForce.IOC}),
        *(("symbol", {"symbol": other}) for other in others),
    ]
    for what, change in changes:
        yield "place_order", what, partial(place, order), partial(place, replace(order, **change))
    for intent in offered.keys() & {"cancel_order", "query_order"}:
        ask = partial(getattr(requests, intent), symbol)
        yield intent, "order id", partial(ask, "7", ""), partial(ask, "8", "")
        yield intent, "client order id", partial(ask, "", mine), partial(ask, "", another)
