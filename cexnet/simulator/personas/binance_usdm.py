"""Binance USD-M futures streams: for playback, with synthetic flow as a bonus.

Source: Binance USD-M docs. Since 2026-04-23 streams are split over ``/public`` and
``/market``; the retired root paths are kept because captures were made there. REST has
public market data only.
"""

from __future__ import annotations

from typing import Any, ClassVar

from aiohttp import web

from cexnet.simulator.book import BUY, SELL
from cexnet.simulator.decimals import Formatter, format_units, whole
from cexnet.simulator.market import DepthChange, Market, Ticker, Trade
from cexnet.simulator.personas.base import compact, now_ms
from cexnet.simulator.personas.binance import BinancePersona


class BinanceUsdmPersona(BinancePersona):
    """Binance USD-M futures. 10 client messages/s; a ping every 3 min, 10 min to answer."""

    name: ClassVar[str] = "binance_usdm"
    depth_intervals_ms: ClassVar[tuple[int, ...]] = (100, 250, 500)
    client_messages_per_s: ClassVar[int] = 10
    ping_interval_s: ClassVar[float | None] = 180.0
    pong_deadline_s: ClassVar[float] = 600.0
    stream_roots: ClassVar[tuple[str, ...]] = ("/public", "/market", "")
    api_path: ClassVar[str] = ""  # orders are not simulated for futures

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """``/fapi/v1``: ping, time, depth."""
        router.add_get("/fapi/v1/ping", self._ping)
        router.add_get("/fapi/v1/time", self._time)
        router.add_get("/fapi/v1/depth", self._depth)

    def carries(self, root: str, message: str) -> bool:
        """Order-book streams on ``/public``, the others on ``/market``, all on the retired root."""
        stream = message.partition('","')[0]
        is_book = "@bookTicker" in stream or "@depth" in stream
        return not root or is_book == (root == "/public")

    def prepare(self, market: Market) -> None:
        """Formatters: futures show exactly the symbol's decimals."""
        spec = market.spec
        self._lower[spec.symbol] = spec.symbol.lower()
        self._prices[spec.symbol] = Formatter(spec.price_decimals, spec.price_decimals)
        self._sizes[spec.symbol] = Formatter(spec.quantity_decimals, spec.quantity_decimals)

    def money(self, market: Market) -> Formatter:
        """Formatter of tick-lots in quote currency."""
        decimals = market.spec.price_decimals + market.spec.quantity_decimals
        return Formatter(decimals, decimals)

    def push_trade(self, market: Market, trade: Trade) -> None:
        """``@aggTrade`` (there is no ``@trade`` on futures)."""
        symbol = market.spec.symbol
        stream = self._lower[symbol] + "@aggTrade"
        if self._wanted(stream):
            number = trade.trade_id
            self._send(
                "trade",
                stream,
                f'{{"e":"aggTrade","E":{now_ms()},"a":{number},"s":"{symbol}",'
                f'"p":"{self._prices[symbol](trade.price)}","q":"{self._sizes[symbol](trade.quantity)}",'
                f'"f":{number},"l":{number},"T":{trade.time_ns // 1_000_000},'
                f'"m":{"true" if trade.side == SELL else "false"}}}',
            )

    def push_ticker(self, market: Market, ticker: Ticker) -> None:
        """``@bookTicker``, here with type and times."""
        symbol = market.spec.symbol
        stream = self._lower[symbol] + "@bookTicker"
        if self._wanted(stream):
            price, size, at_ms = self._prices[symbol], self._sizes[symbol], now_ms()
            self._send(
                "ticker",
                stream,
                f'{{"e":"bookTicker","u":{market.book.sequence},"s":"{symbol}",'
                f'"b":"{price(ticker.bid)}","B":"{size(ticker.bid_lots)}",'
                f'"a":"{price(ticker.ask)}","A":"{size(ticker.ask_lots)}","T":{at_ms},"E":{at_ms}}}',
            )

    def push_depth(self, market: Market, interval_ms: int, change: DepthChange) -> None:
        """``@depth`` diffs (250 ms unless named); ``pu`` is the last ``u`` of the stream."""
        symbol = market.spec.symbol
        speed = "" if interval_ms == 250 else f"@{interval_ms}ms"
        stream = f"{self._lower[symbol]}@depth{speed}"
        if self._wanted(stream):
            at_ms = now_ms()
            self._send(
                "depth",
                stream,
                f'{{"e":"depthUpdate","E":{at_ms},"T":{at_ms},"s":"{symbol}","U":{change.first},'
                f'"u":{change.last},"pu":{change.first - 1},"b":{self.levels(market, change.bids)},'
                f'"a":{self.levels(market, change.asks)}}}',
            )

    def is_stream_channel(self, channel: str) -> bool:
        """Futures channels besides candles."""
        return channel in ("aggTrade", "bookTicker", "depth", "depth@100ms", "depth@500ms")

    async def _ping(self, request: web.Request) -> web.Response:
        return self._answer(200, {})

    async def _time(self, request: web.Request) -> web.Response:
        return self._answer(200, {"serverTime": self.sim.server_ms()})

    async def _depth(self, request: web.Request) -> web.Response:
        symbol = request.query.get("symbol", "")
        recorded = self.sim.recorded_snapshot(symbol)
        if recorded is not None:
            return self._answer(200, recorded)
        market = self.sim.markets.get(symbol)
        if market is None:
            return self._answer(400, {"code": -1121, "msg": "Invalid symbol."})
        at_ms, spec, limit = now_ms(), market.spec, request.query.get("limit", "500")
        answer: dict[str, Any] = {"lastUpdateId": market.book.sequence, "E": at_ms, "T": at_ms}
        for name, side in (("bids", BUY), ("asks", SELL)):
            answer[name] = [
                [
                    format_units(price, spec.price_decimals, spec.price_decimals),
                    format_units(lots, spec.quantity_decimals, spec.quantity_decimals),
                ]
                for price, lots in market.book.levels(side, whole(limit) or 500)
            ]
        return self._answer(200, answer)

    def _answer(self, status: int, body: Any) -> web.Response:
        self.sim.stats.rest_requests += 1
        return web.Response(status=status, text=compact(body), content_type="application/json")
