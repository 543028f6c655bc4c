"""What a hostile server may send, and a careless caller do, to the parser of responses."""

from __future__ import annotations

import pytest

from cexnet_core.response import BodyTooLarge, ResponseParser

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
