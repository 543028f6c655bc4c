"""What sets an account's events apart: two from one message, a status told from a quantity, merging."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cexnet_core.decode import Decoder, EventBatch
from cexnet_core.errors import SchemaError
from cexnet_core.events import (
    BalanceUpdate,
    DecodeError,
    Event,
    EventKind,
    Fill,
    OrderUpdate,
    RawMessage,
    SymbolTable,
)
from cexnet_core.route import Receiver, Router
from cexnet_core.schema import Field, Message, WireSchema

REPORT = {"e": "report", "s": "BTCUSDT", "T": 5, "i": 7, "q": "2", "z": "0", "X": "open", "x": "NEW"}
ORDER = Message(
    "OrderUpdate",
    when={"e": "report"},
    fields=(
        Field("symbol", "s"),
        Field("exchange_ts_ns", "T", unit="ms"),
        Field("order_id", "i"),
        Field("quantity", "q"),
        Field("filled_quantity", "z", optional=True),
        Field("status", "X", values={"open": "open", "done": "filled"}),
    ),
)
FILL = Message(
    "Fill",
    when={"e": "report", "x": "TRADE"},
    fields=(Field("symbol", "s"), Field("trade_id", "t"), Field("order_id", "i"), Field("size", "l")),
)
BALANCE = Message(
    "BalanceUpdate",
    when={"e": "balance"},
    fields=(Field("asset", "a"), Field("free", "f"), Field("exchange_ts_ns", "T", unit="ms")),
)
SCHEMA = WireSchema("account", json=(ORDER, BALANCE), channel_paths=("e",), also=(FILL,))


def wire(**changes: Any) -> bytes:
    return json.dumps({**REPORT, **changes}, separators=(",", ":")).encode()


def trade(number: int, **changes: Any) -> bytes:
    return wire(x="TRADE", t=number, l="0.5", **changes)


def balance(free: float, time_ms: int) -> bytes:
    return json.dumps({"e": "balance", "a": "USDT", "f": str(free), "T": time_ms}).encode()


@pytest.mark.parametrize("max_shapes", [0, 64])
def test_a_report_of_a_trade_is_two_events(max_shapes: int) -> None:
    decoder = Decoder(SCHEMA, max_shapes=max_shapes)
    for number in range(1, 6):
        both = decoder.decode(trade(number, z=str(number / 2)))
        assert isinstance(both, EventBatch)
        order, fill = both
        assert isinstance(order, OrderUpdate)
        assert isinstance(fill, Fill)
        assert (order.order_id, order.filled_quantity, order.message_id) == ("7", number / 2, 0)
        assert (fill.order_id, fill.trade_id, fill.size) == ("7", str(number), 0.5)
        assert (fill.symbol, fill.message_id) == ("BTCUSDT", 2)
        alone = decoder.decode(wire())
        assert isinstance(alone, OrderUpdate)
        assert isinstance(decoder.decode(b'{"e":"other"}'), RawMessage)
    counters = decoder.counters
    assert (counters.events["OrderUpdate"], counters.events["Fill"]) == (10, 5)
    assert (counters.errors, counters.unknown) == (0, 5)


def test_a_second_event_that_cannot_be_read_is_no_silence() -> None:
    decoder = Decoder(SCHEMA)
    both = decoder.decode(wire(x="TRADE", l="0.5"))
    assert isinstance(both, EventBatch)
    assert [type(event) for event in both] == [OrderUpdate, DecodeError]
    assert decoder.counters.errors == 1


def test_a_second_reading_needs_a_schema_without_protobuf() -> None:
    wrong = WireSchema("w", json=(ORDER,), protobuf=(Message("Pong", has=("1",)),), also=(FILL,))
    with pytest.raises(SchemaError, match="also is for schemas without protobuf"):
        Decoder(wrong)


@pytest.mark.parametrize(
    "status, filled, wanted",
    [
        ("open", "0", "new"),
        ("open", "0.5", "partially_filled"),
        ("done", "2", "filled"),
        ("open", None, "new"),
    ],
)
def test_an_open_order_is_told_by_what_was_filled(status: str, filled: str | None, wanted: str) -> None:
    order = Decoder(SCHEMA).decode(wire(X=status, z=filled))
    assert isinstance(order, OrderUpdate)
    assert order.status == wanted


class Account:
    """A router with the account's three streams, and connections to it."""

    def __init__(self) -> None:
        symbols = SymbolTable()
        self.decoder = Decoder(SCHEMA, symbols=symbols)
        self.router = Router(SCHEMA, symbols)
        self.heard: list[Event] = []
        for kind in (EventKind.ORDER_UPDATE, EventKind.FILL, EventKind.BALANCE_UPDATE):
            self.router.add(kind, "", self.heard.append)
        self.at_ns = 1

    def send(self, connection: int, *payloads: bytes) -> None:
        receiver = Receiver(self.decoder, self.router, connection)
        for payload in payloads:
            self.at_ns += 1
            receiver.feed(payload, True, self.at_ns)

    def taken(self) -> list[Any]:
        heard, self.heard[:] = list(self.heard), []
        return [
            event.free
            if isinstance(event, BalanceUpdate)
            else event.trade_id
            if isinstance(event, Fill)
            else event.filled_quantity
            for event in heard
            if isinstance(event, BalanceUpdate | Fill | OrderUpdate)
        ]


def test_every_symbol_comes_in_the_accounts_stream() -> None:
    account = Account()
    account.send(0, wire(s="A"), wire(s="B"), balance(1.0, 1))
    assert len(account.heard) == 3
    assert [stream.delivered for stream in account.router.streams()] == [2, 0, 1]
    account.router.remove(EventKind.ORDER_UPDATE, "")
    account.send(0, wire(s="A"))
    assert len(account.heard) == 3
    assert account.router.unrouted == {("OrderUpdate", "A"): 1}


def test_two_connections_tell_it_once() -> None:
    account = Account()
    first = [trade(n, z=str(n / 2)) for n in range(1, 4)]
    account.send(0, first[0])
    account.send(0, first[1])
    account.send(1, *first[1:])  # it joined after the first
    account.send(0, first[2])
    account.router.leave(0)
    account.send(1, trade(4, z="2"))
    assert account.taken() == [0.5, "1", 1.0, "2", 1.5, "3", 2.0, "4"]


def test_the_end_of_one_connection_loses_nothing_of_the_other() -> None:
    account = Account()
    account.send(0, trade(1, z="0.5"))
    account.send(1, trade(2, z="1"))  # ahead: the old connection has not told of it yet
    account.router.leave(0)
    account.send(1, trade(3, z="1.5"))
    assert account.taken() == [0.5, "1", 1.0, "2", 1.5, "3"]


def test_a_balance_may_come_back_within_a_millisecond() -> None:
    account = Account()
    there_and_back = [balance(free, 9) for free in (10.0, 4.0, 10.0)]
    account.send(0, *there_and_back)
    assert account.taken() == [10.0, 4.0, 10.0]
    account.send(0, balance(9.0, 20))
    account.send(1, balance(9.0, 20))
    there_and_back = [balance(free, 30) for free in (10.0, 4.0, 10.0)]
    for payload in there_and_back:
        account.send(0, payload)
        account.send(1, payload)
    assert account.taken() == [9.0, 10.0, 4.0, 10.0]


def test_the_same_connection_id_goes_on_after_a_loss() -> None:
    account = Account()
    account.send(0, trade(1, z="0.5"))
    account.router.leave(0)
    account.send(0, trade(1, z="0.5"), trade(2, z="1"))
    assert account.taken() == [0.5, "1", 1.0, "2"]
