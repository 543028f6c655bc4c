"""Commands and their options; the work is done in one module a command."""

from __future__ import annotations

import asyncio
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
from cexnet.cli.simulate import run_simulator
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
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]


@app.command
def demo(
    *,
    exchange: str | None = None,
    symbols: Symbols = None,
    capture: Path | None = None,
    seconds: float = 20.0,
    rate: float = 2000.0,
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
    """
    options = DemoOptions(
        exchange=exchange,
        symbols=tuple(symbols or ()),
        capture=capture,
        seconds=seconds,
        rate_per_s=rate,
        as_json=json,
    )
    _run(run_demo(options))


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
    fault: Annotated[list[str] | None, Parameter(negative="")] = None,
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
        `--fault reset:after=500,times=3 --fault gap:after=2s`. `after` counts messages,
        or seconds with an s. An unknown NAME prints those there are.
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
def doctor(*, json: AsJson = False) -> None:
    """Say what this machine gives cexnet: build, libcrypto, SIMD, clocks, limits."""
    print_doctor(as_json=json)


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
    asyncio.run(work)


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
