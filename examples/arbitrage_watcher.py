"""Two venues, one symbol: tells when what one asks is less than what the other bids, after fees.

    python examples/arbitrage_watcher.py [SECONDS]

Gate.io and MEXC are the embedded exchange here, each with a random order flow of its own, so that
their prices drift apart. Ends by itself, or with Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from functools import partial
from itertools import permutations

from cexnet import BookTicker, Channel, Config, ExchangeConfig, Subscription, TransportFactory
from cexnet.simulator import Simulator

SYMBOLS = {"gateio": "XRP_USDT", "mexc": "XRPUSDT"}  # in each exchange's own spelling
TAKER_FEES = {"gateio": 0.0002, "mexc": 0.0001}  # those of one's own account belong here
STALE_NS = 1_000_000_000  # a price that was not confirmed for so long is not traded on


class Watcher:
    """Keeps the newest ticker of each venue; its callback runs inside the socket's read callback."""

    def __init__(self) -> None:
        self.newest: dict[str, BookTicker] = {}
        self.open: dict[tuple[str, str], int] = {}  # crossings and when each began, epoch ns
        self.seen = 0
        self.best = 0.0

    def on_ticker(self, venue: str, ticker: BookTicker) -> None:
        """One venue's best prices have changed: look at it against each other one, both ways."""
        self.newest[venue] = ticker
        for buy_at, sell_at in permutations(self.newest, 2):
            self.compare(buy_at, sell_at, ticker.receive_ts_ns)

    def compare(self, buy_at: str, sell_at: str, now_ns: int) -> None:
        """Tell when a crossing begins, and when it has ended."""
        ask, bid = self.newest[buy_at], self.newest[sell_at]
        # The clocks of two exchanges differ: only our own says how old both prices are.
        is_fresh = now_ns - min(ask.receive_ts_ns, bid.receive_ts_ns) < STALE_NS
        gain = bid.bid_price * (1 - TAKER_FEES[sell_at]) / (ask.ask_price * (1 + TAKER_FEES[buy_at])) - 1
        crossing = (buy_at, sell_at)
        if gain > 0 and is_fresh:
            self.best = max(self.best, gain)
            if crossing not in self.open:
                self.open[crossing] = now_ns
                self.seen += 1
                size = min(ask.ask_size, bid.bid_size)
                print(
                    f"buy {size:g} at {buy_at} for {ask.ask_price:.4f}, "
                    f"sell at {sell_at} for {bid.bid_price:.4f}: {gain * 1e4:+.2f} bp after fees"
                )
        elif crossing in self.open:
            lasted_ms = (now_ns - self.open.pop(crossing)) / 1e6
            print(f"    buy {buy_at}, sell {sell_at}: over after {lasted_ms:.0f} ms")


async def main(seconds: float) -> None:
    """Watch both venues for so long."""
    watcher = Watcher()
    async with contextlib.AsyncExitStack() as stack:
        settings = {}
        for seed, (venue, symbol) in enumerate(SYMBOLS.items(), 1):
            exchange = await stack.enter_async_context(
                Simulator(venue, (symbol,), seed=seed, rate_per_s=1000)
            )
            settings[venue] = ExchangeConfig(websocket_url=exchange.ws_url)
        # TransportFactory() without a configuration would go to the real exchanges.
        factory = await stack.enter_async_context(TransportFactory(Config(exchange=settings)))
        streams = {venue: factory.websocket(venue) for venue in SYMBOLS}
        for venue, stream in streams.items():
            tickers = [Subscription(Channel.BOOK_TICKER, SYMBOLS[venue])]
            await stream.initialize(tickers, partial(watcher.on_ticker, venue))
        try:
            await asyncio.sleep(seconds)
        finally:  # Ctrl-C comes by here as well
            counts = ", ".join(
                f"{stream.metrics().messages} messages of {venue}" for venue, stream in streams.items()
            )
            print(f"{watcher.seen} crossings, {watcher.best * 1e4:.2f} bp after fees at the widest; {counts}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "seconds", nargs="?", type=float, default=10.0, help="how long; %(default)s by default"
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(parser.parse_args().seconds))
