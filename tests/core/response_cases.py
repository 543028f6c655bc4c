"""Invented answers: valid ones with what they mean, and spoiled ones."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

from hypothesis import strategies as st

NAMES = (
    "X-A",
    "x-a",
    "Retry-After",
    "Set-Cookie",
    "X-Used-Weight-1M",
    "ETag",
    "!#$%&'*+-.^_`|~0Az",
    "Content-Lengthy",
)
VALUES = ("", "1", "a, b", 'W/"x:y;z"', "two  spaces", "tab\tbed", "größe", "Content-Length: 3", "(c) {d}")
REASONS = ("OK", "", "Not Found: really", "Größe\t!")
EXTENSIONS = ("", ";a", ";a=1;b", ' ; name = "quo;ted\\"" ', ";x=y")
# What spoils an answer where it hurts.
SHARDS = (
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b",",
        b";",
        b"0",
        b"9",
        b"-",
        b"+",
    ),
    *(
        b"\x80",
        b"\xff",
        b"\x7f",
        b"0x",
        b"f",
        b"chunked",
        b"close",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100\r\n\r\n",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 0",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n folded",
        b"\n\tx",
    ),
    *(
        b"Connection: close\r\n",
        b"Content-Encoding: gzip\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"\x1f\x8b\x08",
    ),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes of one answer, and what they mean."""

    wire: bytes
    head_only: bool
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    keep_alive: bool
    framing: str  # length, chunked, close, or none: the answer has no body by its nature


def packed(body: bytes, coding: str) -> bytes:
    """The body in a content coding."""
    if coding == "gzip":
        return gzip.compress(body, mtime=0)
    if coding == "two-member gzip":
        return gzip.compress(body[:3], mtime=0) + gzip.compress(body[3:], mtime=0)
    if coding == "zlib":
        return zlib.compress(body)
    if coding == "raw deflate":
        squeeze = zlib.compressobj(wbits=-15)
        return squeeze.compress(body) + squeeze.flush()
    return body


LABELS = {
    "gzip": "gzip",
    "two-member gzip": "x-GZip",
    "zlib": "deflate",
    "raw deflate": "Deflate",
    "br": "br",
}


@st.composite
def answers(draw: st.DrawFn, *, plain: bool = False) -> Answer:
    """One valid answer. ``plain`` leaves out what only a careful recipient takes, and 101."""
    status = draw(st.sampled_from((200, 200, 200, 201, 204, 304, 400, 404, 418, 429, 503, 599)))
    if not plain and draw(st.integers(0, 20)) == 0:
        status = 101
    minor = draw(st.sampled_from((1, 1, 1, 0)))
    head_only = draw(st.integers(0, 9)) == 0
    newline = "\n" if not plain and draw(st.integers(0, 4)) == 0 else "\r\n"
    bodiless = head_only or status in (101, 204, 304)
    framing = draw(
        st.sampled_from(("length", "length", "chunked", "close") if minor else ("length", "close"))
    )
    if status == 204 and framing == "chunked":
        framing = "length"

    coding = draw(st.sampled_from(("", "", "", "gzip", "zlib", "raw deflate", "two-member gzip", "br")))
    if plain and coding in ("br", "two-member gzip"):
        coding = ""
    body = draw(st.binary(max_size=60) | st.binary(min_size=1, max_size=20).map(lambda seed: seed * 40))
    if not body:
        coding = ""
    content = packed(body, coding)

    fields = draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=5))
    if coding:
        fields.append((spelled(draw, "Content-Encoding"), LABELS[coding]))
    token = draw(
        st.sampled_from(("", "", "keep-alive", "Keep-Alive", "close", "Close", "x, close", "closed"))
    )
    if token:
        fields.append((spelled(draw, "Connection"), token))
    if framing == "length":
        fields.append((spelled(draw, "Content-Length"), str(len(content))))
        if not plain and not bodiless and draw(st.integers(0, 5)) == 0:
            fields.append(("content-length", f"{len(content)}, {len(content)}"))
    elif framing == "chunked":
        fields.append((spelled(draw, "Transfer-Encoding"), "chunked"))
    fields = draw(st.permutations(fields))

    lines = [f"HTTP/1.{minor} {status} {draw(st.sampled_from(REASONS))}"]
    for name, value in fields:
        before, after = draw(st.sampled_from((" ", "", " \t"))), draw(st.sampled_from(("", "", " ", "\t ")))
        if plain or " " not in value or draw(st.integers(0, 3)):
            lines.append(f"{name}:{before}{value}{after}")
        else:
            head, _, tail = value.partition(" ")
            lines.append(f"{name}:{before}{head}{newline} {tail}{after}")
    wire = b"".join(draw(st.lists(interims(newline), max_size=2)))
    wire += (newline.join(lines) + newline * 2).encode()
    if not bodiless:
        wire += chunked(draw, content, plain) if framing == "chunked" else content
    tokens = [each.strip().lower() for each in token.split(",")]
    return Answer(
        wire,
        head_only,
        status,
        tuple(fields),
        b"" if bodiless else body if coding != "br" else content,
        "close" not in tokens
        and (minor == 1 or "keep-alive" in tokens)
        and (bodiless or framing != "close")
        and status != 101,
        "none" if bodiless else framing,
    )


