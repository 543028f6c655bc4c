"""The effective configuration as rows of key, value and source; secrets masked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from cexnet.config.layers import DEFAULT, Path
from cexnet.config.load import Loaded
from cexnet.config.problems import fields_of
from cexnet.config.secrecy import shown
from cexnet.config.tree import Config


class Row(NamedTuple):
    """One value of the effective tree and where it came from."""

    key: str
    value: Any
    source: str


def rows(loaded: Loaded) -> list[Row]:
    """Every value in force, in the order of the tree. ``None`` stands for the exchange's own."""
    return [
        Row(
            ".".join(path),
            shown(path, list(msgspec.to_builtins(value)) if isinstance(value, tuple) else value),
            _source(loaded, path),
        )
        for path, value in leaves_of(loaded.config)
    ]


def as_toml(value: Any) -> str:
    """How a file would say ``value``; ``not set`` for ``None``, which a file cannot say."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        given = (f"{key} = {as_toml(each)}" for key, each in value.items() if each is not None)
        return f"{{ {', '.join(given)} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(as_toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def leaves_of(config: Config) -> Iterator[tuple[Path, Any]]:
    """Every value of the tree with its path, secrets included."""
    return _values(config)


def _source(loaded: Loaded, path: Path) -> str:
    source = loaded.merged.source(path)
    if source == DEFAULT and path[0] == "exchange":
        return loaded.merged.source(path[2:]) if len(path) > 3 else DEFAULT  # inherited
    return source


def _values(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _values(value, (*path, key))
    elif fields := fields_of(type(node)):
        for name in fields:
            yield from _values(getattr(node, name), (*path, name))
    else:
        yield path, node
