"""One message of each kind for each exchange, as the exchanges document them."""

from __future__ import annotations

from typing import Any

_BOOK = [["67000.10", "0.50000000"], ["67000.00", "1.25"]]
_BINANCE: tuple[dict[str, Any], ...] = (
    {
        "u": 400900217,
        "s": "BNBUSDT",
        "b": "25.35190000",
        "B": "31.21000000",
        "a": "25.36520000",
        "A": "40.66000000",
    },
    {
        "e": "trade",
        "E": 1672515782136,
        "s": "BNBBTC",
        "t": 12345,
        "p": "0.00100000",
        "q": "100.00",
        "T": 1672515782136,
        "m": True,
        "M": True,
    },
    {
        "e": "aggTrade",
        "E": 1672515782136,
        "s": "BNBBTC",
        "a": 164325,
        "p": "0.00100000",
        "q": "100.00",
        "f": 100,
        "l": 105,
        "T": 1672515782136,
        "m": False,
        "M": True,
    },
    {
        "e": "kline",
        "E": 1672515782136,
        "s": "BNBBTC",
        "k": {
            "t": 1672515780000,
            "T": 1672515839999,
            "s": "BNBBTC",
            "i": "1m",
            "f": 100,
            "L": 200,
            "o": "0.00100000",
            "c": "0.00200000",
            "h": "0.00250000",
            "l": "0.00150000",
            "v": "1000.00",
            "n": 100,
            "x": False,
            "q": "1.00000000",
            "V": "500.00",
            "Q": "0.50",
            "B": "0",
        },
    },
    {
        "e": "depthUpdate",
        "E": 1672515782136,
        "T": 1672515782135,
        "s": "BNBBTC",
        "U": 157,
        "u": 160,
        "pu": 156,
        "b": _BOOK,
        "a": _BOOK,
    },
)
_BINANCE_ALL: tuple[Any, ...] = (
    *_BINANCE,
    *({"stream": f"bnbbtc@{body.get('e', 'bookTicker')}", "data": body} for body in _BINANCE),
    {"stream": "bnbbtc@depth20", "data": {"lastUpdateId": 160, "bids": _BOOK, "asks": _BOOK}},
    {"result": None, "id": 1},
    {"error": {"code": 2, "msg": "Invalid request"}, "id": "a1"},
    {"code": 3, "msg": "Invalid JSON", "id": None},
    {"e": "24hrTicker", "s": "BNBBTC", "p": "0.0015"},
)


def _gate(channel: str, result: Any, event: str = "update") -> dict[str, Any]:
    return {
        "time": 1606291803,
        "time_ms": 1606291803123,
        "channel": channel,
        "event": event,
        "result": result,
    }


_GATEIO: tuple[Any, ...] = (
    _gate(
        "spot.book_ticker",
        {
            "t": 1606293275123,
            "u": 48733182,
            "s": "BTC_USDT",
            "b": "19177.79",
            "B": "0.0003341504",
            "a": "19179.38",
            "A": "0.09",
        },
    ),
    _gate(
        "spot.order_book_update",
        {
            "t": 1606294781123,
            "e": "depthUpdate",
            "E": 1606294781,
            "s": "BTC_USDT",
            "U": 48776301,
            "u": 48776306,
            "b": _BOOK,
            "a": _BOOK,
        },
    ),
    _gate(
        "spot.trades",
        {
            "id": 309143071,
            "create_time": 1606292218,
            "create_time_ms": "1606292218213.4578",
            "side": "sell",
            "currency_pair": "GT_USDT",
            "amount": "16.4700000000",
            "price": "0.4705",
        },
    ),
    _gate(
        "spot.candlesticks",
        {
            "t": "1606292580",
            "v": "2362.32035",
            "c": "19128.1",
            "h": "19128.1",
            "l": "19128.1",
            "o": "19128.1",
            "n": "1m_BTC_USDT",
            "a": "3.8283",
            "w": True,
        },
    ),
    _gate(
        "spot.tickers",
        {
            "currency_pair": "BTC_USDT",
            "last": "15743.4",
            "lowest_ask": "15744.4",
            "highest_bid": "15743.5",
            "change_percentage": "-1.89",
        },
    ),
    _gate(
        "spot.order_book",
        {"t": 1606295412123, "lastUpdateId": 48791820, "s": "BTC_USDT", "bids": _BOOK, "asks": _BOOK},
    ),
    _gate("spot.trades", {"status": "success"}, "subscribe"),
    {**_gate("spot.trades", None, "subscribe"), "id": 7, "error": {"code": 2, "message": "no such pair"}},
    {"time": 1545404023, "channel": "spot.pong", "event": "", "result": None},
    {"channel": "spot.unheard_of", "event": "update", "result": {}},
)


def _okx(channel: str, *data: Any, **more: Any) -> dict[str, Any]:
    return {"arg": {"channel": channel, "instId": "BTC-USDT"}, **more, "data": list(data)}


_OKX_LEVELS = [["67000.10", "0.50000000"], ["67000.00", "1.25"]]
_OKX_TRADE = {
    "instId": "BTC-USDT",
    "tradeId": "130639474",
    "px": "42219.9",
    "sz": "0.12060306",
    "side": "buy",
    "ts": "1629386267792",
}
_OKX_BOOK = {
    "asks": _OKX_LEVELS,
    "bids": _OKX_LEVELS,
    "ts": "1597026383085",
    "checksum": -855196043,
    "prevSeqId": -1,
    "seqId": 123456,
}
_OKX: tuple[Any, ...] = (
    _okx("trades", _OKX_TRADE),
    _okx("trades", _OKX_TRADE, {**_OKX_TRADE, "side": "sell", "tradeId": "x" * 50}),
    _okx("trades"),
    _okx("books", _OKX_BOOK, action="update"),
    _okx("books", _OKX_BOOK, action="snapshot"),
    _okx("books", _OKX_BOOK, {key: _OKX_BOOK[key] for key in ("asks", "bids", "ts")}, action="update"),
    _okx(
        "tickers",
        {
            "instId": "BTC-USDT",
            "last": "9999.99",
            "askPx": "9999.99",
            "askSz": "11.5",
            "bidPx": "8888.88",
            "bidSz": "5.25",
            "ts": "1597026383085",
        },
    ),
    _okx(
        "candle1m",
        ["1597026383085", "8533.02", "8553.74", "8527.17", "8548.26", "45247.10", "529.5", "529.53", "0"],
    ),
    {"event": "subscribe", "arg": {"channel": "trades", "instId": "BTC-USDT"}, "connId": "a4d3ae55"},
    {"event": "error", "code": "60012", "msg": "Invalid request", "connId": "a4d3ae55"},
    {"event": "notice", "code": "64008"},
)
_MEXC: tuple[Any, ...] = (
    {"id": 0, "code": 0, "msg": "PONG"},
    {"id": 0, "code": 0, "msg": "spot@public.aggre.deals.v3.api.pb@100ms@BTCUSDT"},
    {"channel": "unheard of"},
)

EXAMPLES: dict[str, tuple[Any, ...]] = {
    "binance": _BINANCE_ALL,
    "binance_usdm": _BINANCE_ALL,
    "gateio": _GATEIO,
    "okx": _OKX,
    "mexc": _MEXC,
}
