"""Gate.io spot v4 streams: one path, request/ack envelopes and formats.

Source: Gate API v4 docs, spot WebSocket.
"""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar
from urllib.parse import urlsplit

from aiohttp import web

from cexnet.simulator.account import BalanceChange, Execution
from cexnet.simulator.book import BUY, SELL
from cexnet.simulator.connection import text_frame
from cexnet.simulator.decimals import Formatter, format_short
from cexnet.simulator.market import Candle, DepthChange, Market, Ticker, Trade
from cexnet.simulator.personas.base import Persona, Session, compact, now_ms
from cexnet.simulator.personas.gateio_private import ALL_PAIRS, BALANCES, PrivateChannels, auth_error
from cexnet.simulator.personas.gateio_private import CHANNELS as PRIVATE
from cexnet.simulator.personas.gateio_rest import GateRest
from cexnet.simulator.personas.words import GateWords

_PLAIN = ("spot.trades", "spot.book_ticker")
_UPDATE_SPEEDS_MS = {"20ms": 20, "100ms": 100}
_OBU_SPEEDS_MS = {"50": 20, "400": 100}
_SNAPSHOT_LEVELS = ("5", "10", "20", "50", "100")
INTERVALS_S = {
    "10s": 10, "1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600,
    "4h": 14400, "8h": 28800, "1d": 86400, "7d": 604800,
}  # fmt: skip
_INTERVAL_NAMES = {seconds: name for name, seconds in INTERVALS_S.items()}
_CLOCK_TOLERANCE_S = 60


class _BadArgument(Exception):  # control flow of this module only, always answered
    pass


