"""Wire schemas of real exchanges, for the decoder's tests and benchmarks.

Sources: the exchanges' own documentation of their public streams; field meanings
are those of the recorded messages.
"""

from __future__ import annotations

from dataclasses import replace

from cexnet_core.schema import Field, Message, WireSchema


def no_underscore(text: str) -> str:
    """``BTC_USDT`` -> ``BTC-USDT``: any normalisation will do for the tests."""
    return text.replace("_", "-")


def candle_symbol(text: str) -> str:
    """Gate.io names a candle ``1m_BTC_USDT``."""
    return no_underscore(text.split("_", 1)[-1])


def candle_interval(text: str) -> str:
    """The ``1m`` of ``1m_BTC_USDT``."""
    return text.split("_", 1)[0]


MAKER_SIDE = {"true": "sell", "false": "buy"}


def binance_messages(prefix: str, *, futures: bool) -> tuple[Message, ...]:
    """Binance's market data, raw (prefix "") or combined (prefix "data.")."""
    symbol = Field("symbol", f"{prefix}s")
    event_time = Field("exchange_ts_ns", f"{prefix}E", unit="ms")
    ticker = [
        Field("bid_price", f"{prefix}b"),
        Field("bid_size", f"{prefix}B"),
        Field("ask_price", f"{prefix}a"),
        Field("ask_size", f"{prefix}A"),
        Field("sequence", f"{prefix}u"),
        symbol,
    ]
    depth = [
        Field("bids", f"{prefix}b"),
        Field("asks", f"{prefix}a"),
        Field("first_sequence", f"{prefix}U"),
        Field("sequence", f"{prefix}u"),
        symbol,
        event_time,
    ]
    if futures:
        ticker.append(event_time)
        depth.append(Field("prev_sequence", f"{prefix}pu"))
        ticker_test = Message("BookTicker", when={f"{prefix}e": "bookTicker"})
    else:
        ticker_test = Message("BookTicker", has=(f"{prefix}u", f"{prefix}B", f"{prefix}A"))
    return (
        Message(
            "DepthUpdate",
            tuple(depth),
            when={f"{prefix}e": "depthUpdate"},
            sequence="previous" if futures else "range",
        ),
        Message(
            "Trade",
            (
                Field("price", f"{prefix}p"),
                Field("size", f"{prefix}q"),
                Field("side", f"{prefix}m", values=MAKER_SIDE),
                Field("trade_id", f"{prefix}a"),
                Field("sequence", f"{prefix}a"),
                Field("exchange_ts_ns", f"{prefix}T", unit="ms"),
                symbol,
            ),
            when={f"{prefix}e": "aggTrade"},
            sequence="increasing",
        ),
        Message(
            "Trade",
            (
                Field("price", f"{prefix}p"),
                Field("size", f"{prefix}q"),
                Field("side", f"{prefix}m", values=MAKER_SIDE),
                Field("trade_id", f"{prefix}t"),
                Field("exchange_ts_ns", f"{prefix}T", unit="ms"),
                symbol,
            ),
            when={f"{prefix}e": "trade"},
        ),
        Message(
            "Candle",
            (
                Field("open", f"{prefix}k.o"),
                Field("high", f"{prefix}k.h"),
                Field("low", f"{prefix}k.l"),
                Field("close", f"{prefix}k.c"),
                Field("volume", f"{prefix}k.v"),
                Field("quote_volume", f"{prefix}k.q"),
                Field("open_ts_ns", f"{prefix}k.t", unit="ms"),
                Field("close_ts_ns", f"{prefix}k.T", unit="ms"),
                Field("interval", f"{prefix}k.i"),
                Field("is_closed", f"{prefix}k.x"),
                symbol,
                event_time,
            ),
            when={f"{prefix}e": "kline"},
        ),
        replace(ticker_test, fields=tuple(ticker), sequence="increasing"),
    )


BINANCE_CONTROL = (
    Message(
        "SubscriptionAck",
        (Field("request_id", "id", optional=True), Field("code", "code"), Field("message", "msg")),
        has=("code", "msg"),
        constants={"ok": False},
    ),
    Message(
        "SubscriptionAck",
        (Field("request_id", "id"),),
        has=("id",),
        constants={"ok": True},
    ),
)

BINANCE_SPOT = WireSchema(
    "binance_spot",
    json=(
        *binance_messages("data.", futures=False),
        *binance_messages("", futures=False),
        *BINANCE_CONTROL,
    ),
    channel_paths=("stream", "e"),
)

BINANCE_USDM = WireSchema(
    "binance_usdm",
    json=(
        *binance_messages("data.", futures=True),
        *binance_messages("", futures=True),
        *BINANCE_CONTROL,
    ),
    channel_paths=("stream", "e"),
)

