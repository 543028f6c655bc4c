"""Where an answer ends (RFC 9112 section 6), and answers one after another on one connection."""

from __future__ import annotations

import pytest

from cexnet_core.response import BodyTooLarge, MalformedResponse, ResponseParser
from tests.core.response_feed import MAX_BODY_BYTES, REFUSED, UNFINISHED, observe, pour, read

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
SWITCHING = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def body_of(wire: bytes, *, head_only: bool = False) -> bytes:
    """The body of an answer that must be complete, with nothing behind it."""
    got = observe(wire, head_only=head_only)
    assert (got.kind, got.spoke_unasked) == ("complete", False)
    return got.body


@pytest.fixture
def parser() -> ResponseParser:
    made = ResponseParser(MAX_BODY_BYTES)
    made.begin(False)
    return made


def test_the_errors_are_value_errors() -> None:
    assert issubclass(MalformedResponse, ValueError)
    assert issubclass(BodyTooLarge, MalformedResponse)


@pytest.mark.parametrize(
    ("lengths", "body"),
    [
        (["Content-Length: 5"], b"hello"),
        (["content-LENGTH:5"], b"hello"),
        (["Content-Length: \t5\t "], b"hello"),
        (["Content-Length: 005"], b"hello"),
        (["Content-Length: 0"], b""),
        (["Content-Length: 5", "Content-Length: 5"], b"hello"),
        (["Content-Length: 5, 5"], b"hello"),
        (["Content-Length: 5,5", "X: y", "content-length: 5"], b"hello"),
        (["Content-Length:\r\n 5"], b"hello"),
    ],
)
def test_content_length(lengths: list[str], body: bytes) -> None:
    assert body_of(OK + "\r\n".join(lengths).encode() + b"\r\n\r\n" + body) == body


@pytest.mark.parametrize(
    "lengths",
    [
        *(["Content-Length: 5", "Content-Length: 6"], ["Content-Length: 5, 6"], ["Content-Length: 5,5,05a"]),
        *(["Content-Length:"], ["Content-Length: ,"], ["Content-Length: five"], ["Content-Length: 5 5"]),
        *(["Content-Length: +5"], ["Content-Length: -5"], ["Content-Length: 0x5"], ["Content-Length: 5;"]),
        *(
            ["Content-Length: 5.0"],
            ["Content-Length: 5e0"],
            ["Content-Length: 1_0"],
            ["Content-Length: \xb2"],
        ),
        *(
            ["Content-Length: ٥"],
            ["Content-Length: 5\r\n 5"],
            ['Content-Length: "5"'],
            ["Content-Length: -0"],
        ),
    ],
)
def test_a_length_that_is_none_is_refused(lengths: list[str]) -> None:
    assert observe(OK + "\r\n".join(lengths).encode() + b"\r\n\r\n" + b"hello" * 20) == REFUSED


@pytest.mark.parametrize(
    "length",
    [
        2**31,
        2**32,
        2**32 + 5,
        2**63 - 1,
        2**63,
        2**63 + 5,
        10**19 - 1,
        2**64,
        2**64 + 5,
        10 * 2**63,
        2**128 + 5,
    ],
)
@pytest.mark.parametrize("spelling", ["{}", "{0}, {0}", "10{}", "{:040}"])
def test_a_length_beyond_every_integer_is_refused_when_the_head_ends(
    parser: ResponseParser, length: int, spelling: str
) -> None:
    with pytest.raises(MalformedResponse):
        pour(parser, OK + f"Content-Length: {spelling.format(length)}\r\n\r\nhello".encode())


@pytest.mark.parametrize(
    ("chunks", "body"),
    [
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"0\r\n\r\n", b""),
        (b"000\r\n\r\n", b""),
        (b"1\r\nh\r\n2\r\nel\r\n02\r\nlo\r\n0\r\n\r\n", b"hello"),
        (b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2),
        (b"5;a\r\nhello\r\n0;last\r\n\r\n", b"hello"),
        (b'5;a=b;c="d;\\"e"\r\nhello\r\n0\r\n\r\n', b"hello"),
        (b"5 ;\ta = b\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n0\r\nX-A: 1\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n0\r\nX-A: 1\r\nContent-Length: 99\r\n\r\n", b"hello"),
        (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n"),
    ],
)
def test_chunked(chunks: bytes, body: bytes) -> None:
    assert body_of(CHUNKED + chunks) == body
    assert body_of(CHUNKED.replace(b"chunked", b"ChunKED\t") + chunks) == body