def spelled(draw: st.DrawFn, name: str) -> str:
    """The header's name in one of the ways servers write it."""
    return draw(st.sampled_from((name, name.lower(), name.upper())))


def interims(newline: str) -> st.SearchStrategy[bytes]:
    """Answers before the answer (RFC 9110 section 15.2)."""
    heads = (
        "HTTP/1.1 100 Continue",
        f"HTTP/1.1 103 Early{newline}Link: </s>",
        "HTTP/1.1 102 ",
        "HTTP/1.1 199 x",
    )
    return st.sampled_from(heads).map(lambda head: (head + newline * 2).encode())


def chunked(draw: st.DrawFn, content: bytes, plain: bool) -> bytes:
    """The content in chunks, with extensions and trailers."""
    wire = b""
    while content:
        size = draw(st.integers(1, len(content)))
        digits = draw(st.sampled_from(("%x", "%X", "%03x"))) % size
        extension = "" if plain else draw(st.sampled_from(EXTENSIONS)).rstrip()
        wire += f"{digits}{extension}\r\n".encode() + content[:size] + b"\r\n"
        content = content[size:]
    trailers = (
        "" if plain else draw(st.sampled_from(("", "", "X-A: trailed\r\n", "A: 1\r\nContent-Length: 7\r\n")))
    )
    return wire + f"{draw(st.sampled_from(('0', '000')))}\r\n{trailers}\r\n".encode()


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[bytes, bool]:
    """Bytes near those of a valid answer, and whether it answers HEAD."""
    answer = draw(answers())
    wire = answer.wire
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(wire)))
        match draw(st.sampled_from(("flip", "insert", "insert", "delete", "cut", "repeat", "line"))):
            case "flip" if at < len(wire):
                wire = wire[:at] + bytes([wire[at] ^ 1 << draw(st.integers(0, 7))]) + wire[at + 1 :]
            case "insert":
                wire = (
                    wire[:at] + draw(st.sampled_from(SHARDS) | st.binary(min_size=1, max_size=3)) + wire[at:]
                )
            case "delete":
                wire = wire[:at] + wire[at + draw(st.integers(1, 6)) :]
            case "cut":
                wire = wire[:at]
            case "repeat":
                wire = wire[:at] + wire[max(0, at - draw(st.integers(1, 20))) :]
            case "line":  # a whole line put in where a line begins
                start = wire.find(b"\n", at) + 1
                wire = wire[:start] + draw(st.sampled_from(SHARDS)) + wire[start:]
    return wire, answer.head_only


def soups() -> st.SearchStrategy[bytes]:
    """Bytes that are no answer, made of what answers are made of."""
    starts = st.sampled_from(
        (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    )
    parts = st.lists(st.sampled_from(SHARDS) | st.binary(max_size=4), max_size=25).map(b"".join)
    return st.builds(bytes.__add__, starts, parts) | st.binary(max_size=200)
