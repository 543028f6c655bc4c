"""What a fault is: its name, when it strikes, how often, and how it looks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

from cexnet_core.errors import ConfigurationError

Seam = Literal["listener", "upgrade", "frame", "connection", "request", "ban", "rest"]


class Kind(NamedTuple):
    """Where a kind of fault takes hold, what it does, and which options it has of its own.

    ``target`` is the kind of message that a ``frame`` fault waits for; "" is any data.
    ``delay_s``, ``status`` and ``executed`` are the usual ones.
    """

    seam: Seam
    summary: str
    options: tuple[str, ...] = ()
    target: str = ""
    delay_s: float = 0.0
    status: int = 0
    executed: bool = True


FAULTS: dict[str, Kind] = {
    "refuse": Kind("listener", "refuse TCP connections for lasting_s", ("lasting_s",)),
    "no-answer": Kind("upgrade", "accept and never answer the upgrade"),
    "hang-up": Kind("upgrade", "close TCP after size bytes of the 101", ("size",)),
    "status": Kind(
        "upgrade", "answer the upgrade with an error status", ("status", "retry_after_s"), status=429
    ),
    "early-data": Kind("upgrade", "send a data frame in the same TCP segment as the 101"),
    "reset": Kind("frame", "reset TCP in the middle of a data frame"),
    "gap": Kind("frame", "leave out a depth message", ("topic",), "depth"),
    "duplicate": Kind("frame", "send a depth message twice", ("topic",), "depth"),
    "reorder": Kind("frame", "send a depth message after its successor", ("topic",), "depth"),
    "oversize": Kind("frame", "send a text message of size bytes first", ("size",)),
    "bad-utf8": Kind("frame", "send a text message that is not UTF-8 first"),
    "drip": Kind("frame", "send a message byte by byte", ("topic", "delay_s"), delay_s=0.001),
    "half-open": Kind("connection", "neither read nor write any more, but keep TCP open", ("lasting_s",)),
    "freeze": Kind("connection", "hold back data but answer pings and requests", ("topic", "lasting_s")),
    "close": Kind("connection", "close with code and reason", ("code", "reason")),
    "lifetime": Kind(
        "connection",
        "disconnect as planned, delay_s after the exchange's notice if announced",
        ("code", "reason", "announced", "delay_s"),
        delay_s=1.0,
    ),
    "auth-expiry": Kind("connection", "end the authorization of private streams"),
    "ack-late": Kind("request", "acknowledge a subscription late", ("topic", "delay_s"), delay_s=1.0),
    "ack-twice": Kind("request", "acknowledge a subscription twice", ("topic",)),
    "ack-only": Kind("request", "acknowledge a subscription and send no data for it", ("topic",)),
    "refuse-topic": Kind("request", "refuse one topic of a subscription", ("topic",)),
    "ban": Kind(
        "ban",
        "ban for lasting_s after more than limit subscriptions in window_s",
        ("limit", "window_s", "lasting_s"),
    ),
    "rest-throttle": Kind("rest", "answer 429 without executing", ("request", "retry_after_s")),
    "rest-ban": Kind("rest", "answer 418 to everything for lasting_s", ("request", "lasting_s")),
    "rest-forbidden": Kind("rest", "answer 403, as the firewall in front does", ("request",)),
    "rest-error": Kind(
        "rest",
        "answer an HTTP 5xx, before or after executing",
        ("request", "status", "executed"),
        status=500,
        executed=False,
    ),
    "rest-maintenance": Kind(
        "rest",
        "answer a maintenance page in HTML, before or after executing",
        ("request", "status", "executed"),
        status=503,
        executed=False,
    ),
    "rest-duplicate": Kind("rest", "accept an order and answer that its client id is taken", ("request",)),
    "rest-slow": Kind("rest", "execute and answer delay_s later", ("request", "delay_s"), delay_s=1.0),
    "rest-lost": Kind("rest", "close TCP without an answer", ("request", "executed")),
    "rest-reset": Kind("rest", "reset TCP without an answer", ("request", "executed")),
    "rest-reset-body": Kind("rest", "reset TCP after the answer's head", ("request",)),
    "rest-reset-half": Kind("rest", "reset TCP after half of the answer's body", ("request",)),
    "rest-stale": Kind("rest", "close a reused connection as its next request comes in", ("request",)),
    "rest-hang-up": Kind(
        "rest", "close TCP unannounced, delay_s after the answer", ("request", "delay_s"), delay_s=0.0
    ),
    "rest-truncated": Kind("rest", "cut the answer's JSON in half", ("request",)),
    "rest-mislabelled": Kind("rest", "call the answer text/html", ("request",)),
    "rest-empty": Kind("rest", "answer with an empty body", ("request",)),
    "skew": Kind("rest", "set the server's clock skew_s ahead", ("request", "skew_s", "lasting_s")),
}
_COMMON = ("name", "after_messages", "after_s", "connection", "probability", "times")
_CLOSE_CODES = (1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)


@dataclass(frozen=True, slots=True)
class Fault:
    """One scripted fault. ``name`` is one of ``FAULTS``, which says what each one does.

    When, all of these together:

    ``after_messages``  let so many messages pass first, counted on each connection anew and
                        again after each strike: the fault's own messages (depth, those of
                        ``topic``) or else any data; for request faults subscriptions;
                        for upgrade faults upgrade requests; for REST faults all REST requests
                        whose "METHOD /path" contains ``request``, on any connection.
    ``after_s``         not before so many seconds of the connection's life, or since the last
                        strike (for upgrades, the listener and REST: since the simulator
                        started or the fault was injected).
                        Faults of a whole connection strike then even if nothing is sent.
    ``connection``      only on the N-th connection, counted from 1 in upgrade requests
                        (REST: in TCP connections that asked anything); 0 is every one.
                        ``refuse`` strikes instead of the N-th connection.
    ``probability``     of striking at each occasion, drawn from the script's seed.
    ``times``           how often in total; ``None`` is without end.

    How, where ``FAULTS`` lists the option: ``topic`` strikes only messages or subscriptions
    whose topic contains the text; ``code`` 1005 sends a close frame without a code and 1006
    closes TCP without a close frame; ``lasting_s`` ``None`` lasts until lifted; ``delay_s``, ``status``
    and ``executed`` ``None`` are what ``FAULTS`` calls usual; ``size`` 0 is just over 16 MiB;
    ``executed`` says whether the request takes effect all the same.
    A topic that is frozen thaws when the client subscribes to it again.

    Raises :class:`ConfigurationError` for an unknown name, an option that the fault does
    not have, or a value out of range.
    """

    name: str
    after_messages: int = 0
    after_s: float = 0.0
    connection: int = 0
    probability: float = 1.0
    times: int | None = 1
    topic: str = ""
    code: int = 1001
    reason: str = ""
    status: int | None = None
    retry_after_s: int | None = None
    announced: bool = False
    delay_s: float | None = None
    lasting_s: float | None = None
    window_s: float = 1.0
    limit: int = 5
    size: int = 0
    request: str = ""
    executed: bool | None = None
    skew_s: float = 5.0

    def __post_init__(self) -> None:
        kind = FAULTS.get(self.name)
        if kind is None:
            raise ConfigurationError(f"unknown fault {self.name!r}; choose one of {', '.join(FAULTS)}")
        for field in fields(self):
            given = getattr(self, field.name) != field.default
            if given and field.name not in _COMMON and field.name not in kind.options:
                own = ", ".join(kind.options) or "none"
                raise ConfigurationError(
                    f"fault {self.name} has no option {field.name}; its own options: {own}"
                )
        least = min(self.after_messages, self.after_s, self.connection, self.size)
        if least < 0 or min(self.pause_s, self.lasting_s or 0.0) < 0 or self.limit < 1 or self.window_s <= 0:
            raise ConfigurationError(f"fault {self.name}: counts, sizes and times cannot be negative")
        if not 0.0 < self.probability <= 1.0 or (self.times is not None and self.times < 1):
            raise ConfigurationError(f"fault {self.name}: needs 0 < probability <= 1 and times >= 1")
        if self.status is not None and not 400 <= self.status <= 599:
            raise ConfigurationError(f"fault {self.name}: status {self.status} is no HTTP error")
        if self.code not in _CLOSE_CODES and not 3000 <= self.code <= 4999:
            raise ConfigurationError(f"fault {self.name}: {self.code} is no WebSocket close code")

    @property
    def kind(self) -> Kind:
        """Its entry in ``FAULTS``."""
        return FAULTS[self.name]

    @property
    def pause_s(self) -> float:
        """``delay_s``, or what is usual for this fault."""
        return self.delay_s if self.delay_s is not None else self.kind.delay_s

    @property
    def error_status(self) -> int:
        """``status``, or what is usual for this fault."""
        return self.status if self.status is not None else self.kind.status

    @property
    def takes_effect(self) -> bool:
        """``executed``, or what is usual for this fault."""
        return self.executed if self.executed is not None else self.kind.executed
