"""How the tests drive the response parser, and what they compare: one outcome for one answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from cexnet_core.response import MalformedResponse, ResponseParser

MAX_BODY_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an answer: ``complete``, ``refused``, or ``unfinished`` (its head did not end)."""

    kind: str
    status: int = 0
    headers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    body: bytes = b""
    keep_alive: bool = False
    spoke_unasked: bool = False

    def unfolded(self) -> Outcome:
        """With each run of spaces in header values as one: how many a fold becomes is free."""
        headers = tuple((name, tuple(" ".join(value.split()) for value in got)) for name, got in self.headers)
        return replace(self, headers=headers)


REFUSED = Outcome("refused")
UNFINISHED = Outcome("unfinished")


def pour(parser: ResponseParser, data: bytes) -> bool:
    """Give it these bytes as a transport does, the last view still alive; whether the answer is complete."""
    rest = memoryview(data)
    complete = False
    while rest:
        view = parser.get_buffer(-1)
        count = min(len(view), len(rest))
        view[:count] = rest[:count]
        complete = parser.advance(count) or complete
        rest = rest[count:]
    return complete


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The same bytes, cut at these positions."""
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def read(parser: ResponseParser) -> Outcome:
    """What a parser holds whose answer is complete."""
    headers = parser.headers
    return Outcome(
        "complete",
        parser.status,
        tuple((name, tuple(headers.get_all(name))) for name in headers),
        parser.body,
        parser.keep_alive,
        parser.spoke_unasked,
    )


def observe(
    data: bytes,
    *,
    head_only: bool = False,
    cuts: Iterable[int] = (),
    parser: ResponseParser | None = None,
) -> Outcome:
    """One answer off a connection that is closed after it."""
    parser = ResponseParser(MAX_BODY_BYTES) if parser is None else parser
    parser.begin(head_only)
    complete = False
    try:
        for piece in pieces(data, cuts):
            complete = pour(parser, piece) or complete
        complete = complete or parser.end()
    except MalformedResponse:
        return REFUSED
    return read(parser) if complete else UNFINISHED
