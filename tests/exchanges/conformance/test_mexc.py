"""MEXC spot conforms. Messages: mexcdevelop/apidocs (spot_v3_en) and mexcdevelop/websocket-proto."""

from __future__ import annotations

from collections.abc import Sequence

from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import get_exchange
from cexnet.http.answers import OrderBook
from cexnet.simulator.protobuf import integer, message, text
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

SYMBOL = "BTCUSDT"
SENT = 1736411507002
AT = SENT * MS
TICKERS = Subscription(Channel.BOOK_TICKER, SYMBOL)
DEPTHS = Subscription(Channel.DEPTH, SYMBOL)


def push(channel: str, field: int, body: bytes, *, symbol: str = SYMBOL) -> bytes:
    named = text(3, symbol) if symbol else b""
    return text(1, channel) + named + integer(5, SENT) + integer(6, SENT) + message(field, body)


def level(price: str, size: str) -> bytes:
    return text(1, price) + text(2, size)


def ticker(version: int) -> bytes:
    body = level("93387.28", "3.73485") + text(3, "93387.29") + text(4, "7.669875") + text(5, str(version))
    return push(f"spot@public.aggre.bookTicker.v3.api.pb@100ms@{SYMBOL}", 315, body)


def depth(first: int, last: int) -> bytes:
    body = (
        message(1, level("92878.16", "0.00000000"))
        + message(2, level("92877.58", "0.0012"))
        + text(3, "spot@public.aggre.depth.v3.api.pb@100ms")
        + text(4, str(first))
        + text(5, str(last))
    )
    return push(f"spot@public.aggre.depth.v3.api.pb@100ms@{SYMBOL}", 313, body)


DEAL = level("93220.00", "0.04438243") + integer(3, 2) + integer(4, SENT)
KLINE = (
    text(1, "Min15") + integer(2, 1736410500) + text(3, "92925") + text(4, "93158.47")
    + text(5, "93158.47") + text(6, "92800") + text(7, "36.83803224") + text(8, "3424811.05")
    + integer(9, 1736411400)
)  # fmt: skip
STATE = (
    text(1, "C02__1") + text(2, "mine") + text(3, "5") + text(4, "2") + text(5, "10") + text(6, "5")
    + integer(7, 1) + integer(8, 1) + text(13, "0.5") + integer(15, 3)
)  # fmt: skip
OWN_DEAL = (
    level("5", "0.5") + integer(4, 1) + integer(5, 1) + text(7, "t1") + text(8, "mine")
    + text(9, "C02__1") + text(10, "0.01") + text(11, "USDT") + integer(12, SENT)
)  # fmt: skip
ACCOUNT = text(1, "USDT") + text(3, "21.94") + text(5, "1.5") + text(7, "ENTRUST") + integer(8, SENT)
OWN = {"exchange_ts_ns": AT, "symbol": SYMBOL, "price": "5", "side": "buy", "order_id": "C02__1",
       "client_order_id": "mine"}  # fmt: skip
PLACED = wire(
    {"symbol": SYMBOL, "orderId": "C02__1", "clientOrderId": "mine", "price": "5", "origQty": "2",
     "executedQty": "0.5", "cummulativeQuoteQty": "2.5", "status": "PARTIALLY_FILLED", "type": "LIMIT",
     "side": "BUY"}
)  # fmt: skip
ORDER = Order(SYMBOL, "C02__1", "mine", OrderStatus.PARTIALLY_FILLED, Side.BUY, "5", "2", "0.5", "5")
BUY = OrderRequest(SYMBOL, Side.BUY, "2", "5", client_order_id="mine")


def error(status: int, code: int, kind: type[e.RequestError], *, order: bool = False) -> ErrorSample:
    return ErrorSample(status, wire({"code": code, "msg": "words"}), kind, order=order)


