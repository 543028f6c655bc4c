"""The one exception tree of cexnet, re-exported by ``cexnet``.

::

    CexnetError
    ├── ConfigurationError          a value given to us is wrong; nothing was started
    │   ├── SchemaError             a wire schema cannot be compiled; names the path
    │   └── StrategyError           a strategy set is incomplete; names what is missing
    ├── TransportError              the network or the peer failed
    │   ├── ConnectError            no connection: DNS, refused, TLS, proxy
    │   │   └── HandshakeError      the peer answered the upgrade with something else
    │   ├── ProtocolError           the peer broke RFC 6455
    │   └── ConnectionClosed        the connection ended; code, reason
    ├── DeadlineExceeded            our own time limit passed
    ├── RecordingError              frames could not be written; what is on disk replays
    ├── SubscriptionError           the exchange refused a topic, in its own words
    └── RequestError                a REST request did not succeed
        ├── ExchangeError           refused by the exchange, code not in our table
        │   ├── AuthenticationError     key, signature, IP or permission
        │   ├── ClockSkewError          timestamp outside the exchange's window
        │   ├── RateLimited             throttled; honour ``retry_after_s``
        │   │   └── Banned              all traffic must stop until the ban ends
        │   ├── InvalidRequest          malformed, or refused by a trading rule
        │   ├── InsufficientFunds       balance or margin too low
        │   ├── OrderNotFound           the exchange does not know the order
        │   ├── OrderFinished           the order had already ended
        │   ├── DuplicateOrder          the client order id was used before
        │   └── ExchangeUnavailable     surely not executed; safe to try again
        ├── RequestNotSent          no byte reached the exchange
        │   ├── CircuitOpen             the endpoint group's circuit breaker is open
        │   └── OrderCancelled          cancelled by us while it still waited to be sent
        └── OutcomeUnknown          it may have been executed: query before acting
"""

from __future__ import annotations

from typing import Literal

Outcome = Literal["not_sent", "rejected", "unknown", "done"]

__all__ = [
    "AuthenticationError",
    "Banned",
    "CexnetError",
    "CircuitOpen",
    "ClockSkewError",
    "ConfigurationError",
    "ConnectError",
    "ConnectionClosed",
    "DeadlineExceeded",
    "DuplicateOrder",
    "ExchangeError",
    "ExchangeUnavailable",
    "HandshakeError",
    "InsufficientFunds",
    "InvalidRequest",
    "OrderCancelled",
    "OrderFinished",
    "OrderNotFound",
    "OutcomeUnknown",
    "ProtocolError",
    "RateLimited",
    "RecordingError",
    "RequestError",
    "RequestNotSent",
    "SchemaError",
    "StrategyError",
    "SubscriptionError",
    "TransportError",
]


class CexnetError(Exception):
    """Base of every exception that cexnet raises on purpose."""


class ConfigurationError(CexnetError):
    """A value given to cexnet is wrong. The text names it and what is allowed."""


class SchemaError(ConfigurationError):
    """A wire schema cannot be compiled. The text names the message and the path."""


class StrategyError(ConfigurationError):
    """A strategy set is incomplete or of the wrong type. The text names the slot."""


class TransportError(CexnetError):
    """The network or the peer failed."""


class ConnectError(TransportError):
    """No connection could be made: DNS, refusal, TLS or a proxy."""


