"""What each exchange's intents put on the wire, and what they make of the answers."""

from __future__ import annotations

import json
import re
from types import ModuleType
from typing import Any

import msgspec
import pytest

from cexnet.exchanges import binance_rest, gateio_rest, mexc_rest
from cexnet.http.endpoint import Call, Priority
from cexnet.http.intents import average_price, build_call
from cexnet.http.strategies import RequestStrategy
from cexnet.types import Order, OrderRequest, OrderStatus, OrderType, Side, TimeInForce
from cexnet_core.errors import ConfigurationError
from cexnet_core.secret import Secret

EXCHANGES = [binance_rest, gateio_rest, mexc_rest]


def requests(module: ModuleType) -> RequestStrategy:
    found = module.rest_strategies().request
    assert isinstance(found, RequestStrategy)
    return found


def shown(call: Call[Any]) -> tuple[str, str, dict[str, Any]]:
    given = {name: value for name, value in dict(call.params).items() if value is not None}
    return call.endpoint.method, call.path, given


def order(**fields: Any) -> OrderRequest:
    known = {"symbol": "BTCUSDT", "side": Side.SELL, "quantity": "0.5", "price": "10.00"}
    return OrderRequest(**{**known, "client_order_id": "abc", **fields})


def test_binance_limit_order() -> None:
    call = requests(binance_rest).place_order(order(time_in_force=TimeInForce.IOC))
    assert shown(call) == (
        "POST",
        "/api/v3/order",
        {
            "symbol": "BTCUSDT",
            "side": "SELL",
            "type": "LIMIT",
            "timeInForce": "IOC",
            "quantity": "0.5",
            "price": "10.00",
            "newClientOrderId": "abc",
            "newOrderRespType": "RESULT",
        },
    )
    assert not call.idempotent
    assert (call.priority, call.weight, call.client_order_id) == (Priority.PLACE, 1, "abc")


def test_market_orders_carry_no_price() -> None:
    market = order(type=OrderType.MARKET, price=None)
    _, _, params = shown(requests(binance_rest).place_order(market))
    assert params["type"] == "MARKET"
    assert not {"price", "timeInForce"} & set(params)
    _, _, params = shown(requests(mexc_rest).place_order(market))
    assert params["type"] == "MARKET"
    assert "price" not in params
    body = json.loads(
        requests(gateio_rest)
        .place_order(order(type=OrderType.MARKET, price=None, client_order_id="t-abc"))
        .body
    )
    assert body["time_in_force"] == "ioc"
    assert "price" not in body


@pytest.mark.parametrize(
    "in_force, kind",
    [
        (TimeInForce.GTC, "LIMIT"),
        (TimeInForce.IOC, "IMMEDIATE_OR_CANCEL"),
        (TimeInForce.FOK, "FILL_OR_KILL"),
    ],
)
def test_mexc_says_time_in_force_by_type(in_force: TimeInForce, kind: str) -> None:
    _, _, params = shown(requests(mexc_rest).place_order(order(time_in_force=in_force)))
    assert params["type"] == kind
    assert not {"timeInForce", "newOrderRespType"} & set(params)


def test_gateio_limit_order() -> None:
    asked = order(symbol="BTC_USDT", client_order_id="t-abc", time_in_force=TimeInForce.FOK)
    call = requests(gateio_rest).place_order(asked)
    assert shown(call) == ("POST", "/api/v4/spot/orders", {})
    assert json.loads(call.body) == {
        "text": "t-abc",
        "currency_pair": "BTC_USDT",
        "type": "limit",
        "account": "spot",
        "side": "sell",
        "amount": "0.5",
        "time_in_force": "fok",
        "price": "10.00",
    }
    assert call.scope_key == "BTC_USDT"


def test_gateio_refuses_a_market_buy_that_would_mean_another_amount() -> None:
    asked = order(side=Side.BUY, type=OrderType.MARKET, price=None, client_order_id="t-a")
    with pytest.raises(ConfigurationError, match="quote currency"):
        requests(gateio_rest).place_order(asked)


@pytest.mark.parametrize("module", [binance_rest, mexc_rest])
def test_by_id(module: ModuleType) -> None:
    strategy = requests(module)
    by_theirs = {"symbol": "S", "orderId": "7"}
    assert shown(strategy.cancel_order("S", "7", "")) == ("DELETE", "/api/v3/order", by_theirs)
    by_ours = {"symbol": "S", "origClientOrderId": "a"}
    assert shown(strategy.query_order("S", "", "a")) == ("GET", "/api/v3/order", by_ours)


@pytest.mark.parametrize("order_id", [".", ".."])
def test_an_id_that_a_server_would_resolve_to_another_path_is_refused(order_id: str) -> None:
    """DELETE /spot/orders/. is DELETE /spot/orders: cancel them all."""
    with pytest.raises(ConfigurationError, match="part of a path"):
        requests(gateio_rest).cancel_order("BTC_USDT", order_id, "")


