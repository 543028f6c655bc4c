"""What RFC 9112 and 9110 say of an answer's bytes, slowly and all at once: the parser's oracle.

Where they leave a choice to the recipient (``Undefined``), there is nothing to agree on.
"""

from __future__ import annotations

import re
import zlib

from tests.core.response_feed import REFUSED, UNFINISHED, Outcome

Fields = list[tuple[bytes, bytes]]

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: (.*))?", re.DOTALL)
LOOSE_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9][ \t\v\f]+[0-9]{3}(?:[ \t\v\f].*)?", re.DOTALL)
OTHER_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)([ \t]*)(;.*)?", re.DOTALL)
EXTENSION = re.compile(
    rb"(?:[ \t]*;[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+"
    rb"(?:[ \t]*=[ \t]*(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|\"(?:[^\"\\\x00-\x08\x0a-\x1f\x7f]|\\[ -~])*\"))?)*"
)
GZIP = (b"gzip", b"x-gzip")


class Refused(Exception):
    """The recipient must not take this for an answer."""


class Unfinished(Exception):
    """The head does not end."""


class Undefined(Exception):
    """The RFC leaves it to the recipient, or says nothing."""


def expect(data: bytes, head_only: bool) -> Outcome | None:
    """The outcome for these bytes, after which the peer closes; ``None`` where it is free."""
    try:
        return _answer(data, head_only)
    except Refused:
        return REFUSED
    except Unfinished:
        return UNFINISHED
    except Undefined:
        return None


def _answer(data: bytes, head_only: bool) -> Outcome:
    while True:
        lines, data = _head(data)
        minor, status = _status_line(lines[0])
        fields = _fields(lines[1:])
        if status >= 200 or status == 101:
            break
    bodiless = head_only or status in (101, 204, 304)
    body, rest, until_close = _body(data, minor, fields, bodiless)
    connection = {token.lower() for token in _tokens(_values(fields, b"connection"))}
    if any(TOKEN.fullmatch(token) is None for token in connection):
        raise Undefined  # "close *": what is broken may be taken for close
    keep_alive = b"close" not in connection and (minor == 1 or b"keep-alive" in connection)
    named: dict[bytes, tuple[str, list[str]]] = {}
    for name, value in fields:
        spelled = named.setdefault(name.lower(), (name.decode("ascii"), []))
        spelled[1].append(value.decode("utf-8", "surrogateescape"))
    return Outcome(
        "complete",
        status,
        tuple((name, tuple(values)) for name, values in named.values()),
        b"" if bodiless else _decoded(body, _values(fields, b"content-encoding")),
        keep_alive and not until_close and status != 101,
        bool(rest),
    )


def _head(data: bytes) -> tuple[list[bytes], bytes]:
    if re.match(rb"[\r\n \t]", data):
        raise Undefined  # empty lines before an answer
    end = re.search(rb"\n\r?\n", data)
    if end is None:
        raise Unfinished
    lines = [line.removesuffix(b"\r") for line in data[: end.start()].split(b"\n")]
    return lines, data[end.end() :]


def _status_line(line: bytes) -> tuple[int, int]:
    if b"\r" in line:
        raise Refused
    match = STATUS_LINE.fullmatch(line)
    if match is None:
        # Spacing (section 4 allows lenience), unknown minor versions, statuses outside 100..599.
        raise Undefined if LOOSE_STATUS_LINE.fullmatch(line) else Refused
    if OTHER_CONTROL.search(match[3] or b""):
        raise Undefined
    return int(match[1]), int(match[2])


def _fields(lines: list[bytes]) -> Fields:
    fields: Fields = []
    for line in lines:
        if b"\r" in line or b"\0" in line:
            raise Refused
        if line[:1] in (b" ", b"\t"):
            if not fields:
                raise Undefined  # section 2.2: refused, or the line ignored
            fields[-1] = (fields[-1][0], (fields[-1][1] + b"  " + line).strip(b" \t"))
        else:
            name, colon, value = line.partition(b":")
            if not colon or not TOKEN.fullmatch(name):
                raise Refused
            fields.append((name, value.strip(b" \t")))
    if any(OTHER_CONTROL.search(value) for _, value in fields):
        raise Undefined  # RFC 9110 section 5.5: may be retained
    return fields


def _values(fields: Fields, wanted: bytes) -> list[bytes]:
    return [value for name, value in fields if name.lower() == wanted]


def _tokens(values: list[bytes]) -> list[bytes]:
    return [token.strip(b" \t") for value in values for token in value.split(b",") if token.strip(b" \t")]


