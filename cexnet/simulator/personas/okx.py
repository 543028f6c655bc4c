"""OKX v5 public streams: for playback, with synthetic flow as a bonus.

Source: OKX v5 docs. Public market data only.
"""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit

from aiohttp import web

from cexnet.simulator.book import BUY, SELL
from cexnet.simulator.connection import text_frame
from cexnet.simulator.decimals import Formatter, format_short, whole
from cexnet.simulator.market import Candle, DepthChange, Market, Ticker, Trade
from cexnet.simulator.personas.base import Persona, Session, compact, now_ms
from cexnet.simulator.personas.words import RestWords

_PATHS = ("/ws/v5/public", "/ws/v5/business")
_CHANNELS = ("trades", "tickers", "bbo-tbt", "books")
_CANDLES_S = {
    "candle1m": 60, "candle3m": 180, "candle5m": 300, "candle15m": 900, "candle30m": 1800,
    "candle1H": 3600, "candle4H": 14400, "candle1Dutc": 86400,
}  # fmt: skip
_CANDLE_NAMES = {seconds: name for name, seconds in _CANDLES_S.items()}
_BOOK_LEVELS = 400


class OkxSession(Session):
    """One connection."""

    persona: OkxPersona

    def __init__(self, persona: OkxPersona, path: str) -> None:
        super().__init__(persona)
        self._is_business = path.endswith("/business")

    def carries(self, message: str) -> bool:
        """Candles on ``business``, the rest on ``public``."""
        return message.startswith('{"arg":{"channel":"candle') == self._is_business

    def announce_end(self) -> None:
        """Notice 64008."""
        text = "The connection will soon be closed for a service upgrade. Please reconnect."
        notice = {"event": "notice", "code": "64008", "msg": text, "connId": "a4d3ae55"}
        self.connection.send_text(compact(notice))

    def on_message(self, payload: bytes) -> None:
        """Answer ``ping``, subscribe and unsubscribe: one ack an argument."""
        if payload == b"ping":
            self.connection.send_text("pong")
            return
        try:
            request = json.loads(payload)
        except ValueError:
            request = None
        op = request.get("op") if isinstance(request, dict) else None
        if not isinstance(request, dict) or op not in ("subscribe", "unsubscribe"):
            self._refuse("60012", f"Invalid request: {payload.decode(errors='replace')}", None)
            return
        args = request.get("args")
        if not isinstance(args, list) or not args or not all(isinstance(a, dict) for a in args):
            self._refuse("60012", f"Invalid request: {payload.decode(errors='replace')}", request)
            return
        for arg in args:
            topic = self.persona.topic_of(arg)
            if topic is None:
                wrong = ",".join(f"{name}:{value}" for name, value in arg.items())
                self._refuse("60018", f"Wrong URL or {wrong} doesn't exist. Please use the correct "
                             "URL, channel and parameters referring to API document.", request)  # fmt: skip
            else:
                self._acknowledge(request, op, arg)
                if op == "unsubscribe":
                    self.unlisten(topic, topic)
                else:
                    self.persona.send_full_book(topic, self)  # first, so that no update precedes it
                    self.listen(topic, topic)

    def _acknowledge(self, request: dict[str, Any], op: str, arg: dict[str, Any]) -> None:
        identity = {"id": request["id"]} if "id" in request else {}
        self.connection.send_text(compact({**identity, "event": op, "arg": arg, "connId": "a4d3ae55"}))

    def _refuse(self, code: str, text: str, request: dict[str, Any] | None) -> None:
        self.persona.sim.stats.refusals += 1
        identity = {"id": request["id"]} if request and "id" in request else {}
        answer = {**identity, "event": "error", "code": code, "msg": text, "connId": "a4d3ae55"}
        self.connection.send_text(compact(answer))