def test_gateio_by_id_in_the_path() -> None:
    call = requests(gateio_rest).cancel_order("BTC_USDT", "", "t-a.b")
    assert shown(call) == (
        "DELETE",
        "/api/v4/spot/orders/t-a.b",
        {"currency_pair": "BTC_USDT"},
    )
    call = requests(gateio_rest).query_order("BTC_USDT", "12/../3?x", "")
    assert call.path == "/api/v4/spot/orders/12%2F..%2F3%3Fx"


@pytest.mark.parametrize("module", EXCHANGES)
def test_cancels_and_orders_are_never_idempotent_and_cancels_go_first(module: ModuleType) -> None:
    for endpoint in module.ENDPOINTS:
        if endpoint.method == "GET":
            assert endpoint.idempotent
        elif not endpoint.path.endswith(("/test", "/userDataStream")):
            assert not endpoint.idempotent
            lane = Priority.CANCEL if endpoint.method == "DELETE" else Priority.PLACE
            assert endpoint.priority == lane


@pytest.mark.parametrize("module", EXCHANGES)
def test_every_scope_of_the_table_is_metered(module: ModuleType) -> None:
    known = {scope.name for scope in module.LIMITS}
    for endpoint in module.ENDPOINTS:
        assert endpoint.scopes
        assert set(endpoint.scopes) <= known


@pytest.mark.parametrize(
    "module, pattern",
    [
        (binance_rest, r"[a-zA-Z0-9\-_]{1,36}"),
        (mexc_rest, r"[0-9A-Za-z_\-]{1,32}"),
        (gateio_rest, r"t-[0-9A-Za-z_.\-]{1,28}"),
    ],
)
def test_minted_ids_obey_the_rule_and_differ(module: ModuleType, pattern: str) -> None:
    strategy = requests(module)
    ids = {strategy.place_order(order(client_order_id="")).client_order_id for _ in range(200)}
    assert len(ids) == 200
    assert all(re.fullmatch(pattern, one) for one in ids)


@pytest.mark.parametrize("module", EXCHANGES)
@pytest.mark.parametrize("given", ["ä", "a b", "x" * 37, "a\n"])
def test_ids_against_the_rule_are_refused(module: ModuleType, given: str) -> None:
    with pytest.raises(ConfigurationError, match="client order id"):
        requests(module).place_order(order(client_order_id=given))
    with pytest.raises(ConfigurationError, match="client order id"):
        requests(module).query_order("S", "", given)


@pytest.mark.parametrize("module", EXCHANGES)
@pytest.mark.parametrize("kind, price", [(OrderType.LIMIT, None), (OrderType.MARKET, "1")])
def test_price_and_type_must_agree(module: ModuleType, kind: OrderType, price: str | None) -> None:
    with pytest.raises(ConfigurationError, match="price"):
        requests(module).place_order(order(type=kind, price=price, client_order_id=""))


@pytest.mark.parametrize("limit, weight", [(1, 5), (100, 5), (101, 25), (1000, 50), (5000, 250)])
def test_binance_weighs_a_book_by_its_depth(limit: int, weight: int) -> None:
    assert requests(binance_rest).depth("S", limit).weight == weight


def test_snapshots() -> None:
    text = {"bids": [["1.10", "2"]], "asks": [["1.2", "3"]]}
    book = requests(binance_rest).depth("S", 5).parse(json.dumps({"lastUpdateId": 9, **text}).encode())
    assert (book.sequence, book.bids, book.asks) == (9, (("1.10", "2"),), (("1.2", "3"),))
    assert book.exchange_ts_ns == -1
    call = requests(gateio_rest).depth("BTC_USDT", 100)
    assert shown(call)[2] == {"currency_pair": "BTC_USDT", "limit": 100, "with_id": True}
    book = call.parse(json.dumps({"id": 4, "current": 17, "update": 16, **text}).encode())
    assert (book.sequence, book.exchange_ts_ns, book.symbol) == (4, 17_000_000, "BTC_USDT")


def gate(**fields: Any) -> Order:
    known = {
        "id": "5",
        "text": "t-a",
        "currency_pair": "BTC_USDT",
        "status": "open",
        "side": "buy",
        "amount": "2",
        "left": "2",
        "price": "9",
    }
    call = requests(gateio_rest).query_order("BTC_USDT", "5", "")
    return call.parse(json.dumps({**known, **fields}).encode())


