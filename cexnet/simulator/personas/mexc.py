"""MEXC spot v3 streams: JSON control in text frames, protobuf data in binary frames.

Source: mexcdevelop/apidocs (spot v3) and mexcdevelop/websocket-proto.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from picows import WSCloseCode

from cexnet.simulator.account import BalanceChange, ClientIdScope, Execution
from cexnet.simulator.book import BUY, SELL
from cexnet.simulator.connection import binary_frame
from cexnet.simulator.decimals import Formatter, format_short
from cexnet.simulator.market import Candle, DepthChange, Market, Ticker, Trade
from cexnet.simulator.personas import mexc_frames as frames
from cexnet.simulator.personas.base import Persona, Session, compact, now_ms
from cexnet.simulator.personas.mexc_private import CHANNELS as PRIVATE
from cexnet.simulator.personas.mexc_private import MOST_CONNECTIONS, ListenKeys, PrivateChannels
from cexnet.simulator.personas.mexc_rest import MexcRest
from cexnet.simulator.personas.words import MexcWords
from cexnet.simulator.protobuf import message

_AGGREGATED = re.compile(r"spot@public\.aggre\.(deals|depth|bookTicker)\.v3\.api\.pb@(10|100)ms@(\w+)\Z")
_BATCH = re.compile(r"spot@public\.bookTicker\.batch\.v3\.api\.pb@(\w+)\Z")
_LIMIT_DEPTH = re.compile(r"spot@public\.limit\.depth\.v3\.api\.pb@(\w+)@(5|10|20)\Z")
_KLINE = re.compile(r"spot@public\.kline\.v3\.api\.pb@(\w+)@(\w+)\Z")
INTERVALS_S = {
    "Min1": 60, "Min5": 300, "Min15": 900, "Min30": 1800, "Min60": 3600,
    "Hour4": 14400, "Hour8": 28800, "Day1": 86400, "Week1": 604800, "Month1": 2592000,
}  # fmt: skip
_INTERVAL_NAMES = {seconds: name for name, seconds in INTERVALS_S.items()}
_MOST_SUBSCRIPTIONS = 30


class MexcSession(Session):
    """One connection; with a listen key it may have the private channels as well."""

    persona: MexcPersona

    def __init__(self, persona: MexcPersona, listen_key: str) -> None:
        super().__init__(persona)
        self.listen_key = listen_key

    def revoke(self) -> None:
        """The listen key is gone, and the connection with it."""
        if self.listen_key:
            self.persona.listen_keys.close(self.listen_key)
            self.connection.close(WSCloseCode.POLICY_VIOLATION, self.lapsed())

    def lapsed(self) -> str:
        """Private connections end with their listen key."""
        if self.listen_key and not self.persona.listen_keys.is_live(self.listen_key):
            return "listenKey expired"
        return ""

    def on_message(self, payload: bytes) -> None:
        """Answer one control request."""
        try:
            request = json.loads(payload)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            self._refuse(0, "Invalid JSON format")
            return
        method, params = str(request.get("method", "")).upper(), request.get("params")
        identity = request.get("id", 0)
        if method == "PING":
            self._reply(identity, "PONG")
        elif method not in ("SUBSCRIPTION", "UNSUBSCRIPTION"):
            self._refuse(identity, f"Unknown method {method}")
        elif not isinstance(params, list) or not params or not all(isinstance(p, str) for p in params):
            self._refuse(identity, "Invalid params")
        elif method == "SUBSCRIPTION":
            self._subscribe(identity, params)
        else:
            for channel in params:
                self.unlisten(channel, channel)
            self._reply(identity, ",".join(params))

    def _subscribe(self, identity: Any, channels: list[str]) -> None:
        good = [channel for channel in channels if self._may_have(channel)]
        fresh = [channel for channel in good if channel not in self.topics]
        refused = [channel for channel in channels if channel not in good]
        if len(self.topics) + len(fresh) > _MOST_SUBSCRIPTIONS:
            good, refused = [], channels
        if good:
            self._reply(identity, ",".join(good))
        for channel in refused:
            self._refuse(identity, f"Not Subscribed successfully! [{channel}].  Reason： Blocked! ")
        for channel in good:
            if channel in PRIVATE:
                self.listen_private(channel, channel)
            else:
                self.listen(channel, channel)

    def _may_have(self, channel: str) -> bool:
        if channel in PRIVATE:
            return bool(self.listen_key) and not self.lapsed()
        return self.persona.knows(channel)

    def _refuse(self, identity: Any, text: str) -> None:
        self.persona.sim.stats.refusals += 1
        self._reply(identity, text)  # code 0 for refusals too: MEXC tells them by the text only

    def _reply(self, identity: Any, text: str) -> None:
        self.connection.send_text(compact({"id": identity, "code": 0, "msg": text}))


class MexcPersona(Persona):
    """MEXC spot. At most 30 subscriptions; closes at 60 s of silence, 30 s unsubscribed."""

    name: ClassVar[str] = "mexc"
    default_symbols: ClassVar[tuple[str, ...]] = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    client_ids: ClassVar[ClientIdScope] = "always"
    depth_intervals_ms: ClassVar[tuple[int, ...]] = (10, 100)
    client_messages_per_s: ClassVar[int] = 100
    steps_per_message: ClassVar[int] = 1  # streams are aggregated: more moves, not more messages
    idle_close_s: ClassVar[float | None] = 60.0
    no_topic_close_s: ClassVar[float | None] = 30.0

    def __init__(self, sim: Any) -> None:
        super().__init__(sim)
        self.words = MexcWords(sim.server_ms)
        self._prices: dict[str, Formatter] = {}
        self._sizes: dict[str, Formatter] = {}
        self._deals: dict[tuple[str, int], list[bytes]] = {}
        self._moved: dict[tuple[str, int], Ticker] = {}
        self._private = PrivateChannels(sim)
        self.listen_keys = ListenKeys(sim.clock_s)

    def open(self, path: str) -> Session | None:
        """``/ws``, with ``?listenKey=`` for the private channels.

        A key that is not good, or has five connections already, opens the public ones only.
        """
        parts = urlsplit(path)
        if parts.path != "/ws":
            return None
        key = parse_qs(parts.query).get("listenKey", [""])[0]
        sessions = [connection.session for connection in self.sim.connections]
        used = sum(1 for s in sessions if isinstance(s, MexcSession) and s.listen_key == key)
        is_good = self.listen_keys.is_live(key) and used < MOST_CONNECTIONS
        return MexcSession(self, key if is_good else "")

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """The spot REST endpoints."""
        MexcRest(self.sim, self.listen_keys).add_routes(router)

    def on_execution(self, execution: Execution, changes: list[BalanceChange]) -> None:
        """Orders, deals and account pushes."""
        self._private.on_execution(execution, changes)

    def on_deposit(self, change: BalanceChange) -> None:
        """An account push."""
        self._private.on_deposit(change)

    def prepare(self, market: Market) -> None:
        """Formatters of the market: prices with its decimals, quantities short."""
        spec = market.spec
        self._prices[spec.symbol] = Formatter(spec.price_decimals, spec.price_decimals)
        self._sizes[spec.symbol] = Formatter(spec.quantity_decimals, None)

    def knows(self, channel: str) -> bool:
        """Whether the channel exists; a kline channel starts its candle."""
        match = _AGGREGATED.match(channel)
        if match is not None:
            return self.sim.playing or match[3] in self.sim.markets
        match = _KLINE.match(channel)
        if match is not None:
            market = self.sim.markets.get(match[1])
            if market is None or match[2] not in INTERVALS_S:
                return False
            market.candle(INTERVALS_S[match[2]], int(time.time()))
            return True
        match = _LIMIT_DEPTH.match(channel) or _BATCH.match(channel)
        return match is not None and match[1] in self.sim.markets

    def push_trade(self, market: Market, trade: Trade) -> None:
        """Deals wait for the next push of their speed."""
        symbol = market.spec.symbol
        for interval_ms in self.depth_intervals_ms:
            if self._aggregated("deals", interval_ms, symbol) in self.sim.topics:
                item = frames.deal(
                    self._prices[symbol](trade.price),
                    self._sizes[symbol](trade.quantity),
                    1 if trade.side == BUY else 2,
                    trade.time_ns // 1_000_000,
                    f"{trade.trade_id}",
                )
                self._deals.setdefault((symbol, interval_ms), []).append(item)

    def push_ticker(self, market: Market, ticker: Ticker) -> None:
        """The newest best bid and ask wait for the next push of their speed."""
        for interval_ms in self.depth_intervals_ms:
            self._moved[market.spec.symbol, interval_ms] = ticker

    def push_depth(self, market: Market, interval_ms: int, change: DepthChange) -> None:
        """All that goes out at this speed: deals, best bid and ask, depth."""
        symbol, at_ms, topics = market.spec.symbol, now_ms(), self.sim.topics
        deals = self._deals.pop((symbol, interval_ms), None)
        if deals:
            channel = self._aggregated("deals", interval_ms, symbol)
            body = frames.aggre_deals(deals, channel.rpartition("@")[0])
            self._send("trade", channel, symbol, at_ms, frames.AGGRE_DEALS, body)
        ticker = self._moved.pop((symbol, interval_ms), None)
        if ticker is not None:
            self._push_tickers(market, interval_ms, ticker, at_ms)
        channel = self._aggregated("depth", interval_ms, symbol)
        if channel in topics:
            body = frames.aggre_depths(
                self._levels(market, change.asks),
                self._levels(market, change.bids),
                channel.rpartition("@")[0],
                change.first,
                change.last,
            )
            self._send("depth", channel, symbol, at_ms, frames.AGGRE_DEPTHS, body)
        for count in (5, 10, 20) if interval_ms == 100 else ():
            channel = f"spot@public.limit.depth.v3.api.pb@{symbol}@{count}"
            if channel in topics:
                body = frames.limit_depths(
                    self._levels(market, market.book.levels(SELL, count)),
                    self._levels(market, market.book.levels(BUY, count)),
                    "spot@public.limit.depth.v3.api.pb",
                    change.last,
                )
                self._send("snapshot", channel, symbol, at_ms, frames.LIMIT_DEPTHS, body)

    def push_candle(self, market: Market, candle: Candle, closed: bool) -> None:
        """``kline``; a closed candle is one whose window has ended, nothing else marks it."""
        spec = market.spec
        interval = _INTERVAL_NAMES[candle.interval_s]
        channel = f"spot@public.kline.v3.api.pb@{spec.symbol}@{interval}"
        if channel not in self.sim.topics:
            return
        price = self._prices[spec.symbol]
        at_ms = now_ms()
        body = frames.kline(
            interval,
            candle.open_s,
            (price(candle.open), price(candle.close), price(candle.high), price(candle.low)),
            format_short(candle.volume, spec.quantity_decimals),
            format_short(candle.quote, spec.price_decimals + spec.quantity_decimals),
            candle.end_s,
        )
        self._send("candle", channel, spec.symbol, at_ms, frames.KLINE, body, create_ms=at_ms)

    def _push_tickers(self, market: Market, interval_ms: int, ticker: Ticker, at_ms: int) -> None:
        symbol = market.spec.symbol
        price, size = self._prices[symbol], self._sizes[symbol]
        texts = price(ticker.bid), size(ticker.bid_lots), price(ticker.ask), size(ticker.ask_lots)
        channel = self._aggregated("bookTicker", interval_ms, symbol)
        if channel in self.sim.topics:
            body = frames.book_ticker(*texts, market.book.sequence)
            self._send("ticker", channel, symbol, at_ms, frames.AGGRE_BOOK_TICKER, body)
        channel = f"spot@public.bookTicker.batch.v3.api.pb@{symbol}"
        if interval_ms == 100 and channel in self.sim.topics:
            body = message(1, frames.book_ticker(*texts, None))
            self._send("ticker", channel, symbol, at_ms, frames.BOOK_TICKER_BATCH, body)

    def _send(
        self, kind: str, channel: str, symbol: str, at_ms: int, field: int, body: bytes,
        create_ms: int | None = None,
    ) -> None:  # fmt: skip
        whole = frames.wrapper(channel, symbol, at_ms, field, body, create_ms)
        self.sim.topics.publish(kind, channel, binary_frame(whole))

    def _levels(self, market: Market, levels: list[tuple[int, int]]) -> list[bytes]:
        price, size = self._prices[market.spec.symbol], self._sizes[market.spec.symbol]
        return [frames.depth_item(price(p), size(q) if q else frames.ZERO) for p, q in levels]

    def _aggregated(self, kind: str, interval_ms: int, symbol: str) -> str:
        return f"spot@public.aggre.{kind}.v3.api.pb@{interval_ms}ms@{symbol}"
