"""The head of an answer: its status line, its header fields, and whether the connection persists."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cexnet_core.headers import ResponseHeaders
from cexnet_core.response import MalformedResponse, ResponseParser
from tests.core.response_feed import MAX_BODY_BYTES, REFUSED, observe, pour

OK = b"HTTP/1.1 200 OK\r\n"
END = b"Content-Length: 0\r\n\r\n"


def headers_of(fields: bytes) -> ResponseHeaders:
    """The headers of a complete answer that has these fields."""
    parser = ResponseParser(MAX_BODY_BYTES)
    parser.begin(False)
    assert pour(parser, OK + fields + END)
    return parser.headers


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.1 200 OK", 200),
        (b"HTTP/1.0 200 OK", 200),
        (b"HTTP/1.1 404 Not Found", 404),
        (b"HTTP/1.1 200 ", 200),
        (b"HTTP/1.1 200", 200),  # the space is due even so; many leave it out
        (b"HTTP/1.1 418 I'm a\tteapot: \xc3\xa9\xff", 418),
        (b"HTTP/1.1 599 200 OK", 599),
        (b"HTTP/1.1 200 " + b"x" * 1000, 200),
    ],
)
@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_status_lines(line: bytes, status: int, newline: bytes) -> None:
    got = observe(line + newline + END)
    assert (got.kind, got.status) == ("complete", status)
    head = observe(line + newline * 2, head_only=True)  # no field at all
    assert (head.kind, head.status, head.headers) == ("complete", status, ())


@pytest.mark.parametrize(
    "line",
    [
        *(b"HTTP/2 200 OK", b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK", b"HTTP/1 200 OK", b"HTTP/1.1.1 200 OK"),
        *(
            b"HTTP/11 200 OK",
            b"HTTP/1.10 200 OK",
            b"HTTP/1.x 200 OK",
            b"http/1.1 200 OK",
            b"HTTP/01.1 200 OK",
        ),
        *(b"HTTPS/1.1 200 OK", b"ICY 200 OK", b"200 OK", b"HTTP/1.1", b"HTTP/1.1 ", b"HTTP/1.1200 OK"),
        *(b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 200OK", b"HTTP/1.1 2x0 OK", b"HTTP/1.1 -20 OK"),
        *(
            b"HTTP/1.1 +20 OK",
            b"HTTP/1.1 2.0 OK",
            b"HTTP/1.1 \xb2\xb0\xb0 OK",
            b"HTTP/1.1 OK 200",
            b"HTTP/1.1 20",
        ),
        *("HTTP/1.1 ２００ OK".encode(), b"<html>", b"GET / HTTP/1.1", b"\x15\x03\x01\x00\x02\x02"),
        *(
            b"HTTP/1.1 200 O\rK",
            b"HTTP/1.1 200\rOK",
            b"HTTP/1.1\r200 OK",
            b"HTTP/1.1 2\x000 OK",
            b"HTTP/1.1\0 200 OK",
        ),
    ],
)
def test_what_is_no_status_line_is_refused(line: bytes) -> None:
    assert observe(line + b"\r\n" + END) == REFUSED


def test_line_ends_may_be_bare_and_mixed() -> None:
    for head in (b"A: 1\nB: 2\n\n", b"A: 1\r\nB: 2\n\r\n", b"A: 1\nB: 2\r\n\n"):
        got = observe(b"HTTP/1.1 200 OK\n" + head + b"\nbody")
        assert (got.kind, got.body) == ("complete", b"\nbody")
        assert got.headers == (("A", ("1",)), ("B", ("2",)))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"A:b", "b"),
        (b"A: b", "b"),
        (b"A:\t b \t", "b"),
        (b"A: b  c\td", "b  c\td"),
        (b"A:", ""),
        (b"A: \t ", ""),
        (b"A: b: c:", "b: c:"),
        (b"A: :", ":"),
        (b"A: gr\xc3\xbcn \xe2\x82\xac", "grün €"),
        (b"A: \xff\xe9", "\udcff\udce9"),
        (b"A: \xc2\xa0b\xc2\xa0", "\xa0b\xa0"),  # no-break spaces are no spaces here
        (b'A: "q\\"uoted", (c)', '"q\\"uoted", (c)'),
        (b"A: " + b"v" * 20_000, "v" * 20_000),
    ],
)
def test_values(field: bytes, value: str) -> None:
    for newline in (b"\r\n", b"\n"):
        headers = headers_of(b"Z: y\r\n" + field + newline)
        assert headers["A"] == headers["a"] == value
        assert headers.get_all("a") == [value]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (b"A: b\r\n c", ["b", "c"]),
        (b"A: b \r\n \t c", ["b", "c"]),
        (b"A:\r\n b", ["b"]),
        (b"A: b\n\tc", ["b", "c"]),
        (b"A: b\r\n ", ["b"]),
        (b"A: b\r\n c\r\n\td: e\n f", ["b", "c", "d:", "e", "f"]),
    ],
)
def test_folded_lines_are_joined_by_spaces(field: bytes, words: list[str]) -> None:
    headers = headers_of(field + b"\r\nB: 2\r\n")
    value = headers["A"]
    assert value.split() == words
    assert not set(value) & set("\r\n")
    assert value == value.strip(" \t")
    assert list(headers) == ["A", "B", "Content-Length"]


def test_what_is_folded_still_has_its_meaning() -> None:
    assert not observe(OK + b"Connection: a,\r\n close\r\n" + END).keep_alive
    assert observe(OK + b"Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n").body == b"hi"
    # The line goes on the one before it: this is no second length.
    assert observe(OK + b"A: b\r\n Content-Length: 5\r\n" + END).body == b""


@pytest.mark.parametrize(
    "field",
    [
        *(b"A : b", b"A\t: b", b": b", b":", b"A", b"A b", b"A B: c", b"\x01: b", b"A\x7f: b"),
        *(
            b"A(: b",
            b"A,B: c",
            b"A;: b",
            b'"A": b',
            b"A/B: c",
            b"A@: b",
            b"[A]: b",
            b"{A}: b",
            b"A=: b",
            b"A\\: b",
        ),
        *(
            "Ä: b".encode(),
            b"A\xff: b",
            b"A\0: b",
            b"A: b\0c",
            b"A: \0",
            b"A: b\rc",
            b"A: b\r",
            b"A: \r",
            b"\rA: b",
        ),
        *(b"A\r: b", b"A:\rB: c", b"A: b\r\r", b"A: b\r\n c\rd", b"A: b\r\n \0"),
    ],
)
def test_what_is_no_field_is_refused(field: bytes) -> None:
    before, after = b"Y: 1\r\n", b"Z: 2\r\n"
    for fields in (field + b"\r\n", before + field + b"\r\n", before + field + b"\r\n" + after):
        assert observe(OK + fields + END) == REFUSED


def test_a_fold_of_the_status_line_is_refused_or_ignored() -> None:
    """Section 2.2 allows both, and nothing else."""
    got = observe(OK + b" A: b\r\nC: d\r\n" + END)
    assert got == REFUSED or got.headers == (("C", ("d",)), ("Content-Length", ("0",)))


def test_headers_are_a_mapping_without_case_that_keeps_order_and_spelling() -> None:
    headers = headers_of(b"X-One: 1\r\nset-cookie: a\r\nx-ONE: 2\r\nSet-Cookie: b\r\nX-one: 2\r\n")
    assert isinstance(headers, Mapping)
    assert isinstance(headers, ResponseHeaders)
    assert list(headers) == list(headers.keys()) == ["X-One", "set-cookie", "Content-Length"]
    assert len(headers) == 3
    assert headers["X-ONE"] == headers.get("x-one") == "1"
    assert headers.get_all("x-One") == ["1", "2", "2"]
    assert headers.get_all("SET-COOKIE") == ["a", "b"]
    assert dict(headers.items()) == {"X-One": "1", "set-cookie": "a", "Content-Length": "0"}
    assert list(headers.values()) == ["1", "a", "0"]
    assert headers == {"X-One": "1", "set-cookie": "a", "Content-Length": "0"}


def test_names_that_are_not_there() -> None:
    headers = headers_of(b"Keep-Alive: timeout=5\r\nX-A: 1\r\n")
    for name in (
        "",
        "X",
        "X-",
        "X-A ",
        "X-AA",
        "X-A:",
        "Keep_Alive",
        "\u212aeep-Alive",
        "ſ",
        "X\0A",
        "\udcff",
        "a" * 9999,
    ):
        assert name not in headers
        assert headers.get(name) is None
        assert headers.get(name, "other") == "other"
        assert headers.get_all(name) == []
        with pytest.raises(KeyError):
            headers[name]
    assert "KEEP-ALIVE" in headers
    assert 5 not in headers
    assert None not in headers


@pytest.mark.parametrize(
    ("sent", "asked"), [("X^", "X~"), ("X~", "X^"), ("X`", "X@"), ("X|", "X\\"), ("X-", "X\r")]
)
def test_only_letters_have_case(sent: str, asked: str) -> None:
    headers = headers_of(f"{sent}: 1\r\n".encode())
    assert headers.get(asked) is None
    assert headers[sent.lower()] == "1"


def test_headers_cannot_be_changed() -> None:
    headers = headers_of(b"A: 1\r\n")
    with pytest.raises(TypeError):
        headers["A"] = "2"  # type: ignore[index]
    with pytest.raises(TypeError):
        del headers["A"]  # type: ignore[attr-defined]


def test_no_headers_at_all() -> None:
    parser = ResponseParser(MAX_BODY_BYTES)
    parser.begin(True)
    assert pour(parser, OK + b"\r\n")
    assert (list(parser.headers), len(parser.headers), parser.headers.get_all("a")) == ([], 0, [])


def test_values_are_not_shown() -> None:
    shown = repr(headers_of(b"X-Key: hunter2\r\nX-Other: hunter2\r\n"))
    assert "X-Key" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "wire",
    [
        *(
            b"HTTP/1.1 hunter2 OK\r\n\r\n",
            b"hunter2 200 OK\r\n\r\n",
            OK + b"hunter2\r\n\r\n",
            OK + b"hunter2 : 1\r\n\r\n",
        ),
        *(
            OK + b"A: hunter2\0\r\n\r\n",
            OK + b"A: hunter2\rB\r\n\r\n",
            OK + b"Content-Length: hunter2\r\n\r\n",
        ),
        *(OK + b"Transfer-Encoding: hunter2\r\n\r\n", OK + b"Transfer-Encoding: chunked\r\n\r\nhunter2\r\n"),
        *(
            OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhunter2\r\n",
            OK + b"Content-Length: 9\r\n\r\nhunter2",
        ),
        OK + b"Content-Encoding: gzip\r\nContent-Length: 7\r\n\r\nhunter2",
    ],
)
def test_errors_say_what_is_wrong_and_quote_nothing(wire: bytes) -> None:
    parser = ResponseParser(MAX_BODY_BYTES)
    parser.begin(False)
    with pytest.raises(MalformedResponse) as caught:  # noqa: PT012 - wherever it is noticed
        pour(parser, wire)
        parser.end()
    assert str(caught.value)
    context: BaseException | None = caught.value
    while context is not None:
        assert "hunter2" not in str(context)
        context = context.__cause__ or context.__context__


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (1, None, True),
        (0, None, False),
        (1, "close", False),
        (1, "CLOSE", False),
        (1, "keep-alive", True),
        (0, "keep-alive", True),
        (0, "Keep-Alive", True),
        (0, "close", False),
        (1, "keep-alive, close", False),
        (0, "close, keep-alive", False),
        (1, "close\r\nConnection: keep-alive", False),
        (1, "keep-alive\r\nX: y\r\nconnection: x ,\tclose ", False),
        (0, "x\r\nConnection: keep-alive", True),
        (1, ",, ,close,", False),
        (0, "upgrade,keep-alive", True),
        (1, "closed", True),
        (1, "not-close", True),
        (1, "x-close", True),
        (0, "keep-alive2", False),
        (0, "keepalive", False),
        (1, "", True),
        (0, "", False),
    ],
)
def test_persistence(version: int, connection: str | None, kept: bool) -> None:
    field = "" if connection is None else f"Connection: {connection}\r\n"
    start = f"HTTP/1.{version} 200 OK\r\n{field}"
    assert observe((start + "Content-Length: 2\r\n\r\nhi").encode()).keep_alive is kept
    assert observe((start + "\r\n").encode(), head_only=True).keep_alive is kept
    assert observe((start.replace("200", "204") + "\r\n").encode()).keep_alive is kept
    assert observe((start + "\r\nhi").encode()).keep_alive is False  # until close
    if version == 1:
        chunked = start + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        assert observe(chunked.encode()).keep_alive is kept


def test_only_the_final_head_says_whether_the_connection_persists() -> None:
    assert observe(b"HTTP/1.1 100 C\r\nConnection: close\r\n\r\n" + OK + END).keep_alive
    assert observe(OK + b"Proxy-Connection: close\r\nKeep-Alive: close\r\n" + END).keep_alive