class TestMexc(ExchangeSuite):
    exchange = get_exchange("mexc")
    samples = (
        Sample(
            TICKERS,
            ticker(7),
            Expect(
                "BookTicker",
                symbol=SYMBOL,
                exchange_ts_ns=AT,
                sequence=7,
                bid_price="93387.28",
                bid_size="3.73485",
                ask_price="93387.29",
                ask_size="7.669875",
            ),
        ),
        Sample(
            DEPTHS,
            depth(10589632359, 10589632360),
            Expect(
                "DepthUpdate",
                symbol=SYMBOL,
                exchange_ts_ns=AT,
                first_sequence=10589632359,
                sequence=10589632360,
                bids=[("92877.58", "0.0012")],
                asks=[("92878.16", "0")],
            ),
        ),
        Sample(
            Subscription(Channel.TRADES, SYMBOL),
            push(f"spot@public.aggre.deals.v3.api.pb@100ms@{SYMBOL}", 314, message(1, DEAL)),
            Expect("Trade", symbol=SYMBOL, exchange_ts_ns=AT, price="93220", size="0.04438243", side="sell"),
        ),
        Sample(
            Subscription(Channel.CANDLES, SYMBOL, "15m"),
            push(f"spot@public.kline.v3.api.pb@{SYMBOL}@Min15", 308, KLINE),
            Expect(
                "Candle",
                symbol=SYMBOL,
                exchange_ts_ns=AT,
                interval="15m",
                open_ts_ns=1736410500 * 1000 * MS,
                close_ts_ns=1736411400 * 1000 * MS,
                open="92925",
                high="93158.47",
                low="92800",
                close="93158.47",
                volume="36.83803224",
                quote_volume="3424811.05",
            ),
        ),
        Sample(
            Subscription(Channel.ORDERS),
            push("spot@private.orders.v3.api.pb", 304, STATE),
            Expect(
                "OrderUpdate",
                status="partially_filled",
                quantity="2",
                filled_quantity="0.5",
                average_price="5",
                **OWN,
            ),
        ),
        Sample(
            Subscription(Channel.FILLS),
            push("spot@private.deals.v3.api.pb", 306, OWN_DEAL),
            Expect("Fill", size="0.5", is_maker=True, fee="0.01", fee_currency="USDT", trade_id="t1", **OWN),
        ),
        Sample(
            Subscription(Channel.BALANCES),
            push("spot@private.account.v3.api.pb", 307, ACCOUNT, symbol=""),
            Expect("BalanceUpdate", exchange_ts_ns=AT, asset="USDT", free="21.94", locked="1.5"),
        ),
        Sample(None, '{"id":0,"code":0,"msg":"PONG"}', Expect("Pong")),
    )
    sequences = (
        InSequence(TICKERS, (ticker(7), ticker(8), ticker(20))),
        InSequence(DEPTHS, (depth(1, 6), depth(7, 7), depth(8, 12))),
    )
    signatures = (
        SignatureVector(
            Credentials("mx0", Secret("45d0b3c26f2644f19bfb98b07741b2f5")),
            at_ms=1644489390087,
            method="POST",
            path="/api/v3/order",
            params=[
                ("symbol", SYMBOL), ("side", "BUY"), ("type", "LIMIT"), ("quantity", "1"), ("price", "11"),
            ],
            target="/api/v3/order?symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=11&recvWindow=5000"
            "&timestamp=1644489390087"
            "&signature=fd3e4e8543c5188531eb7279d68ae7d26a573d0fc5ab0d18eb692451654d837a",
            headers={"X-MEXC-APIKEY": "mx0", "Content-Type": "application/json"},
        ),
    )  # fmt: skip
    errors = (
        error(400, 30004, e.InsufficientFunds),
        error(400, -2013, e.OrderNotFound),
        error(400, 700003, e.ClockSkewError),
        error(400, 30014, e.InvalidRequest),
        error(200, 30005, e.InsufficientFunds),  # refused with a success
        error(429, 429, e.RateLimited),
        error(500, 500, e.OutcomeUnknown, order=True),
        error(400, 603, e.DuplicateOrder, order=True),
        *(
            error(400, code, e.ExchangeUnavailable, order=True)
            for code in (604, 801, 11444, 20002, 30000, 30016)
        ),
    )
    answers = (
        AnswerSample("server_time", (), b'{"serverTime":1645539742000}', 1645539742000 * MS),
        AnswerSample(
            "depth",
            (SYMBOL, 5),
            b'{"lastUpdateId":1112416,"bids":[["15.00000","49999.00000"]],"asks":[]}',
            OrderBook(SYMBOL, 1112416, (("15.00000", "49999.00000"),), ()),
        ),
        AnswerSample("place_order", (BUY,), PLACED, ORDER),
        AnswerSample("query_order", (SYMBOL, "", "mine"), PLACED, ORDER),
        AnswerSample("cancel_order", (SYMBOL, "C02__1", ""), PLACED, ORDER),
    )

    def confirm(self, request: ControlRequest) -> Sequence[str]:
        return [wire({"id": 0, "code": 0, "msg": asked(request)["params"][0]}).decode()]

    def refuse(self, request: ControlRequest) -> Sequence[str]:
        words = f"Not Subscribed successfully! [{asked(request)['params'][0]}]. Reason: Blocked!"
        return [wire({"id": 0, "code": 0, "msg": words}).decode()]