def test_many_chunks_of_every_size() -> None:
    content = bytes(range(256)) * 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (size, content[:size]) for size in range(1, 513))
    whole = b"".join(content[:size] for size in range(1, 513))
    assert body_of(CHUNKED + chunks + b"0\r\n\r\n") == whole
    assert body_of(CHUNKED + b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n") == b"x" * 20_000


@pytest.mark.parametrize(
    "chunks",
    [
        *(b"\r\nhello\r\n0\r\n\r\n", b";a\r\nhello\r\n0\r\n\r\n", b"g\r\nhello\r\n0\r\n\r\n"),
        *(b"0x5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n"),
        *(b" 5\r\nhello\r\n0\r\n\r\n", b"5_0\r\nhello\r\n0\r\n\r\n", b"5 5\r\nhello\r\n0\r\n\r\n"),
        *(b"4\r\nhello\r\n0\r\n\r\n", b"6\r\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n"),
        *(b"5\r\nhello\r\r\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n", b"5\r\rhello\r\n0\r\n\r\n"),
        *(b"5;a\rb\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n", b"5\0\r\nhello\r\n0\r\n\r\n"),
    ],
)
def test_chunks_that_are_none_are_refused(chunks: bytes) -> None:
    assert observe(CHUNKED + chunks) == REFUSED


@pytest.mark.parametrize(
    "size", [b"7fffffffffffffff", b"8000000000000000", b"ffffffffffffffff", b"10000000000000005"]
)
@pytest.mark.parametrize("before", [b"", b"5\r\nhello\r\n"])
def test_a_chunk_beyond_every_integer_is_refused_at_its_line(
    parser: ResponseParser, size: bytes, before: bytes
) -> None:
    with pytest.raises(MalformedResponse):
        pour(parser, CHUNKED + before + size + b"\r\nhello\r\n0\r\n\r\n")


def test_a_size_of_twenty_hexadecimal_digits_is_refused(parser: ResponseParser) -> None:
    with pytest.raises(MalformedResponse):
        pour(parser, CHUNKED + b"f" * 20 + b"\r\n")


@pytest.mark.parametrize("endless", [b"5;" + b"a" * 200_000, b"0" * 200_000, b"0\r\n" + b"X: y\r\n" * 40_000])
def test_lines_between_chunks_are_bounded(parser: ResponseParser, endless: bytes) -> None:
    with pytest.raises(MalformedResponse):
        pour(parser, CHUNKED + endless)


def test_trailers_do_not_become_headers() -> None:
    got = observe(
        OK + b"Transfer-Encoding: chunked\r\nA: 1\r\n\r\n0\r\nB: 2\r\nA: 3\r\nConnection: close\r\n\r\n"
    )
    assert got.headers == (("Transfer-Encoding", ("chunked",)), ("A", ("1",)))
    assert got.keep_alive


@pytest.mark.parametrize(
    "codings",
    [
        *(
            "gzip",
            "gzip, chunked",
            "chunked, gzip",
            "chunked, chunked",
            "identity",
            "",
            "chunked;q=1",
            "xchunked",
        ),
        *("chunked\r\nTransfer-Encoding: chunked", "chunked\r\nTransfer-Encoding: identity", "chunked2"),
        *("identity\r\nTransfer-Encoding: chunked", "chunked\x0b", '"chunked"', "chunke", "chun ked"),
    ],
)
def test_another_transfer_coding_than_chunked_is_refused(codings: str) -> None:
    wire = OK + b"Transfer-Encoding: " + codings.encode() + b"\r\n\r\n0\r\n\r\n"
    assert observe(wire) == REFUSED


@pytest.mark.parametrize("length", [b"0", b"5", b"10"])
def test_both_framings_at_once_are_refused(length: bytes) -> None:
    both = [b"Content-Length: " + length, b"Transfer-Encoding: chunked"]
    for fields in (both, both[::-1]):
        assert observe(OK + b"\r\n".join(fields) + b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n") == REFUSED


def test_chunks_before_http_1_1_are_refused() -> None:
    for connection in (b"", b"Connection: keep-alive\r\n"):
        head = b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n" + connection
        assert observe(head + b"\r\n5\r\nhello\r\n0\r\n\r\n") == REFUSED


def test_a_body_that_the_close_ends(parser: ResponseParser) -> None:
    assert not pour(parser, OK + b"X: y\r\n\r\nhel")
    assert not pour(parser, b"lo")
    assert parser.end() is True
    assert parser.end() is False  # no answer is expected any more
    assert (parser.body, parser.keep_alive, parser.spoke_unasked) == (b"hello", False, False)
    assert body_of(OK + b"\r\n") == b""
    assert body_of(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n") == b"0\r\n\r\n"


@pytest.mark.parametrize("status", [204, 304, 200])
@pytest.mark.parametrize("fields", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_answers_without_a_body_by_their_nature(parser: ResponseParser, status: int, fields: bytes) -> None:
    parser.begin(status == 200)
    assert pour(parser, b"HTTP/1.1 %d X\r\n%bContent-Encoding: gzip\r\n\r\n" % (status, fields))
    got = read(parser)
    assert (got.status, got.body, got.keep_alive, got.spoke_unasked) == (status, b"", True, False)


def test_the_answer_to_head_may_tell_any_length() -> None:
    assert body_of(OK + b"Content-Length: 99999999999999\r\n\r\n", head_only=True) == b""


@pytest.mark.parametrize("count", [1, 2, 500])
def test_interim_answers_are_skipped(count: int) -> None:
    interims = (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103\r\nX: y\r\nContent-Length: 5\r\n\r\n")
    got = observe(b"".join(interims) * count + OK + b"Content-Length: 2\r\n\r\nhi")
    assert (got.status, got.body, got.headers) == (200, b"hi", (("Content-Length", ("2",)),))


def test_status_is_that_of_the_final_head_once_it_is_there(parser: ResponseParser) -> None:
    assert parser.status == 0
    for part in (b"HTTP/1.1 1", b"02 P\r\n\r\n", b"HTTP/1.1 404 X\r\n", b"Content-Length: 2\r\n\r"):
        assert not pour(parser, part)
        assert parser.status == 0
    assert not pour(parser, b"\n")
    assert parser.status == 404
    assert pour(parser, b"hi")
    parser.begin(False)
    assert parser.status == 0


def test_switching_protocols_is_final_and_ends_http_on_the_connection() -> None:
    got = observe(b"HTTP/1.1 100\r\n\r\n" + SWITCHING)
    assert (got.status, got.body, got.keep_alive, got.spoke_unasked) == (101, b"", False, False)


@pytest.mark.parametrize("cuts", [[], [len(SWITCHING)], [len(SWITCHING) + 1]])
def test_bytes_behind_the_switch_are_unasked_however_they_come(cuts: list[int]) -> None:
    assert observe(SWITCHING + b"\x81\x00", cuts=cuts).spoke_unasked


@pytest.mark.parametrize("cut", range(1, 6))
@pytest.mark.parametrize(
    "framed", [b"Content-Length: 6\r\n\r\nhello!", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]
)
def test_a_close_within_the_body_is_refused(parser: ResponseParser, framed: bytes, cut: int) -> None:
    assert not pour(parser, OK + framed[:-cut])
    with pytest.raises(MalformedResponse):
        parser.end()


@pytest.mark.parametrize("part", [b"", b"H", OK, OK + b"A: b\r\n", b"HTTP/1.1 100 C\r\n\r\n", EMPTY[:-1]])
def test_a_close_before_the_body_is_no_answer(parser: ResponseParser, part: bytes) -> None:
    pour(parser, part)
    assert parser.end() is False


def test_a_close_when_no_answer_is_expected() -> None:
    assert ResponseParser(10).end() is False


def test_answers_one_after_another(parser: ResponseParser) -> None:
    wires = (
        OK + b"Content-Length: 5\r\nA: 1\r\n\r\nfirst",
        CHUNKED + b"6\r\nsecond\r\n0\r\n\r\n",
        b"HTTP/1.1 204 X\r\n\r\n",
        b"HTTP/1.1 100 X\r\n\r\nHTTP/1.0 503 X\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n5",
        EMPTY,
    )
    for _ in range(3):
        for wire in wires:
            assert observe(wire, parser=parser, cuts=[7, 30]) == observe(wire)


def test_an_answer_that_is_kept_stays_as_it_was(parser: ResponseParser) -> None:
    pour(parser, OK + b"Content-Length: 5\r\nA: 1\r\nB: 2\r\n\r\nfirst")
    headers, body = parser.headers, parser.body
    for filler in (b"x" * 40, b"y" * 100_000):
        parser.begin(False)
        pour(
            parser,
            b"HTTP/1.1 500 X\r\nC: %b\r\nContent-Length: %d\r\n\r\n" % (filler[:1000], len(filler)) + filler,
        )
    assert dict(headers) == {"Content-Length": "5", "A": "1", "B": "2"}
    assert body == b"first"
    del parser
    assert headers["b"] == "2"


@pytest.mark.parametrize(
    "wire", [EMPTY, CHUNKED + b"0\r\n\r\n", b"HTTP/1.1 204 X\r\n\r\n", b"HTTP/1.1 304 X\r\n\r\n"]
)
@pytest.mark.parametrize("more", [b"\r\n", b"x", EMPTY, b"\0" * 100_000])
def test_bytes_behind_an_answer_are_unasked(wire: bytes, more: bytes) -> None:
    assert not observe(wire).spoke_unasked
    for cuts in ([], [len(wire)], [len(wire) - 1], range(len(wire) + 2)):
        got = observe(wire + more, cuts=cuts)
        assert (got.kind, got.body, got.spoke_unasked) == ("complete", b"", True)


def test_bytes_before_any_request_are_unasked() -> None:
    parser = ResponseParser(MAX_BODY_BYTES)
    assert not parser.spoke_unasked
    assert not pour(parser, b"H")
    assert parser.spoke_unasked


def test_bytes_between_answers_are_unasked(parser: ResponseParser) -> None:
    assert pour(parser, EMPTY)
    assert not parser.spoke_unasked
    assert not pour(parser, b"HTTP/1.1 408 X\r\n\r\n")
    assert parser.spoke_unasked
    assert parser.status == 200


def test_nothing_received_changes_nothing(parser: ResponseParser) -> None:
    parser.get_buffer(-1)
    assert parser.advance(0) is False
    assert observe(b"") == UNFINISHED
    assert pour(parser, EMPTY)
    assert not parser.spoke_unasked
