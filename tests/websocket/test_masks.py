"""Frames that we send: framed right at every size, masked from a strong source."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.websocket.conftest import Join
from tests.websocket.peer import BINARY, TEXT, Peer


async def test_masks_are_random(join: Join) -> None:
    joined = await join()
    masks = []
    for _ in range(2000):
        joined.client.send_text("same")
        masks.append((await joined.peer.read_frame()).mask)
    # Of 2000 draws out of 2^32, a pair agrees once in 2000 runs; three do so never.
    assert len(set(masks)) > 1997
    # Each of the 32 bits is a fair coin: 700 to 1300 of 2000 is 13 standard deviations.
    for bit in range(32):
        assert 700 < sum(int.from_bytes(mask, "big") >> bit & 1 for mask in masks) < 1300


async def test_masks_are_of_their_own_in_every_process() -> None:
    """libc's rand(), unseeded, begins the same everywhere."""
    program = (
        "import asyncio, sys\n"
        "from cexnet.websocket.connect import connect\n"
        "from cexnet_core.messages import PyMessageSink\n"
        "async def main():\n"
        "    client = await connect(sys.argv[1], PyMessageSink(print))\n"
        "    client.send_text('first')\n"
        "    await client.close()\n"
        "asyncio.run(main())\n"
    )
    seen = []
    async with Peer() as peer:
        for _ in range(2):
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, peer.url)
            other = await peer.accept()
            await other.upgrade()
            first = await other.read_frame()
            assert first.payload == b"first"
            seen.append(first.mask)
            await other.reset()
            await process.wait()
    assert seen[0] != seen[1]


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 125, 126, 127, 1000, 65535, 65536, 100_001])
async def test_every_size(join: Join, size: int) -> None:
    joined = await join()
    payload = bytes(i * 7 % 251 for i in range(size))
    joined.client.send_binary(payload)
    joined.client.send_binary(memoryview(bytearray(payload)))
    joined.client.send_text("\u20ac" * size)
    got = [await joined.peer.read_frame() for _ in range(3)]
    assert [(f.opcode, f.fin, f.rsv, f.masked) for f in got] == [
        (BINARY, True, 0, True),
        (BINARY, True, 0, True),
        (TEXT, True, 0, True),
    ]
    assert [f.payload for f in got] == [payload, payload, ("\u20ac" * size).encode()]


async def test_payload_may_be_changed_after_sending(join: Join) -> None:
    joined = await join()
    joined.peer.stop_reading()
    payload = bytearray(b"x" * 8_000_000)
    joined.client.send_binary(payload)
    payload[:] = bytes(len(payload))
    joined.peer.go_on_reading()
    assert (await joined.peer.read_frame()).payload == b"x" * 8_000_000


async def test_payloads_that_cannot_be_sent(join: Join) -> None:
    joined = await join()
    for payload in (3, None, ["x"]):
        with pytest.raises(TypeError):
            joined.client.send_text(payload)  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        joined.client.send_text("\ud800")
    joined.client.reader.ping(b"still whole")
    assert (await joined.peer.read_frame()).payload == b"still whole"


async def test_another_thread_may_not_send(join: Join) -> None:
    joined = await join()
    with pytest.raises(RuntimeError, match="wrong thread"):
        await asyncio.to_thread(joined.client.send_text, "x")
