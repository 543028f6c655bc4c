"""Commands and their options; the work is done in one module a command."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from cexnet import __version__
from cexnet.cli.config import init_config, show_config
from cexnet.cli.decode import decode_capture
from cexnet.cli.demo import DemoOptions, run_demo
from cexnet.cli.doctor import print_doctor
from cexnet.cli.record import RecordOptions, convert_capture, run_recorder
from cexnet.cli.replay import run_replay
from cexnet.cli.sign import SignOptions, print_signed
from cexnet.cli.simulate import run_simulator
from cexnet.cli.watch import WatchOptions, run_watch
from cexnet_core.errors import CexnetError

app = App(
    name="cexnet",
    version=__version__,
    help="Networking core of a crypto trading engine: market data and orders, compiled.",
)

Symbols = Annotated[
    list[str] | None,
    Parameter(consume_multiple=True, negative="", help="Symbols in the exchange's own spelling."),
]
Faults = Annotated[list[str] | None, Parameter(negative="")]
FOR_EVER_S = 10 * 365 * 86_400.0
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]


@app.command
def demo(
    *,
    exchange: str | None = None,
    symbols: Symbols = None,
    capture: Path | None = None,
    seconds: float = 20.0,
    rate: float = 2000.0,
    fault: Faults = None,
    metrics_port: int | None = None,
    json: AsJson = False,
) -> None:
    """Stream from the embedded exchange, place a few orders, show what happens.

    Parameters
    ----------
    exchange
        binance (default), gateio, mexc, or binance_usdm and okx (streams only, no orders).
        With --capture, by default the exchange that the capture was recorded from.
    capture
        Play this recording of real traffic, sped up so as to fit in --seconds.
    seconds
        How long to run.
    rate
        Messages a second that the embedded exchange makes up, in total; mexc sends at
        most ten a second and stream, with several events in each.
    fault
        What goes wrong meanwhile: NAME[:key=value,...] as for `cexnet simulate`, but again
        and again by default, like `--fault reset --fault gap`; or `roll`, which replaces the
        connections make-before-break. Adds what was lost, doubled and mended.
    metrics_port
        Serve Prometheus metrics at this port of 127.0.0.1; 0 picks one.
    """
    options = DemoOptions(
        exchange=exchange,
        symbols=tuple(symbols or ()),
        capture=capture,
        seconds=seconds,
        rate_per_s=rate,
        as_json=json,
        faults=tuple(fault or ()),
        metrics_port=metrics_port,
    )
    _run(run_demo(options))


@app.command
def watch(
    exchange: str,
    /,
    *symbols: str,
    config: Path | None = None,
    env: str | None = None,
    seconds: float = FOR_EVER_S,
    metrics_port: int | None = None,
    json: AsJson = False,
) -> None:
    """Watch best bid and ask and the last trade of a real exchange; needs a network.

    Parameters
    ----------
    exchange
        binance, binance_usdm, gateio, mexc, okx, or one that another package adds.
    symbols
        In the exchange's own spelling; by default three well-known ones.
    config
        A TOML file, for another URL or a proxy: `cexnet config init` writes an example.
    env
        The file's overlay to use, as in [env.production].
    seconds
        How long; by default until Ctrl-C.
    metrics_port
        Serve Prometheus metrics at this port of 127.0.0.1; 0 picks one.
    """
    options = WatchOptions(exchange, symbols, config, env, seconds, metrics_port, json)
    _run(run_watch(options))


@app.command
def decode(file: Path, /, *, exchange: str | None = None, json: AsJson = False) -> None:
    """Run a capture straight through the decoder, without sockets.

    Parameters
    ----------
    file
        A capture: lines of `T: MESSAGE`, as docs/overview.md describes.
    exchange
        Whose wire schema to use: binance, binance_usdm, gateio, mexc or okx; by default
        that of the capture's own exchange.
    """
    decode_capture(file, exchange, as_json=json)


@app.command
def simulate(
    *,
    exchange: str = "binance",
    symbols: Symbols = None,
    capture: Path | None = None,
    speed: float = 1.0,
    rate: float = 2000.0,
    port: int = 0,
    rest_port: int = 0,
    seconds: float | None = None,
    fault: Faults = None,
    fault_seed: int = 1,
) -> None:
    """Run the embedded exchange alone, until Ctrl-C.

    Parameters
    ----------
    exchange
        binance, gateio, mexc, binance_usdm or okx.
    capture
        Play this recording instead of made-up traffic.
    speed
        Pace of the capture as a multiple of the recorded one; 0 plays it flat out.
    rate
        Messages a second of made-up traffic, in total.
    port
        WebSocket port; 0 picks a free one.
    rest_port
        REST port; 0 picks a free one.
    seconds
        Stop by itself after so long.
    fault
        What goes wrong: NAME[:key=value,...], again for each fault, like
        `--fault reset:after=500,times=3 --fault rest-lost:request=POST,p=0.1,times=always`.
        `after` counts messages (or REST requests), or seconds with an s. An unknown NAME
        prints those there are.
    fault_seed
        Of the faults that strike with a probability (`p=`).
    """
    _run(
        run_simulator(
            exchange=exchange,
            symbols=tuple(symbols or ()),
            capture=capture,
            speed=speed,
            rate_per_s=rate,
            port=port,
            rest_port=rest_port,
            seconds=seconds,
            faults=tuple(fault or ()),
            fault_seed=fault_seed,
        )
    )


@app.command
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
    _run(run_recorder(options))


@app.command
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
    _run(run_replay(file, exchange, speed, as_json=json))


@app.command
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


@app.command
def doctor(*, json: AsJson = False) -> None:
    """Say what this machine gives cexnet: build, libcrypto, SIMD, clocks, limits."""
    print_doctor(as_json=json)


@app.command
def sign(
    *,
    exchange: str,
    method: str,
    path: str,
    param: Annotated[list[str] | None, Parameter(negative="", allow_leading_hyphen=True)] = None,
    body: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    timestamp_ms: int | None = None,
    recv_window_ms: int = 5000,
    nonce: str = "",
    base_url: str = "",
    json: AsJson = False,
) -> None:
    """Print the signed request that would be sent: URL, headers and body. Sends nothing.

    Key and secret come from the environment: CEXNET_API_KEY and CEXNET_API_SECRET, with
    CEXNET_PASSPHRASE (okx, kucoin, bitget) and CEXNET_KEY_PASSWORD (an encrypted PEM key);
    or one exchange's own, CEXNET_BINANCE_API_KEY and so on, which go first. NAME_FILE in
    place of NAME names a file that holds the value.

    Parameters
    ----------
    exchange
        binance, binance_usdm, gateio, mexc, okx, bybit, kucoin, bitget, kraken, htx,
        deribit, coinbase or hyperliquid.
    method
        GET, POST, PUT or DELETE.
    path
        The whole path, from its first slash and without a query: /api/v3/order.
    param
        NAME=VALUE, again for each parameter, in the order in which to send them. They make
        up the query; at Kraken, the body.
    body
        The body, byte for byte.
    timestamp_ms
        Sign at this Unix time in milliseconds; by default now.
    recv_window_ms
        How late the request may arrive (binance, mexc, bybit).
    nonce
        Instead of a random one, to reproduce a signature (deribit, coinbase).
    base_url
        Scheme and host, instead of the exchange's own.
    """
    print_signed(
        SignOptions(
            exchange=exchange,
            method=method,
            path=path,
            params=tuple(param or ()),
            body=body,
            timestamp_ms=timestamp_ms,
            recv_window_ms=recv_window_ms,
            nonce=nonce,
            base_url=base_url,
            as_json=json,
        )
    )


config = App(name="config", help="Look at the configuration, or begin one.")
app.command(config)


@config.command(name="show")
def config_show(file: Path | None = None, /, *, env: str | None = None, json: AsJson = False) -> None:
    """Print the effective configuration, secrets masked, and where each value came from.

    Parameters
    ----------
    file
        A TOML file; by default cexnet.toml, if there is one.
    env
        The file's overlay to use, as in [env.production]; by default that of CEXNET_ENV.
    """
    show_config(file, env, as_json=json)


@config.command(name="init")
def config_init(
    file: Path | None = None, /, *, force: Annotated[bool, Parameter(negative="")] = False
) -> None:
    """Write a commented example.

    Parameters
    ----------
    file
        Where to; by default cexnet.toml.
    force
        Overwrite it if it exists.
    """
    init_config(file, force=force)


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(_until_told(work))
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """SIGTERM, as service managers send it, ends a command in the same good order as Ctrl-C."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # Windows has no such signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work


def run() -> None:
    """Parse the command line and run; every foreseen failure is one sentence and exit code 2."""
    try:
        app(exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _fail(str(error))
    except CexnetError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _fail(sentence: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"cexnet: {sentence}", markup=False)
    sys.exit(2)