@pytest.mark.parametrize(
    "fields, status, filled",
    [
        ({}, OrderStatus.NEW, "0"),
        ({"left": "0.5"}, OrderStatus.PARTIALLY_FILLED, "1.5"),
        ({"left": "1.9999999"}, OrderStatus.PARTIALLY_FILLED, "0.0000001"),
        ({"left": "0.5", "filled_amount": "1.50"}, OrderStatus.PARTIALLY_FILLED, "1.50"),
        (
            {"status": "closed", "left": "0", "finish_as": "filled"},
            OrderStatus.FILLED,
            "2",
        ),
        ({"status": "closed", "finish_as": "ioc"}, OrderStatus.EXPIRED, "0"),
        (
            {"status": "cancelled", "finish_as": "cancelled"},
            OrderStatus.CANCELED,
            "0",
        ),
    ],
)
def test_gateio_order_states(fields: dict[str, str], status: OrderStatus, filled: str) -> None:
    found = gate(**fields)
    assert (found.status, found.filled_quantity) == (status, filled)


def test_unreadable_orders_raise_what_the_line_classifies() -> None:
    for fields in ({"status": "odd"}, {"side": "hold"}, {"left": "x"}, {"id": 5}):
        with pytest.raises((msgspec.MsgspecError, ValueError)):
            gate(**fields)


def test_a_cancel_answer_names_the_order_not_the_cancel() -> None:
    answer = {
        "symbol": "S",
        "orderId": 1,
        "origClientOrderId": "mine",
        "clientOrderId": "of-the-cancel",
        "status": "CANCELED",
        "side": "BUY",
        "origQty": "1",
        "executedQty": "0.25",
        "price": "2",
    }
    found = requests(binance_rest).cancel_order("S", "1", "").parse(json.dumps(answer).encode())
    assert (found.client_order_id, found.filled_quantity) == ("mine", "0.25")
    assert found.status is OrderStatus.CANCELED


def test_mexc_answers_an_order_with_little_more_than_its_id() -> None:
    call = requests(mexc_rest).place_order(order())
    found = call.parse(b'{"symbol":"BTCUSDT","orderId":"C02__1","orderListId":-1}')
    assert found == Order("BTCUSDT", "C02__1", "abc", OrderStatus.NEW, Side.SELL, "10.00", "0.5", "0")


@pytest.mark.parametrize(
    "cost, quantity, expected",
    [
        ("25000.05", "0.5", "50000.1"),
        ("100", "3", "33.33333333333333"),
        ("0.00000003", "1000", "0.00000000003"),
        ("3000", "1", "3000"),
        ("0", "1", None),
        ("1", "0", None),
        ("-1", "1", None),
        ("", "1", None),
        ("nan", "1", None),
    ],
)
def test_an_average_price_is_cost_over_quantity(cost: str, quantity: str, expected: str | None) -> None:
    assert average_price(cost, quantity) == expected


def test_an_average_price_of_no_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a number"):
        average_price("much", "1")


@pytest.mark.parametrize("module", [binance_rest, mexc_rest])
def test_binance_and_mexc_give_what_was_paid(module: ModuleType) -> None:
    answer = {
        "symbol": "S",
        "orderId": 1,
        "clientOrderId": "abc",
        "status": "PARTIALLY_FILLED",
        "side": "BUY",
        "origQty": "2",
        "executedQty": "0.5",
        "cummulativeQuoteQty": "10.25",
        "price": "21",
    }
    parse = requests(module).query_order("S", "1", "").parse
    assert parse(json.dumps(answer).encode()).average_price == "20.5"
    answer |= {"executedQty": "0", "cummulativeQuoteQty": "0", "status": "NEW"}
    assert parse(json.dumps(answer).encode()).average_price is None
    del answer["cummulativeQuoteQty"]
    assert parse(json.dumps(answer).encode()).average_price is None


def test_gateio_gives_the_average_itself() -> None:
    answer = {
        "id": "1",
        "text": "t-abc",
        "currency_pair": "S",
        "status": "open",
        "side": "buy",
        "amount": "2",
        "left": "1.5",
        "price": "21",
        "avg_deal_price": "20.5",
    }
    parse = requests(gateio_rest).query_order("S", "1", "").parse
    assert parse(json.dumps(answer).encode()).average_price == "20.5"
    assert parse(json.dumps(answer | {"left": "2", "avg_deal_price": "0"}).encode()).average_price is None
    del answer["avg_deal_price"]
    assert parse(json.dumps(answer).encode()).average_price is None


@pytest.mark.parametrize("body", [object(), {1, object()}, {"a": b"x", "b": object()}])
def test_a_body_that_is_no_json_is_refused_before_sending(body: object) -> None:
    with pytest.raises(ConfigurationError, match="the body cannot be written as JSON"):
        build_call(requests(binance_rest), "POST", "/x", bytes, body=body)


def test_a_secret_in_a_body_goes_on_the_wire() -> None:
    call = build_call(requests(binance_rest), "POST", "/x", bytes, body={"k": Secret("v")})
    assert call.body == b'{"k":"v"}'
    assert "v" not in repr(call)
