"""``cexnet replay``: a recording through the same receive line as live traffic."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from cexnet.cli.demo import event_counts
from cexnet.cli.progress import telling
from cexnet.exchanges import get_exchange
from cexnet.recording import Recording, Replay, open_recording, resolve_exchange
from cexnet.recording.recording import CapturedFrames
from cexnet_core.errors import ConfigurationError


async def run_replay(path: Path, exchange: str | None, speed: float, *, as_json: bool) -> None:
    """Replay ``path`` and print what came out; ``speed`` 0 is flat out. Raises ConfigurationError.

    Ctrl-C ends it early, with the result so far.
    """
    if not 0 <= speed < float("inf"):
        raise ConfigurationError(f"--speed is {speed:g}: give 0 for flat out, or a number above it")
    source = open_recording(path)
    name = resolve_exchange(exchange, source)
    replay = Replay(source, get_exchange(name).schema_of(source.scope), _ignore)
    start_ns = time.perf_counter_ns()
    interruption: asyncio.CancelledError | None = None
    try:
        async with telling(Console(stderr=True), lambda: f"{replay.frames:,} messages; Ctrl-C ends it early"):
            await replay.run(speed=speed or None)
    except asyncio.CancelledError as cancelled:
        interruption = cancelled
    elapsed_ns = time.perf_counter_ns() - start_ns
    counters = replay.decoder.counters
    streams = replay.router.streams()
    result: dict[str, Any] = {
        "exchange": name,
        "messages": replay.frames,
        "events": event_counts(dict(counters.events)),
        "decode": {
            "shape": counters.shape,
            "ondemand": counters.ondemand,
            "protobuf": counters.protobuf,
            "errors": counters.errors,
        },
        "unknown_channels": dict(replay.decoder.unknown_channels),
        "delivered": sum(stream.delivered for stream in streams),
        "gaps": sum(stream.gaps for stream in streams),
        "duplicates": sum(stream.duplicates for stream in streams),
        "dropped_while_recording": source.dropped,
        "damaged_chunks": source.damaged,
        "lost_to_damage": source.lost,
        "cut": source.cut is not None,
        "left_out": [other.name for other in source.left_out],
        "seconds": elapsed_ns / 1e9,
    }
    if as_json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    else:
        _print(path, replay, result, source)
    if interruption is not None:
        raise interruption


def _print(path: Path, replay: Replay, result: dict[str, Any], source: Recording | CapturedFrames) -> None:
    console = Console(highlight=False)
    console.print(
        f"{path.name}: {replay.frames:,} messages of {result['exchange']} in {result['seconds']:.1f} s"
    )
    for line in ("events", "decode"):
        counts = result[line].items()
        console.print(f"{line}   " + "  ".join(f"{kind} {count:,}" for kind, count in counts))
    for channel, count in replay.decoder.unknown_channels.items():
        console.print(f"unknown  {channel} {count:,}", markup=False)
    console.print(
        f"streams  delivered {result['delivered']:,}  gaps {result['gaps']:,}  "
        f"duplicates {result['duplicates']:,}  dropped while recording {source.dropped:,}"
    )
    if source.damaged:
        console.print(
            f"damaged  chunks {source.damaged:,}, in which frames were lost: at least {source.lost:,}"
        )
    if source.cut is not None:
        console.print(f"{source.cut.name} breaks off: this is what it holds", markup=False)
    for other in source.left_out:
        console.print(f"{other.name} is of another recording and was left out", markup=False)


def _ignore(event: object) -> None:
    """What is shown are the counters."""
