"""``cexnet record`` and ``cexnet convert``: raw frames into an MCAP file."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from cexnet.cli.progress import telling
from cexnet.cli.running import first_connection
from cexnet.config import Config, ExchangeConfig
from cexnet.exchanges import get_exchange
from cexnet.factory import TransportFactory
from cexnet.recording import Recorder, RecordingWriter, open_recording, resolve_exchange
from cexnet.recording.capture import read_capture
from cexnet.simulator import Simulator
from cexnet.types import MARKET_CHANNELS, Channel, Subscription
from cexnet_core.errors import ConfigurationError
from cexnet_core.tap import FrameTap

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """What the command line asked for; ``seconds`` None: until Ctrl-C."""

    exchange: str
    symbols: tuple[str, ...]
    out: Path
    channels: tuple[str, ...]
    simulator: bool
    seconds: float | None
    max_megabytes: float
    as_json: bool


async def run_recorder(options: RecordOptions) -> None:
    """Record until the time is up or Ctrl-C. Raises CexnetError for whatever cannot start."""
    if options.seconds is not None and not 0 < options.seconds < math.inf:
        raise ConfigurationError(f"--seconds is {options.seconds:g}: give a time above 0")
    if not 0 < options.max_megabytes < math.inf:
        raise ConfigurationError(f"--max-megabytes is {options.max_megabytes:g}: give a size above 0")
    name = options.exchange
    known = get_exchange(name)
    symbols = options.symbols or known.symbols
    wanted = [Subscription(Channel(channel), symbol) for symbol in symbols for channel in _channels(options)]
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    stopped = asyncio.Event()
    async with AsyncExitStack() as stack:
        config = Config()
        if options.simulator:
            simulator = await stack.enter_async_context(Simulator(name, symbols))
            config = Config(exchange={name: ExchangeConfig(websocket_url=simulator.ws_url)})
        tap = FrameTap()
        factory = await stack.enter_async_context(TransportFactory(config))
        stream = factory.websocket(name, tap=tap)
        console.print(f"connecting to {name} for {', '.join(symbols)} ...")
        with first_connection(name, "--simulator needs none: it records from the embedded exchange"):
            await stream.initialize(wanted, _ignore)
        loop = asyncio.get_running_loop()
        recorder = Recorder(
            options.out,
            name,
            tap,
            max_file_bytes=int(options.max_megabytes * MEGABYTE),
            on_error=lambda error: loop.call_soon_threadsafe(stopped.set),
        )
        stack.push_async_callback(asyncio.to_thread, recorder.close)
        stack.push_async_callback(stream.close)  # first: what it still receives is recorded
        console.print(f"recording to {options.out}; Ctrl-C ends")
        # Here Ctrl-C is the usual end, and no failure.
        with contextlib.suppress(TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(options.seconds), telling(console, lambda: _progress(recorder)):
                await stopped.wait()
    _tell(
        console,
        {
            "exchange": name,
            "frames": recorder.frames,
            "dropped": recorder.dropped,
            "files": recorder.parts,
            "bytes": recorder.bytes_written,
        },
        as_json=options.as_json,
    )


def convert_capture(path: Path, out: Path, exchange: str | None, *, as_json: bool) -> None:
    """Write the text capture ``path`` as a recording. Raises ConfigurationError."""
    name = resolve_exchange(exchange, read_capture(path))
    source = open_recording(path)
    writer = RecordingWriter(out, name)
    try:
        for frame in source:
            writer.write(frame)
    finally:
        writer.close()
    _tell(
        Console(stderr=True, highlight=False, soft_wrap=True),
        {
            "exchange": name,
            "frames": writer.frames,
            "dropped": writer.dropped,
            "files": writer.parts,
            "bytes": writer.bytes_written,
        },
        as_json=as_json,
    )


def _progress(recorder: Recorder) -> str:
    return f"{recorder.frames:,} frames, {recorder.bytes_written:,} bytes, {recorder.dropped:,} dropped"


def _channels(options: RecordOptions) -> tuple[str, ...]:
    known = [channel.value for channel in MARKET_CHANNELS]
    for channel in options.channels:
        if channel not in known:
            raise ConfigurationError(f"unknown channel {channel!r}: choose among {', '.join(known)}")
    return options.channels or tuple(known)


def _ignore(event: object) -> None:
    """What is recorded are the raw frames."""


def _tell(console: Console, result: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
        return
    files = "1 file" if result["files"] == 1 else f"{result['files']} files"
    console.print(
        f"{result['frames']:,} frames of {result['exchange']} in {files}, "
        f"{result['bytes']:,} bytes, {result['dropped']:,} dropped"
    )
