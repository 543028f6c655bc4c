"""What Acme's documents print, and what it must become. Run with pytest."""

from __future__ import annotations

import msgspec
from cexnet_acme import EXCHANGE

from cexnet import Channel, Credentials, Order, OrderRequest, OrderStatus, Secret, Side, Subscription
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
from cexnet.websocket.strategies import ControlRequest
from cexnet_core import errors as e

TRADES = Subscription(Channel.TRADES, "BTC-USD")
TICKER = Subscription(Channel.BOOK_TICKER, "BTC-USD")
BOOK = Subscription(Channel.DEPTH, "BTC-USD")

KEY = Credentials("acme-key", Secret("acme-secret"))
PLACED = (
    b'{"id":"7","client_id":"mine1","market":"BTC-USD","state":"partial","side":"buy",'
    b'"px":"64000","qty":"0.5","filled":"0.1"}'
)
ORDER = Order("BTC-USD", "7", "mine1", OrderStatus.PARTIALLY_FILLED, Side.BUY, "64000", "0.5", "0.1")


def ticker(seq: int) -> bytes:
    """A best bid and ask."""
    return (
        b'{"type":"ticker","market":"BTC-USD","ts":1700000000123,"seq":%d,'
        b'"bid":["64250.0","1.5"],"ask":["64250.5","2"]}' % seq
    )


def book(first: int, last: int) -> bytes:
    """A change of the book."""
    return (
        b'{"type":"book","market":"BTC-USD","ts":1700000000123,"from":%d,"to":%d,'
        b'"bids":[["64250.0","1.5"],["64249.5","0"]],"asks":[]}' % (first, last)
    )


class TestAcme(ExchangeSuite):
    """Acme's part of the suite; what is tested is in ``ExchangeSuite``."""

    exchange = EXCHANGE
    samples = (
        Sample(
            TRADES,
            b'{"type":"trade","market":"BTC-USD","ts":1700000000123,"id":"991","taker":"B",'
            b'"px":"64250.1","qty":"0.5"}',
            Expect(
                "Trade",
                symbol="BTC-USD",
                exchange_ts_ns=1_700_000_000_123_000_000,
                trade_id="991",
                side="buy",
                price="64250.1",
                size="0.5",
            ),
        ),
        Sample(
            TICKER,
            ticker(17),
            Expect(
                "BookTicker",
                symbol="BTC-USD",
                exchange_ts_ns=1_700_000_000_123_000_000,
                sequence=17,
                bid_price="64250",
                bid_size="1.5",
                ask_price="64250.5",
                ask_size="2",
            ),
        ),
        Sample(
            BOOK,
            book(11, 13),
            Expect(
                "DepthUpdate",
                symbol="BTC-USD",
                exchange_ts_ns=1_700_000_000_123_000_000,
                first_sequence=11,
                sequence=13,
                bids=[("64250", "1.5"), ("64249.5", "0")],
            ),
        ),
        Sample(None, b'{"type":"pong"}', Expect("Pong")),
        Sample(None, b'{"type":"goodbye"}', Expect("RawMessage", channel="goodbye")),
    )
    sequences = (
        InSequence(TICKER, (ticker(17), ticker(18), ticker(25))),
        InSequence(BOOK, (book(11, 13), book(14, 14), book(15, 20))),
    )
    signatures = (
        SignatureVector(
            KEY,
            at_ms=1_700_000_000_000,
            method="GET",
            path="/v1/orders",
            params=[("market", "BTC-USD"), ("id", "7")],
            target="/v1/orders?market=BTC-USD&id=7",
            headers={
                "X-Acme-Key": "acme-key",
                "X-Acme-Time": "1700000000000",
                "X-Acme-Sign": "2188b4cd5ee38c08aab4b7714cef84f41003b7f482e9250c147e809680dfc6df",
            },
        ),
        SignatureVector(
            KEY,
            at_ms=1_700_000_000_000,
            method="POST",
            path="/v1/orders",
            body=b'{"market":"BTC-USD","side":"buy","qty":"0.5","px":"64000"}',
            target="/v1/orders",
            headers={"X-Acme-Sign": "24292712b13ca4cd6bc4c43b32e1106d48c8081f3ec5c7379d3f7a8846ddf481"},
        ),
    )
    errors = (
        ErrorSample(400, b'{"code":"no_funds","reason":"need 32000 USD"}', e.InsufficientFunds),
        ErrorSample(
            429,
            b'{"code":"slow_down","reason":"later"}',
            e.RateLimited,
            headers={"Retry-After": "3"},
            retry_after_s=3.0,
        ),
        ErrorSample(401, b'{"code":"bad_time","reason":"10 s late"}', e.ClockSkewError, order=True),
        ErrorSample(503, b'{"code":"maintenance","reason":"at 12:00"}', e.ExchangeUnavailable, order=True),
        ErrorSample(500, b"oops", e.OutcomeUnknown, order=True),
    )
    answers = (
        AnswerSample("server_time", (), b'{"ms":1700000000123}', 1_700_000_000_123_000_000),
        AnswerSample(
            "depth",
            ("BTC-USD", 5),
            b'{"to":13,"ts":1700000000123,"bids":[["64250.0","1.5"]],"asks":[]}',
            OrderBook("BTC-USD", 13, (("64250.0", "1.5"),), (), 1_700_000_000_123_000_000),
        ),
        AnswerSample("place_order", (OrderRequest("BTC-USD", Side.BUY, "0.5", "64000"),), PLACED, ORDER),
        AnswerSample("cancel_order", ("BTC-USD", "7", ""), PLACED, ORDER),
        AnswerSample("query_order", ("BTC-USD", "", "mine1"), PLACED, ORDER),
    )

    def confirm(self, request: ControlRequest) -> list[bytes]:
        """See ExchangeSuite."""
        return [b'{"id":%d,"done":true}' % msgspec.json.decode(request.payload)["id"]]

    def refuse(self, request: ControlRequest) -> list[bytes]:
        """See ExchangeSuite."""
        number = msgspec.json.decode(request.payload)["id"]
        return [b'{"id":%d,"error":{"code":"no_such_topic","reason":"not on this market"}}' % number]
