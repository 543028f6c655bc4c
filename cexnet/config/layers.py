"""Where values come from: layers of plain trees, later ones winning key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Path = tuple[str, ...]
_PLACES = frozenset({"env", "file", "keyring"})  # as ``credentials.secret_from`` reads them
DEFAULT = "default"  # the source of what nobody has set


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of values and what to call it."""

    source: str
    tree: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Merged:
    """The tree that the layers make together, and the source of each of its leaves."""

    tree: dict[str, Any]
    sources: dict[Path, str]

    def source(self, path: Path) -> str:
        """Who set ``path``, or anything below it."""
        for known, source in self.sources.items():
            if known[: len(path)] == path:
                return source
        return DEFAULT


def merge(layers: Sequence[Layer]) -> Merged:
    """Lay ``layers`` over each other, the last one on top."""
    tree: dict[str, Any] = {}
    sources: dict[Path, str] = {}
    for layer in layers:
        for path, value in leaves(layer.tree):
            put(tree, path, value)
            sources = {known: of for known, of in sources.items() if not _hides(path, known)}
            sources[path] = layer.source
    return Merged(tree, sources)


def leaves(tree: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value that is not a table, with its path.

    An empty table counts as a value, and so does one that says where a secret is kept: another
    place takes the place of the first, not a key of it.
    """
    for key, value in tree.items():
        path = (*above, key)
        if isinstance(value, Mapping) and value and not _is_place(path, value):
            yield from leaves(value, path)
        else:
            yield path, value


def put(tree: dict[str, Any], path: Path, value: Any) -> None:
    """Set ``path``; a value where a table is needed gives way to the table."""
    for key in path[:-1]:
        below = tree.get(key)
        if not isinstance(below, dict):
            below = tree[key] = {}
        tree = below
    if isinstance(value, Mapping) and not value and isinstance(tree.get(path[-1]), dict):
        return  # an empty table over a full one changes nothing
    tree[path[-1]] = dict(value) if isinstance(value, Mapping) else value


def _is_place(path: Path, table: Mapping[str, Any]) -> bool:
    return path[-2:-1] == ("credentials",) and not _PLACES.isdisjoint(table)


def _hides(upper: Path, lower: Path) -> bool:
    """Whether setting ``upper`` makes what was known of ``lower`` void."""
    return lower[: len(upper)] == upper or upper[: len(lower)] == lower
