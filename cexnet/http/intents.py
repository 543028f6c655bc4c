"""What the request strategies of all exchanges share: table look-up and client order ids."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Context, Decimal, InvalidOperation
from typing import Annotated, Any, TypeVar

import msgspec

from cexnet.http.answers import OrderBook
from cexnet.http.endpoint import Call, Endpoint, Params, Priority
from cexnet.http.strategies import RequestStrategy
from cexnet.types import Order, OrderRequest, OrderType
from cexnet_core.errors import ConfigurationError
from cexnet_core.query import escape, pairs
from cexnet_core.secret import Secret

T = TypeVar("T")


class _ListenKey(msgspec.Struct):
    listenKey: str


_listen_key = msgspec.json.Decoder(_ListenKey).decode

# 96 random bits: two of our ids coincide with a chance below 1e-9 in 10^9 orders.
_RANDOM_BYTES = 12
_PRICE_DIGITS = Context(prec=16)
_any = msgspec.json.Decoder(Any).decode
# A time in ms that fits 63 bits as ns: beyond, it is no clock's, and arithmetic with it may fail.
EpochMs = Annotated[int, msgspec.Meta(ge=0, le=2**63 // 1_000_000)]


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


def any_json(body: bytes) -> None:
    """Of an answer that says nothing, only that it is JSON and no page of a proxy's."""
    _any(body)


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


def average_price(cost: str, quantity: str) -> str | None:
    """What was paid over what was filled; ``None`` when either is missing or not above zero.

    Exact where the quotient has at most 16 significant digits, else rounded to those.
    Raises ValueError when one of them is no number.
    """
    try:
        if not float(quantity or "0"):
            return None  # nothing filled yet, as most answers say: spare them two Decimals
        paid, filled = Decimal(cost or "0"), Decimal(quantity)
    except (InvalidOperation, ValueError):
        raise ValueError(f"cost {cost!r} or quantity {quantity!r} of the order is not a number") from None
    if not (paid.is_finite() and filled.is_finite() and paid > 0 and filled > 0):
        return None
    quotient = _PRICE_DIGITS.divide(paid, filled)
    text = format(quotient, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def build_call(
    requests: RequestStrategy,
    method: str,
    path: str,
    parse: Callable[[bytes], T],
    *,
    params: Params = (),
    body: Any = None,
    weight: int | None = None,
    priority: Priority | None = None,
    idempotent: bool | None = None,
    client_order_id: str = "",
    signed: bool | None = None,
) -> Call[T]:
    """Any request of an exchange; what is left out comes from its table.

    ``body`` is sent as JSON, or as it stands when it is bytes. Raises ConfigurationError
    for a path, parameters or a body that cannot be sent.
    """
    endpoint = requests.endpoint(method.upper(), path)
    if signed is not None and signed != endpoint.signed:
        endpoint = replace(endpoint, signed=signed)
    if weight is None:
        weight = _weight(endpoint, params)
    hidden: list[str] = []
    return Call(
        endpoint=endpoint,
        path=path,
        parse=parse,
        params=params,
        body=b"" if body is None else body if isinstance(body, bytes) else _as_json(body, hidden),
        weight=weight,
        client_order_id=client_order_id,
        idempotent=endpoint.idempotent if idempotent is None else idempotent,
        priority=endpoint.priority if priority is None else priority,
        hidden=tuple(hidden),
    )


def _weight(endpoint: Endpoint, params: Params) -> int:
    if endpoint.weigh is None:
        return endpoint.weight
    try:
        return endpoint.weigh(dict(pairs(params)))
    except ValueError as error:
        raise ConfigurationError(f"{endpoint.label}: a parameter that it is weighed by: {error}") from None


def _as_json(body: Any, hidden: list[str]) -> bytes:
    """``body`` as JSON; the secrets in it are added to ``hidden``."""

    def revealed(value: Any) -> str:
        if not isinstance(value, Secret):
            raise TypeError(f"{type(value).__name__} has no form in JSON")
        hidden.append(value.text())
        return hidden[-1]

    try:
        return msgspec.json.encode(body, enc_hook=revealed)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"the body cannot be written as JSON: {error}") from None


def _not_offered(intent: str) -> ConfigurationError:
    return ConfigurationError(
        f"the tables of this exchange have no {intent}: use request() with a path of the exchange's own"
    )


class TableRequests(RequestStrategy):
    """Endpoints by table. Subclasses add the typed intents; those left out are refused in words.

    ``default_scopes`` meter the paths that are not in the table. ``ids`` is the rule for
    client order ids, where the exchange takes orders.
    """

    ids: ClientOrderIds | None = None

    def __init__(self, endpoints: Iterable[Endpoint], *, default_scopes: tuple[str, ...]) -> None:
        self.endpoints = tuple(endpoints)
        self.default_scopes = default_scopes
        self._exact: dict[tuple[str, str], Endpoint] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Endpoint]] = []
        self._named: dict[str, Endpoint] = {}
        for endpoint in self.endpoints:
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
            scopes=self.default_scopes,
            idempotent=method in ("GET", "HEAD"),
            priority=Priority.BACKGROUND,
        )

    def ping(self) -> Call[None]:
        """See RequestStrategy. The table's row ``ping``."""
        if "ping" not in self._named:
            raise _not_offered("ping")
        return self.intent("ping", any_json)

    def server_time(self) -> Call[int]:
        """See RequestStrategy."""
        raise _not_offered("server_time")

    def depth(self, symbol: str, limit: int) -> Call[OrderBook]:
        """See RequestStrategy."""
        raise _not_offered("depth")

    def place_order(self, order: OrderRequest) -> Call[Order]:
        """See RequestStrategy."""
        raise _not_offered("place_order")

    def cancel_order(self, symbol: str, order_id: str, client_order_id: str) -> Call[Order]:
        """See RequestStrategy."""
        raise _not_offered("cancel_order")

    def query_order(self, symbol: str, order_id: str, client_order_id: str) -> Call[Order]:
        """See RequestStrategy."""
        raise _not_offered("query_order")

    def create_listen_key(self) -> Call[Secret]:
        """See RequestStrategy. Listen keys need the three rows of the table of that name."""
        self._need_listen_keys()
        return self.intent("create_listen_key", lambda body: Secret(_listen_key(body).listenKey))

    def keep_listen_key(self, key: Secret) -> Call[None]:
        """See RequestStrategy."""
        self._need_listen_keys()
        return self.intent("keep_listen_key", any_json, [("listenKey", key)])

    def close_listen_key(self, key: Secret) -> Call[None]:
        """See RequestStrategy."""
        self._need_listen_keys()
        return self.intent("close_listen_key", any_json, [("listenKey", key)])

    def _need_listen_keys(self) -> None:
        if "create_listen_key" not in self._named:
            raise ConfigurationError("this exchange has no listen keys: its private streams log in otherwise")

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
            if not {".", ".."}.isdisjoint(path_values.values()):
                # Escaping does not help: a server resolves them, to the path of all orders here.
                raise ConfigurationError(f"{endpoint.label}: '.' and '..' are no values for a part of a path")
            path = path.format(**{key: escape(value) for key, value in path_values.items()})
        return Call(
            endpoint=endpoint,
            path=path,
            parse=parse,
            params=params,
            body=body,
            weight=_weight(endpoint, params),
            scope_key=scope_key,
            client_order_id=client_order_id,
            idempotent=endpoint.idempotent,
            priority=endpoint.priority,
        )
