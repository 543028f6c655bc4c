"""Cases after the Autobahn test suite's list: what the server does, what the client must do.

A case is a script of steps. The numbers are the suite's, the scripts are our own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tests.websocket.peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_frame,
    frame,
)

RSV1 = 4


@dataclass(frozen=True)
class Send:
    """Bytes to write, at most ``chop`` at a time."""

    data: bytes
    chop: int = 0


@dataclass(frozen=True)
class Expect:
    """A frame that the client must send next; inflated first in a compressed case."""

    opcode: int
    payload: bytes


@dataclass(frozen=True)
class Case:
    """The client must do ``steps`` and then close with ``code`` (None: without a code).

    Unless ``fails`` it answers our close frame with the same code; else it fails the
    connection by itself. ``deflate``: the extension and its parameters that we grant.
    """

    name: str
    steps: tuple[Send | Expect, ...] = ()
    code: int | None = 1000
    fails: bool = False
    closing: bytes = close_frame(1000)
    deflate: str = ""


def echo(opcode: int, payload: bytes, chop: int = 0) -> tuple[Send, Expect]:
    return Send(frame(opcode, payload), chop), Expect(opcode, payload)


def fragments(opcode: int, parts: list[bytes], rsv: int = 0) -> bytes:
    last = len(parts) - 1
    return b"".join(
        frame(CONTINUATION if i else opcode, part, fin=i == last, rsv=0 if i else rsv)
        for i, part in enumerate(parts)
    )


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def breach(name: str, data: bytes, code: int = 1002, *before: Send | Expect) -> Case:
    return Case(name, (*(before or echo(TEXT, b"Hello")), Send(data)), code, fails=True)


SIZES = (0, 125, 126, 127, 128, 65535, 65536)

VALID_TEXT = (
    "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!",
    "\u03ba\u1f79\u03c3\u03bc\u03b5",
    "\x00\u0080\u07ff\u0800\uffff\U00010000\U0010ffff",
    "\ud7ff\ue000\ufffd\ufffe\ufdd0\U0001fffe\U0010fffe",
)
INVALID_TEXT = (
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    *(b"\x80", b"\xbf", b"\x80\xbf\x80", bytes(range(0x80, 0xC0)), b"\xc0 \xc1 ", b"\xc2", b"\xe0\xa0"),
    *(b"\xf0\x90\x80", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff", b"\xc0\xaf"),
    *(b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xc0\x80"),
    *(
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
    ),
)


def framing() -> Iterator[Case]:
    for part, (opcode, unit) in enumerate(((TEXT, b"*"), (BINARY, b"\xfe")), 1):
        for number, size in enumerate(SIZES, 1):
            yield Case(f"1.{part}.{number}", echo(opcode, unit * size))
        yield Case(f"1.{part}.8", echo(opcode, unit * 65536, chop=997))


def pings() -> Iterator[Case]:
    for number, payload in enumerate((b"", b"Hello, world!", bytes(range(0xF0, 0x100)), b"\xfe" * 125), 1):
        yield Case(f"2.{number}", (Send(frame(PING, payload)), Expect(PONG, payload)))
    yield breach("2.5", frame(PING, b"\xfe" * 126))
    yield Case("2.6", (Send(frame(PING, b"\xfe" * 125), chop=1), Expect(PONG, b"\xfe" * 125)))
    yield Case("2.7", (Send(frame(PONG)), *echo(TEXT, b"on")))
    yield Case("2.8", (Send(frame(PONG, b"unsolicited")), *echo(TEXT, b"on")))
    yield Case("2.9", (Send(frame(PONG, b"x") + frame(PING, b"y")), Expect(PONG, b"y")))
    ten = [b"payload-%d" % i for i in range(10)]
    sent = b"".join(frame(PING, payload) for payload in ten)
    for number, chop in ((10, 0), (11, 1)):
        yield Case(f"2.{number}", (Send(sent, chop), *(Expect(PONG, payload) for payload in ten)))


def reserved() -> Iterator[Case]:
    bits = ((TEXT, 1), (TEXT, 2), (TEXT, 3), (TEXT, 4), (BINARY, 5), (PING, 6), (CLOSE, 7))
    for number, (opcode, rsv) in enumerate(bits, 1):
        payload = b"\x03\xe8" if opcode == CLOSE else b"x"
        yield breach(f"3.{number}", frame(opcode, payload, rsv=rsv) + frame(PING))
    for part, opcodes in ((1, range(3, 8)), (2, range(11, 16))):
        for number, opcode in enumerate(opcodes, 1):
            yield breach(f"4.{part}.{number}", frame(opcode, b"x" if number % 2 else b"") + frame(PING))


def fragmentation() -> Iterator[Case]:
    two = [b"fragment1", b"fragment2"]
    whole, joined = fragments(TEXT, two), Expect(TEXT, b"fragment1fragment2")
    first, second = frame(TEXT, two[0], fin=False), frame(CONTINUATION, two[1])
    ping, pong = frame(PING, b"ping"), Expect(PONG, b"ping")
    yield breach("5.1", fragments(PING, two))
    yield breach("5.2", fragments(PONG, two))
    yield Case("5.3", (Send(whole), joined))
    yield Case("5.4", (Send(first), Send(second), joined))
    yield Case("5.5", (Send(whole, chop=1), joined))
    yield Case("5.6", (Send(first + ping + second), pong, joined))
    yield Case("5.7", (Send(first), Send(ping), pong, Send(second), joined))
    yield Case("5.8", (Send(first + ping + second, chop=1), pong, joined))
    for number, fin in ((9, True), (12, False)):
        orphan = frame(CONTINUATION, b"non-continuation", fin=fin)
        yield breach(f"5.{number}", orphan + frame(TEXT, b"Hello"))
    yield breach("5.15", frame(CONTINUATION, b"x", fin=False) + frame(TEXT, b"y"), 1002, Send(whole), joined)
    yield breach("5.18", first + frame(TEXT, two[1]))
    five = [b"fragment%d" % i for i in range(1, 6)]
    parts = [frame(CONTINUATION if i else TEXT, part, fin=i == 4) for i, part in enumerate(five)]
    sent = parts[0] + parts[1] + ping + parts[2] + parts[3] + ping + parts[4]
    yield Case("5.19", (Send(sent), pong, pong, Expect(TEXT, b"".join(five))))


def texts() -> Iterator[Case]:
    yield Case("6.1.1", echo(TEXT, b""))
    yield Case("6.1.2", (Send(fragments(TEXT, [b"", b"", b""])), Expect(TEXT, b"")))
    yield Case("6.1.3", (Send(fragments(TEXT, [b"", b"middle", b""])), Expect(TEXT, b"middle")))
    for number, text in enumerate(VALID_TEXT, 1):
        data = text.encode()
        yield Case(f"6.2.{number}", echo(TEXT, data))
        yield Case(f"6.2.{number} octets", (Send(fragments(TEXT, pieces(data, 1))), Expect(TEXT, data)))
    for number, data in enumerate(INVALID_TEXT, 1):
        yield breach(f"6.3.{number}", frame(TEXT, data), 1007)
        yield breach(f"6.3.{number} octets", fragments(TEXT, pieces(data, 1)), 1007)
    # The text can no longer become valid, though its message is not over.
    yield breach("6.4.1", frame(TEXT, INVALID_TEXT[0], fin=False), 1007)
    yield breach(
        "6.4.2", frame(TEXT, b"\xce\xba\xf4", fin=False) + frame(CONTINUATION, b"\x90", fin=False), 1007
    )


def closing() -> Iterator[Case]:
    yield Case("7.1.1", echo(TEXT, b"Hello"))
    yield Case("7.1.2", closing=close_frame(1000) * 2)
    yield Case("7.1.3", closing=close_frame(1000) + frame(PING))
    yield Case("7.1.4", closing=close_frame(1000) + frame(TEXT, b"never"))
    yield Case("7.1.5", (Send(frame(TEXT, b"open", fin=False)),), closing=close_frame(1000))
    yield Case("7.1.6", echo(BINARY, bytes(256 * 1024)), closing=close_frame(1000) + frame(PING))
    yield Case("7.3.1", code=None, closing=frame(CLOSE))
    yield Case("7.3.2", code=1002, fails=True, closing=frame(CLOSE, b"a"))
    yield Case("7.3.3", closing=close_frame(1000))
    yield Case("7.3.4", closing=close_frame(1000, b"Hello World!"))
    yield Case("7.3.5", closing=close_frame(1000, b"*" * 123))
    yield Case("7.3.6", code=1002, fails=True, closing=close_frame(1000, b"*" * 124))
    yield Case("7.5.1", code=1007, fails=True, closing=close_frame(1000, b"\xce\xba\xed\xa0\x80"))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        yield Case(f"7.7 {code}", code=code, closing=close_frame(code))
    for code in (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535):
        yield Case(f"7.9 {code}", code=1002, fails=True, closing=close_frame(code))


def limits() -> Iterator[Case]:
    large = bytes(range(1, 128)) * 33_026  # 4 MiB and a little
    for part, opcode in ((1, TEXT), (2, BINARY)):
        yield Case(f"9.{part}.4", echo(opcode, large))
        yield Case(f"9.{part + 2}.7", (Send(fragments(opcode, pieces(large, 65536))), Expect(opcode, large)))
        yield Case(f"9.{part + 4}.6", echo(opcode, large[: 2**20], chop=2048))
        many = [bytes([65 + i % 26]) * 128 for i in range(1000)]
        sent = b"".join(frame(opcode, payload) for payload in many)
        yield Case(f"9.{part + 6}.4", (Send(sent), *(Expect(opcode, payload) for payload in many)))
    yield Case("10.1.1", (Send(fragments(TEXT, pieces(b"*" * 65536, 1300))), Expect(TEXT, b"*" * 65536)))


def compressed(name: str, parameters: str, size: int, fragment: int = 0, count: int = 20) -> Case:
    bits = 9 if "server_max_window_bits=9" in parameters else 15
    text = b"".join(b'{"e":"trade","E":%d,"p":"%d.5"}' % (i, i * i % 997) for i in range(size // 20 + 1))[
        :size
    ]
    packer = zlib.compressobj(wbits=-bits)
    steps: list[Send | Expect] = []
    for number in range(count):
        opcode = TEXT if number % 2 else BINARY
        packed = packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)
        if "server_no_context_takeover" in parameters:
            packer = zlib.compressobj(wbits=-bits)
        parts = pieces(packed.removesuffix(b"\x00\x00\xff\xff"), fragment or len(packed))
        steps += [Send(fragments(opcode, parts or [b""], RSV1)), Expect(opcode, text)]
    return Case(name, tuple(steps), deflate=f"permessage-deflate{parameters}")


def compression() -> Iterator[Case]:
    for number, size in enumerate((16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072), 1):
        yield compressed(f"12.1.{number}", "", size)
    for number, size in enumerate((256, 1024, 131072), 11):
        yield compressed(f"12.1.{number}", "", size, fragment=256)
    parameters = (
        "",
        "; server_no_context_takeover",
        "; server_max_window_bits=9",
        "; server_no_context_takeover; server_max_window_bits=9",
        "; client_max_window_bits=9",
        "; client_no_context_takeover",
        "; client_no_context_takeover; client_max_window_bits=9; server_max_window_bits=15",
    )
    for part, text in enumerate(parameters, 1):
        for number, size in enumerate((16, 4096, 32768), 1):
            yield compressed(f"13.{part}.{number}", text, size, fragment=1024 if number == 3 else 0)


PLAIN = (
    *(*framing(), *pings(), *reserved(), *fragmentation()),
    *(*texts(), *closing(), *limits()),
)
COMPRESSED = (*compression(), *framing(), *closing())
