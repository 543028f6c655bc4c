"""Binance spot conforms. Messages: binance-spot-api-docs, "WebSocket Streams", "User Data Stream"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cexnet.exchanges import get_exchange
from cexnet.http.answers import OrderBook
from cexnet.testing import (
    AnswerSample,
    ErrorSample,
    ExchangeSuite,
    Expect,
    InSequence,
    Sample,
    SignatureVector,
)
from cexnet.types import Channel, Order, OrderRequest, OrderStatus, Side, Subscription
from cexnet.websocket.strategies import ControlRequest
from cexnet_core import errors as e
from tests.exchanges.conformance.wire import MS, asked, wire
from tests.http.accounts import CREDENTIALS

TRADE = {"e": "trade", "E": 1672515782136, "s": "BNBBTC", "t": 12345, "p": "0.001", "q": "100",
         "T": 1672515782136, "m": True, "M": True}  # fmt: skip
KLINE = {
    "e": "kline", "E": 1672515782136, "s": "BNBBTC",
    "k": {"t": 1672515780000, "T": 1672515839999, "s": "BNBBTC", "i": "1m", "f": 100, "L": 200,
          "o": "0.0010", "c": "0.0020", "h": "0.0025", "l": "0.0015", "v": "1000", "n": 100,
          "x": False, "q": "1.0000", "V": "500", "Q": "0.500", "B": "123456"},
}  # fmt: skip
TICKER = {"u": 400900217, "s": "BNBBTC", "b": "25.35190000", "B": "31.21000000", "a": "25.36520000",
          "A": "40.66000000"}  # fmt: skip
DEPTH = {"e": "depthUpdate", "E": 1672515782136, "s": "BNBBTC", "U": 157, "u": 160,
         "b": [["0.0024", "10"]], "a": [["0.0026", "100"]]}  # fmt: skip
AT = 1672515782136 * MS

EXPECT_TRADE = Expect(
    "Trade", symbol="BNBBTC", exchange_ts_ns=AT, trade_id="12345", price="0.001", size="100", side="sell"
)
EXPECT_TICKER = Expect(
    "BookTicker",
    symbol="BNBBTC",
    sequence=400900217,
    bid_price="25.3519",
    bid_size="31.21",
    ask_price="25.3652",
    ask_size="40.66",
)
EXPECT_DEPTH = {
    "symbol": "BNBBTC",
    "exchange_ts_ns": AT,
    "first_sequence": 157,
    "sequence": 160,
    "bids": [("0.0024", "10")],
    "asks": [("0.0026", "100")],
}
EXPECT_CANDLE = Expect(
    "Candle",
    symbol="BNBBTC",
    exchange_ts_ns=AT,
    interval="1m",
    open_ts_ns=1672515780000 * MS,
    close_ts_ns=1672515839999 * MS,
    open="0.001",
    high="0.0025",
    low="0.0015",
    close="0.002",
    volume="1000",
    quote_volume="1",
)
TRADES = Subscription(Channel.TRADES, "BNBBTC")
TICKERS = Subscription(Channel.BOOK_TICKER, "BNBBTC")
DEPTHS = Subscription(Channel.DEPTH, "BNBBTC")
CANDLES = Subscription(Channel.CANDLES, "BNBBTC")


def combined(stream: str, data: dict[str, Any]) -> bytes:
    return wire({"stream": stream, "data": data})


def ticker(update: int) -> bytes:
    return combined("bnbbtc@bookTicker", {**TICKER, "u": update})


def depth(first: int, last: int) -> bytes:
    return combined("bnbbtc@depth", {**DEPTH, "U": first, "u": last})


def report(**changes: Any) -> bytes:
    event = {
        "e": "executionReport", "E": 1499405658658, "s": "ETHBTC", "c": "mUvoqJxFIILMdfAW5iGSOW", "S": "BUY",
        "o": "LIMIT", "f": "GTC", "q": "1.00000000", "p": "0.10264410", "P": "0.00000000", "F": "0.00000000",
        "g": -1, "C": "", "x": "NEW", "X": "NEW", "r": "NONE", "i": 4293153, "l": "0.00000000",
        "z": "0.00000000", "L": "0.00000000", "n": "0", "N": None, "T": 1499405658657, "t": -1, "I": 8641984,
        "w": True, "m": False, "M": False, "O": 1499405658657, "Z": "0.00000000", "Y": "0.00000000",
        "Q": "0.00000000", "W": 1499405658657, "V": "NONE", **changes,
    }  # fmt: skip
    return wire({"subscriptionId": 0, "event": event})


TRADED = report(
    x="TRADE", X="FILLED", l="1.00000000", z="1.00000000", L="0.10264410", n="0.001", N="BNB", t=17
)
UPDATE = {
    "symbol": "ETHBTC",
    "exchange_ts_ns": 1499405658657 * MS,
    "side": "buy",
    "price": "0.1026441",
    "quantity": "1",
    "order_id": "4293153",
    "client_order_id": "mUvoqJxFIILMdfAW5iGSOW",
}
FILL = Expect(
    "Fill",
    symbol="ETHBTC",
    exchange_ts_ns=1499405658657 * MS,
    side="buy",
    price="0.1026441",
    size="1",
    fee="0.001",
    fee_currency="BNB",
    trade_id="17",
    order_id="4293153",
    client_order_id="mUvoqJxFIILMdfAW5iGSOW",
)
POSITION = wire(
    {
        "subscriptionId": 0,
        "event": {
            "e": "outboundAccountPosition",
            "E": 1564034571105,
            "u": 1564034571073,
            "B": [{"a": "ETH", "f": "10000.000000", "l": "0.000000"}],
        },
    }
)
PLACED = wire(
    {
        "symbol": "BTCUSDT", "orderId": 28, "orderListId": -1, "clientOrderId": "6gCrw2kRUAF9CvJDGP16IP",
        "transactTime": 1507725176595, "price": "0.10000000", "origQty": "10.00000000",
        "executedQty": "0.00000000", "origQuoteOrderQty": "0.000000", "cummulativeQuoteQty": "0.00000000",
        "status": "NEW", "timeInForce": "GTC", "type": "LIMIT", "side": "SELL",
    }
)  # fmt: skip
ORDER = Order(
    "BTCUSDT",
    "28",
    "6gCrw2kRUAF9CvJDGP16IP",
    OrderStatus.NEW,
    Side.SELL,
    "0.10000000",
    "10.00000000",
    "0.00000000",
)
SELL = OrderRequest("BTCUSDT", Side.SELL, "10", "0.1", client_order_id="6gCrw2kRUAF9CvJDGP16IP")


def error(
    status: int, code: int, words: str, kind: type[e.RequestError], *, order: bool = False
) -> ErrorSample:
    return ErrorSample(status, wire({"code": code, "msg": words}), kind, order=order)


class TestBinance(ExchangeSuite):
    exchange = get_exchange("binance")
    samples = (
        Sample(TRADES, combined("bnbbtc@trade", TRADE), EXPECT_TRADE),
        Sample(TRADES, wire(TRADE), EXPECT_TRADE),
        Sample(TICKERS, combined("bnbbtc@bookTicker", TICKER), EXPECT_TICKER),
        Sample(DEPTHS, combined("bnbbtc@depth", DEPTH), Expect("DepthUpdate", **EXPECT_DEPTH)),
        Sample(CANDLES, combined("bnbbtc@kline_1m", KLINE), EXPECT_CANDLE),
        Sample(
            None,
            combined("bnbbtc@depth5", {"lastUpdateId": 160, "bids": [["0.0024", "10"]], "asks": []}),
            Expect("DepthSnapshot", symbol="BNBBTC", sequence=160, bids=[("0.0024", "10")]),
        ),
        Sample(
            Subscription(Channel.ORDERS),
            report(),
            Expect("OrderUpdate", status="new", filled_quantity="0", **UPDATE),
        ),
        Sample(
            Subscription(Channel.FILLS),
            TRADED,
            Expect("OrderUpdate", status="filled", filled_quantity="1", **UPDATE),
            FILL,
        ),
        Sample(
            Subscription(Channel.BALANCES),
            POSITION,
            Expect("BalanceUpdate", exchange_ts_ns=1564034571073 * MS, asset="ETH", free="10000", locked="0"),
        ),
    )
    sequences = (
        InSequence(TICKERS, (ticker(400900217), ticker(400900218), ticker(400900230))),
        InSequence(DEPTHS, (depth(157, 160), depth(161, 161), depth(162, 170))),
    )
    signatures = (
        SignatureVector(
            CREDENTIALS,
            at_ms=1499827319559,
            method="POST",
            path="/api/v3/order",
            params=[
                ("symbol", "LTCBTC"),
                ("side", "BUY"),
                ("type", "LIMIT"),
                ("timeInForce", "GTC"),
                ("quantity", "1"),
                ("price", "0.1"),
            ],
            target="/api/v3/order?symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1"
            "&recvWindow=5000&timestamp=1499827319559"
            "&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
            headers={"X-MBX-APIKEY": CREDENTIALS.api_key},
        ),
    )
    errors = (
        error(400, -2010, "Account has insufficient balance for requested action.", e.InsufficientFunds),
        error(400, -2010, "Duplicate order sent.", e.DuplicateOrder, order=True),
        error(400, -2011, "Unknown order sent.", e.OrderNotFound),
        error(400, -1021, "Timestamp for this request is outside of the recvWindow.", e.ClockSkewError),
        error(400, -1121, "Invalid symbol.", e.InvalidRequest),
        error(503, -1008, "Server is currently overloaded.", e.ExchangeUnavailable, order=True),
        error(503, -1016, "This service is no longer available.", e.ExchangeUnavailable, order=True),
        error(504, -1007, "Timeout waiting for response from backend server.", e.OutcomeUnknown, order=True),
        ErrorSample(
            429,
            b'{"code":-1003,"msg":"slow"}',
            e.RateLimited,
            headers={"Retry-After": "7"},
            retry_after_s=7.0,
        ),
        ErrorSample(418, b'{"code":-1003,"msg":"out"}', e.Banned),
    )
    answers = (
        AnswerSample("server_time", (), b'{"serverTime":1499827319559}', 1499827319559 * MS),
        AnswerSample(
            "depth",
            ("BTCUSDT", 5),
            b'{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[["4.00000200","12.0"]]}',
            OrderBook("BTCUSDT", 1027024, (("4.00000000", "431.00000000"),), (("4.00000200", "12.0"),)),
        ),
        AnswerSample("place_order", (SELL,), PLACED, ORDER),
        AnswerSample("query_order", ("BTCUSDT", "28", ""), PLACED, ORDER),
        AnswerSample("cancel_order", ("BTCUSDT", "28", ""), PLACED, ORDER),
    )

    def confirm(self, request: ControlRequest) -> Sequence[bytes]:
        message = asked(request)
        results = {
            "session.subscriptions": [{"subscriptionId": 0}],
            "userDataStream.subscribe.signature": {"subscriptionId": 0},
        }
        return [wire({"result": results.get(message["method"]), "id": message["id"]})]

    def refuse(self, request: ControlRequest) -> Sequence[bytes]:
        return [wire({"error": {"code": 2, "msg": "Invalid request"}, "id": asked(request)["id"]})]
