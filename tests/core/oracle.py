"""What a decoder must say, worked out slowly and plainly from the same wire schema.

JSON goes through ``json`` with every number kept as text, protobuf through a reader
of a few lines; values are looked up path by path and converted with ``decimal``.
Nothing here is shared with the kernel but the schema and the table of events.

What is decided on purpose, and is not what a naive reader would do:

* a key that a message captures or that tells messages apart must not come twice;
  elsewhere the last one of several counts, as in ``json``;
* decimal text follows the grammar of JSON numbers (no ``+1``, ``.5``, ``1.``, ``01``);
* an infinite double and an integer beyond int64 are errors, never clamped;
* a time is cut at the nanosecond and must not be below zero, however little;
* more than 64 nested containers and lone surrogates are errors, wherever they stand;
* numbers count as text for ids, symbols and discriminators, exactly as written;
* protobuf values of the same field: each must be valid, the last one counts.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from math import isinf, nan
from typing import Any

from cexnet_core.decode import EventBatch
from cexnet_core.events import DecodeError, Event, RawMessage
from cexnet_core.layout import COMMON, EVENTS
from cexnet_core.schema import Field, Message, WireSchema
from tests.core.oracle_wire import Obj, Proto, Refused, parse_json, parse_protobuf

NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", re.ASCII)
UNIT_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
INT64 = range(-(2**63), 2**63)
NOT_GIVEN: dict[str, Any] = {
    "decimal": nan,
    "integer": -1,
    "time": -1,
    "symbol": "",
    "name": "",
    "side": "",
    "flag": False,
    "text": "",
    "levels": (),
}


class Number(str):
    """A JSON number as it was written."""

    __slots__ = ()


@dataclass(slots=True)
class Expected:
    """The outcome of one message: ``error``, ``raw`` or ``events`` with their fields."""

    outcome: str
    channel: str = ""
    message_id: int = -1
    events: list[dict[str, Any]] = field(default_factory=list)


def bits(value: float) -> bytes:
    """A double to the bit: tells 0.0 from -0.0 and finds NaN equal to itself."""
    return struct.pack("<d", value)


def expect(schema: WireSchema, payload: bytes, is_text: bool = False) -> Expected:
    """The expected outcome of ``payload``; ``is_text`` as in ``Decoder.decode``."""
    try:
        if schema.protobuf and not is_text and payload[:1] not in (b"{", b"["):
            document: Any = parse_protobuf(schema, payload)
            numbered = [path for path in schema.channel_paths if path.replace(".", "").isdigit()]
            return _decide(schema.protobuf, len(schema.json), document, numbered)
        for index, message in enumerate(schema.json):
            if message.literal is not None and message.literal.encode() == payload:
                return Expected("events", message_id=index, events=[_blank(message)])
        return _decide(schema.json, 0, parse_json(payload, Number), schema.channel_paths)
    except Refused:
        return Expected("error")


def _decide(messages: tuple[Message, ...], first: int, document: Any, channels: Iterable[str]) -> Expected:
    for message in messages:
        for path in (*message.when, *message.has):
            list(_values(document, path.split("."), strict=True))
    for index, message in enumerate(messages, first):
        if _fits(message, document):
            events = _extract(message, document)
            return Expected("events", message_id=index if events else -1, events=events)
    for path in channels:
        found = _last(document, path)
        if _is_scalar(found):
            return Expected("raw", channel=_raw(found).decode(errors="replace"))
    return Expected("raw")


def _fits(message: Message, document: Any) -> bool:
    if message.literal is not None:
        return False
    for path, texts in message.when.items():
        found = _last(document, path)
        if not _is_scalar(found) or _text(found) not in ((texts,) if isinstance(texts, str) else texts):
            return False
    return all(_last(document, path) is not None for path in message.has)


def _last(document: Any, path: str) -> Any:
    # Absent and null are the same to whoever asks here.
    return next(reversed(list(_values(document, path.split("."), strict=False))), None)


def _values(value: Any, parts: list[str], *, strict: bool) -> Iterator[Any]:
    """Every value at a path. ``strict``: no key of the path may come twice in an object."""
    if not parts:
        yield value
        return
    part, rest = parts[0], parts[1:]
    inner: list[Any] = []
    if isinstance(value, Proto):
        inner = [each for number, each in value.fields if part in ("*", str(number))]
        if rest and rest[0] == "*":
            rest = rest[1:]  # a repeated field is its own array
    elif isinstance(value, Obj) and part != "*":
        inner = [each for key, each in value.pairs if key == part]
        if strict and len(inner) > 1:
            raise Refused(f"{part} occurs {len(inner)} times")
    elif isinstance(value, list):
        if part == "*":
            inner = value
        elif part.isdigit() and part == str(int(part)) and int(part) < len(value):
            inner = [value[int(part)]]
    for each in inner:
        yield from _values(each, rest, strict=strict)


def _extract(message: Message, document: Any) -> list[dict[str, Any]]:
    shared = _blank(message)
    inner = [item for item in message.fields if "*" in item.path.split(".")]
    outer = [item for item in message.fields if item not in inner]
    _fill(message, outer, document, shared, "")
    if not inner:
        return [shared]
    parts = inner[0].path.split(".")
    array, prefix = parts[: parts.index("*")], ".".join(parts[: parts.index("*") + 1]) + "."
    found = list(_values(document, array, strict=True))
    if isinstance(document, Proto):
        elements = found
    elif len(found) != 1 or not isinstance(found[0], list):
        raise Refused("nothing to walk")
    else:
        elements = found[0]
    events = []
    for element in elements:
        event = dict(shared)
        _fill(message, inner, element, event, prefix)
        events.append(event)
    return events


def _blank(message: Message) -> dict[str, Any]:
    types = {**COMMON, **EVENTS[message.event]}
    event = {name: NOT_GIVEN[type_] for name, type_ in types.items()} | dict(message.constants)
    for name, type_ in types.items():
        if type_ == "decimal":
            event[name], event[f"{name} exact"] = bits(nan), (0, -1)
        elif type_ == "levels":
            event[name], event[f"{name} exact"] = b"", ()
    return {"event": message.event, **event}


def _fill(message: Message, items: list[Field], root: Any, event: dict[str, Any], prefix: str) -> None:
    types = {**COMMON, **EVENTS[message.event]}
    for item in items:
        found = list(_values(root, item.path.removeprefix(prefix).split("."), strict=True))
        is_levels = types[item.into] == "levels"
        if is_levels and isinstance(root, Proto):
            found = [found]  # no level is an empty array, and it cannot be absent
        given = False
        for value in found:
            if value is None and item.optional:
                continue
            if is_levels:
                _levels(item, value, event)
                given = True
            else:
                given |= _convert(item, types[item.into], value, event)
        if not given and not item.optional:
            raise Refused(f"{item.into} is absent")


def _levels(item: Field, value: Any, event: dict[str, Any]) -> None:
    if not isinstance(value, list):
        raise Refused("levels are no array")
    numbers: list[float] = []
    exacts: list[tuple[int, int]] = []
    for level in value:
        for part in item.level:
            texts = list(_values(level, [part], strict=True))
            if not texts:
                raise Refused("half a level")
            for text in texts:
                number, exact = _decimal(text)
            numbers.append(number)
            exacts.append(exact)
    event[item.into] = b"".join(map(bits, numbers))
    event[f"{item.into} exact"] = tuple(exacts)


def _convert(item: Field, type_: str, value: Any, event: dict[str, Any]) -> bool:
    """Convert one value; False when it counts as not given."""
    if type_ in ("decimal", "integer", "time"):
        if not _is_scalar(value) or isinstance(value, bool):
            raise Refused("not a number")
        if item.optional and _raw(value) == b"":
            return False
        if type_ == "decimal":
            number, event[f"{item.into} exact"] = _decimal(value)
            event[item.into] = bits(number)
        else:
            event[item.into] = _integer(_text(value), UNIT_NS[item.unit] if item.unit else 0)
        return True
    if not _is_scalar(value):
        raise Refused("not text")
    text = _text(value)
    values = item.values
    if values is None and type_ == "side":
        values = {"buy": "buy", "sell": "sell"}
    if values is None and type_ == "flag":
        values = {"true": True, "false": False}
    if values is None:
        if isinstance(value, bool):
            raise Refused("a boolean is no text")
        event[item.into] = item.normalize(text) if item.normalize else text
    elif text != "*" and text in values:
        event[item.into] = values[text]
    elif "*" in values:
        event[item.into] = values["*"]
    else:
        raise Refused(f"{text!r} is not listed")
    return True


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | bytes) or (isinstance(value, Proto) and value.raw is not None)


def _raw(value: Any) -> bytes:
    raw = value.raw if isinstance(value, Proto) else value
    return raw if isinstance(raw, bytes) else _text(value).encode()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    try:
        return _raw(value).decode()
    except UnicodeDecodeError as error:
        raise Refused("text is not UTF-8") from error


def _split(text: str) -> tuple[int, str, str, int]:
    """Sign, digits before the point, digits after it, exponent."""
    if NUMBER.fullmatch(text) is None:
        raise Refused(f"{text!r} is no number")
    mantissa, _, exponent = text.lower().partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    return (-1 if text[0] == "-" else 1), whole, fraction, int(exponent or 0)


def _decimal(value: Any) -> tuple[float, tuple[int, int]]:
    if not _is_scalar(value) or isinstance(value, bool):
        raise Refused("not a number")
    text = _text(value)
    sign, whole, fraction, exponent = _split(text)
    number = float(text)
    if isinf(number):
        raise Refused("infinite")
    # Digits as written; where they do not fit, without the fraction's last zeros.
    for kept in (fraction, fraction.rstrip("0")):
        places = len(kept) - exponent
        digits = (whole + kept).lstrip("0")
        if places > 127 or (digits and len(digits) - min(places, 0) > 19):
            continue
        mantissa = int(digits) * 10 ** max(-places, 0) if digits else 0
        if mantissa < 2**63:
            return number, (sign * mantissa, max(places, 0))
    return number, (0, -1)


def _integer(text: str, unit_ns: int) -> int:
    sign, whole, fraction, exponent = _split(text)
    digits = (whole + fraction).lstrip("0")
    magnitude = len(digits) + exponent - len(fraction)
    if digits and unit_ns and sign < 0:
        raise Refused("a time below zero")
    if digits and magnitude > 60:
        raise Refused("far too large")
    if not digits or magnitude < -60:
        if digits and not unit_ns:
            raise Refused("a fraction is no integer")
        return 0
    with localcontext() as context:
        context.prec = len(digits) + 100
        value = sign * Decimal(digits).scaleb(exponent - len(fraction)) * (unit_ns or 1)
        result = int(value)
        if (not unit_ns and result != value) or result not in INT64:
            raise Refused("out of range")
    return result


def observe(decoded: Event | EventBatch, exact: bool = False) -> Expected:
    """What a decoder said, in the oracle's words."""
    if isinstance(decoded, DecodeError):
        return Expected("error")
    if isinstance(decoded, RawMessage):
        return Expected("raw", channel=decoded.channel)
    events = list(decoded) if isinstance(decoded, EventBatch) else [decoded]
    ids = {event.message_id for event in events}
    assert len(ids) <= 1
    # A batch of no events has nothing to carry the id.
    return Expected("events", message_id=min(ids, default=-1), events=[_fields(e, exact) for e in events])


def _fields(event: Any, exact: bool) -> dict[str, Any]:
    name = type(event).__name__
    seen: dict[str, Any] = {"event": name}
    for field_name, type_ in {**COMMON, **EVENTS[name]}.items():
        value = getattr(event, field_name)
        if type_ == "decimal":
            seen[field_name] = bits(value)
            if exact:
                seen[f"{field_name} exact"] = event.exact(field_name)
        elif type_ == "levels":
            seen[field_name] = value.tobytes()
            if exact:
                mantissas, scales = getattr(event, f"{field_name}_exact")
                pairs = zip(mantissas.ravel().tolist(), scales.ravel().tolist(), strict=True)
                seen[f"{field_name} exact"] = tuple(pairs)
        else:
            seen[field_name] = value
    return seen


def without_exact(expected: Expected) -> Expected:
    """The same without mantissas and scales, for decoders that do not keep them."""
    events = [
        {name: value for name, value in event.items() if not name.endswith(" exact")}
        for event in expected.events
    ]
    return replace(expected, events=events)