class GateSession(Session):
    """One connection."""

    persona: GatePersona

    def announce_end(self) -> None:
        """The ``upgrade`` notice."""
        text = "The connection will soon be closed for a service upgrade. Please reconnect"
        self.connection.send_text(compact({"type": "upgrade", "msg": text}))

    def revoke(self) -> None:
        """End the private channels. Gate documents no notice: it gets the error of their requests."""
        for topic in [topic for topic in self.topics if topic.partition(":")[0] in PRIVATE]:
            self.unlisten(topic, topic)
            channel = {"channel": topic.partition(":")[0], "event": "unsubscribe"}
            self._reply(channel, (4, "authentication expired"))

    def on_message(self, payload: bytes) -> None:
        """Answer one request."""
        try:
            request = json.loads(payload)
        except ValueError:
            request = None
        if not isinstance(request, dict) or not isinstance(request.get("channel"), str):
            self._reply({"channel": "", "event": ""}, (1, "invalid request body"))
            return
        channel, event = request["channel"], request.get("event")
        if channel == "spot.ping":
            pong = {"time": int(time.time()), "time_ms": now_ms(), "channel": "spot.pong"}
            self.connection.send_text(compact({**pong, "event": "", "error": None, "result": None}))
            return
        try:
            self._check_time(request.get("time"))
            topics = self.persona.topics_of(channel, request.get("payload"))
            if event == "subscribe" and channel in PRIVATE:
                self._subscribe_private(request, topics)
            elif event == "subscribe":
                self._subscribe(request, channel, topics)
            elif event == "unsubscribe":
                self._unsubscribe(channel, topics)
                self._reply(request, None)
            else:
                raise _BadArgument(f"unknown event {event}")
        except _BadArgument as error:
            self._reply(request, (2, str(error)))

    def _subscribe(self, request: dict[str, Any], channel: str, topics: list[str]) -> None:
        if channel == "spot.obu" and any(topic in self.topics for topic in topics):
            raise _BadArgument("duplicate subscription")
        self._reply(request, None)
        for topic in topics:
            if channel == "spot.obu" and not self.persona.sim.playing:
                self.persona.send_full_book(topic, self)  # first, so that no update precedes it
            self.listen(topic, topic)

    def _subscribe_private(self, request: dict[str, Any], topics: list[str]) -> None:
        error = auth_error(self.persona.sim, request)
        self._reply(request, (4, error) if error else None)
        for topic in topics if not error else ():
            self.listen_private(topic, topic)

    def _unsubscribe(self, channel: str, topics: list[str]) -> None:
        for topic in topics:
            if not self.unlisten(topic, topic):
                raise _BadArgument(f"not subscribed to {channel}")

    def _check_time(self, sent_s: Any) -> None:
        if not isinstance(sent_s, int | float) or isinstance(sent_s, bool):
            raise _BadArgument("missing or invalid time")
        if abs(time.time() - sent_s) > _CLOCK_TOLERANCE_S:
            raise _BadArgument("request time is too far from the server's time")

    def _reply(self, request: dict[str, Any], error: tuple[int, str] | None) -> None:
        at_ms = now_ms()
        answer: dict[str, Any] = {"time": at_ms // 1000, "time_ms": at_ms}
        answer |= {name: request[name] for name in ("id", "channel", "event", "payload") if name in request}
        if error is None:
            answer |= {"error": None, "result": {"status": "success"}}
        else:
            self.persona.sim.stats.refusals += 1
            answer |= {"error": {"code": error[0], "message": error[1]}, "result": {"status": "fail"}}
        self.connection.send_text(compact(answer))


class GatePersona(Persona):
    """Gate.io spot. Protocol pings every 15 s; a connection idle for a minute is closed."""

    name: ClassVar[str] = "gateio"
    default_symbols: ClassVar[tuple[str, ...]] = ("BTC_USDT", "ETH_USDT", "SOL_USDT")
    symbol_separator: ClassVar[str] = "_"
    client_ids = "always"
    depth_intervals_ms: ClassVar[tuple[int, ...]] = (20, 100)
    ping_interval_s: ClassVar[float | None] = 15.0
    idle_close_s: ClassVar[float | None] = 60.0

    def __init__(self, sim: Any) -> None:
        super().__init__(sim)
        self.words = GateWords(sim.server_ms)
        self._prices: dict[str, Formatter] = {}
        self._sizes: dict[str, Formatter] = {}
        self._private = PrivateChannels(sim)

    def open(self, path: str) -> Session | None:
        """``/ws/v4/`` (the last slash may be missing)."""
        return GateSession(self) if urlsplit(path).path.rstrip("/") == "/ws/v4" else None

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """The spot REST endpoints."""
        GateRest(self.sim).add_routes(router)

    def is_control(self, message: str) -> bool:
        """Acks of the recorder's own subscriptions."""
        return '"event":"subscribe"' in message

    def prepare(self, market: Market) -> None:
        """Formatters of the market's prices and amounts."""
        spec = market.spec
        self._prices[spec.symbol] = Formatter(spec.price_decimals, None)
        self._sizes[spec.symbol] = Formatter(spec.quantity_decimals, None)

    def topics_of(self, channel: str, payload: Any) -> list[str]:
        """Topics that a payload names. Raises ``_BadArgument`` with Gate's words."""
        if channel == BALANCES:
            return [BALANCES]  # it takes no payload
        if not isinstance(payload, list) or not payload or not all(isinstance(p, str) for p in payload):
            raise _BadArgument("invalid payload")
        if self.sim.playing and channel not in PRIVATE and channel.startswith("spot."):
            return [f"{channel}:{part}" for part in payload]
        if channel in PRIVATE:
            return [f"{channel}:{pair if pair == ALL_PAIRS else self._known(pair)}" for pair in payload]
        if channel in _PLAIN:
            return [f"{channel}:{self._known(pair)}" for pair in payload]
        if channel == "spot.order_book_update" and len(payload) == 2 and payload[1] in _UPDATE_SPEEDS_MS:
            return [f"{channel}:{self._known(payload[0])}:{_UPDATE_SPEEDS_MS[payload[1]]}"]
        if channel == "spot.order_book" and len(payload) == 3 and payload[1] in _SNAPSHOT_LEVELS:
            return [f"{channel}:{self._known(payload[0])}:{payload[1]}"]
        if channel == "spot.candlesticks" and len(payload) == 2 and payload[0] in INTERVALS_S:
            interval_s = INTERVALS_S[payload[0]]
            self.sim.markets[self._known(payload[1])].candle(interval_s, int(time.time()))
            return [f"{channel}:{payload[1]}:{interval_s}"]
        if channel == "spot.obu":
            return [f"{channel}:{self._obu(part)}" for part in payload]
        known = (*_PLAIN, "spot.order_book_update", "spot.order_book", "spot.candlesticks")
        raise _BadArgument("invalid payload" if channel in known else f"unknown channel {channel}")

    def send_full_book(self, topic: str, session: GateSession) -> None:
        """First push of ``spot.obu``: the whole book, so that the next update follows on."""
        name = topic.partition(":")[2]
        _, pair, levels = name.split(".")
        market, interval_ms = self.sim.markets[pair], _OBU_SPEEDS_MS[levels]
        change = market.feeds[interval_ms].flush()
        if change is not None:
            self.push_depth(market, interval_ms, change)
        at_ms, count = now_ms(), int(levels)
        body = (
            f'{{"channel":"spot.obu","result":{{"t":{at_ms},"full":true,"s":"{name}",'
            f'"u":{market.book.sequence},"b":{self._levels(market, market.book.levels(BUY, count))},'
            f'"a":{self._levels(market, market.book.levels(SELL, count))}}},"time_ms":{at_ms}}}'
        )
        self.sim.stats.messages["snapshot"] += 1
        session.connection.send(text_frame(body), "snapshot", topic)

    def on_execution(self, execution: Execution, changes: list[BalanceChange]) -> None:
        """``spot.orders``, ``spot.usertrades`` and ``spot.balances``."""
        self._private.on_execution(execution, changes)

    def on_deposit(self, change: BalanceChange) -> None:
        """``spot.balances``."""
        self._private.on_deposit(change)

    def push_trade(self, market: Market, trade: Trade) -> None:
        """``spot.trades``."""
        symbol = market.spec.symbol
        topic = "spot.trades:" + symbol
        if topic in self.sim.topics:
            fraction = f"{trade.time_ns // 1_000_000}.{trade.time_ns // 1000 % 1000:03d}"
            self._send(
                "trade",
                "spot.trades",
                topic,
                f'{{"id":{trade.trade_id},"id_market":{trade.trade_id},'
                f'"create_time":{trade.time_ns // 10**9},"create_time_ms":"{fraction}",'
                f'"side":"{"buy" if trade.side == BUY else "sell"}","currency_pair":"{symbol}",'
                f'"amount":"{self._sizes[symbol](trade.quantity)}",'
                f'"price":"{self._prices[symbol](trade.price)}","range":"{trade.trade_id}-{trade.trade_id}"}}',
            )

    def push_ticker(self, market: Market, ticker: Ticker) -> None:
        """``spot.book_ticker``."""
        symbol = market.spec.symbol
        topic = "spot.book_ticker:" + symbol
        if topic in self.sim.topics:
            price, size = self._prices[symbol], self._sizes[symbol]
            self._send(
                "ticker",
                "spot.book_ticker",
                topic,
                f'{{"t":{now_ms()},"u":{market.book.sequence},"s":"{symbol}",'
                f'"b":"{price(ticker.bid)}","B":"{size(ticker.bid_lots)}",'
                f'"a":"{price(ticker.ask)}","A":"{size(ticker.ask_lots)}"}}',
            )

    def push_depth(self, market: Market, interval_ms: int, change: DepthChange) -> None:
        """``spot.order_book_update``, ``spot.obu`` and ``spot.order_book``."""
        symbol, topics = market.spec.symbol, self.sim.topics
        update = f"spot.order_book_update:{symbol}:{interval_ms}"
        name = f"ob.{symbol}.{'50' if interval_ms == 20 else '400'}"
        if update not in topics and f"spot.obu:{name}" not in topics and interval_ms != 100:
            return
        at_ms = now_ms()
        sides = f'"b":{self._levels(market, change.bids)},"a":{self._levels(market, change.asks)}'
        numbers = f'"U":{change.first},"u":{change.last}'
        if update in topics:
            head = f'{{"t":{at_ms},"e":"depthUpdate","E":{at_ms // 1000},"s":"{symbol}",'
            depth = "100" if interval_ms == 100 else "20"
            self._send("depth", "spot.order_book_update", update, f'{head}{numbers},{sides},"l":"{depth}"}}')
        if f"spot.obu:{name}" in topics:
            result = f'{{"t":{at_ms},"s":"{name}",{numbers},{sides}}}'
            frame = text_frame(f'{{"channel":"spot.obu","result":{result},"time_ms":{at_ms}}}')
            topics.publish("depth", f"spot.obu:{name}", frame)
        for count in _SNAPSHOT_LEVELS if interval_ms == 100 else ():
            topic = f"spot.order_book:{symbol}:{count}"
            if topic in topics:
                bids = self._levels(market, market.book.levels(BUY, int(count)))
                asks = self._levels(market, market.book.levels(SELL, int(count)))
                self._send(
                    "snapshot",
                    "spot.order_book",
                    topic,
                    f'{{"t":{at_ms},"lastUpdateId":{change.last},"s":"{symbol}","l":"{count}",'
                    f'"bids":{bids},"asks":{asks}}}',
                )

    def push_candle(self, market: Market, candle: Candle, closed: bool) -> None:
        """``spot.candlesticks``: ``v`` is the volume in quote, ``a`` in base currency."""
        spec = market.spec
        topic = f"spot.candlesticks:{spec.symbol}:{candle.interval_s}"
        if topic in self.sim.topics:
            price = self._prices[spec.symbol]
            volume = format_short(candle.quote, spec.price_decimals + spec.quantity_decimals)
            self._send(
                "candle",
                "spot.candlesticks",
                topic,
                f'{{"t":"{candle.open_s}","v":"{volume}","c":"{price(candle.close)}",'
                f'"h":"{price(candle.high)}","l":"{price(candle.low)}","o":"{price(candle.open)}",'
                f'"n":"{_INTERVAL_NAMES[candle.interval_s]}_{spec.symbol}",'
                f'"a":"{format_short(candle.volume, spec.quantity_decimals)}",'
                f'"w":{"true" if closed else "false"}}}',
            )

    def _send(self, kind: str, channel: str, topic: str, result: str) -> None:
        at_ms = now_ms()
        head = f'{{"time":{at_ms // 1000},"time_ms":{at_ms},"channel":"{channel}","event":"update",'
        self.sim.topics.publish(kind, topic, text_frame(f'{head}"result":{result}}}'))

    def _levels(self, market: Market, levels: list[tuple[int, int]]) -> str:
        price, size = self._prices[market.spec.symbol], self._sizes[market.spec.symbol]
        return "[" + ",".join([f'["{price(p)}","{size(q)}"]' for p, q in levels]) + "]"

    def _known(self, pair: str) -> str:
        if pair not in self.sim.markets:
            raise _BadArgument(f"unknown currency pair {pair}")
        return pair

    def _obu(self, name: str) -> str:
        kind, _, rest = name.partition(".")
        pair, _, levels = rest.partition(".")
        if kind != "ob" or levels not in _OBU_SPEEDS_MS:
            raise _BadArgument(f"invalid argument {name}")
        return f"ob.{self._known(pair)}.{levels}"