GATE = WireSchema(
    "gate",
    json=(
        Message(
            "SubscriptionAck",
            (
                Field("ok", "result.status", values={"success": True, "*": False}, optional=True),
                Field("topic", "channel"),
                Field("request_id", "id", optional=True),
                Field("code", "error.code", optional=True),
                Field("message", "error.message", optional=True),
            ),
            when={"event": ("subscribe", "unsubscribe")},
        ),
        Message("Pong", when={"channel": "spot.pong"}),
        Message(
            "DepthUpdate",
            (
                Field("bids", "result.b"),
                Field("asks", "result.a"),
                Field("first_sequence", "result.U"),
                Field("sequence", "result.u"),
                Field("exchange_ts_ns", "result.t", unit="ms"),
                Field("symbol", "result.s", normalize=no_underscore),
            ),
            when={"channel": "spot.order_book_update", "event": "update"},
            sequence="range",
        ),
        Message(
            "BookTicker",
            (
                Field("bid_price", "result.b"),
                Field("bid_size", "result.B"),
                Field("ask_price", "result.a"),
                Field("ask_size", "result.A"),
                Field("sequence", "result.u"),
                Field("exchange_ts_ns", "result.t", unit="ms"),
                Field("symbol", "result.s", normalize=no_underscore),
            ),
            when={"channel": "spot.book_ticker", "event": "update"},
            sequence="increasing",
        ),
        Message(
            "Trade",
            (
                Field("price", "result.price"),
                Field("size", "result.amount"),
                Field("side", "result.side"),
                Field("trade_id", "result.id"),
                Field("exchange_ts_ns", "result.create_time_ms", unit="ms"),
                Field("symbol", "result.currency_pair", normalize=no_underscore),
            ),
            when={"channel": "spot.trades", "event": "update"},
        ),
        Message(
            "Candle",
            (
                Field("open", "result.o"),
                Field("high", "result.h"),
                Field("low", "result.l"),
                Field("close", "result.c"),
                Field("volume", "result.a", optional=True),
                Field("quote_volume", "result.v"),
                Field("open_ts_ns", "result.t", unit="s"),
                Field("is_closed", "result.w", optional=True),
                Field("interval", "result.n", normalize=candle_interval),
                Field("symbol", "result.n", normalize=candle_symbol),
            ),
            when={"channel": "spot.candlesticks", "event": "update"},
        ),
    ),
    channel_paths=("channel",),
)

OKX = WireSchema(
    "okx",
    json=(
        Message("Pong", literal="pong"),
        Message(
            "SubscriptionAck",
            (Field("topic", "arg.channel"),),
            when={"event": ("subscribe", "unsubscribe")},
            constants={"ok": True},
        ),
        Message(
            "SubscriptionAck",
            (Field("code", "code"), Field("message", "msg")),
            when={"event": "error"},
            constants={"ok": False},
        ),
        Message(
            "Trade",
            (
                Field("price", "data.*.px"),
                Field("size", "data.*.sz"),
                Field("side", "data.*.side"),
                Field("trade_id", "data.*.tradeId"),
                Field("exchange_ts_ns", "data.*.ts", unit="ms"),
                Field("symbol", "arg.instId"),
            ),
            when={"arg.channel": "trades"},
        ),
        *(
            Message(
                event,
                (
                    Field("bids", "data.*.bids"),
                    Field("asks", "data.*.asks"),
                    Field("exchange_ts_ns", "data.*.ts", unit="ms"),
                    Field("sequence", "data.*.seqId", optional=True),
                    Field("prev_sequence", "data.*.prevSeqId", optional=True),
                    Field("symbol", "arg.instId"),
                ),
                when={"arg.channel": "books", "action": action},
                sequence="previous",
            )
            for event, action in (("DepthSnapshot", "snapshot"), ("DepthUpdate", "update"))
        ),
        Message(
            "BookTicker",
            (
                Field("bid_price", "data.*.bidPx"),
                Field("bid_size", "data.*.bidSz"),
                Field("ask_price", "data.*.askPx"),
                Field("ask_size", "data.*.askSz"),
                Field("exchange_ts_ns", "data.*.ts", unit="ms"),
                Field("symbol", "arg.instId"),
            ),
            when={"arg.channel": "tickers"},
        ),
    ),
    channel_paths=("arg.channel", "event"),
)

MEXC = WireSchema(
    "mexc",
    json=(
        Message("Pong", when={"msg": "PONG"}),
        Message(
            "SubscriptionAck",
            (
                Field("request_id", "id"),
                Field("ok", "code", values={"0": True, "*": False}),
                Field("code", "code"),
                Field("topic", "msg"),
                Field("message", "msg"),
            ),
            has=("code", "msg"),
        ),
    ),
    protobuf=(
        Message(
            "Trade",
            (
                Field("price", "314.1.*.1"),
                Field("size", "314.1.*.2"),
                Field("side", "314.1.*.3", values={"1": "buy", "2": "sell"}),
                Field("trade_id", "314.1.*.5", optional=True),
                Field("exchange_ts_ns", "314.1.*.4", unit="ms"),
                Field("symbol", "3"),
            ),
            has=("314",),
        ),
        Message(
            "DepthUpdate",
            (
                Field("asks", "313.1", level=("1", "2")),
                Field("bids", "313.2", level=("1", "2")),
                Field("first_sequence", "313.4"),
                Field("sequence", "313.5"),
                Field("exchange_ts_ns", "6", unit="ms"),
                Field("symbol", "3"),
            ),
            has=("313",),
            sequence="range",
        ),
        Message(
            "BookTicker",
            (
                Field("bid_price", "315.1"),
                Field("bid_size", "315.2"),
                Field("ask_price", "315.3"),
                Field("ask_size", "315.4"),
                Field("exchange_ts_ns", "6", unit="ms"),
                Field("symbol", "3"),
            ),
            has=("315",),
        ),
        Message(
            "Candle",
            (
                Field("interval", "308.1"),
                Field("open_ts_ns", "308.2", unit="s"),
                Field("open", "308.3"),
                Field("close", "308.4"),
                Field("high", "308.5"),
                Field("low", "308.6"),
                Field("volume", "308.7"),
                Field("quote_volume", "308.8"),
                Field("close_ts_ns", "308.9", unit="s"),
                Field("symbol", "3"),
                Field("exchange_ts_ns", "5", unit="ms"),
            ),
            has=("308",),
        ),
    ),
    channel_paths=("msg",),
)
