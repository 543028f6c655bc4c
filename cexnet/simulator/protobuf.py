"""The protobuf wire format, encoding only, straight from field numbers.

Source: protobuf encoding guide; proto3 semantics are the caller's (what is not given is
left out).
"""

from __future__ import annotations

_VARINT = 0
_LENGTH_DELIMITED = 2


def varint(value: int) -> bytes:
    """A non-negative integer, seven bits a byte, low bits first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def integer(field: int, value: int) -> bytes:
    """An ``int32``, ``int64`` or enum field; ``value`` >= 0."""
    return varint(field << 3 | _VARINT) + varint(value)


def message(field: int, body: bytes) -> bytes:
    """An embedded message (or ``bytes``) field."""
    return varint(field << 3 | _LENGTH_DELIMITED) + varint(len(body)) + body


def text(field: int, value: str) -> bytes:
    """A ``string`` field."""
    return message(field, value.encode())
