"""Orders through the line: placed once, taken back while they wait, settled when unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from cexnet.http.answers import NeverArrived
from cexnet.http.endpoint import Call
from cexnet.http.line import Line
from cexnet.http.resolve import find_fate
from cexnet.http.withdrawal import Withdrawal
from cexnet.types import Order, OrderRequest, OrderStatus
from cexnet_core.errors import ConfigurationError, DuplicateOrder, OutcomeUnknown

# Ids whose outcome stayed unknown are remembered for duplicates; the oldest go first.
_REMEMBERED = 10_000
# Clocks differ a little, and a timestamp may lie in the exchange's future.
_CLOCK_MARGIN_S = 1.0


class Orders:
    """The orders of one manager. One event loop."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._placing: dict[str, tuple[OrderRequest, Withdrawal]] = {}
        self._unsettled: dict[str, None] = {}

    @property
    def placing(self) -> int:
        """How many orders are being placed now."""
        return len(self._placing)

    @property
    def unsettled(self) -> int:
        """How many client order ids have an unknown outcome that nobody has settled."""
        return len(self._unsettled)

    async def place(self, order: OrderRequest, deadline: float) -> Order:
        """See ``RestManager.place_order``; ``deadline`` is in the loop's time."""
        call = self._line.variant.request.place_order(order)
        own_id, label = call.client_order_id, call.endpoint.label
        if own_id in self._placing:
            raise _in_flight(call)
        call.parse = partial(_asked_order, call.parse, "", own_id)
        call.withdrawal = withdrawal = Withdrawal(label, own_id)
        self._placing[own_id] = order, withdrawal
        try:
            with withdrawal:
                return (await self._line.run(call, deadline)).data
        except OutcomeUnknown as error:
            error.symbol = order.symbol
            self._remember(own_id)
            raise
        except DuplicateOrder as error:
            # Earlier tries of this call surely did nothing, else there would have been no other.
            if order.client_order_id and own_id not in self._unsettled:
                raise
            duplicate = error
        except asyncio.CancelledError:
            if withdrawal.written:
                self._remember(own_id)
            raise
        finally:
            del self._placing[own_id]
        # The id is taken, and by us: we have minted it, or an earlier call had no clear answer.
        self._remember(own_id)
        return await self._accepted(order, own_id, duplicate, deadline)

    async def cancel(self, symbol: str, order_id: str, client_order_id: str, deadline: float) -> Order:
        """See ``RestManager.cancel_order``."""
        _one_id(order_id, client_order_id)
        order, withdrawal = self._placing.get(client_order_id, (None, None))
        if order is not None and withdrawal is not None and order.symbol == symbol and withdrawal.take_back():
            return Order(
                symbol=symbol,
                order_id="",
                client_order_id=client_order_id,
                status=OrderStatus.CANCELED,
                side=order.side,
                price=order.price or "0",
                quantity=order.quantity,
                filled_quantity="0",
            )
        call = self._line.variant.request.cancel_order(symbol, order_id, client_order_id)
        call.parse = partial(_asked_order, call.parse, order_id, client_order_id)
        try:
            return (await self._line.run(call, deadline)).data
        except OutcomeUnknown as error:
            error.symbol = symbol
            raise

    async def query(self, symbol: str, order_id: str, client_order_id: str, deadline: float) -> Order:
        """See ``RestManager.query_order``."""
        _one_id(order_id, client_order_id)
        call = self._line.variant.request.query_order(symbol, order_id, client_order_id)
        call.parse = partial(_asked_order, call.parse, order_id, client_order_id)
        return (await self._line.run(call, deadline)).data

    def settle_s(self) -> float:
        """How long after being sent an order may still arrive, by the exchange's own rule."""
        return self._line.variant.auth.validity_s + _CLOCK_MARGIN_S

    async def resolve(
        self, symbol: str, client_order_id: str, settle_s: float, deadline_s: float
    ) -> Order | NeverArrived:
        """See ``RestManager.resolve_unknown``."""
        if not symbol or not client_order_id:
            raise ConfigurationError(
                "resolve_unknown() needs a symbol and a client order id: give symbol=..., or look"
                " the order up with query_order(order_id=...)"
            )
        loop = asyncio.get_running_loop()
        fate = await find_fate(
            lambda left_s: self.query(symbol, "", client_order_id, loop.time() + left_s),
            symbol,
            client_order_id,
            settle_s=settle_s,
            deadline_s=deadline_s,
        )
        self._unsettled.pop(client_order_id, None)
        return fate

    async def _accepted(
        self, order: OrderRequest, own_id: str, duplicate: DuplicateOrder, deadline: float
    ) -> Order:
        left_s = deadline - asyncio.get_running_loop().time()
        fate = await self.resolve(order.symbol, own_id, self.settle_s(), left_s)
        if isinstance(fate, NeverArrived):
            raise duplicate
        return fate

    def _remember(self, own_id: str) -> None:
        self._unsettled[own_id] = None
        if len(self._unsettled) > _REMEMBERED:
            del self._unsettled[next(iter(self._unsettled))]


def _asked_order(parse: Callable[[bytes], Order], order_id: str, client_order_id: str, body: bytes) -> Order:
    """The order of that one id. Raises ValueError when the answer is about another one."""
    order = parse(body)
    said, asked = (order.order_id, order_id) if order_id else (order.client_order_id, client_order_id)
    if said and said != asked:
        raise ValueError(f"the answer is about order {said!r}, not {asked!r}")
    return order


def _one_id(order_id: str, client_order_id: str) -> None:
    if bool(order_id) == bool(client_order_id):
        raise ConfigurationError("give order_id or client_order_id, one of the two")


def _in_flight(call: Call[Any]) -> DuplicateOrder:
    return DuplicateOrder(
        f"{call.endpoint.label}: order {call.client_order_id} is being placed already by another"
        " call; nothing was sent",
        outcome="not_sent",
        endpoint=call.endpoint.label,
        client_order_id=call.client_order_id,
    )
