"""OKX conforms. Messages: OKX API v5 docs, "Order Book Trading", "Market Data"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cexnet.exchanges import get_exchange
from cexnet.testing import ExchangeSuite, Expect, InSequence, Sample
from cexnet.types import Channel, Subscription
from cexnet.websocket.strategies import ControlRequest
from tests.exchanges.conformance.wire import MS, asked, wire

SYMBOL = "BTC-USDT"


def push(channel: str, *data: Any, **more: str) -> bytes:
    return wire({"arg": {"channel": channel, "instId": SYMBOL}, **more, "data": data})


def trade(number: str, side: str) -> dict[str, str]:
    return {"instId": SYMBOL, "tradeId": number, "px": "42219.9", "sz": "0.12060306", "side": side,
            "ts": "1630048897897", "count": "3"}  # fmt: skip


def book(action: str, previous: int, sequence: int) -> bytes:
    levels = {
        "asks": [["8476.98", "415", "0", "13"]],
        "bids": [["8476.97", "256", "0", "12"], ["8475.55", "0", "0", "0"]],
        "ts": "1597026383085",
        "checksum": -855196043,
        "prevSeqId": previous,
        "seqId": sequence,
    }
    return push("books", levels, action=action)


LEVELS = {
    "symbol": SYMBOL,
    "exchange_ts_ns": 1597026383085 * MS,
    "bids": [("8476.97", "256"), ("8475.55", "0")],
    "asks": [("8476.98", "415")],
}
TRADES = Subscription(Channel.TRADES, SYMBOL)
DEPTHS = Subscription(Channel.DEPTH, SYMBOL)


def expect_trade(number: str, side: str) -> Expect:
    return Expect(
        "Trade",
        symbol=SYMBOL,
        exchange_ts_ns=1630048897897 * MS,
        trade_id=number,
        price="42219.9",
        size="0.12060306",
        side=side,
    )


class TestOkx(ExchangeSuite):
    exchange = get_exchange("okx")
    samples = (
        Sample(TRADES, push("trades", trade("130639474", "buy")), expect_trade("130639474", "buy")),
        Sample(
            TRADES,
            push("trades", trade("1", "buy"), trade("2", "sell")),
            expect_trade("1", "buy"),
            expect_trade("2", "sell"),
        ),
        Sample(
            Subscription(Channel.BOOK_TICKER, SYMBOL),
            push(
                "tickers",
                {
                    "instType": "SPOT", "instId": SYMBOL, "last": "9999.99", "lastSz": "0.1",
                    "askPx": "9999.99", "askSz": "11", "bidPx": "8888.88", "bidSz": "5",
                    "open24h": "9000", "high24h": "10000", "low24h": "8888.88", "ts": "1597026383085",
                },
            ),
            Expect(
                "BookTicker",
                symbol=SYMBOL,
                exchange_ts_ns=1597026383085 * MS,
                bid_price="8888.88",
                bid_size="5",
                ask_price="9999.99",
                ask_size="11",
            ),
        ),
        Sample(
            DEPTHS,
            book("snapshot", -1, 123456),
            Expect("DepthSnapshot", sequence=123456, prev_sequence=-1, **LEVELS),
        ),
        Sample(
            DEPTHS,
            book("update", 123456, 123457),
            Expect("DepthUpdate", sequence=123457, prev_sequence=123456, **LEVELS),
        ),
        Sample(
            Subscription(Channel.CANDLES, SYMBOL),
            push(
                "candle1m",
                ["1597026383085", "8533.02", "8553.74", "8527.17", "8548.26", "45247", "529.5858061",
                 "529.5858061", "0"],
            ),
            Expect(
                "Candle",
                symbol=SYMBOL,
                interval="1m",
                open_ts_ns=1597026383085 * MS,
                open="8533.02",
                high="8553.74",
                low="8527.17",
                close="8548.26",
                volume="45247",
                quote_volume="529.5858061",
            ),
        ),
        Sample(None, "pong", Expect("Pong", payload=b"pong")),
    )  # fmt: skip
    sequences = (
        InSequence(DEPTHS, (book("update", 10, 15), book("update", 15, 20), book("update", 20, 21))),
    )

    def confirm(self, request: ControlRequest) -> Sequence[bytes]:
        message = asked(request)
        return [
            wire({"id": message["id"], "event": message["op"], "arg": arg, "connId": "a4d3ae55"})
            for arg in message["args"]
        ]

    def refuse(self, request: ControlRequest) -> Sequence[bytes]:
        answer = {"event": "error", "code": "60012", "msg": "Invalid request", "connId": "a4d3ae55"}
        return [wire({"id": asked(request)["id"], **answer})]
