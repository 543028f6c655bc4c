"""Runs the compiled engine on the embedded exchange: ``python run.py [SECONDS]``."""

from __future__ import annotations

import argparse
import asyncio

from engine import Engine

from cexnet import Channel, Config, ExchangeConfig, Subscription, TransportFactory
from cexnet.simulator import Simulator

STREAMS = [Subscription(Channel.BOOK_TICKER, "BTCUSDT"), Subscription(Channel.TRADES, "BTCUSDT")]


async def main(seconds: float) -> None:
    """Stream into the engine for so long, then say what it saw."""
    engine = Engine(half_life_s=2.0)
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=5_000) as exchange:
        settings = ExchangeConfig(websocket_url=exchange.ws_url)
        async with TransportFactory(Config(exchange={"binance": settings})) as factory:
            stream = factory.websocket("binance")
            await stream.initialize(STREAMS, engine)  # an EventSink in the place of a callable
            await asyncio.sleep(seconds)
    print(f"{engine.tickers} tickers, {engine.trades} trades, {engine.signals} signals")
    print(f"from the socket to the decision: p50 {engine.reaction.percentile(50) / 1e3:.1f} us")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "seconds", nargs="?", type=float, default=5.0, help="how long; %(default)s by default"
    )
    asyncio.run(main(parser.parse_args().seconds))
