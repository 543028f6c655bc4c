"""Payloads that the exchange itself compressed: unpacked within bounds, or the connection fails."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest

from cexnet_core.errors import ConfigurationError, ProtocolError
from cexnet_core.messages import PyMessageSink
from cexnet_core.unpacking import InflatingSink
from tests.websocket.conftest import Inbox, Join, Joined
from tests.websocket.peer import BINARY, CONTINUATION, TEXT, frame


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


PACKINGS = {"gzip": gzip.compress, "zlib": zlib.compress, "deflate": raw_deflate}


async def joined_unpacking(join: Join, **arguments: Any) -> tuple[Joined, Inbox, InflatingSink]:
    joined: Joined = await join()
    inbox = Inbox()
    sink = InflatingSink(PyMessageSink(inbox), **arguments)
    joined.client.reader.sink = sink
    return joined, inbox, sink


@pytest.mark.parametrize("packing", PACKINGS)
async def test_binary_messages_become_text(join: Join, packing: str) -> None:
    joined, inbox, sink = await joined_unpacking(join, packing=packing)
    pack = PACKINGS[packing]
    large = pack(b'{"tick":"\xe2\x82\xac"}' * 50_000)
    await joined.peer.write(
        frame(BINARY, pack(b'{"ping":1}'))
        + frame(TEXT, b"as it is")
        + frame(BINARY, large[:10], fin=False)
        + frame(CONTINUATION, large[10:])
        + frame(BINARY, pack(b""))
    )
    for _ in range(4):
        await inbox.take()
    assert inbox.payloads == [b'{"ping":1}', b"as it is", b'{"tick":"\xe2\x82\xac"}' * 50_000, b""]
    assert all(is_text for _, is_text in inbox.messages)
    assert all(at_ns > 0 for at_ns in inbox.times_ns)
    assert sink.unpacked == 3


WHOLE = gzip.compress(b"tick" * 100)
REFUSED = {
    "not gzip": (b"plain text", 1007),
    "empty": (b"", 1007),
    "truncated": (WHOLE[:-1], 1007),
    "two members": (WHOLE * 2, 1007),
    "corrupt": (WHOLE[:-8] + bytes(8), 1007),
    "not UTF-8": (gzip.compress(b"\xff"), 1007),
    "too large": (gzip.compress(bytes(2**20 + 1)), 1009),
}


@pytest.mark.parametrize(("sent", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_cannot_be_unpacked_fails_the_connection(join: Join, sent: bytes, code: int) -> None:
    joined, inbox, _ = await joined_unpacking(join, max_bytes=2**20)
    await joined.peer.write(frame(BINARY, WHOLE) + frame(BINARY, sent) + frame(BINARY, WHOLE))
    assert (await joined.peer.read_frame()).close_code == code
    async with asyncio.timeout(20):
        error = (await joined.client.wait_closed()).error
    assert isinstance(error, ProtocolError)
    assert error.code == code
    assert inbox.payloads == [b"tick" * 100]
    assert joined.client.reader.sink_errors == 1


async def test_bomb_is_refused_by_its_ratio(join: Join) -> None:
    joined, inbox, _ = await joined_unpacking(join, max_ratio=100)
    await joined.peer.write(frame(BINARY, gzip.compress(bytes(2**20))))
    assert await inbox.take() == bytes(2**20)
    await joined.peer.write(frame(BINARY, gzip.compress(bytes(2**20 + 1))))
    assert (await joined.peer.read_frame()).close_code == 1009


async def test_utf8_is_left_to_the_sink_when_told_so(join: Join) -> None:
    joined, inbox, _ = await joined_unpacking(join, validate_utf8=False)
    await joined.peer.write(frame(BINARY, gzip.compress(b"\xff")))
    assert await inbox.take() == b"\xff"


async def test_error_of_the_sink_below_fails_nothing(join: Join) -> None:
    joined, inbox, sink = await joined_unpacking(join)

    def raising(payload: bytes, is_text: bool, receive_ts_ns: int) -> None:
        joined.client.reader.sink = sink
        raise ZeroDivisionError

    joined.client.reader.sink = InflatingSink(PyMessageSink(raising))
    await joined.peer.write(frame(BINARY, WHOLE) + frame(BINARY, WHOLE))
    assert await inbox.take() == b"tick" * 100
    assert joined.client.reader.sink_errors == 1


@pytest.mark.parametrize("arguments", [{"packing": "brotli"}, {"max_bytes": 0}, {"max_ratio": 0}])
def test_arguments_that_are_wrong(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        InflatingSink(PyMessageSink(print), **arguments)
    with pytest.raises(TypeError):
        InflatingSink(None)  # type: ignore[arg-type]