class OkxPersona(Persona):
    """OKX. The client pings by text; 30 s without traffic closes."""

    name: ClassVar[str] = "okx"
    default_symbols: ClassVar[tuple[str, ...]] = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
    symbol_separator: ClassVar[str] = "-"
    idle_close_s: ClassVar[float | None] = 30.0

    def __init__(self, sim: Any) -> None:
        super().__init__(sim)
        self.words = RestWords(sim.server_ms)
        self._prices: dict[str, Formatter] = {}
        self._sizes: dict[str, Formatter] = {}

    def open(self, path: str) -> Session | None:
        """``/ws/v5/public`` and ``/ws/v5/business``."""
        local = urlsplit(path).path
        return OkxSession(self, local) if local in _PATHS else None

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """``/api/v5``: time and book."""
        router.add_get("/api/v5/public/time", self._time)
        router.add_get("/api/v5/market/books", self._books)

    def is_control(self, message: str) -> bool:
        """Acks of the recorder's own subscriptions."""
        return message.startswith('{"event":')

    def prepare(self, market: Market) -> None:
        """Formatters of the market's prices and sizes."""
        spec = market.spec
        self._prices[spec.symbol] = Formatter(spec.price_decimals, None)
        self._sizes[spec.symbol] = Formatter(spec.quantity_decimals, None)

    def topic_of(self, arg: dict[str, Any]) -> str | None:
        """The topic that an argument names, ``None`` when there is no such channel."""
        channel, symbol = arg.get("channel"), arg.get("instId")
        if self.sim.playing:
            return f"{channel}:{symbol}" if channel and symbol else None
        market = self.sim.markets.get(str(symbol))
        if market is None or (channel not in _CHANNELS and channel not in _CANDLES_S):
            return None
        if channel in _CANDLES_S:
            market.candle(_CANDLES_S[channel], int(time.time()))
        return f"{channel}:{symbol}"

    def send_full_book(self, topic: str, session: OkxSession) -> None:
        """First push of ``books``: the whole book, so that the next update follows on."""
        channel, _, symbol = topic.partition(":")
        market = self.sim.markets.get(symbol)
        if channel != "books" or self.sim.playing or market is None:
            return
        change = market.feeds[100].flush()
        if change is not None:
            self.push_depth(market, 100, change)
        bids, asks = (market.book.levels(side, _BOOK_LEVELS) for side in (BUY, SELL))
        self.sim.stats.messages["snapshot"] += 1
        frame = self._book_frame(market, "snapshot", bids, asks, -1, market.book.sequence)
        session.connection.send(frame, "snapshot", topic)

    def push_trade(self, market: Market, trade: Trade) -> None:
        """``trades``."""
        symbol = market.spec.symbol
        self._send(
            "trade",
            "trades",
            symbol,
            lambda: (
                f'{{"instId":"{symbol}","tradeId":"{trade.trade_id}",'
                f'"px":"{self._prices[symbol](trade.price)}","sz":"{self._sizes[symbol](trade.quantity)}",'
                f'"side":"{"buy" if trade.side == BUY else "sell"}","ts":"{trade.time_ns // 1_000_000}",'
                f'"count":"1","seqId":{market.book.sequence}}}'
            ),
        )

    def push_ticker(self, market: Market, ticker: Ticker) -> None:
        """``tickers`` and ``bbo-tbt``."""
        symbol = market.spec.symbol
        price, size = self._prices[symbol], self._sizes[symbol]
        self._send(
            "ticker",
            "tickers",
            symbol,
            lambda: (
                f'{{"instType":"SPOT","instId":"{symbol}","last":"{price(market.last_price)}",'
                f'"lastSz":"","askPx":"{price(ticker.ask)}","askSz":"{size(ticker.ask_lots)}",'
                f'"bidPx":"{price(ticker.bid)}","bidSz":"{size(ticker.bid_lots)}","ts":"{now_ms()}"}}'
            ),
        )
        self._send(
            "ticker",
            "bbo-tbt",
            symbol,
            lambda: (
                f'{{"asks":[["{price(ticker.ask)}","{size(ticker.ask_lots)}","0","1"]],'
                f'"bids":[["{price(ticker.bid)}","{size(ticker.bid_lots)}","0","1"]],'
                f'"ts":"{now_ms()}","seqId":{market.book.sequence}}}'
            ),
        )

    def push_depth(self, market: Market, interval_ms: int, change: DepthChange) -> None:
        """``books`` updates."""
        topic = "books:" + market.spec.symbol
        if topic in self.sim.topics:
            frame = self._book_frame(
                market, "update", change.bids, change.asks, change.first - 1, change.last
            )
            self.sim.topics.publish("depth", topic, frame)

    def push_candle(self, market: Market, candle: Candle, closed: bool) -> None:
        """``candle...``: volumes in base, quote and quote currency."""
        spec, price = market.spec, self._prices[market.spec.symbol]
        money = format_short(candle.quote, spec.price_decimals + spec.quantity_decimals)
        self._send(
            "candle",
            _CANDLE_NAMES[candle.interval_s],
            spec.symbol,
            lambda: (
                f'["{candle.open_s * 1000}","{price(candle.open)}","{price(candle.high)}",'
                f'"{price(candle.low)}","{price(candle.close)}",'
                f'"{format_short(candle.volume, spec.quantity_decimals)}","{money}","{money}",'
                f'"{1 if closed else 0}"]'
            ),
        )

    def _send(self, kind: str, channel: str, symbol: str, entry: Any) -> None:
        topic = f"{channel}:{symbol}"
        if topic in self.sim.topics:
            arg = f'{{"arg":{{"channel":"{channel}","instId":"{symbol}"}},"data":['
            self.sim.topics.publish(kind, topic, text_frame(f"{arg}{entry()}]}}"))

    def _book_frame(
        self, market: Market, action: str, bids: list[tuple[int, int]],
        asks: list[tuple[int, int]], previous: int, last: int,
    ) -> bytes:  # fmt: skip
        symbol = market.spec.symbol
        return text_frame(
            f'{{"arg":{{"channel":"books","instId":"{symbol}"}},"action":"{action}","data":[{{'
            f'"asks":{self._levels(market, asks)},"bids":{self._levels(market, bids)},'
            f'"ts":"{now_ms()}","checksum":0,"prevSeqId":{previous},"seqId":{last}}}]}}'
        )

    def _levels(self, market: Market, levels: list[tuple[int, int]]) -> str:
        price, size = self._prices[market.spec.symbol], self._sizes[market.spec.symbol]
        return "[" + ",".join([f'["{price(p)}","{size(q)}","0","{1 if q else 0}"]' for p, q in levels]) + "]"

    async def _time(self, request: web.Request) -> web.Response:
        return self._answer("0", "", [{"ts": str(self.sim.server_ms())}])

    async def _books(self, request: web.Request) -> web.Response:
        market = self.sim.markets.get(request.query.get("instId", ""))
        if market is None:
            return self._answer("51001", "Instrument ID does not exist", [])
        depth = request.query.get("sz", "1")
        count = min(_BOOK_LEVELS, whole(depth) or 1)
        price, size = self._prices[market.spec.symbol], self._sizes[market.spec.symbol]
        book: dict[str, Any] = {"ts": str(now_ms()), "seqId": market.book.sequence}
        for name, side in (("bids", BUY), ("asks", SELL)):
            book[name] = [[price(p), size(q), "0", "1"] for p, q in market.book.levels(side, count)]
        return self._answer("0", "", [book])

    def _answer(self, code: str, text: str, data: list[Any]) -> web.Response:
        self.sim.stats.rest_requests += 1
        body = compact({"code": code, "msg": text, "data": data})
        return web.Response(text=body, content_type="application/json")
