"""``cexnet simulate``: the embedded exchange by itself."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

from rich.console import Console

from cexnet.cli.demo import API_KEY, API_SECRET
from cexnet.exchanges import get_exchange
from cexnet.recording.capture import read_capture, resolve_exchange
from cexnet.simulator import Simulator
from cexnet_core.errors import ConfigurationError


async def run_simulator(
    *,
    exchange: str,
    symbols: tuple[str, ...],
    capture: Path | None,
    speed: float,
    rate_per_s: float,
    port: int,
    rest_port: int,
    seconds: float | None,
    faults: tuple[str, ...] = (),
    fault_seed: int = 1,
) -> None:
    """Serve until cancelled, or for ``seconds``.

    Raises CexnetError when a port is taken or a fault's text makes no sense.
    """
    if seconds is not None and not 0 < seconds < math.inf:
        raise ConfigurationError(f"--seconds is {seconds:g}: give a time above 0")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    played = read_capture(capture) if capture is not None else None
    name = resolve_exchange(exchange, played)
    known = get_exchange(name)
    if not symbols:
        symbols = played.symbols(known.schema) if played is not None else known.symbols
    async with Simulator(
        exchange=name,
        symbols=symbols,
        port=port,
        rest_port=rest_port,
        rate_per_s=rate_per_s,
        capture=capture,
        speed=speed or None,
        api_key=API_KEY,
        api_secret=API_SECRET,
        faults=faults,
        fault_seed=fault_seed,
    ) as simulator:
        console.print(f"{name} on loopback: {', '.join(symbols)}")
        console.print(f"websocket {simulator.ws_url}   rest {simulator.rest_url}")
        console.print(f"api key {API_KEY}, secret {API_SECRET}; Ctrl-C ends")
        for fault in faults:
            console.print(f"fault {fault}", markup=False)
        try:
            if seconds is None:
                await asyncio.get_running_loop().create_future()
            else:
                await asyncio.sleep(seconds)
        finally:
            for kind, count in sorted(simulator.stats.faults.items()):
                console.print(f"fault {kind} struck {count} times", markup=False)
