"""What a hostile server may send, and a careless caller do, to the parser of responses."""

from __future__ import annotations

import gzip

import pytest

from cexnet_core.headers import ResponseHeaders
from cexnet_core.response import BodyTooLarge, MalformedResponse, ResponseParser

MAX_BODY_BYTES = 1 << 20


def feed(parser: ResponseParser, wire: bytes) -> bool:
    parser.get_buffer()[: len(wire)] = wire
    return parser.advance(len(wire))


@pytest.mark.parametrize(
    "length",
    [
        "1000000000000000000",
        "9223372036854775808",
        "9999999999999999999",
        "18446744073709551616",
        "92233720368547758080",  # five times 2**64: 0 to who counts in 64 bits
        "00092233720368547758080",
        "9" * 200,
    ],
)
def test_a_length_beyond_64_bits_is_too_large_and_no_empty_body(length: str) -> None:
    parser = ResponseParser(MAX_BODY_BYTES)
    parser.begin()
    with pytest.raises(BodyTooLarge):
        feed(parser, f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())


def test_the_caller_may_release_each_view_of_the_buffer() -> None:
    parser = ResponseParser(MAX_BODY_BYTES)
    for _ in range(2):
        parser.begin()
        with parser.get_buffer() as view:
            memory = view.obj
            view[:38] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
        with pytest.raises(BufferError):
            memory.clear()  # else the parser would read what is no longer there
        assert not parser.advance(38)
        with parser.get_buffer() as view:
            view[:2] = b"{}"
        assert parser.advance(2)
        assert parser.body == b"{}"


def test_codings_one_on_the_other_are_few() -> None:
    """Uncompressed blocks let each be as large as is allowed: hundreds held the loop for seconds."""
    for layers, refused in ((5, False), (6, True)):
        body = b"{}"
        for _ in range(layers):
            body = gzip.compress(body, 0)
        parser = ResponseParser(MAX_BODY_BYTES)
        parser.begin()
        fields = f"Content-Encoding: {', '.join(['gzip'] * layers)}\r\nContent-Length: {len(body)}\r\n\r\n"
        wire = f"HTTP/1.1 200 OK\r\n{fields}".encode() + body
        if refused:
            with pytest.raises(MalformedResponse, match="codings"):
                feed(parser, wire)
        else:
            assert feed(parser, wire)
            assert parser.body == b"{}"


def test_what_is_forgotten_takes_no_memory_until_the_next_response() -> None:
    parser = ResponseParser(MAX_BODY_BYTES)
    parser.begin()
    body = bytes(MAX_BODY_BYTES)
    feed(parser, f"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    parser.forget()  # not in the middle
    while len(body) > (room := len(parser.get_buffer())):
        assert not feed(parser, body[:room])
        body = body[room:]
    assert feed(parser, body)
    assert len(parser.body) == MAX_BODY_BYTES
    parser.forget()
    assert (parser.status, dict(parser.headers), parser.body) == (0, {}, b"")
    assert parser.buffer_bytes <= 64 * 1024
    assert not parser.advance(1)
    assert parser.spoke_unasked


def test_a_value_that_begins_on_the_next_line_begins_with_no_blank() -> None:
    assert ResponseHeaders(b"A:\r\n \t b\r\n c \r\nD: \r\n \r\n") == {"a": "b   c", "d": ""}
