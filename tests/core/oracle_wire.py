"""Slow readers of the two wire formats: JSON with duplicates kept, protobuf by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cexnet_core.schema import WireSchema

MAX_DEPTH = 64
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


class Refused(Exception):
    """The message must become a ``DecodeError``."""


@dataclass(frozen=True, slots=True)
class Obj:
    """A JSON object with all its pairs, duplicates included."""

    pairs: list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Proto:
    """A protobuf value: its bytes (a varint's as decimal text) and the fields inside."""

    raw: bytes | None
    fields: list[tuple[int, Proto]]


def parse_json(payload: bytes, number: Callable[[str], Any]) -> Any:
    """The document, with numbers as ``number(text)``. Raises ``Refused``."""

    def constant(name: str) -> None:
        raise Refused(f"{name} is not JSON")

    try:
        document = json.loads(
            payload.decode(),
            parse_int=number,
            parse_float=number,
            parse_constant=constant,
            object_pairs_hook=Obj,
        )
    except (ValueError, RecursionError) as error:
        raise Refused(str(error)) from error
    _check(document, 0)
    return document


def _check(value: Any, depth: int) -> None:
    if isinstance(value, Obj | list):
        if depth == MAX_DEPTH:
            raise Refused("too deep")
        inner = value
        if isinstance(value, Obj):
            inner = [part for pair in value.pairs for part in pair]
        for each in inner:
            _check(each, depth + 1)
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Refused("a lone surrogate") from error


def parse_protobuf(schema: WireSchema, payload: bytes) -> Proto:
    """The message, entered where a path of ``schema`` leads. Raises ``Refused``."""
    if not payload:
        raise Refused("empty")
    tree: dict[str, Any] = {}
    for message in schema.protobuf:
        paths = [*message.when, *message.has]
        for item in message.fields:
            is_levels = item.into in ("bids", "asks")
            paths += [f"{item.path}.{part}" for part in item.level] if is_levels else [item.path]
        for path in paths:
            node = tree
            for part in path.split("."):
                if part != "*":
                    node = node.setdefault(part, {})
    return Proto(None, _fields(payload, tree))


def _fields(data: bytes, tree: dict[str, Any]) -> list[tuple[int, Proto]]:
    found, at = [], 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if number == 0 or tag >= 2**32:
            raise Refused("no such field number")
        if kind == VARINT:
            value, at = _varint(data, at)
            signed = value - 2**64 if value >= 2**63 else value
            found.append((number, Proto(str(signed).encode(), [])))
        elif kind == LENGTH:
            size, at = _varint(data, at)
            raw, at = data[at : at + size], at + size
            inner = tree.get(str(number), {})
            if at <= len(data):
                found.append((number, Proto(raw, _fields(raw, inner) if inner else [])))
        elif kind in (FIXED64, FIXED32):
            at += 8 if kind == FIXED64 else 4  # no schema field is fixed: skipped
        else:
            raise Refused(f"wire type {kind}")
        if at > len(data):
            raise Refused("cut short")
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise Refused("a varint is cut short")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            if value >= 2**64:
                raise Refused("a varint has more than 64 bits")
            return value, at
    raise Refused("a varint has more than ten bytes")
