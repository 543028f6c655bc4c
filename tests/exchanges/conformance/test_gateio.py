"""Gate.io spot conforms. Messages: Gate API v4 docs, "Spot WebSocket v4" and "Spot"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cexnet.credentials import Credentials, Secret
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

SYMBOL = "BTC_USDT"
AT = 1606293275123 * MS
TICKERS = Subscription(Channel.BOOK_TICKER, SYMBOL)
DEPTHS = Subscription(Channel.DEPTH, SYMBOL)


def push(channel: str, result: Any) -> bytes:
    return wire({"time": 1606293275, "time_ms": 1606293275723, "channel": channel, "event": "update",
                 "result": result})  # fmt: skip


def ticker(update: int) -> bytes:
    result = {"t": 1606293275123, "u": update, "s": SYMBOL, "b": "19177.79", "B": "0.0003341504",
              "a": "19179.38", "A": "0.09"}  # fmt: skip
    return push("spot.book_ticker", result)


def depth(first: int, last: int) -> bytes:
    result = {"t": 1606293275123, "e": "depthUpdate", "E": 1606294781, "s": SYMBOL, "U": first, "u": last,
              "b": [["19137.74", "0.0001"], ["19088.37", "0"]], "a": [["19137.75", "0.6135"]]}  # fmt: skip
    return push("spot.order_book_update", result)


CANDLE = {"t": "1606292580", "v": "2362.32035", "c": "19128.1", "h": "19128.1", "l": "19128.1",
          "o": "19128.1", "n": "1m_BTC_USDT", "a": "3.8283", "w": True}  # fmt: skip
TRADE = {"id": 309143071, "create_time": 1606292218, "create_time_ms": "1606293275123.5678", "side": "sell",
         "currency_pair": SYMBOL, "amount": "16.47", "price": "0.4705"}  # fmt: skip
STATE = {"id": "30784435", "user": 123456, "text": "t-abc", "create_time": "1605175506",
         "create_time_ms": "1605175506123", "update_time": "1605175506", "update_time_ms": "1606293275123",
         "event": "put", "currency_pair": SYMBOL, "type": "limit", "account": "spot", "side": "sell",
         "amount": "1", "price": "10001", "time_in_force": "gtc", "left": "1", "filled_total": "0",
         "filled_amount": "0", "avg_deal_price": "0", "fee": "0", "fee_currency": "USDT",
         "finish_as": "open"}  # fmt: skip
USER_TRADE = {"id": 5736713, "user_id": 1000001, "order_id": "30784428", "currency_pair": SYMBOL,
              "create_time": 1605176741, "create_time_ms": "1606293275123.456", "side": "sell",
              "amount": "1.00000000", "role": "taker", "price": "10000.00000000", "fee": "0.00200000",
              "fee_currency": "USDT", "text": "t-abc"}  # fmt: skip
BALANCE = {"timestamp": "1605248616", "timestamp_ms": "1606293275123", "user": "1000001",
           "currency": "USDT", "change": "100", "total": "1032951.325075926", "available":
           "1022943.325075926", "freeze": "10008"}  # fmt: skip
PLACED = wire(
    {"id": "1852454420", "text": "t-abc", "amend_text": "-", "create_time": "1710488334", "status": "closed",
     "currency_pair": SYMBOL, "type": "limit", "account": "spot", "side": "buy", "amount": "0.001",
     "price": "65000", "time_in_force": "gtc", "left": "0", "filled_amount": "0.001",
     "filled_total": "63.4693", "avg_deal_price": "63469.3", "fee": "0.00000022", "finish_as": "filled"}
)  # fmt: skip
ORDER = Order(
    SYMBOL, "1852454420", "t-abc", OrderStatus.FILLED, Side.BUY, "65000", "0.001", "0.001", "63469.3"
)
BUY = OrderRequest(SYMBOL, Side.BUY, "0.001", "65000", client_order_id="t-abc")


def error(status: int, label: str, kind: type[e.RequestError], *, order: bool = False) -> ErrorSample:
    return ErrorSample(status, wire({"label": label, "message": "words"}), kind, order=order)


class TestGateio(ExchangeSuite):
    exchange = get_exchange("gateio")
    samples = (
        Sample(
            TICKERS,
            ticker(48733182),
            Expect(
                "BookTicker",
                symbol=SYMBOL,
                exchange_ts_ns=AT,
                sequence=48733182,
                bid_price="19177.79",
                bid_size="0.0003341504",
                ask_price="19179.38",
                ask_size="0.09",
            ),
        ),
        Sample(
            DEPTHS,
            depth(48776301, 48776306),
            Expect(
                "DepthUpdate",
                symbol=SYMBOL,
                exchange_ts_ns=AT,
                first_sequence=48776301,
                sequence=48776306,
                bids=[("19137.74", "0.0001"), ("19088.37", "0")],
                asks=[("19137.75", "0.6135")],
            ),
        ),
        Sample(
            Subscription(Channel.TRADES, SYMBOL),
            push("spot.trades", TRADE),
            Expect(
                "Trade",
                symbol=SYMBOL,
                exchange_ts_ns=AT + 567_800,
                trade_id="309143071",
                price="0.4705",
                size="16.47",
                side="sell",
            ),
        ),
        Sample(
            Subscription(Channel.CANDLES, SYMBOL),
            push("spot.candlesticks", CANDLE),
            Expect(
                "Candle",
                symbol=SYMBOL,
                interval="1m",
                open_ts_ns=1606292580 * 1000 * MS,
                open="19128.1",
                high="19128.1",
                low="19128.1",
                close="19128.1",
                volume="3.8283",
                quote_volume="2362.32035",
                is_closed=True,
            ),
        ),
        Sample(
            Subscription(Channel.ORDERS),
            push("spot.orders", [STATE]),
            Expect(
                "OrderUpdate",
                symbol=SYMBOL,
                exchange_ts_ns=AT,
                side="sell",
                status="new",
                price="10001",
                quantity="1",
                filled_quantity="0",
                average_price="0",
                order_id="30784435",
                client_order_id="t-abc",
            ),
        ),
        Sample(
            Subscription(Channel.FILLS),
            push("spot.usertrades", [USER_TRADE]),
            Expect(
                "Fill",
                symbol=SYMBOL,
                exchange_ts_ns=AT + 456_000,
                side="sell",
                price="10000",
                size="1",
                fee="0.002",
                fee_currency="USDT",
                trade_id="5736713",
                order_id="30784428",
                client_order_id="t-abc",
            ),
        ),
        Sample(
            Subscription(Channel.BALANCES),
            push("spot.balances", [BALANCE]),
            Expect(
                "BalanceUpdate",
                exchange_ts_ns=AT,
                asset="USDT",
                free="1022943.325075926",
                locked="10008",
                total="1032951.325075926",
            ),
        ),
        Sample(None, wire({"time": 1545404023, "channel": "spot.pong", "event": ""}), Expect("Pong")),
        Sample(None, wire({"type": "upgrade", "msg": "soon"}), Expect("RawMessage", channel="upgrade")),
    )
    sequences = (
        InSequence(TICKERS, (ticker(48733182), ticker(48733183), ticker(48733190))),
        InSequence(DEPTHS, (depth(1, 6), depth(7, 7), depth(8, 12))),
    )
    signatures = (
        SignatureVector(
            Credentials("key", Secret("secret")),
            at_ms=1541993715000,
            method="GET",
            path="/api/v4/futures/orders",
            params=[("contract", "BTC_USD"), ("status", "finished"), ("limit", 50)],
            target="/api/v4/futures/orders?contract=BTC_USD&status=finished&limit=50",
            headers={
                "KEY": "key",
                "Timestamp": "1541993715",
                "SIGN": "55f84ea195d6fe57ce62464daaa7c3c02fa9d1dde954e4c898289c9a2407a3d6"
                "fb3faf24deff16790d726b66ac9f74526668b13bd01029199cc4fcc522418b8a",
            },
        ),
    )
    errors = (
        error(400, "BALANCE_NOT_ENOUGH", e.InsufficientFunds),
        error(404, "ORDER_NOT_FOUND", e.OrderNotFound),
        error(400, "ORDER_CLOSED", e.OrderFinished),
        error(403, "REQUEST_EXPIRED", e.ClockSkewError),
        error(400, "INVALID_PARAM_VALUE", e.InvalidRequest),
        error(429, "TOO_MANY_REQUESTS", e.RateLimited),
        error(503, "TOO_BUSY", e.ExchangeUnavailable, order=True),
        error(500, "SERVER_ERROR", e.OutcomeUnknown, order=True),
        error(400, "REPEATED_CREATION", e.DuplicateOrder, order=True),
    )
    answers = (
        AnswerSample("server_time", (), b'{"server_time":1597026383085}', 1597026383085 * MS),
        AnswerSample(
            "depth",
            (SYMBOL, 5),
            b'{"id":123456,"current":1606293275123,"update":1606293275100,"asks":[["1.52","1.151"]],"bids":[]}',
            OrderBook(SYMBOL, 123456, (), (("1.52", "1.151"),), AT),
        ),
        AnswerSample("place_order", (BUY,), PLACED, ORDER),
        AnswerSample("query_order", (SYMBOL, "1852454420", ""), PLACED, ORDER),
        AnswerSample("cancel_order", (SYMBOL, "", "t-abc"), PLACED, ORDER),
    )

    def confirm(self, request: ControlRequest) -> Sequence[bytes]:
        return [wire({**self._answer(request), "error": None, "result": {"status": "success"}})]

    def refuse(self, request: ControlRequest) -> Sequence[bytes]:
        return [wire({**self._answer(request), "error": {"code": 2, "message": "unknown pair"}})]

    @staticmethod
    def _answer(request: ControlRequest) -> dict[str, Any]:
        message = asked(request)
        return {key: message[key] for key in ("time", "id", "channel", "event")}
