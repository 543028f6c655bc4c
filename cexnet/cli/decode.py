"""``cexnet decode``: a recording or capture straight through the decoder, without sockets."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from cexnet.cli.demo import event_counts
from cexnet.exchanges import get_exchange
from cexnet.recording import open_recording, resolve_exchange
from cexnet_core.decode import Decoder
from cexnet_core.errors import ConfigurationError


def decode_capture(path: Path, exchange: str | None, *, as_json: bool) -> None:
    """Decode every received message of ``path`` and print what came out.

    Raises ConfigurationError for a file that cannot be read, or is neither recording nor capture.
    """
    with Console(stderr=True).status(Text(f"reading {path.name}")):
        source = open_recording(path)
        name = resolve_exchange(exchange, source)
        decoder = Decoder(get_exchange(name).schema_of(source.scope))
        messages = [(frame.payload, frame.is_text) for frame in source]
        if not messages:
            raise ConfigurationError(f"{path} holds no message: there is nothing to decode")
        start_ns = time.perf_counter_ns()
        for payload, is_text in messages:
            decoder.decode(payload, is_text)
        elapsed_ns = time.perf_counter_ns() - start_ns
    counters = decoder.counters
    paths = {
        "shape": counters.shape,
        "ondemand": counters.ondemand,
        "protobuf": counters.protobuf,
        "errors": counters.errors,
    }
    events = event_counts(dict(counters.events))
    if as_json:
        result = {
            "exchange": name,
            "messages": len(messages),
            "events": events,
            "decode": paths,
            "unknown_channels": dict(decoder.unknown_channels),
        }
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
        return
    console = Console(highlight=False)
    console.print(f"{path.name}: {len(messages):,} messages of {name}")
    console.print("events   " + "  ".join(f"{kind} {n:,}" for kind, n in events.items()))
    console.print("decode   " + "  ".join(f"{kind} {n:,}" for kind, n in paths.items()))
    for channel, count in decoder.unknown_channels.items():
        console.print(f"unknown  {channel} {count:,}", markup=False)
    console.print(f"         {elapsed_ns / len(messages):,.0f} ns a message")
