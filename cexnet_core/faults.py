"""Why a message could not be decoded, in words. Runs for bad messages only."""

from __future__ import annotations

from typing import Final

# In the order of the kernel's Fault; {field} is an event field, {path} its path.
REASONS: Final = (
    "no fault",
    "empty payload",
    "malformed JSON (simdjson error {detail})",
    "a number or literal breaks the JSON grammar",
    "nested deeper than 64 levels",
    "bytes after the end of the JSON value",
    "a key of the schema occurs twice in one object",
    "{path} is absent, but {field} needs it",
    "{path} is null, but {field} needs it",
    "{path} for {field} is not a decimal number",
    "{path} for {field} is not an integer",
    "{path} for {field} is not a time",
    "{path} for {field} is neither text nor a number",
    "{path} for {field} is out of range",
    "{path} for {field} has a value that the schema does not list",
    "{path} for {field} has a level without price or size",
    "{path} for {field} is not an array",
    "malformed protobuf",
    "the message is too large",
    "{path} for {field} is not valid UTF-8",
)


def describe(fault: int, detail: int, event: str, field: str, path: str) -> str:
    """One sentence for a kernel fault; ``event`` is empty when no message was chosen."""
    text = REASONS[fault].format(
        detail=detail, field=field or "an element", path=repr(path) if path else "the walked array"
    )
    return f"{event}: {text}" if event else text
