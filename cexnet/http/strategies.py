"""The five slots of the REST line, and the set that fills them.

``RestManager`` calls them in this order for every try of a request:
limit (RateLimitStrategy), sign (AuthStrategy), send, classify
(ExceptionHandlerStrategy), retry? (RetryStrategy). What a request *is* at this
exchange comes from RequestStrategy. All slots run on the manager's event loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import FunctionType
from typing import Any

from cexnet.http.answers import Answer, OrderBook
from cexnet.http.endpoint import Call, Endpoint, Params, Priority, WireRequest
from cexnet.http.faults import TransportFault
from cexnet.http.meters import HostMeters, LimitsView
from cexnet.types import Order, OrderRequest
from cexnet_core.errors import CexnetError, RequestError, StrategyError
from cexnet_core.secret import Secret


class RequestStrategy:
    """Turns a typed intent into a ``Call`` of this exchange, and its answer into a type.

    Every method is pure: no I/O, no clock. Raises ConfigurationError for an intent
    that the exchange cannot express.
    """

    def endpoint(self, method: str, path: str) -> Endpoint:
        """The table's row for ``path``, or a plain unsigned one when it has none."""
        raise NotImplementedError

    def ping(self) -> Call[None]:
        """The cheapest request that proves the way there and back."""
        raise NotImplementedError

    def server_time(self) -> Call[int]:
        """The exchange's clock, in epoch nanoseconds."""
        raise NotImplementedError

    def depth(self, symbol: str, limit: int) -> Call[OrderBook]:
        """An order book snapshot of at least ``limit`` levels a side, where offered."""
        raise NotImplementedError

    def place_order(self, order: OrderRequest) -> Call[Order]:
        """Place ``order``; a client order id is minted when it carries none."""
        raise NotImplementedError

    def cancel_order(self, symbol: str, order_id: str, client_order_id: str) -> Call[Order]:
        """Cancel by the exchange's id, or by ours when ``order_id`` is empty."""
        raise NotImplementedError

    def query_order(self, symbol: str, order_id: str, client_order_id: str) -> Call[Order]:
        """Look an order up by the exchange's id, or by ours when ``order_id`` is empty."""
        raise NotImplementedError

    def create_listen_key(self) -> Call[Secret]:
        """A new key for the URL of a private stream."""
        raise NotImplementedError

    def keep_listen_key(self, key: Secret) -> Call[None]:
        """Keep a listen key alive for another full term."""
        raise NotImplementedError

    def close_listen_key(self, key: Secret) -> Call[None]:
        """End a listen key."""
        raise NotImplementedError


class AuthStrategy:
    """Signs. Called once a try, after the limiter's wait, so timestamps are fresh.

    ``validity_s`` is how long after its timestamp the exchange still accepts a request
    that was signed here: an order that it has not seen by then will never arrive.
    """

    validity_s: float = 60.0

    def sign(self, call: Call[Any], now_ns: int) -> WireRequest:
        """The bytes to send for ``call`` at exchange time ``now_ns`` (epoch ns).

        Raises AuthenticationError (outcome ``not_sent``) when the endpoint needs a
        signature and there are no credentials.
        """
        raise NotImplementedError


class Reservation:
    """Room that a RateLimitStrategy has taken from its buckets for one try."""

    __slots__ = ()


class RateLimitStrategy:
    """Keeps us inside the exchange's limits, as it counts them."""

    async def acquire(self, call: Call[Any], deadline: float) -> Reservation:
        """Wait for room in every scope of ``call``, then take it from all at once.

        ``deadline`` is in the event loop's time. Raises DeadlineExceeded when room
        comes too late; nothing is held then, nor after a cancellation.
        """
        raise NotImplementedError

    def give_back(self, reservation: Reservation) -> None:
        """Return room that was taken for a request of which no byte was written."""
        raise NotImplementedError

    def settle(self, reservation: Reservation) -> None:
        """The request has been answered, or given up after its first byte: count it.

        Every reservation is ended once, here or by ``give_back``; only then is its room
        counted, so that it does not matter when the exchange did.
        """
        raise NotImplementedError

    def share(self, meters: HostMeters) -> None:
        """Count with all other managers of the same host. Called before the first request."""
        raise NotImplementedError

    def view(self) -> LimitsView:
        """What is left in every bucket in use, who waits, and the ban, at this moment."""
        raise NotImplementedError

    def observe(self, call: Call[Any], headers: Mapping[str, str]) -> None:
        """Correct our counts by what the exchange's headers say it has counted."""
        raise NotImplementedError

    def block(self, call: Call[Any], error: RequestError) -> None:
        """Hold traffic back after a RateLimited or Banned answer, for as long as told."""
        raise NotImplementedError

    def close(self) -> None:
        """Fail every waiter with RequestNotSent. Idempotent."""
        raise NotImplementedError

    @property
    def banned_for_s(self) -> float:
        """Seconds until a ban ends, 0 when there is none that this strategy knows of."""
        return 0.0


class ExceptionHandlerStrategy:
    """Maps what went wrong to one error class with its outcome."""

    def refusal(self, call: Call[Any], answer: Answer) -> RequestError | None:
        """The error that an HTTP answer stands for, or ``None`` for a success."""
        raise NotImplementedError

    def unreadable(self, call: Call[Any], answer: Answer, reason: str) -> RequestError:
        """The error for a successful status whose body is not what was documented."""
        raise NotImplementedError

    def fault(self, call: Call[Any], fault: TransportFault) -> CexnetError:
        """The error for a request that brought no usable answer."""
        raise NotImplementedError


class RetryStrategy:
    """Decides whether and when the same request is sent again."""

    def pause_s(self, call: Call[Any], error: CexnetError, tries: int, remaining_s: float) -> float | None:
        """Seconds to wait before the next try, or ``None`` to give the error up.

        ``tries`` counts those already made, ``remaining_s`` is the time to the
        deadline. Asked only about what is safe to repeat, and obeyed only while the
        host's retry budget lasts.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class RestStrategySet:
    """What a RestManager needs to know about one exchange. Validated once."""

    request: RequestStrategy
    auth: AuthStrategy
    limits: RateLimitStrategy
    retry: RetryStrategy
    exceptions: ExceptionHandlerStrategy

    def validate(self) -> None:
        """Raise StrategyError naming every slot that is missing or of the wrong type."""
        bases: dict[str, type] = {
            "request": RequestStrategy,
            "auth": AuthStrategy,
            "limits": RateLimitStrategy,
            "retry": RetryStrategy,
            "exceptions": ExceptionHandlerStrategy,
        }
        wrong = [
            f"{slot.name} must be a {bases[slot.name].__name__}, not {type(value).__name__}"
            for slot in fields(self)
            if not isinstance(value := getattr(self, slot.name), bases[slot.name])
        ]
        for slot, base in bases.items():
            value = getattr(self, slot)
            if isinstance(value, base):
                wrong += [
                    f"{slot} ({type(value).__name__}) does not implement {name}()"
                    for name, inherited in vars(base).items()
                    if isinstance(inherited, FunctionType)  # the rest has a default
                    and not name.startswith("_")
                    and getattr(type(value), name) is inherited
                ]
        if wrong:
            raise StrategyError("the REST strategy set cannot be used: " + "; ".join(wrong))


__all__ = [
    "AuthStrategy",
    "Call",
    "Endpoint",
    "ExceptionHandlerStrategy",
    "Params",
    "Priority",
    "RateLimitStrategy",
    "RequestStrategy",
    "Reservation",
    "RestStrategySet",
    "RetryStrategy",
    "WireRequest",
]
