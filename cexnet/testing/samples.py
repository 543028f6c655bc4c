"""What an exchange's author gives the suite: bytes from the exchange's documents, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cexnet.credentials import Credentials
from cexnet.types import Subscription
from cexnet_core.errors import RequestError
from cexnet_core.params import Params

Payload = bytes | str
"""A message: ``bytes``, or ``str`` for a text frame where the exchange also sends binary ones."""


class Expect:
    """The event that a message must become: the name of its class, and its fields.

    Decimals may be text, levels are pairs of price and size. A field that is left out must be
    what "not given" looks like: NaN, -1, "", False, no levels.
    """

    __slots__ = ("event", "fields")

    def __init__(self, event: str, **fields: Any) -> None:
        self.event = event
        self.fields = fields

    def __repr__(self) -> str:
        given = "".join(f", {name}={value!r}" for name, value in self.fields.items())
        return f"Expect({self.event!r}{given})"


@dataclass(frozen=True)
class Sample:
    """One message, and the events that it must become.

    ``subscription`` is whose handler must get them; ``None`` for messages that answer nothing,
    such as a pong. One of an account's channel is tried on the private streams.
    """

    subscription: Subscription | None
    payload: Payload
    events: tuple[Expect, ...]

    def __init__(self, subscription: Subscription | None, payload: Payload, *events: Expect) -> None:
        object.__setattr__(self, "subscription", subscription)
        object.__setattr__(self, "payload", payload)
        object.__setattr__(self, "events", events)


@dataclass(frozen=True)
class InSequence:
    """Three messages of one stream with a sequence, as the exchange sent them one after another."""

    subscription: Subscription
    payloads: tuple[Payload, Payload, Payload]


@dataclass(frozen=True)
class SignatureVector:
    """A request whose signed form is known, from the exchange's documents or another client.

    ``target`` is the path with its query as it must be sent, ``headers`` those that must be
    among the ones sent. ``body`` is sent as it stands.
    """

    credentials: Credentials
    at_ms: int
    method: str
    path: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Params = ()
    body: bytes | None = None


@dataclass(frozen=True)
class ErrorSample:
    """An answer that is a refusal, and the class of the error tree that it must become.

    ``order``: the answer to a new order; else to a request that may be repeated.
    ``retry_after_s`` is what the error must say of it.
    """

    status: int
    body: bytes
    error: type[RequestError]
    order: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after_s: float | None = None


@dataclass(frozen=True)
class AnswerSample:
    """The body of a successful answer, and what it must be read as.

    ``intent`` is the method of the RequestStrategy (``depth``, ``place_order`` ...),
    ``arguments`` are what it is called with.
    """

    intent: str
    arguments: tuple[Any, ...]
    body: bytes
    result: Any
