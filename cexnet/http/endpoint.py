"""What a request is: the endpoint's row in the exchange's table, and one call of it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from cexnet.http.withdrawal import Withdrawal
from cexnet_core.params import Params, ParamValue

T = TypeVar("T")

Param: TypeAlias = tuple[str, ParamValue]


class Priority(enum.IntEnum):
    """The limiter's lanes, most urgent first. FIFO holds inside a lane."""

    CANCEL = 0
    PLACE = 1
    QUERY = 2
    BACKGROUND = 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of an exchange's REST table.

    ``path`` may hold ``{name}`` parts. ``scopes`` names the metering scopes that a
    call is charged to; a scope that counts weight is charged ``weight``, the others 1.
    ``idempotent`` says that sending the request twice does what sending it once does:
    only then may a request be sent again after bytes of it have left us. ``weigh``
    gives the weight where it depends on the parameters. Endpoints of one ``group`` share
    a circuit breaker; left empty, it is ``private`` for signed ones, else ``public``.
    """

    name: str
    method: str
    path: str
    weight: int = 1
    scopes: tuple[str, ...] = ()
    signed: bool = False
    idempotent: bool = True
    priority: Priority = Priority.QUERY
    weigh: Callable[[Mapping[str, str]], int] | None = None
    group: str = ""

    @property
    def label(self) -> str:
        """Method and path pattern, free of parameters: safe in logs and errors."""
        return f"{self.method} {self.path}"


@dataclass(slots=True, repr=False)
class Call(Generic[T]):
    """One use of an endpoint, with everything that stays the same on every try.

    Its repr names the endpoint alone: parameters and body may hold a listen key.

    ``scope_key`` tells buckets apart that the exchange keeps per symbol. ``parse``
    turns the body of a successful answer into the result; it raises
    ``msgspec.MsgspecError`` when the body is not what the exchange documents.
    ``hidden`` are texts in the body that nobody may read in an error.
    ``withdrawal``, on a new order, lets a cancel take it back until its bytes are written.
    """

    endpoint: Endpoint
    path: str
    parse: Callable[[bytes], T]
    params: Params = ()
    body: bytes = b""
    weight: int = 1
    scope_key: str = ""
    client_order_id: str = ""
    idempotent: bool = True
    priority: Priority = Priority.QUERY
    hidden: tuple[str, ...] = ()
    withdrawal: Withdrawal | None = None

    def __repr__(self) -> str:
        return f"Call({self.endpoint.label})"


# One is made a try: as a frozen dataclass it would cost 1 us of it.
class WireRequest(msgspec.Struct, frozen=True):
    """Exactly what goes on the wire. ``target`` is the percent-encoded path and query.

    ``hidden`` lists the texts in it that nobody may read in an error: key and signature.
    """

    method: str
    target: str
    headers: Mapping[str, str] = {}
    body: bytes = b""
    hidden: tuple[str, ...] = ()

    def __repr__(self) -> str:
        path = self.target.partition("?")[0]
        return f"WireRequest({self.method} {path}, {len(self.body)} bytes of body)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("method", self.method), ("path", self.target.partition("?")[0])]


__all__ = ["Call", "Endpoint", "Param", "ParamValue", "Params", "Priority", "WireRequest"]