class HandshakeError(ConnectError):
    """The peer answered the WebSocket upgrade with something other than 101.

    ``status`` is the HTTP status (0 when the peer closed without an answer),
    ``headers`` its headers with lower-case names, ``retry_after_s`` the parsed
    Retry-After header or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        headers: dict[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.retry_after_s = retry_after_s


class ProtocolError(TransportError):
    """The peer broke RFC 6455. ``code`` is the close code that we answered with."""

    def __init__(self, message: str, *, code: int = 1002) -> None:
        super().__init__(message)
        self.code = code


class ConnectionClosed(TransportError):
    """The connection has ended. ``code`` and ``reason`` are the peer's close frame.

    ``code`` is 1005 when the peer's close frame carried none and 1006 when no
    close frame arrived (RFC 6455 section 7.1.5).
    """

    def __init__(self, message: str, *, code: int = 1006, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class DeadlineExceeded(CexnetError):
    """Our own time limit passed. The text says for what, and after how long.

    Of a REST request, ``outcome`` says whether it may have reached the exchange (only one
    that is harmless to repeat ends so with ``unknown``), ``endpoint`` and
    ``client_order_id`` what it was. ``outcome`` is ``None`` of anything else.
    """

    def __init__(
        self,
        message: str,
        *,
        outcome: Outcome | None = None,
        endpoint: str = "",
        client_order_id: str = "",
    ) -> None:
        super().__init__(message)
        self.outcome: Outcome | None = outcome
        self.endpoint = endpoint
        self.client_order_id = client_order_id


class RecordingError(CexnetError):
    """Frames could not be recorded. The text names the file and says what was written."""


class SubscriptionError(CexnetError):
    """The exchange refused topics. ``topics`` names them, the text quotes the exchange."""

    def __init__(self, message: str, *, topics: tuple[str, ...] = (), code: str = "") -> None:
        super().__init__(message)
        self.topics = topics
        self.code = code


class RequestError(CexnetError):
    """A REST request did not succeed.

    ``outcome`` says what the exchange did with it: ``not_sent`` (no byte left us),
    ``rejected`` (it said no), ``unknown`` (it may have been executed) or ``done``.
    ``retryable`` is whether the same request may be sent again as it stands.
    ``client_order_id`` and ``symbol`` name the order that it was about, where it was.
    """

    def __init__(
        self,
        message: str,
        *,
        outcome: Outcome = "rejected",
        retryable: bool = False,
        retry_after_s: float | None = None,
        status: int = 0,
        exchange_code: str = "",
        exchange_message: str = "",
        endpoint: str = "",
        client_order_id: str = "",
        symbol: str = "",
    ) -> None:
        super().__init__(message)
        self.outcome: Outcome = outcome
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.status = status
        self.exchange_code = exchange_code
        self.exchange_message = exchange_message
        self.endpoint = endpoint
        self.client_order_id = client_order_id
        self.symbol = symbol


class ExchangeError(RequestError):
    """The exchange refused the request; every detail it gave is in the attributes."""


class AuthenticationError(ExchangeError):
    """Key, signature, IP address or permission was refused."""


class ClockSkewError(ExchangeError):
    """Our timestamp lies outside the exchange's window."""


class RateLimited(ExchangeError):
    """The exchange throttles us; ``retry_after_s`` says for how long, when it told."""


class Banned(RateLimited):
    """The exchange banned this address or key. All traffic must stop until it ends."""


class InvalidRequest(ExchangeError):
    """Malformed, or refused by a trading rule (price step, minimum size, ...)."""


class InsufficientFunds(ExchangeError):
    """Balance or margin is too low."""


class OrderNotFound(ExchangeError):
    """The exchange does not know the order."""


class OrderFinished(ExchangeError):
    """The order was already filled or canceled."""


class DuplicateOrder(ExchangeError):
    """The client order id was used before: the earlier attempt probably landed."""


class ExchangeUnavailable(ExchangeError):
    """The exchange surely did not execute the request; it may be tried again."""


class RequestNotSent(RequestError):
    """No byte of the request was written: the exchange cannot have seen it."""


class CircuitOpen(RequestNotSent):
    """The circuit breaker of the endpoint's group is open; ``retry_after_s`` says how long."""


class OrderCancelled(RequestNotSent):
    """``cancel_order`` took the order back while it still waited; it was never sent."""


class OutcomeUnknown(RequestError):
    """The request may have been executed. Query by ``client_order_id`` before acting."""
