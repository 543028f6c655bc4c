"""The wire schema: how an exchange declares which bytes fill which event field.

An exchange module writes tables of :class:`Message` and :class:`Field`; nothing
here runs per message. ``cexnet_core.decode.Decoder`` compiles them once.

Paths are dotted keys from the top of the message: ``data.k.o``. In JSON a number
selects an array element (``data.0.px``) and ``*`` walks every element of an array,
one event an element (``data.*.px``). In protobuf every part is a field number
(``313.1``) and ``*`` after a repeated field walks it (``314.1.*.1``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

TimeUnit = Literal["s", "ms", "us", "ns"]
SequenceRule = Literal["none", "increasing", "range", "previous"]


@dataclass(frozen=True, slots=True)
class Field:
    """One event field and the path that fills it.

    ``into`` names the event's field (``bid_price``); its type decides how the
    bytes are read. Numbers may be JSON numbers or decimal text.

    ``unit``      for ``*_ts_ns`` fields: the unit on the wire (fractions allowed).
    ``values``    for enumerated fields (``side``, ``status``, ``is_closed``): the wire's
                  text, number or boolean (``"true"``/``"false"``) -> our value. The
                  key ``"*"`` stands for every other value; without it a value that
                  is not listed is a ``DecodeError``.
                  An order's status ``open`` reads ``partially_filled`` once something was
                  filled, and ``new`` before, for exchanges that do not tell the two apart.
    ``normalize`` for interned text (``symbol``, ``interval``): wire text -> our text,
                  called once for each new wire text, not once a message.
    ``level``     for ``bids``/``asks``: where price and size stand in one level;
                  array positions, object keys or protobuf field numbers.
    ``optional``  the path may be absent, null or (for numbers) empty text: the field
                  keeps its "not given" value (NaN for decimals, -1 for integers and
                  times, "" for text, False for flags).
    """

    into: str
    path: str
    unit: TimeUnit | None = None
    values: Mapping[str, str | int | bool] | None = None
    normalize: Callable[[str], str] | None = None
    level: tuple[str, str] = ("0", "1")
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message: how to tell it, and what it fills.

    ``event``    name of the event class (``BookTicker``, ``SubscriptionAck``, ...).
    ``when``     path -> text (or tuple of texts) that the value must equal.
    ``has``      paths that must be present (and not null).
    ``literal``  the whole payload, for exchanges that talk bare text (``pong``).
    ``constants`` event fields that are the same in every such message (``{"ok": False}``).
    ``sequence`` how ``sequence`` continues from one message of a stream to the next:

    * ``none``        not checked;
    * ``increasing``  must grow; an equal one is a duplicate, a smaller one a reorder;
    * ``range``       ``first_sequence .. sequence`` must start at or before last + 1
                      and end after it (Binance spot, Gate.io, MEXC);
    * ``previous``    ``prev_sequence`` must equal the last ``sequence`` (USD-M, OKX).

    Messages are tried in the order they are declared; the first whose ``when`` and
    ``has`` hold wins. A required field that it then lacks is a ``DecodeError``.
    """

    event: str
    fields: tuple[Field, ...] = ()
    when: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    has: tuple[str, ...] = ()
    literal: str | None = None
    constants: Mapping[str, str | int | bool] = field(default_factory=dict)
    sequence: SequenceRule = "none"


@dataclass(frozen=True, slots=True)
class WireSchema:
    """All the messages of one connection kind.

    ``json`` describes text frames and JSON in binary frames, ``protobuf`` binary
    frames. A valid message that fits none becomes a ``RawMessage``, counted under
    the text found at the first of ``channel_paths`` that is present.

    ``also`` is for messages that say two things at once, as an execution report does of
    an order and of what filled it: what fits one of ``json`` is tried here too, and gives
    the events of both, in that order. For schemas without protobuf.
    """

    name: str
    json: tuple[Message, ...] = ()
    protobuf: tuple[Message, ...] = ()
    channel_paths: tuple[str, ...] = ()
    also: tuple[Message, ...] = ()
