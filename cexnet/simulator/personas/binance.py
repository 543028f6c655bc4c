"""Binance spot streams: paths, control messages and formats.

Source: binance-spot-api-docs, web-socket-streams.md. Error answers are nested in
``error`` as the live servers send them. Stricter than the real one: a stream of an
unknown symbol is refused, where Binance stays silent, so that a typing error shows.
"""

from __future__ import annotations

import json
import re
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from aiohttp import web

from cexnet.simulator.account import BalanceChange, Execution
from cexnet.simulator.book import BUY, SELL
from cexnet.simulator.connection import text_frame
from cexnet.simulator.decimals import Formatter
from cexnet.simulator.market import Candle, DepthChange, Market, Ticker, Trade
from cexnet.simulator.personas.base import Persona, Session, compact, now_ms
from cexnet.simulator.personas.binance_api import BinanceApiSession
from cexnet.simulator.personas.binance_auth import BinanceAuth
from cexnet.simulator.personas.binance_rest import BinanceRest
from cexnet.simulator.personas.binance_user import (
    UserStreams,
    account_position,
    balance_update,
    execution_report,
)

_STREAM = re.compile(r"([a-z0-9_]+)@([a-zA-Z0-9_@]+)\Z")
_PARTIAL = re.compile(r"depth(5|10|20)(@100ms)?\Z")
INTERVALS_S = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600,
    "2h": 7200, "4h": 14400, "6h": 21600, "8h": 28800, "12h": 43200, "1d": 86400,
}  # fmt: skip
_INTERVAL_NAMES = {seconds: name for name, seconds in INTERVALS_S.items()}
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_MOST_STREAMS = 1024
_COMBINED = "+"  # topic prefix of listeners that want the {stream, data} envelope


class BinanceSession(Session):
    """One connection; ``combined`` wraps events as {stream, data}."""

    persona: BinancePersona

    def __init__(self, persona: BinancePersona, root: str, streams: list[str], combined: bool) -> None:
        super().__init__(persona)
        self._root = root
        self._at_open = streams
        self._combined = combined

    def carries(self, message: str) -> bool:
        """As the persona splits its streams over routes."""
        return self.persona.carries(self._root, message)

    def on_open(self) -> None:
        """Subscribe to the streams that the URL names."""
        for stream in self._at_open:
            if self.persona.prepare_stream(stream):
                self.listen(stream, self._topic(stream))

    def announce_end(self) -> None:
        """``serverShutdown``, as the streams carry it."""
        self.connection.send_text(f'{{"e":"serverShutdown","E":{now_ms()}}}')

    def on_message(self, payload: bytes) -> None:
        """Answer one control request."""
        try:
            request = json.loads(payload)
        except ValueError:
            self._refuse(3, "Invalid JSON: expected value at line 1 column 1", None)
            return
        if not isinstance(request, dict) or "method" not in request:
            self._refuse(2, "Invalid request: missing field `method` at line 1 column 1", None)
            return
        identity = request.get("id")
        if not (identity is None or (isinstance(identity, int | str) and identity is not True)):
            self._refuse(2, "Invalid request: request ID must be an unsigned integer", None)
            return
        self._answer(request["method"], request.get("params", []), identity)

    def _answer(self, method: Any, params: Any, identity: int | str | None) -> None:
        if method not in _METHODS:
            known = ", ".join(f"`{name}`" for name in _METHODS)
            text = f"Invalid request: unknown variant `{method}`, expected one of {known}"
            self._refuse(2, text, identity)
        elif method == "LIST_SUBSCRIPTIONS":
            self._reply(list(self.topics), identity)
        elif method == "GET_PROPERTY":
            self._reply(self._combined, identity)
        elif method == "SET_PROPERTY":
            self._set_property(params, identity)
        elif not isinstance(params, list) or not all(isinstance(p, str) for p in params):
            self._refuse(2, "Invalid request: params must be an array of strings", identity)
        elif method == "SUBSCRIBE":
            self._subscribe(params, identity)
        else:
            for stream in params:
                self.unlisten(stream, self._topic(stream))
            self._reply(None, identity)

    def _subscribe(self, streams: list[str], identity: int | str | None) -> None:
        if len(self.topics) + len(streams) > _MOST_STREAMS:
            self._refuse(2, "Invalid request: too many subscriptions", identity)
        elif not all(self.persona.prepare_stream(stream) for stream in streams):
            self._refuse(2, "Invalid request: invalid stream", identity)
        else:
            self._reply(None, identity)
            for stream in streams:
                self.listen(stream, self._topic(stream))

    def _set_property(self, params: Any, identity: int | str | None) -> None:
        if not (isinstance(params, list) and len(params) == 2 and params[0] == "combined"):
            self._refuse(0, "Unknown property", identity)
        elif not isinstance(params[1], bool):
            self._refuse(1, "Invalid value type: expected Boolean", identity)
        else:
            streams = list(self.topics)
            for stream in streams:
                self.unlisten(stream, self._topic(stream))
            self._combined = params[1]
            for stream in streams:
                self.listen(stream, self._topic(stream))
            self._reply(None, identity)

    def _topic(self, stream: str) -> str:
        return _COMBINED + stream if self._combined else stream

    def _reply(self, result: Any, identity: int | str | None) -> None:
        self.connection.send_text(compact({"result": result, "id": identity}))

    def _refuse(self, code: int, text: str, identity: int | str | None) -> None:
        self.persona.sim.stats.refusals += 1
        error = {"code": code, "msg": text}
        self.connection.send_text(compact({"error": error, "id": identity}))


