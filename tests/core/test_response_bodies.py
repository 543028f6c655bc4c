"""Bodies of answers: content codings, and the bounds that keep a peer from filling the memory."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
import zlib

import pytest

from cexnet_core import build_info
from cexnet_core.errors import ConfigurationError
from cexnet_core.response import BodyTooLarge, MalformedResponse, ResponseParser
from tests.core.response_cases import packed
from tests.core.response_feed import MAX_BODY_BYTES, REFUSED, observe, pour

TEXT = b'{"symbol":"BTCUSDT","price":"64000.10"}' * 50
NOISE = random.Random(7).randbytes(30_000)  # does not become smaller
CODINGS = {"gzip": "gzip", "two-member gzip": "gzip", "zlib": "deflate", "raw deflate": "deflate"}
FRAMINGS = ("length", "chunked", "close")


def framed(content: bytes, framing: str, coding: str = "", chunk: int = 700) -> bytes:
    """An answer with this content, in one of the three framings."""
    head = "HTTP/1.1 200 OK\r\n" + (f"Content-Encoding: {coding}\r\n" if coding else "")
    if framing == "length":
        return (head + f"Content-Length: {len(content)}\r\n\r\n").encode() + content
    if framing == "close":
        return (head + "\r\n").encode() + content
    cut = [content[at : at + chunk] for at in range(0, len(content), chunk)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in cut)
    return (head + "Transfer-Encoding: chunked\r\n\r\n").encode() + body + b"0\r\n\r\n"


def received(wire: bytes, *, max_body_bytes: int = MAX_BODY_BYTES, max_head_bytes: int = 65536) -> bytes:
    """The body; raises what the parser raises."""
    parser = ResponseParser(max_body_bytes, max_head_bytes)
    parser.begin(False)
    assert pour(parser, wire) or parser.end()
    return parser.body


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    "body", [b"", b"x", TEXT, NOISE, b"\0" * 300_000], ids=["empty", "x", "text", "noise", "zeros"]
)
def test_content_codings(framing: str, coding: str, body: bytes) -> None:
    wire = framed(packed(body, coding), framing, CODINGS[coding])
    got = observe(wire)
    assert (got.kind, got.body, got.spoke_unasked) == ("complete", body, False)
    assert dict(got.headers)["Content-Encoding"] == (CODINGS[coding],)


@pytest.mark.parametrize("label", ["GZIP", "Gzip", "x-gzip", "X-GZip", "gzip \t"])
def test_names_of_codings_have_no_case(label: str) -> None:
    assert received(framed(gzip.compress(TEXT), "length", label)) == TEXT
    assert (
        received(
            framed(
                zlib.compress(TEXT),
                "length",
                label.lower().replace("x-gzip", "gzip").replace("gzip", "DEFLATE"),
            )
        )
        == TEXT
    )


@pytest.mark.parametrize(
    "label", ["br", "zstd", "compress", "identity", "", "gzipped", "xgzip", "deflate64", "aws-chunked"]
)
def test_an_unknown_coding_is_passed_through(label: str) -> None:
    for framing in FRAMINGS:
        wire = framed(gzip.compress(TEXT, mtime=0), framing, label or " ")
        assert received(wire) == gzip.compress(TEXT, mtime=0)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_of_no_bytes_is_empty_whatever_its_coding(framing: str, coding: str) -> None:
    assert received(framed(b"", framing, coding)) == b""


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("window", [31, 25, 15, 9, -15, -9])
def test_every_window_and_block_type(level: int, window: int) -> None:
    squeeze = zlib.compressobj(level, wbits=window)
    content = squeeze.compress(NOISE + TEXT) + squeeze.flush()
    assert received(framed(content, "chunked", "gzip" if window > 15 else "deflate")) == NOISE + TEXT


def test_a_gzip_header_with_all_that_it_may_hold() -> None:
    extra = b"\x04\x00abcd" + b"name\0" + b"comment\0"
    header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff" + extra
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    content = header + gzip.compress(TEXT)[10:]
    assert received(framed(content, "length", "gzip")) == TEXT


def test_members_of_gzip_are_joined() -> None:
    parts = [b"a" * 1000, b"", TEXT, NOISE, b""]
    content = b"".join(map(gzip.compress, parts))
    for chunk in (1, 17, 100_000):
        assert received(framed(content, "chunked", "gzip", chunk)) == b"".join(parts)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("coding", CODINGS)
def test_a_body_cut_short_is_refused_wherever(framing: str, coding: str) -> None:
    content = packed(TEXT, coding)
    boundary = len(gzip.compress(TEXT[:3], mtime=0)) if coding == "two-member gzip" else 0
    for length in range(1, len(content)):
        if length == boundary:
            continue  # a first member alone is whole
        assert observe(framed(content[:length], framing, CODINGS[coding])) == REFUSED, length


@pytest.mark.parametrize("coding", ["gzip", "zlib"])
def test_one_wrong_bit_is_noticed_by_the_checksum(coding: str) -> None:
    content = packed(TEXT, coding)
    last = 8 if coding == "gzip" else 4
    for at in range(len(content) - last, len(content)):
        for bit in range(8):
            spoiled = content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :]
            assert observe(framed(spoiled, "length", CODINGS[coding])) == REFUSED


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "content", [b"plain text", b"\x1f\x8b", b"\x1f\x8b\x09" + b"\0" * 30, b"\xff" * 50, b"\x78\xbb1234"]
)
def test_what_is_not_packed_is_refused(coding: str, content: bytes) -> None:
    for framing in FRAMINGS:
        assert observe(framed(content, framing, coding)) == REFUSED


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_body_may_be_as_large_as_the_bound_and_no_larger(framing: str) -> None:
    for size in (1, 100, 5000):
        assert received(framed(NOISE[:size], framing), max_body_bytes=size) == NOISE[:size]
        with pytest.raises(BodyTooLarge):
            received(framed(NOISE[: size + 1], framing), max_body_bytes=size)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("coding", CODINGS)
def test_the_bound_holds_after_decompression(framing: str, coding: str) -> None:
    body = b"\0" * 50_000
    wire = framed(packed(body, coding), framing, CODINGS[coding])
    assert received(wire, max_body_bytes=50_000) == body
    for bound in (49_999, 10_000, 1_000):
        with pytest.raises(BodyTooLarge):
            received(wire, max_body_bytes=bound)


def test_the_bound_holds_before_decompression() -> None:
    content = gzip.compress(NOISE, 0)
    assert len(content) > len(NOISE)
    for framing in FRAMINGS:
        with pytest.raises(BodyTooLarge):
            received(framed(content, framing, "gzip"), max_body_bytes=len(NOISE))


@pytest.mark.parametrize("bounds", [(0, 65536), (-1, 65536), (1000, 0), (1000, -1)])
def test_bounds_that_are_none_are_refused(bounds: tuple[int, int]) -> None:
    with pytest.raises(ConfigurationError):
        ResponseParser(*bounds)


def test_empty_members_without_end_are_bounded_by_their_bytes() -> None:
    with pytest.raises(BodyTooLarge):
        received(framed(gzip.compress(b"") * 6_000, "chunked", "gzip"), max_body_bytes=100_000)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nA: " + b"v" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"v" * 5000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"v" * 5000 + b": a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 900 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n" + b" c\r\n" * 1250 + b"\r\n",
    ],
    ids=["value", "reason", "name", "fields", "folds"],
)
def test_a_head_beyond_its_bound_is_refused(head: bytes) -> None:
    assert received(head, max_head_bytes=6_000) == b""
    for wire in (head, head[:-2]):  # when it never ends, too
        parser = ResponseParser(MAX_BODY_BYTES, 4_000)
        parser.begin(False)
        with pytest.raises(MalformedResponse):
            pour(parser, wire)


def test_the_bound_of_the_head_is_64_kib_unless_told() -> None:
    field = b"A: %b\r\n"
    assert received(b"HTTP/1.1 200 OK\r\n" + field % (b"v" * 65_000) + b"\r\n") == b""
    with pytest.raises(MalformedResponse):
        received(b"HTTP/1.1 200 OK\r\n" + field % (b"v" * 66_000) + b"\r\n")


def test_the_bound_of_the_head_does_not_count_the_body() -> None:
    assert received(framed(NOISE, "length"), max_head_bytes=200) == NOISE


# In a process of its own: the peak of this one has other tests in it.
_BOMB_SCRIPT = """
import resource, sys, zlib
from cexnet_core.response import BodyTooLarge, ResponseParser
from tests.core.response_feed import pour
from tests.core.test_response_bodies import framed

framing, window, coding = sys.argv[1], int(sys.argv[2]), sys.argv[3]
squeeze = zlib.compressobj(9, wbits=window)
packed = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(256)) + squeeze.flush()
wire = framed(packed, framing, coding)
parser = ResponseParser(4 << 20)
parser.begin(False)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    pour(parser, wire) or parser.end()
except BodyTooLarge:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(build_info.MODE != "release", reason="sanitizers keep freed memory on purpose")
@pytest.mark.parametrize(
    "bomb", [("length", "31", "gzip"), ("chunked", "15", "deflate"), ("close", "-15", "deflate")]
)
def test_a_bomb_takes_no_more_than_the_bound(bomb: tuple[str, str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _BOMB_SCRIPT, *bomb], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (
        int(done.stdout) <= 16 << 10
    )  # KiB of 256 MiB: the bound of 4 MiB, the packed bytes, doubling of both
