"""Values that an application hands in: accepted as documented, refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from cexnet import (
    Channel,
    Config,
    ConfigurationError,
    ExchangeConfig,
    OrderRequest,
    OrderType,
    Side,
    Subscription,
    TimeInForce,
    TransportFactory,
    config_from_dict,
)
from cexnet.exchanges import get_exchange


def test_enumerated_fields_take_their_text() -> None:
    order = OrderRequest("BTCUSDT", "buy", "1", type="market", time_in_force="ioc")  # type: ignore[arg-type]
    assert (order.side, order.type, order.time_in_force) == (Side.BUY, OrderType.MARKET, TimeInForce.IOC)
    assert Subscription("trades", "BTCUSDT").channel is Channel.TRADES  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("side", "bid", "buy, sell"),
        ("type", "stop", "limit, market"),
        ("time_in_force", "day", "gtc, ioc, fok"),
    ],
)
def test_a_wrong_order_field_is_named_with_what_is_allowed(field: str, value: str, allowed: str) -> None:
    fields: dict[str, Any] = {"symbol": "BTCUSDT", "side": "buy", "quantity": "1", field: value}
    with pytest.raises(ConfigurationError, match=f"{field} is '{value}': choose one of {allowed}"):
        OrderRequest(**fields)


def test_a_number_of_an_order_that_is_no_text_is_refused() -> None:
    wrong: list[dict[str, Any]] = [
        {"quantity": 0.01},
        {"quantity": "1", "price": 50_000.1},
        {"quantity": None},
    ]
    for fields in wrong:
        name, number = list(fields.items())[-1]
        with pytest.raises(ConfigurationError, match=f"{name} is {number!r}: give it as text"):
            OrderRequest("BTCUSDT", Side.BUY, **fields)


def test_a_wrong_channel_is_named() -> None:
    with pytest.raises(ConfigurationError, match="channel is 'foo': choose one of trades"):
        Subscription("foo", "BTCUSDT")  # type: ignore[arg-type]


def test_a_configured_exchange_that_does_not_exist_is_refused() -> None:
    config = config_from_dict({"exchange": {"binnance": {"rest_url": "http://127.0.0.1:1"}}})
    with pytest.raises(ConfigurationError, match="unknown exchange 'binnance'"):
        TransportFactory(config)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"exchanges": {}}, "exchanges"),
        ({"exchange": {"binance": {"rest": ""}}}, "rest"),
        ({"exchange": {"binance": {"rest_url": 5}}}, r"rest_url"),
        ({"exchange": {"binance": {"credentials": {"api_key": "k"}}}}, "api_secret"),
    ],
)
def test_a_wrong_configuration_names_the_key(tree: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        config_from_dict(tree)


def test_a_plain_dict_where_a_struct_belongs_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="give an ExchangeConfig"):
        Config(exchange={"binance": {"rest_url": "http://127.0.0.1:1"}})  # type: ignore[dict-item]


def test_secrets_do_not_print() -> None:
    config = config_from_dict(
        {"exchange": {"binance": {"credentials": {"api_key": "abcdefgh", "api_secret": "hush-hush"}}}}
    )
    assert "hush" not in repr(config)
    settings = config.of("binance")
    assert isinstance(settings, ExchangeConfig)
    assert settings.credentials is not None
    assert settings.credentials.api_secret.reveal() == b"hush-hush"


def test_a_lower_case_binance_symbol_is_refused_with_the_right_spelling() -> None:
    strategy = get_exchange("binance").websocket_strategies(None).subscription
    with pytest.raises(ConfigurationError, match="upper case: BTCUSDT"):
        strategy.topic(Subscription(Channel.TRADES, "btcusdt"))