class BinancePersona(Persona):
    """Binance spot. Limits: 5 client messages/s, pings every 20 s, 60 s to answer."""

    name: ClassVar[str] = "binance"
    default_symbols: ClassVar[tuple[str, ...]] = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    depth_intervals_ms: ClassVar[tuple[int, ...]] = (100, 1000)
    client_messages_per_s: ClassVar[int] = 5
    ping_interval_s: ClassVar[float | None] = 20.0
    pong_deadline_s: ClassVar[float] = 60.0
    shown_decimals: ClassVar[int | None] = 8
    stream_roots: ClassVar[tuple[str, ...]] = ("",)
    api_path: ClassVar[str] = "/ws-api/v3"

    def __init__(self, sim: Any) -> None:
        super().__init__(sim)
        self._prices: dict[str, Formatter] = {}
        self._sizes: dict[str, Formatter] = {}
        self._lower: dict[str, str] = {}
        self.auth = BinanceAuth(sim)
        self.rest = BinanceRest(sim, self.auth)
        self.words = self.rest.words
        self.user_streams = UserStreams(sim)

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """The spot REST endpoints."""
        self.rest.add_routes(router)

    def open(self, path: str) -> Session | None:
        """The WebSocket API, or the streams: raw (``/ws...``) or combined (``/stream?streams=``)."""
        parts = urlsplit(path)
        if parts.path == self.api_path:
            return BinanceApiSession(self)
        for root in self.stream_roots:
            local = parts.path.removeprefix(root) if parts.path.startswith(root) else ""
            if local == "/stream":
                named = parse_qs(parts.query).get("streams", [""])[0]
                return BinanceSession(self, root, [s for s in named.split("/") if s], combined=True)
            if local == "/ws" or local.startswith("/ws/"):
                named = unquote(local[4:])
                return BinanceSession(self, root, [s for s in named.split("/") if s], combined=False)
        return None

    def carries(self, root: str, message: str) -> bool:
        """Whether ``message`` of a capture belongs on the route ``root``. Spot has one route."""
        return True

    def prepare(self, market: Market) -> None:
        """Formatters of the market's prices and quantities."""
        spec = market.spec
        self._lower[spec.symbol] = spec.symbol.lower()
        self._prices[spec.symbol] = Formatter(spec.price_decimals, self.shown_decimals)
        self._sizes[spec.symbol] = Formatter(spec.quantity_decimals, self.shown_decimals)

    def prepare_stream(self, stream: str) -> bool:
        """Whether the stream exists; a candle stream starts its candle."""
        match = _STREAM.match(stream)
        if match is None:
            return False
        symbol, channel = match[1].upper(), match[2]
        if self.sim.playing:
            return True
        market = self.sim.markets.get(symbol)
        if market is None:
            return False
        kind, _, interval = channel.partition("_")
        if kind == "kline" and interval in INTERVALS_S:
            market.candle(INTERVALS_S[interval], now_ms() // 1000)
            return True
        return self.is_stream_channel(channel)

    def is_stream_channel(self, channel: str) -> bool:
        """Whether a channel other than candles exists."""
        plain = ("trade", "aggTrade", "bookTicker", "depth", "depth@100ms")
        return channel in plain or _PARTIAL.match(channel) is not None

    def on_execution(self, execution: Execution, changes: list[BalanceChange]) -> None:
        """``executionReport``, and ``outboundAccountPosition`` where balances changed."""
        kind = "fill" if execution.trade else "order"
        self.user_streams.publish(kind, execution_report(execution))
        if changes:
            self.user_streams.publish("balance", account_position(changes, execution.at_ms))

    def on_deposit(self, change: BalanceChange) -> None:
        """``balanceUpdate`` and ``outboundAccountPosition``."""
        self.user_streams.publish("balance", balance_update(change))
        self.user_streams.publish("balance", account_position([change], now_ms()))

    def push_trade(self, market: Market, trade: Trade) -> None:
        """``@trade`` and ``@aggTrade``."""
        symbol = market.spec.symbol
        lower = self._lower[symbol]
        for channel in ("trade", "aggTrade"):
            stream = f"{lower}@{channel}"
            if self._wanted(stream):
                at_ms = trade.time_ns // 1_000_000
                number = trade.trade_id
                head = f'"t":{number},' if channel == "trade" else f'"a":{number},'
                tail = "" if channel == "trade" else f'"f":{number},"l":{number},'
                self._send(
                    "trade",
                    stream,
                    f'{{"e":"{channel}","E":{now_ms()},"s":"{symbol}",{head}'
                    f'"p":"{self._prices[symbol](trade.price)}",'
                    f'"q":"{self._sizes[symbol](trade.quantity)}",{tail}"T":{at_ms},'
                    f'"m":{"true" if trade.side == SELL else "false"},"M":true}}',
                )

    def push_ticker(self, market: Market, ticker: Ticker) -> None:
        """``@bookTicker``: no event type, no time."""
        symbol = market.spec.symbol
        stream = self._lower[symbol] + "@bookTicker"
        if self._wanted(stream):
            price, size = self._prices[symbol], self._sizes[symbol]
            self._send(
                "ticker",
                stream,
                f'{{"u":{market.book.sequence},"s":"{symbol}",'
                f'"b":"{price(ticker.bid)}","B":"{size(ticker.bid_lots)}",'
                f'"a":"{price(ticker.ask)}","A":"{size(ticker.ask_lots)}"}}',
            )

    def push_depth(self, market: Market, interval_ms: int, change: DepthChange) -> None:
        """``@depth`` and ``@depth@100ms`` diffs, and the partial books of the same speed."""
        symbol = market.spec.symbol
        speed = "@100ms" if interval_ms == 100 else ""
        stream = f"{self._lower[symbol]}@depth{speed}"
        if self._wanted(stream):
            self._send(
                "depth",
                stream,
                f'{{"e":"depthUpdate","E":{now_ms()},"s":"{symbol}",'
                f'"U":{change.first},"u":{change.last},'
                f'"b":{self.levels(market, change.bids)},'
                f'"a":{self.levels(market, change.asks)}}}',
            )
        for count in (5, 10, 20):
            stream = f"{self._lower[symbol]}@depth{count}{speed}"
            if self._wanted(stream):
                self._send(
                    "snapshot",
                    stream,
                    f'{{"lastUpdateId":{change.last},'
                    f'"bids":{self.levels(market, market.book.levels(BUY, count))},'
                    f'"asks":{self.levels(market, market.book.levels(SELL, count))}}}',
                )

    def push_candle(self, market: Market, candle: Candle, closed: bool) -> None:
        """``@kline_<interval>``."""
        symbol, interval = market.spec.symbol, _INTERVAL_NAMES[candle.interval_s]
        stream = f"{self._lower[symbol]}@kline_{interval}"
        if not self._wanted(stream):
            return
        price, size = self._prices[symbol], self._sizes[symbol]
        money = self.money(market)
        self._send(
            "candle",
            stream,
            f'{{"e":"kline","E":{now_ms()},"s":"{symbol}","k":{{"t":{candle.open_s * 1000},'
            f'"T":{candle.end_s * 1000 - 1},"s":"{symbol}","i":"{interval}",'
            f'"f":{candle.first_id},"L":{candle.last_id},"o":"{price(candle.open)}",'
            f'"c":"{price(candle.close)}","h":"{price(candle.high)}","l":"{price(candle.low)}",'
            f'"v":"{size(candle.volume)}","n":{candle.trades},'
            f'"x":{"true" if closed else "false"},"q":"{money(candle.quote)}",'
            f'"V":"{size(candle.taker_volume)}","Q":"{money(candle.taker_quote)}","B":"0"}}}}',
        )

    def levels(self, market: Market, levels: list[tuple[int, int]]) -> str:
        """Levels as a JSON array of [price, quantity] texts."""
        price, size = self._prices[market.spec.symbol], self._sizes[market.spec.symbol]
        return "[" + ",".join([f'["{price(p)}","{size(q)}"]' for p, q in levels]) + "]"

    def money(self, market: Market) -> Formatter:
        """Formatter of tick-lots in quote currency."""
        decimals = market.spec.price_decimals + market.spec.quantity_decimals
        return Formatter(decimals, self.shown_decimals)

    def _wanted(self, stream: str) -> bool:
        topics = self.sim.topics
        return stream in topics or _COMBINED + stream in topics

    def _send(self, kind: str, stream: str, body: str) -> None:
        topics = self.sim.topics
        if stream in topics:
            topics.publish(kind, stream, text_frame(body))
        if _COMBINED + stream in topics:
            wrapped = text_frame(f'{{"stream":"{stream}","data":{body}}}')
            topics.publish(kind, _COMBINED + stream, wrapped)
