"""Commands that run against an exchange, or against a running engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cexnet.cli.commands.options import FOR_EVER_S, AsJson, Faults, Symbols
from cexnet.cli.demo import DemoOptions, run_demo
from cexnet.cli.metrics import DEFAULT_PORT
from cexnet.cli.running import run_until_told
from cexnet.cli.simulate import run_simulator
from cexnet.cli.top import TopOptions, run_top
from cexnet.cli.watch import WatchOptions, run_watch


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
    run_until_told(run_demo(options))


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
    run_until_told(run_watch(options))


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
    run_until_told(
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


def top(
    target: str = str(DEFAULT_PORT),
    /,
    *,
    seconds: float | None = None,
    once: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Watch a running engine from outside: rates, latencies, drops, requests, breakers.

    It asks for the metrics that the engine serves, once a second: `cexnet demo --metrics-port
    9464`, `cexnet watch ... --metrics-port 9464`, or `MetricsServer` in an engine of your own.
    Latencies are those of the last ten seconds, read off histogram buckets.

    Parameters
    ----------
    target
        Where the engine serves metrics: a port of this machine, HOST:PORT, or a URL.
    seconds
        How long; by default until Ctrl-C.
    once
        Print the picture once, after a second, and end.
    json
        Print one JSON object after a second; with --seconds, one a second, each on a line.
    """
    run_until_told(run_top(TopOptions(target, seconds, once, json)))
