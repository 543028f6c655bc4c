"""What recording costs the receive line: a frame with a tap in front of the decoder, and without.

The "alternative" is our own line with recording off, so the ratio is the share of it that is left.
What the recorder's thread spends is told apart: a frame packed, compressed and written.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from benchmarks.conftest import Contestant, Interleaved
from benchmarks.line import MemoryLine, book_ticker_messages, feeding, reads_of, text_frame
from benchmarks.test_bench_line import MESSAGES, cexnet_listener, nothing
from cexnet.recording import Frame, RecordingWriter
from cexnet_core.tap import FrameTap


async def test_tap(interleaved: Interleaved) -> None:
    reads = reads_of([text_frame(message) for message in book_ticker_messages(MESSAGES)], 16)
    off_reader, off_router = cexnet_listener(nothing)
    on_reader, on_router = cexnet_listener(nothing)
    tap = FrameTap()
    on_reader.sink = tap.through(on_reader.sink, 0)
    off_line, on_line = MemoryLine(off_reader), MemoryLine(on_reader)
    feed_off, feed_on = feeding(off_line, reads), feeding(on_line, reads)

    def recorded() -> None:
        on_router.reset()
        feed_on()
        tap.take()

    def plain() -> None:
        off_router.reset()
        feed_off()

    try:
        interleaved(
            "frame in memory -> handler, 16 a read, with a recorder's tap",
            Contestant("tapped", recorded, operations=MESSAGES),
            Contestant("recording off", plain, operations=MESSAGES),
        )
    finally:
        off_line.close()
        on_line.close()
    assert tap.dropped == 0


def test_write(interleaved: Interleaved, tmp_path: Path) -> None:
    frames = [Frame(0, index, True, 0, payload) for index, payload in enumerate(book_ticker_messages(2000))]
    numbers = itertools.count()

    def write() -> None:
        writer = RecordingWriter(tmp_path / f"{next(numbers)}.mcap", "binance")
        for frame in frames:
            writer.write(frame)
        writer.close()
        writer.path.unlink()

    def lines() -> None:
        path = tmp_path / f"{next(numbers)}.txt"
        with path.open("wb") as file:
            for frame in frames:
                file.write(b"%.9f: %s\n" % (frame.receive_ts_ns / 1e9, frame.payload))
        path.unlink()

    interleaved(
        "frame -> MCAP with zstd, on the recorder's thread",
        Contestant("cexnet on mcap", write, operations=len(frames)),
        Contestant("text lines, not compressed", lines, operations=len(frames)),
    )
