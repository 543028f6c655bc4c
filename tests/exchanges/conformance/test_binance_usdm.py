"""Binance USD-M conforms. Messages: Binance derivatives docs, "Websocket Market Streams"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cexnet.exchanges import get_exchange
from cexnet.testing import ExchangeSuite, Expect, InSequence, Sample
from cexnet.websocket.strategies import ControlRequest
from tests.exchanges.conformance.test_binance import (
    AT,
    CANDLES,
    DEPTH,
    DEPTHS,
    EXPECT_CANDLE,
    EXPECT_DEPTH,
    KLINE,
    TICKER,
    TICKERS,
    TRADES,
    combined,
)
from tests.exchanges.conformance.wire import MS, asked, wire

AGG_TRADE = {"e": "aggTrade", "E": 1672515782137, "s": "BNBBTC", "a": 5933014, "p": "0.001", "q": "100",
             "f": 100, "l": 105, "T": 1672515782136, "m": False}  # fmt: skip
FUTURES_TICKER = {"e": "bookTicker", "E": 1672515782136, "T": 1672515782130, **TICKER}


def ticker(update: int) -> bytes:
    return combined("bnbbtc@bookTicker", {**FUTURES_TICKER, "u": update})


def depth(previous: int, first: int, last: int) -> dict[str, Any]:
    return {**DEPTH, "T": 1672515782130, "U": first, "u": last, "pu": previous}


class TestBinanceUsdm(ExchangeSuite):
    exchange = get_exchange("binance_usdm")
    samples = (
        Sample(
            TRADES,
            combined("bnbbtc@aggTrade", AGG_TRADE),
            Expect(
                "Trade",
                symbol="BNBBTC",
                exchange_ts_ns=1672515782136 * MS,
                trade_id="5933014",
                price="0.001",
                size="100",
                side="buy",
            ),
        ),
        Sample(
            TICKERS,
            ticker(400900217),
            Expect(
                "BookTicker",
                symbol="BNBBTC",
                exchange_ts_ns=AT,
                sequence=400900217,
                bid_price="25.3519",
                bid_size="31.21",
                ask_price="25.3652",
                ask_size="40.66",
            ),
        ),
        Sample(
            DEPTHS,
            combined("bnbbtc@depth@100ms", depth(149, 157, 160)),
            Expect("DepthUpdate", prev_sequence=149, **EXPECT_DEPTH),
        ),
        Sample(CANDLES, combined("bnbbtc@kline_1m", KLINE), EXPECT_CANDLE),
    )
    sequences = (
        InSequence(TICKERS, (ticker(400900217), ticker(400900218), ticker(400900230))),
        InSequence(
            DEPTHS,
            (wire(depth(149, 157, 160)), wire(depth(160, 165, 169)), wire(depth(169, 171, 171))),
        ),
    )

    def confirm(self, request: ControlRequest) -> Sequence[bytes]:
        return [wire({"result": None, "id": asked(request)["id"]})]

    def refuse(self, request: ControlRequest) -> Sequence[bytes]:
        return [wire({"code": 0, "msg": "Unknown property", "id": asked(request)["id"]})]
