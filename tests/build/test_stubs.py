"""Each constructor of the core can be called as its stub says.

stubtest cannot see the signature of a compiled constructor, so its parameters'
names, and which of them may be left out, are tried here.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import cexnet_core
from cexnet_core.decode import Decoder
from cexnet_core.events import SymbolTable
from cexnet_core.messages import PyMessageSink
from cexnet_core.ratelimit import TokenBucket
from cexnet_core.route import Router
from cexnet_core.schema import WireSchema

SCHEMA = WireSchema("sample")


def any_clock() -> int:
    return 1


# Class -> a value for each parameter of its constructor; made anew for each call.
ARGUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "decode.Decoder": lambda: {
        "schema": SCHEMA,
        "symbols": SymbolTable(),
        "exact": True,
        "max_shapes": 8,
        "simd": False,
    },
    "decode.EventBatch": lambda: {"events": []},
    "deflate.Deflater": lambda: {"from_bytes": 0, "window_bits": 15, "keep_context": True},
    "deflate.Inflater": lambda: {"window_bits": 15, "keep_context": True, "max_ratio": 200},
    "events.EventSink": dict,
    "events.SymbolTable": lambda: {"capacity": 4},
    "frames.FrameReader": lambda: {
        "sink": PyMessageSink(print),
        "max_message_bytes": 1024,
        "validate_utf8": True,
        "close_timeout_s": 1.0,
        "on_sink_error": None,
        "peer": "a peer",
    },
    "messages.CloseInfo": lambda: {
        "code": 1000,
        "reason": "",
        "was_clean": True,
        "unfinished": False,
        "error": None,
    },
    "headers.ResponseHeaders": lambda: {"lines": b"Date: now\r\n"},
    "hotlog.HotLog": lambda: {"capacity": 1 << 16, "level": 30, "poll_s": None},
    "latency.LatencyRecorder": lambda: {"capacity": 16},
    "messages.PyMessageSink": lambda: {"callback": print},
    "ratelimit.TokenBucket": lambda: {"capacity": 5, "refill_per_s": 1.0, "clock": any_clock},
    "ratelimit.FixedWindow": lambda: {
        "limit": 5,
        "window_s": 1.0,
        "epoch_offset_ns": 0,
        "guard_s": 0.1,
        "clock": any_clock,
    },
    "ratelimit.RollingWindow": lambda: {"limit": 5, "window_s": 1.0, "guard_s": 0.1, "clock": any_clock},
    "limit_group.LimitGroup": lambda: {"limits": [TokenBucket(1, 1.0)]},
    "queue.EventQueue": lambda: {"capacity": 5, "policy": "pause", "reserve": 1},
    "response.ResponseParser": lambda: {"max_body_bytes": 1024, "max_head_bytes": 1024},
    "route.Receiver": lambda: {
        "decoder": Decoder(SCHEMA),
        "router": Router(SCHEMA, SymbolTable()),
        "connection_id": 1,
    },
    "route.Router": lambda: {"schema": SCHEMA, "symbols": SymbolTable()},
    "slowest.SlowMessages": lambda: {"capacity": 4},
    "timing.LineTimer": lambda: {"every": 4},
    "tap.FrameTap": lambda: {"capacity_bytes": 1000},
    "unpacking.InflatingSink": lambda: {
        "sink": PyMessageSink(print),
        "packing": "gzip",
        "max_bytes": 1024,
        "max_ratio": 200,
        "validate_utf8": True,
    },
    "signing.HmacSigner": lambda: {"key": b"key", "digest": "sha256", "backend": "hashlib"},
}


def constructors(*, refusing: bool = False) -> Iterator[tuple[str, ast.arguments]]:
    """``module.Class`` and the parameters of its constructor, from the stubs.

    ``refusing``: those that never return, of classes that only cexnet makes.
    """
    for path in sorted(Path(cexnet_core.__file__).parent.glob("*.pyi")):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.ClassDef):
                continue
            for method in node.body:
                if not isinstance(method, ast.FunctionDef) or method.name not in ("__init__", "__new__"):
                    continue
                refuses = method.returns is not None and ast.unparse(method.returns) in ("NoReturn", "Never")
                if refuses == refusing:
                    yield f"{path.stem}.{node.name}", method.args


def class_named(name: str) -> type:
    """``module.Class`` of the core."""
    module, _, class_name = name.partition(".")
    found = getattr(importlib.import_module(f"cexnet_core.{module}"), class_name)
    assert isinstance(found, type)
    return found


def required(arguments: ast.arguments) -> set[str]:
    """Names of the parameters without a default."""
    positional = [each.arg for each in (*arguments.posonlyargs, *arguments.args)][1:]
    keyword = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {
        *positional[: len(positional) - len(arguments.defaults)],
        *(each.arg for each, default in keyword if default is None),
    }


def names(arguments: ast.arguments) -> set[str]:
    """Names of all parameters."""
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return {each.arg for each in every[1:]}


@pytest.mark.parametrize("name, arguments", [pytest.param(*each, id=each[0]) for each in constructors()])
async def test_constructor_takes_what_its_stub_says(name: str, arguments: ast.arguments) -> None:
    assert name in ARGUMENTS, f"give {name} a value for each of {sorted(names(arguments))}"
    cls = class_named(name)
    given = ARGUMENTS[name]()
    assert given.keys() == names(arguments)
    assert isinstance(cls(**given), cls)
    given = ARGUMENTS[name]()
    assert isinstance(cls(**{key: given[key] for key in required(arguments)}), cls)
    with pytest.raises(TypeError):
        cls(**given, no_such_parameter=1)


@pytest.mark.parametrize("name", [name for name, _ in constructors(refusing=True)])
def test_what_only_cexnet_makes_cannot_be_made_otherwise(name: str) -> None:
    with pytest.raises(TypeError):
        class_named(name)()
