"""What is wrong with a configuration, in one sentence: the key, what was found, what is allowed."""

from __future__ import annotations

import difflib
import enum
import itertools
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Any

import msgspec

from cexnet.config.layers import Merged, Path
from cexnet.config.secrecy import is_public, shown
from cexnet_core.errors import ConfigurationError

_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<where>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\[\d+\]|[^.\[\]]+")  # of a place such as ``exchange.binance.subscriptions[0].channel``


def explain(error: msgspec.ValidationError, tree: Any, kind: type, above: Path, merged: Merged) -> str:
    """What msgspec found, with the whole key, the value and its source."""
    match = _PLACE.match(str(error))
    what, where = (match["what"], match["where"] or "") if match else (str(error), "")
    below = tuple(_STEP.findall(where))
    value: Any = tree
    wanted: Any = kind
    for key in below:
        value, wanted = _below(value, key), _type_below(wanted, key)
    path = (*above, *below)
    if allowed := _choices(wanted):
        what = f"choose one of {', '.join(allowed)}"
    found = (
        ""
        if value is None or isinstance(value, Mapping) or not is_public(path)
        else f" = {shown(path, value)!r}"
    )
    return f"configuration: {_key(path)}{found} ({_source(path, merged)}): {what[:1].lower()}{what[1:]}"


def explain_table(error: ConfigurationError, path: Path, merged: Merged) -> str:
    """What a table's own check said, with the table's key, the numbers that were set and their source."""
    table: Any = merged.tree
    for key in path:
        table = _below(table, key)
    numbers = {key: value for key, value in (table or {}).items() if isinstance(value, int | float)}
    found = f" = {numbers}" if numbers and is_public(path) else ""  # a text might hold a password
    return f"configuration: {_key(path)}{found} ({_source(path, merged)}): {error}"


def table_at_fault(tree: Any, kind: Any, is_refused: Callable[[Any, Any], bool]) -> Path:
    """Which table below ``tree`` is refused by itself; the innermost one."""
    for name, below in fields_of(kind).items():
        table = tree.get(name) if isinstance(tree, Mapping) else None
        if isinstance(table, Mapping) and is_refused(table, below):
            return (name, *table_at_fault(table, below, is_refused))
    return ()


def refuse_unknown_keys(tree: Any, kind: type, above: Path, merged: Merged) -> None:
    """Raise ConfigurationError for a key that ``kind`` has not, naming those it has."""
    if isinstance(tree, list):
        for number, item in enumerate(tree):
            refuse_unknown_keys(item, _type_below(kind, f"[{number}]"), (*above, f"[{number}]"), merged)
        return
    fields = fields_of(kind)
    if not fields or not isinstance(tree, Mapping):
        return
    for key, value in tree.items():
        path = (*above, key)
        if key not in fields:
            close = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ConfigurationError(
                f"configuration: {_key(path)} ({_source(path, merged)}) is not known: "
                f"{hint}{_key(above)} has {', '.join(fields)}"
            )
        refuse_unknown_keys(value, fields[key], path, merged)


def fields_of(kind: Any) -> dict[str, Any]:
    """The fields of a struct or dataclass (also where ``None`` is allowed), with their types."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return next(filter(None, map(fields_of, typing.get_args(kind))), {})
    if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, msgspec.Struct)):
        return {name: hint for name, hint in typing.get_type_hints(kind).items() if not name.startswith("_")}
    return {}


def _key(path: Path) -> str:
    return ".".join(map(str, path)).replace(".[", "[") or "the whole tree"


def _source(path: Path, merged: Merged) -> str:
    """Who set ``path``; a list comes as a whole."""
    return merged.source(tuple(itertools.takewhile(lambda key: not str(key).startswith("["), path)))


def _below(value: Any, key: str) -> Any:
    if key.startswith("["):
        number = int(key[1:-1])
        return value[number] if isinstance(value, list) and number < len(value) else None
    return value.get(key) if isinstance(value, Mapping) else None


def _type_below(kind: Any, key: str) -> Any:
    if not key.startswith("["):
        return fields_of(kind).get(key)
    return typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else None


def _choices(kind: Any) -> list[str]:
    """What a value of ``kind`` is chosen from; empty where it is not."""
    if typing.get_origin(kind) is typing.Literal:
        return [str(choice) for choice in typing.get_args(kind)]
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [str(member.value) for member in kind]
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return next(filter(None, map(_choices, typing.get_args(kind))), [])
    return []
