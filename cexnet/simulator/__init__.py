"""The embedded exchange: a real server on loopback that speaks as an exchange.

::

    async with Simulator("binance", ("BTCUSDT",), api_key="k", api_secret="s") as sim:
        ...  # sim.ws_url + "/stream?streams=btcusdt@trade", sim.rest_url + "/api/v3/time"
"""

from cexnet.simulator.faults import FAULTS, Fault, parse_fault
from cexnet.simulator.market import MarketSpec
from cexnet.simulator.server import DEFAULT_RATE_PER_S, Simulator, serve
from cexnet.simulator.stats import Stats

__all__ = [
    "DEFAULT_RATE_PER_S",
    "FAULTS",
    "Fault",
    "MarketSpec",
    "Simulator",
    "Stats",
    "parse_fault",
    "serve",
]