def _body(rest: bytes, minor: int, fields: Fields, bodiless: bool) -> tuple[bytes, bytes, bool]:
    """Section 6.3: the body, what follows it, and whether only the close ended it."""
    codings = _values(fields, b"transfer-encoding")
    lengths = _values(fields, b"content-length")
    if bodiless:
        one_way = (not codings and len(lengths) <= 1) or (codings == [b"chunked"] and not lengths)
        if not one_way or (codings and minor == 0) or any(not re.fullmatch(rb"\d{1,6}", n) for n in lengths):
            raise Undefined  # rule 1 comes before the rules that refuse
        return b"", rest, False
    if codings:
        if minor == 0 or lengths:
            raise Refused
        if [value.lower() for value in codings] != [b"chunked"]:
            raise Undefined if [token.lower() for token in _tokens(codings)] == [b"chunked"] else Refused
        return (*_chunked(rest), False)
    if lengths:
        length = _length(lengths)
        if length > len(rest):
            raise Refused
        return rest[:length], rest[length:], False
    return rest, b"", True


def _length(values: list[bytes]) -> int:
    tokens = _tokens(values)
    if (
        not tokens
        or not all(token.isdigit() for token in tokens)
        or len({int(token) for token in tokens}) != 1
    ):
        raise Refused
    if len(set(tokens)) != 1 or len(tokens) != sum(value.count(b",") + 1 for value in values):
        raise Undefined  # "5" and "05"; empty elements of a list
    if len(tokens[0]) > 18 and tokens[0].startswith(b"0"):
        raise Undefined
    return int(tokens[0])


def _chunked(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, newline, rest = rest.partition(b"\n")
        if not newline:
            raise Refused
        if not line.endswith(b"\r"):
            raise Undefined  # a bare LF: allowed for the lines of the head only
        line = line[:-1]
        match = CHUNK_LINE.fullmatch(line)
        if match is None or b"\r" in line:
            raise Refused
        digits, spaces, extension = match[1], match[2], match[3] or b""
        if (spaces and not extension) or not EXTENSION.fullmatch(spaces + extension):
            raise Undefined
        if len(digits) > 15 and digits.startswith(b"0"):
            raise Undefined
        size = int(digits, 16)
        if size == 0:
            return body, _after_trailers(rest)
        if len(rest) < size + 2:
            raise Refused
        body, ending, rest = body + rest[:size], rest[size : size + 2], rest[size + 2 :]
        if ending != b"\r\n":
            raise Undefined if ending.startswith(b"\n") else Refused


def _after_trailers(rest: bytes) -> bytes:
    if rest.startswith(b"\r\n"):
        return rest[2:]
    end = re.search(rb"\n\r?\n", rest)
    if end is None and not rest.startswith(b"\n"):
        raise Refused
    if end is None or re.search(rb"(?<!\r)\n", rest[: end.end()]):
        raise Undefined
    try:
        _fields(rest[: end.start()].replace(b"\r\n", b"\n").removesuffix(b"\r").split(b"\n"))
    except Refused:
        raise Undefined from None  # trailers are thrown away: looked at, or not
    return rest[end.end() :]


def _decoded(body: bytes, codings: list[bytes]) -> bytes:
    known = (*GZIP, b"deflate")
    tokens = [token.lower() for token in _tokens(codings)]
    if not body or not set(tokens) & set(known):
        return body
    if len(codings) != 1 or [codings[0].lower()] != tokens:
        raise Undefined  # several codings
    return _members(body) if tokens[0] in GZIP else _deflated(body)


def _members(body: bytes) -> bytes:
    out = b""
    while body:
        if out and not body.startswith(b"\x1f\x8b"):
            raise Undefined  # padding or garbage behind a member
        member = zlib.decompressobj(31)
        out += _inflated(member, body)
        body = member.unused_data
        if body and not out:
            raise Undefined
    return out


def _deflated(body: bytes) -> bytes:
    is_zlib = len(body) > 1 and body[0] & 15 == 8 and body[0] >> 4 < 8 and (body[0] << 8 | body[1]) % 31 == 0
    stream = zlib.decompressobj(15 if is_zlib else -15)
    out = _inflated(stream, body)
    if stream.unused_data or (not is_zlib and body[0] & 15 == 8):
        raise Undefined  # garbage behind it; or which of both it is, is a guess
    return out


def _inflated(stream: zlib._Decompress, data: bytes) -> bytes:
    try:
        out = stream.decompress(data)
    except zlib.error:
        raise Refused from None
    if not stream.eof:
        raise Refused
    return out
