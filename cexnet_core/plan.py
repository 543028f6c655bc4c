"""Compiles a wire schema into the plain tables that the decoding kernel runs on.

All checks of a schema are here; none of this runs per message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from .errors import SchemaError
from .layout import COMMON, EVENTS, FieldType
from .schema import Field, Message, WireSchema

UNIT_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
SIDE_SIGNS: Final = {"buy": 1, "sell": -1, "": 0}
SIDE_VALUES: Final = {"buy": "buy", "sell": "sell"}
FLAG_VALUES: Final = {"true": True, "false": False}
ANY_OTHER: Final = "*"
MAX_NODES: Final = 512
MAX_CHILDREN: Final = 64
MAX_PROTOBUF_FIELD: Final = 2**29 - 1

INTERNED: Final = ("symbol", "name")
ENUMERATED: Final = ("side", "flag", "name", "integer")


@dataclass(slots=True)
class Node:
    """One step of a path. ``part`` is a key, an array position, a field number or ``*``."""

    parent: int
    part: str


@dataclass(slots=True)
class Target:
    """Where a node's value goes: ``slot`` of the event, read as ``type``.

    ``levels_slot`` of price and size nodes is the side (0 bids, 1 asks).
    """

    node: int
    slot: int
    type: FieldType
    path: str
    into: str
    optional: bool
    unit_ns: int = 0
    values: dict[str, str | int | bool] | None = None
    normalize: Callable[[str], str] | None = None


@dataclass(slots=True)
class LevelsTarget:
    """A side of the book: the array, its elements, and price and size in an element."""

    side: int
    array: int
    element: int
    price: int
    size: int
    path: str
    into: str
    optional: bool


@dataclass(slots=True)
class MessagePlan:
    """One declared message. ``element`` is the node that makes one event each, or -1."""

    event: str
    when: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    has: list[int] = field(default_factory=list)
    literal: bytes | None = None
    element: int = -1
    targets: list[Target] = field(default_factory=list)
    levels: list[LevelsTarget] = field(default_factory=list)
    constants: list[tuple[int, FieldType, str | int | bool]] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """The compiled messages of one wire format, and the tree of all their paths."""

    nodes: list[Node]
    messages: list[MessagePlan]
    channels: list[int]


def compile_plan(schema: WireSchema, messages: tuple[Message, ...], first: int, protobuf: bool) -> Plan:
    """Compile ``messages``, whose indices count from ``first``. Raises ``SchemaError``."""
    tree = PathTree(protobuf)
    plans = [
        _MessageCompiler(schema.name, first + index, message, tree).compile()
        for index, message in enumerate(messages)
    ]
    # Of paths that serve both forms, those of field numbers can be meant for protobuf.
    paths = [path for path in schema.channel_paths if not protobuf or path.replace(".", "").isdigit()]
    where = f"schema {schema.name!r}, channel_paths"
    channels = [tree.add(path, where, stars=0) for path in paths]
    tree.check_arrays(schema.name)
    return Plan(tree.nodes, plans, channels)


class PathTree:
    """Every path of a schema, with shared prefixes. Node 0 is the whole message."""

    def __init__(self, protobuf: bool) -> None:
        self.protobuf = protobuf
        self.nodes = [Node(-1, "")]
        self._children: dict[tuple[int, str], int] = {}

    def add(self, path: str, where: str, stars: int) -> int:
        """Node of ``path``, which may hold at most ``stars`` times ``*``."""
        parts = path.split(".") if isinstance(path, str) else [""]
        if "" in parts:
            raise SchemaError(f"{where}: path {path!r} has an empty part; write 'data.k.o'")
        if parts.count(ANY_OTHER) > stars:
            raise SchemaError(f"{where}: path {path!r} has '*' where none is allowed")
        node = 0
        for part in parts:
            node = self.child(node, part, where, path)
        return node

    def child(self, node: int, part: str, where: str, path: str) -> int:
        """Child of ``node``, made when it is new."""
        if self.protobuf and part != ANY_OTHER:
            number = int(part) if part.isascii() and part.isdigit() else 0
            if not 1 <= number <= MAX_PROTOBUF_FIELD or part != str(number):
                raise SchemaError(f"{where}: path {path!r}: {part!r} is no protobuf field number")
        found = self._children.get((node, part))
        if found is None:
            if len(self.nodes) >= MAX_NODES:
                raise SchemaError(f"{where}: a schema may have {MAX_NODES} path steps, not more")
            if sum(parent == node for parent, _ in self._children) >= MAX_CHILDREN:
                raise SchemaError(f"{where}: more than {MAX_CHILDREN} paths below one key")
            found = len(self.nodes)
            self.nodes.append(Node(node, part))
            self._children[node, part] = found
        return found

    def check_arrays(self, schema: str) -> None:
        """``*`` and a position in the same array would fill two events with one value."""
        for node, part in self._children:
            if part != ANY_OTHER:
                continue
            siblings = [other for parent, other in self._children if parent == node]
            numbers = [other for other in siblings if other.isdigit()]
            if numbers and not self.protobuf:
                raise SchemaError(
                    f"schema {schema!r}: path {self.text(node)!r} is used both with '*' and "
                    f"with the position {numbers[0]}; use one of them"
                )

    def text(self, node: int) -> str:
        """The path of ``node`` as it is written in a schema."""
        parts: list[str] = []
        while node > 0:
            parts.append(self.nodes[node].part)
            node = self.nodes[node].parent
        return ".".join(reversed(parts))


class _MessageCompiler:
    def __init__(self, schema: str, index: int, message: Message, tree: PathTree) -> None:
        self.message = message
        self.tree = tree
        self.where = f"schema {schema!r}, message {index} ({message.event})"
        self.plan = MessagePlan(message.event)
        self.filled: set[str] = set()

    def compile(self) -> MessagePlan:
        message = self.message
        if message.event not in EVENTS:
            raise SchemaError(f"{self.where}: unknown event; known are {', '.join(EVENTS)}")
        self.slots = _slots(message.event)
        if message.literal is not None:
            self._literal(message)
            return self.plan
        for path, texts in message.when.items():
            texts = (texts,) if isinstance(texts, str) else texts
            if not isinstance(texts, tuple) or not texts or not all(isinstance(text, str) for text in texts):
                raise SchemaError(f"{self.where}: when {path!r} needs text or a tuple of texts")
            self.plan.when.append((self._discriminator(path), texts))
        for path in _paths(message.has, self.where):
            self.plan.has.append(self._discriminator(path))
        if not self.plan.when and not self.plan.has:
            raise SchemaError(f"{self.where}: needs when, has or literal to be told apart")
        for item in message.fields:
            self._field(item)
        self._constants(message)
        self._sequence(message)
        for levels in self.plan.levels:
            if self.plan.element >= 0 and ANY_OTHER not in levels.path.split("."):
                raise SchemaError(
                    f"{self.where}, field {levels.into!r}, path {levels.path!r}: levels must lie "
                    "inside the array that '*' walks"
                )
        return self.plan

    def _discriminator(self, path: str) -> int:
        return self.tree.add(path, f"{self.where}, when/has", stars=0)

    def _literal(self, message: Message) -> None:
        if message.fields or message.when or message.has:
            raise SchemaError(f"{self.where}: literal stands alone, without fields, when or has")
        if not message.literal or not isinstance(message.literal, str):
            raise SchemaError(f"{self.where}: literal must be text that is not empty")
        if self.tree.protobuf:
            raise SchemaError(f"{self.where}: literal is for text frames; declare it under json")
        self.plan.literal = message.literal.encode()
        self._constants(message)

    def _field(self, item: Field) -> None:
        where = f"{self.where}, field {item.into!r}, path {item.path!r}"
        type_ = self._claim(item.into, where)
        if (item.unit is not None) != (type_ == "time"):
            raise SchemaError(f"{where}: unit is needed for *_ts_ns fields and for no other")
        if item.unit is not None and item.unit not in UNIT_NS:
            raise SchemaError(f"{where}: unit {item.unit!r} is none of {', '.join(UNIT_NS)}")
        if item.normalize is not None and (type_ not in INTERNED or not callable(item.normalize)):
            raise SchemaError(f"{where}: normalize is a callable, for interned text only")
        if item.normalize is not None and item.values is not None:
            raise SchemaError(f"{where}: give values or normalize, not both")
        if type_ == "levels":
            self._levels(item, where)
            return
        node = self.tree.add(item.path, where, stars=1)
        self._element(item.path, where)
        self.plan.targets.append(
            Target(
                node=node,
                slot=self.slots[item.into],
                type=type_,
                path=item.path,
                into=item.into,
                optional=item.optional,
                unit_ns=UNIT_NS[item.unit] if item.unit else 0,
                values=_values(item, type_, where),
                normalize=item.normalize,
            )
        )

    def _levels(self, item: Field, where: str) -> None:
        if item.values is not None:
            raise SchemaError(f"{where}: levels take no values")
        if len(item.level) != 2 or item.level[0] == item.level[1]:
            raise SchemaError(f"{where}: level must name price and size, like ('0', '1')")
        array = self.tree.add(item.path, where, stars=1)
        self._element(item.path, where)
        element = self.tree.child(array, ANY_OTHER, where, item.path)
        price, size = (
            self.tree.child(element, _one_part(part, where), where, item.path) for part in item.level
        )
        side = 0 if item.into == "bids" else 1
        self.plan.levels.append(
            LevelsTarget(side, array, element, price, size, item.path, item.into, item.optional)
        )

    def _claim(self, into: str, where: str) -> FieldType:
        types = _types(self.message.event)
        if into not in types:
            raise SchemaError(f"{where}: {self.message.event} has {', '.join(types)}")
        if into in self.filled:
            raise SchemaError(f"{where}: the field is filled twice")
        self.filled.add(into)
        return types[into]

    def _element(self, path: str, where: str) -> None:
        if ANY_OTHER not in path.split("."):
            return
        prefix = path.split(".")[: path.split(".").index(ANY_OTHER) + 1]
        node = self.tree.add(".".join(prefix), where, stars=1)
        if self.plan.element not in (-1, node):
            raise SchemaError(f"{where}: all '*' of a message must walk the same array")
        self.plan.element = node

    def _constants(self, message: Message) -> None:
        for into, value in message.constants.items():
            where = f"{self.where}, constant {into!r}"
            type_ = self._claim(into, where)
            if type_ not in ("side", "flag", "name", "integer"):
                raise SchemaError(f"{where}: a {type_} cannot be a constant")
            self.plan.constants.append((self.slots[into], type_, _checked(value, type_, where)))
        if message.event == "SubscriptionAck" and "ok" not in self.filled:
            raise SchemaError(f"{self.where}: fill ok by a field or a constant")

    def _sequence(self, message: Message) -> None:
        needed = {
            "none": (),
            "increasing": ("sequence",),
            "range": ("first_sequence", "sequence"),
            "previous": ("prev_sequence", "sequence"),
        }
        if message.sequence not in needed:
            raise SchemaError(f"{self.where}: sequence is one of {', '.join(needed)}")
        missing = [into for into in needed[message.sequence] if into not in self.filled]
        if missing:
            raise SchemaError(
                f"{self.where}: sequence={message.sequence!r} needs the fields {', '.join(missing)}"
            )


def _types(event: str) -> dict[str, FieldType]:
    return {**COMMON, **EVENTS[event]}


def _slots(event: str) -> dict[str, int]:
    return {name: slot for slot, name in enumerate(_types(event))}


def _paths(paths: Iterable[str], where: str) -> tuple[str, ...]:
    if isinstance(paths, str):
        raise SchemaError(f"{where}: has is a tuple of paths, not the text {paths!r}")
    return tuple(paths)


def _one_part(part: str, where: str) -> str:
    if not isinstance(part, str) or not part or "." in part or part == ANY_OTHER:
        raise SchemaError(f"{where}: level part {part!r} must be one position, key or number")
    return part


def _values(item: Field, type_: FieldType, where: str) -> dict[str, str | int | bool] | None:
    given = item.values
    if given is None:
        if type_ == "side":
            given = SIDE_VALUES
        elif type_ == "flag":
            given = FLAG_VALUES
        else:
            return None
    if type_ not in ENUMERATED:
        raise SchemaError(f"{where}: values are for {', '.join(ENUMERATED)}, not for a {type_}")
    if not given or not all(isinstance(key, str) for key in given):
        raise SchemaError(f"{where}: values maps the wire's text, at least one, to our value")
    return {key: _checked(value, type_, where) for key, value in given.items()}


def _checked(value: str | int | bool, type_: FieldType, where: str) -> str | int | bool:
    fits = {
        "side": isinstance(value, str) and value in SIDE_SIGNS,
        "flag": isinstance(value, bool),
        "name": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63,
    }
    if not fits[type_]:
        raise SchemaError(f"{where}: {value!r} is no value of a {type_}")
    return value
