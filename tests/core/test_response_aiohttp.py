"""The response parser against aiohttp's two: what is valid means the same to all of them.

Left out of the comparison, because aiohttp differs there on purpose or by its age:

* *101*: it hands the connection over, and judges persistence by other means;
* *bare LF, folded lines, chunk extensions and trailers, repeated lengths*: what its two parsers
  take of these differs from release to release; the oracle holds us to the RFC there;
* *gzip of several members*, and codings it knows beyond ours (Brotli, Zstandard);
* *a blank behind* ``Transfer-Encoding: chunked``: its C parser then takes the chunks for the body;
* *persistence* of an answer that has no body by its nature (HEAD, 204, 304), where its parsers
  differ from each other and RFC 9112 section 9.3 lets the connection persist; and of one that
  the close ends, which its Python parser calls persistent when it says keep-alive.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import http_parser
from aiohttp.base_protocol import BaseProtocol
from hypothesis import given, settings
from hypothesis import strategies as st

from cexnet_core import build_info
from tests.core.response_cases import Answer, answers
from tests.core.response_feed import observe, pieces

MANY = settings(max_examples=200 if build_info.MODE == "release" else 50)
BLANK_BEHIND = re.compile(rb"(?i)transfer-encoding:[ \t]*chunked[ \t]")
PARSERS = {
    "python": http_parser.HttpResponseParserPy,
    "c": getattr(http_parser, "HttpResponseParserC", None),
}


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """What aiohttp's objects ask for; nothing runs on it."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


def theirs(
    kind: Any, loop: asyncio.AbstractEventLoop, answer: Answer, cuts: list[int]
) -> tuple[int, list[tuple[str, str]], bytes, bool]:
    """Status, headers, body and persistence of the final answer, as aiohttp's parser reads it."""
    parser = kind(
        BaseProtocol(loop),
        loop,
        1 << 20,
        response_with_body=not answer.head_only,
        read_until_eof=True,
        auto_decompress=True,
    )
    messages: list[Any] = []
    for piece in pieces(answer.wire, cuts):
        found, _, rest = parser.feed_data(piece)
        messages += found
        assert not rest
    parser.feed_eof()
    (message, payload) = messages[-1]
    assert all(100 <= interim.code < 200 for interim, _ in messages[:-1])
    assert payload.exception() is None
    assert payload.is_eof()
    body = payload.read_nowait() if answer.body else b""
    return message.code, list(message.headers.items()), body, not message.should_close


@pytest.mark.parametrize("kind", PARSERS)
def test_valid_answers_mean_the_same(kind: str, loop: asyncio.AbstractEventLoop) -> None:
    if PARSERS[kind] is None:
        pytest.skip("this aiohttp has no compiled parser")

    @MANY
    @given(
        answers(plain=True).filter(lambda answer: BLANK_BEHIND.search(answer.wire) is None),
        st.lists(st.integers(1, 400), max_size=4),
    )
    def same(answer: Answer, cuts: list[int]) -> None:
        status, fields, body, keep_alive = theirs(PARSERS[kind], loop, answer, cuts)
        ours = observe(answer.wire, head_only=answer.head_only, cuts=cuts)
        assert (ours.kind, ours.status, ours.body) == ("complete", status, body)
        together: dict[str, list[str]] = {}
        for name, value in fields:
            together.setdefault(name.lower(), []).append(value)
        assert {name.lower(): list(values) for name, values in ours.headers} == together
        if answer.framing in ("length", "chunked"):
            assert ours.keep_alive == keep_alive

    same()
