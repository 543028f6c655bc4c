"""Memory of the response parser: its buffer, and a flat line over many answers."""

from __future__ import annotations

import contextlib
import gzip
import subprocess
import sys

import pytest

from cexnet_core import build_info
from cexnet_core.response import MalformedResponse, ResponseParser
from tests.core.response_feed import observe, pour
from tests.core.test_response_bodies import framed

HUGE = 10 << 20


def wires() -> list[bytes]:
    """Answers of every framing and several sizes, some of them refused."""
    packed = gzip.compress(b'{"bids":[["1.0","2.0"]]}' * 40)
    made = []
    for size in (0, 2, 300, 5_000, 70_000):
        made += [
            b"HTTP/1.1 200 OK\r\nX-Size: %d\r\nContent-Length: %d\r\n\r\n" % (size, size) + b"x" * size,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\nA: b\r\n\r\n"
            % (b"%x\r\n%b\r\n" % (size, b"y" * size) if size else b""),
            b"HTTP/1.1 429 X\r\nRetry-After: %d\r\n\r\n" % size + b"z" * size,
            b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 204 X\r\nX-A: %b\r\n\r\n" % (b"a" * (size // 10)),
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed,
        ]
    return made


# Runs in a process of its own: the peak of this one has other tests in it.
_PEAK_SCRIPT = """
import resource
from cexnet_core.response import MalformedResponse, ResponseParser
from tests.core.response_feed import pour
from tests.core.test_response_memory import wires

batch, read = [wire for wire in wires() if b" 429 " not in wire], 0  # the close ends those
parser = ResponseParser(1 << 20)

def peak_kib(total):
    global read
    for number in range(total):
        parser.begin(False)
        assert pour(parser, batch[number % len(batch)])
        headers, body = parser.headers, parser.body
        read += bool(list(headers.items())) and parser.status > 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

first = peak_kib(20_000)
print(first, peak_kib(80_000), read)
"""

_SHORT_LIVES_SCRIPT = """
import resource
from cexnet_core.response import MalformedResponse, ResponseParser
from tests.core.response_feed import pour
from tests.core.test_response_memory import wires

batch, refused = wires(), 0

def peak_kib(total):
    global refused
    for number in range(total):
        parser = ResponseParser(10_000)
        parser.begin(False)
        wire = batch[number % len(batch)]
        try:
            pour(parser, wire[: len(wire) * (number % 7) // 6])
            parser.end()
        except MalformedResponse:
            refused += 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

first = peak_kib(10_000)
print(first, peak_kib(40_000), refused)
"""


@pytest.mark.skipif(build_info.MODE != "release", reason="sanitizers keep freed memory on purpose")
@pytest.mark.parametrize(("script", "least"), [(_PEAK_SCRIPT, 90_000), (_SHORT_LIVES_SCRIPT, 10_000)])
def test_peak_after_many_answers_is_that_after_a_fifth_of_them(script: str, least: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    early, late, count = map(int, done.stdout.split())
    assert count > least
    assert late - early <= 1024  # KiB


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_the_buffer_of_a_huge_body_is_given_back_at_the_next_answer(framing: str) -> None:
    parser = ResponseParser(2 * HUGE)
    body = bytes(range(256)) * (HUGE // 256)
    parser.begin(False)
    pour(parser, b"HTTP/1.1 204 X\r\n\r\n")
    at_first = parser.buffer_bytes
    assert isinstance(at_first, int)
    parser.begin(False)
    assert pour(parser, framed(body, framing, chunk=HUGE))
    kept = parser.body
    parser.begin(False)
    assert parser.buffer_bytes <= max(at_first, 256 << 10)
    assert kept == body
    assert pour(parser, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    assert (parser.body, kept) == (b"hi", body)


def test_a_length_that_is_only_told_takes_no_memory() -> None:
    parser = ResponseParser(1 << 40)
    parser.begin(False)
    pour(parser, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nx" % (1 << 39))
    assert len(parser.get_buffer(-1)) > 0
    assert parser.buffer_bytes <= 2 << 20


def test_there_is_always_room_to_receive() -> None:
    parser = ResponseParser(1 << 20)
    for hint in (-1, 0, 1, 5_000_000):
        assert len(parser.get_buffer(hint)) > 0
    parser.begin(False)
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000):
        view = parser.get_buffer(-1)
        assert len(view) > 0
        assert not view.readonly
        view[0] = byte
        complete = parser.advance(1)
    assert complete
    assert len(parser.get_buffer(-1)) > 0
    assert parser.body == bytes(200_000)


def test_filled_to_the_brim_and_unasked_there_is_room_still() -> None:
    parser = ResponseParser(1000)
    for _ in range(100):
        view = parser.get_buffer(-1)
        view[:] = b"x" * len(view)
        assert parser.advance(len(view)) is False
    assert parser.spoke_unasked
    assert parser.buffer_bytes <= 1 << 20


def test_more_received_than_there_was_room_for_is_refused() -> None:
    parser = ResponseParser(1 << 20)
    parser.begin(False)
    for count in (len(parser.get_buffer(-1)) + 1, 1 << 31, 1 << 62, -1, -(1 << 62)):
        with pytest.raises((ValueError, OverflowError)):
            parser.advance(count)


def test_a_view_may_be_released() -> None:
    parser = ResponseParser(1 << 20)
    for _ in range(2):
        parser.begin(False)
        for part in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", b"\r\nhi"):
            with parser.get_buffer(-1) as view:
                view[: len(part)] = part
            complete = parser.advance(len(part))
        assert complete
        assert parser.body == b"hi"


def test_a_view_that_outlives_its_turn_harms_nothing() -> None:
    parser = ResponseParser(1 << 20)
    parser.begin(False)
    first = parser.get_buffer(-1)
    body = b"b" * 500_000
    assert pour(parser, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    kept = parser.body
    parser.begin(False)
    first[:] = b"!" * len(first)
    assert kept == body
    del parser
    first[:] = b"?" * len(first)
    assert bytes(first) == b"?" * len(first)


def test_a_parser_that_refused_stays_harmless() -> None:
    """Its connection is closed; what had been received already may still be handed to it."""
    parser = ResponseParser(1 << 20)
    parser.begin(False)
    with pytest.raises(MalformedResponse):
        pour(parser, b"nonsense\r\n\r\n")
    for wire in (b"x" * 100_000, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"):
        with contextlib.suppress(MalformedResponse):
            assert not pour(parser, wire)
    assert observe(b"HTTP/1.1 204 X\r\n\r\n").status == 204
