"""What the request strategies of all exchanges share: table look-up and client order ids."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from cexnet.http.endpoint import Call, Endpoint, Params, Priority
from cexnet.http.query import escape, pairs
from cexnet.http.strategies import RequestStrategy
from cexnet.types import OrderRequest, OrderType
from cexnet_core.errors import ConfigurationError

T = TypeVar("T")

# 96 random bits: two of our ids coincide with a chance below 1e-9 in 10^9 orders.
_RANDOM_BYTES = 12


@dataclass(frozen=True, slots=True)
class ClientOrderIds:
    """The exchange's rule for client order ids: what we mint and what we accept."""

    prefix: str
    pattern: str
    rule: str

    def resolve(self, given: str) -> str:
        """``given`` when it obeys the rule, a fresh id when it is empty.

        Raises ConfigurationError otherwise, before anything is sent.
        """
        if not given:
            return self.prefix + secrets.token_hex(_RANDOM_BYTES)
        if not re.fullmatch(self.pattern, given):
            raise ConfigurationError(f"client order id {given!r} is not valid here: {self.rule}")
        return given


def limit_price(order: OrderRequest) -> str | None:
    """The price of a limit order, ``None`` for a market order.

    Raises ConfigurationError when a limit order has no price or a market order one.
    """
    if (order.type is OrderType.LIMIT) != (order.price is not None):
        raise ConfigurationError(
            f"a {order.type} order was given price={order.price!r}:"
            " a limit order needs a price, a market order takes none"
        )
    return order.price


class TableRequests(RequestStrategy):
    """Endpoints by table. Subclasses add the typed intents.

    ``default_scopes`` meter the paths that are not in the table.
    """

    def __init__(self, endpoints: Iterable[Endpoint], *, default_scopes: tuple[str, ...]) -> None:
        self._default_scopes = default_scopes
        self._exact: dict[tuple[str, str], Endpoint] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Endpoint]] = []
        self._named: dict[str, Endpoint] = {}
        for endpoint in endpoints:
            self._named[endpoint.name] = endpoint
            if "{" in endpoint.path:
                pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", endpoint.path))
                self._patterns.append((endpoint.method, pattern, endpoint))
            else:
                self._exact[endpoint.method, endpoint.path] = endpoint

    def endpoint(self, method: str, path: str) -> Endpoint:
        """See RequestStrategy."""
        if not path.startswith("/") or "?" in path or "#" in path:
            raise ConfigurationError(
                f"path {path!r} must start with a slash and hold no query: use params for that"
            )
        found = self._exact.get((method, path))
        if found is not None:
            return found
        for listed, pattern, endpoint in self._patterns:
            if listed == method and pattern.fullmatch(path):
                return endpoint
        return Endpoint(
            name="unlisted",  # one bucket for all, where the exchange keeps one an endpoint
            method=method,
            path=path,
            scopes=self._default_scopes,
            idempotent=method in ("GET", "HEAD"),
            priority=Priority.BACKGROUND,
        )

    def intent(
        self,
        name: str,
        parse: Callable[[bytes], T],
        params: Params = (),
        *,
        body: bytes = b"",
        path_values: dict[str, str] | None = None,
        scope_key: str = "",
        client_order_id: str = "",
    ) -> Call[T]:
        """A call of the table's endpoint ``name``; ``path_values`` fill its ``{}`` parts."""
        endpoint = self._named[name]
        path = endpoint.path
        if path_values:
            path = path.format(**{key: escape(value) for key, value in path_values.items()})
        return Call(
            endpoint=endpoint,
            path=path,
            parse=parse,
            params=params,
            body=body,
            weight=endpoint.weigh(dict(pairs(params))) if endpoint.weigh else endpoint.weight,
            scope_key=scope_key,
            client_order_id=client_order_id,
            idempotent=endpoint.idempotent,
            priority=endpoint.priority,
        )
