"""The response parser against its oracle, however the bytes are cut, and on bytes of any kind."""

from __future__ import annotations

import contextlib
import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cexnet_core import build_info
from cexnet_core.response import MalformedResponse, ResponseParser
from tests.core.response_cases import Answer, answers, soups, spoiled
from tests.core.response_feed import MAX_BODY_BYTES, REFUSED, Outcome, observe, pieces, pour, read
from tests.core.response_oracle import expect

MANY = settings(max_examples=200 if build_info.MODE == "release" else 50)
CUTS = st.lists(st.integers(1, 400), max_size=8)

SMALL = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b \r\n\r\nhello",
    b"HTTP/1.1 200 OK\nA: b\n\tc\nContent-Length: 2\n\nhi",
    b"HTTP/1.1 200\r\nTransfer-Encoding:chunked\r\n\r\n3;a\r\nhey\r\n0A\r\n0123456789\r\n0\r\nT: u\r\n\r\n",
    b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103\r\nA: b\r\n\r\nHTTP/1.0 404\r\nA: b\r\n  c\r\n\r\nuntil close\r\n",
    b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 200 X\r\nContent-Encoding: deflate\r\nContent-Length: 7\r\n\r\n\xcb\x48\xcd\xc9\xc9\x07\x00",
    b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\n\r\n"
    + gzip.compress(b"a", mtime=0)
    + gzip.compress(b"b", mtime=0),
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx and more",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n\r\n",
    # Refused, and unfinished:
    b"HTTP/1.1 200 OK\r\nA: b\rc\r\nD: e\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nA: b\r\n",
]


def agree(data: bytes, head_only: bool, cuts: list[int]) -> None:
    """The parser says what the oracle says, and the same however the bytes are cut."""
    got = observe(data, head_only=head_only)
    assert observe(data, head_only=head_only, cuts=cuts) == got
    expected = expect(data, head_only)
    if expected is None:
        return  # the RFC leaves it open
    if expected.kind == "unfinished":
        assert got.kind != "complete"  # it may see at once that it will be none
    elif b"\n " in data or b"\n\t" in data:
        assert got.unfolded() == expected.unfolded()
    else:
        assert got == expected


@pytest.mark.parametrize("wire", SMALL)
def test_small_answers_cut_anywhere(wire: bytes) -> None:
    whole = observe(wire)
    step = 1 if build_info.MODE == "release" else 9
    for first in range(1, len(wire)):
        for second in range(first, len(wire), step):
            assert observe(wire, cuts=[first, second]) == whole, (first, second)
    assert observe(wire, cuts=range(len(wire))) == whole
    agree(wire, False, [])


@MANY
@given(answers(), CUTS)
def test_valid_answers(answer: Answer, cuts: list[int]) -> None:
    agree(answer.wire, answer.head_only, cuts)
    got = observe(answer.wire, head_only=answer.head_only, cuts=cuts)
    # The oracle is held to what was meant, too.
    assert (got.kind, got.status, got.body) == ("complete", answer.status, answer.body)
    assert (got.keep_alive, got.spoke_unasked) == (answer.keep_alive, False)
    together = [value for _, values in got.unfolded().headers for value in values]
    assert sorted(together) == sorted(" ".join(value.split()) for _, value in answer.headers)


@settings(MANY, max_examples=MANY.max_examples // 2)
@given(st.lists(answers(), min_size=2, max_size=5), CUTS)
def test_answers_on_one_connection(several: list[Answer], cuts: list[int]) -> None:
    parser = ResponseParser(MAX_BODY_BYTES)
    for answer in sorted(several, key=lambda answer: answer.framing == "close" or answer.status == 101):
        got = observe(answer.wire, head_only=answer.head_only, cuts=cuts, parser=parser)
        assert got == observe(answer.wire, head_only=answer.head_only)
        if answer.framing == "close" or answer.status == 101:
            break  # it was the last on this connection


@MANY
@given(answers(), st.binary(min_size=1, max_size=20), CUTS)
def test_bytes_behind_an_answer(answer: Answer, more: bytes, cuts: list[int]) -> None:
    if answer.framing == "close":
        return
    whole = observe(answer.wire, head_only=answer.head_only)
    got = observe(answer.wire + more, head_only=answer.head_only, cuts=[*cuts, len(answer.wire)])
    assert got.spoke_unasked
    assert (got.status, got.headers, got.body) == (whole.status, whole.headers, whole.body)


@MANY
@given(answers(), st.data())
def test_an_answer_cut_short_is_never_complete(answer: Answer, data: st.DataObject) -> None:
    if answer.framing == "close":
        return
    wire = answer.wire[: data.draw(st.integers(0, len(answer.wire) - 1))]
    assert observe(wire, head_only=answer.head_only).kind != "complete"


@settings(MANY, max_examples=5 * MANY.max_examples)
@given(spoiled(), CUTS)
def test_spoiled_answers(spoilt: tuple[bytes, bool], cuts: list[int]) -> None:
    agree(*spoilt, cuts)


@MANY
@given(soups(), st.booleans(), CUTS)
def test_bytes_of_any_kind(data: bytes, head_only: bool, cuts: list[int]) -> None:
    agree(data, head_only, cuts)


@MANY
@given(
    st.lists(st.tuples(soups() | answers().map(lambda answer: answer.wire), st.integers(0, 6)), max_size=6),
    CUTS,
)
def test_any_order_of_calls_is_safe(steps: list[tuple[bytes, int]], cuts: list[int]) -> None:
    """Nothing but MalformedResponse comes out of it, nothing crashes; sanitizers see the rest."""
    parser = ResponseParser(5_000, 1_000)
    outcomes: list[Outcome] = []
    for data, what in steps:
        with contextlib.suppress(MalformedResponse):
            if what % 3 == 0:
                parser.begin(what > 3)
            for piece in pieces(data, cuts):
                complete = pour(parser, piece)
                outcomes += [read(parser)] if complete else []
            if what > 2 and parser.end():
                outcomes.append(read(parser))
        assert isinstance(parser.status, int)
        assert isinstance(parser.spoke_unasked, bool)
    assert all(len(outcome.body) <= 5_000 and outcome != REFUSED for outcome in outcomes)
