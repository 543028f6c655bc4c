"""Commands about recordings and captures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cexnet.cli.commands.options import AsJson
from cexnet.cli.decode import decode_capture
from cexnet.cli.record import RecordOptions, convert_capture, run_recorder
from cexnet.cli.replay import run_replay
from cexnet.cli.running import run_until_told


def record(
    exchange: str,
    /,
    *symbols: str,
    out: Path,
    channels: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    simulator: Annotated[bool, Parameter(negative="")] = False,
    seconds: float | None = None,
    max_megabytes: float = 1000.0,
    json: AsJson = False,
) -> None:
    """Record raw frames with their receive times to an MCAP file, until Ctrl-C.

    Parameters
    ----------
    exchange
        binance, gateio, mexc, binance_usdm or okx.
    symbols
        In the exchange's own spelling; by default three well-known ones.
    out
        The file, FILE.mcap; nothing is overwritten.
    channels
        book_ticker, trades, depth, candles; by default all of them.
    simulator
        Record from the embedded exchange instead of the real one.
    seconds
        Stop by itself after so long.
    max_megabytes
        Go on in FILE-2.mcap, FILE-3.mcap ... when a file has that size.
    """
    options = RecordOptions(
        exchange=exchange,
        symbols=symbols,
        out=out,
        channels=tuple(channels or ()),
        simulator=simulator,
        seconds=seconds,
        max_megabytes=max_megabytes,
        as_json=json,
    )
    run_until_told(run_recorder(options))


def replay(file: Path, /, *, exchange: str | None = None, speed: float = 1.0, json: AsJson = False) -> None:
    """Feed a recording, or a text capture, through the receive line, without sockets.

    Parameters
    ----------
    file
        What `cexnet record` or `cexnet convert` wrote (further parts are found beside it), or
        a text capture.
    exchange
        Whose wire schema to use; by default the recording's own exchange.
    speed
        Pace as a multiple of the recorded one; 0 is flat out.
    """
    run_until_told(run_replay(file, exchange, speed, as_json=json))


def convert(file: Path, /, *, out: Path, exchange: str | None = None, json: AsJson = False) -> None:
    """Write a text capture as an MCAP recording.

    Parameters
    ----------
    file
        A capture: lines of `T: MESSAGE`, as docs/overview.md describes.
    out
        The file to make; nothing is overwritten.
    exchange
        By default the one that the capture was recorded from.
    """
    convert_capture(file, out, exchange, as_json=json)


def decode(file: Path, /, *, exchange: str | None = None, json: AsJson = False) -> None:
    """Run a recording or a text capture straight through the decoder, without sockets.

    Parameters
    ----------
    file
        What `cexnet record` or `cexnet convert` wrote (further parts are found beside it), or
        a text capture: lines of `T: MESSAGE`, as docs/overview.md describes.
    exchange
        Whose wire schema to use: binance, binance_usdm, gateio, mexc or okx; by default
        that of the file's own exchange.
    """
    decode_capture(file, exchange, as_json=json)
