"""Orders, fills and balances of an account arrive as typed events, every field as it is."""

from __future__ import annotations

import asyncio
import math
import time
from decimal import Decimal

import pytest

from cexnet.types import Channel, OrderStatus, Subscription
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import BalanceUpdate, Fill, OrderUpdate
from tests.websocket.account import ACCOUNT, EXCHANGES, Desk, desk

# What the wires do not carry: NaN.
AVERAGE_PRICE = {"gateio", "mexc"}
TOTAL = {"gateio"}
FUNDS = 10_000_000.0  # the simulator's endowment of the quote asset
TAKER_BUY = {"price": "65000", "quantity": "0.3"}


def is_recent(time_ns: int) -> bool:
    return abs(time.time_ns() - time_ns) < 60 * 10**9


@pytest.mark.parametrize("name", EXCHANGES)
async def test_an_order_that_rests_and_is_canceled(name: str) -> None:
    async with desk(name) as account:
        await account.listen()
        order_id = await account.place("rests")
        await account.hear("rests")
        await account.cancel("rests")
        await account.hear("rests", "canceled")
        await account.log.until(lambda: len(account.balances) == 2)
        assert account.states() == [("t-rests", "new"), ("t-rests", "canceled")]
        for order in account.orders:
            assert (order.symbol, order.order_id, order.side) == (account.symbol, order_id, "buy")
            assert (order.price, order.quantity, order.filled_quantity) == (60000.0, 0.01, 0.0)
            assert order.average_price == 0.0 if name in AVERAGE_PRICE else math.isnan(order.average_price)
            assert is_recent(order.exchange_ts_ns)
            assert is_recent(order.receive_ts_ns)
        locked, freed = account.balances
        assert (locked.asset, locked.free, locked.locked) == ("USDT", FUNDS - 600, 600.0)
        assert (freed.asset, freed.free, freed.locked) == ("USDT", FUNDS, 0.0)
        assert locked.total == FUNDS if name in TOTAL else math.isnan(locked.total)
        assert is_recent(locked.exchange_ts_ns)
        assert account.fills == []
        assert [type(event) for event in account.log.events] == [OrderUpdate, BalanceUpdate] * 2
        metrics = account.stream.metrics()
        assert (metrics.unrouted, metrics.unknown_channels, metrics.decode["errors"]) == ({}, {}, 0)


@pytest.mark.parametrize("name", EXCHANGES)
async def test_an_order_that_is_filled_piece_by_piece(name: str) -> None:
    async with desk(name) as account:
        await account.listen()
        order_id = await account.place("takes", **TAKER_BUY)
        await account.hear("takes", "filled")
        held = await account.rest.query_order(account.symbol, order_id=order_id)
        fills = account.fills if name == "binance" else await _all_fills(account)
        assert held.status is OrderStatus.FILLED
        statuses = [order.status for order in account.orders]
        assert statuses == ["new", *["partially_filled"] * (len(fills) - 1), "filled"]
        assert len(fills) > 1
        assert len({fill.trade_id for fill in fills}) == len(fills)
        total = Decimal(0)
        for fill, order in zip(fills, account.orders[1:], strict=True):
            total += Decimal(str(fill.size))
            assert float(total) == order.filled_quantity
            assert (fill.symbol, fill.order_id, fill.client_order_id) == (account.symbol, order_id, "t-takes")
            assert (fill.side, fill.is_maker, fill.fee_currency) == ("buy", False, "BTC")
            assert fill.fee == pytest.approx(fill.size * 0.001)
            assert 63_000 < fill.price <= 65_000
            assert is_recent(fill.exchange_ts_ns)
        assert float(total) == 0.3
        if name in AVERAGE_PRICE:
            paid = sum(fill.price * fill.size for fill in fills)
            assert account.orders[-1].average_price == pytest.approx(paid / 0.3)


async def _all_fills(account: Desk) -> list[Fill]:
    """Gate.io and MEXC tell of a fill after the order's new state, in a message of its own."""
    await account.log.until(lambda: len(account.fills) == len(account.orders) - 1)
    return account.fills


@pytest.mark.parametrize("name", EXCHANGES)
async def test_a_resting_order_that_others_fill_is_the_makers(name: str) -> None:
    async with desk(name, rate_per_s=2000) as account:
        await account.listen()
        prices: dict[str, float] = {}
        while not any(fill.is_maker for fill in account.fills):
            # The market moves meanwhile: to one it comes down before it can rest, from another it goes away.
            book = await account.rest.depth(account.symbol, 5)
            own = f"makes{len(prices)}"
            prices[f"t-{own}"] = float(book.bids[0][0])
            await account.place(own, price=book.bids[0][0], quantity="0.001")
        for fill in account.fills:
            asked = prices[fill.client_order_id]
            assert fill.side == "buy"
            assert fill.price == asked if fill.is_maker else fill.price <= asked


@pytest.mark.parametrize(
    "name, status", [("binance", "expired"), ("gateio", "expired"), ("mexc", "canceled")]
)
async def test_what_is_left_of_an_order_that_may_not_rest_ends(name: str, status: str) -> None:
    async with desk(name) as account:
        await account.listen()
        await account.place("hasty", price="65000", quantity="90", time_in_force="ioc")
        await account.hear("hasty", status)
        ended = account.orders[-1]
        assert 0 < ended.filled_quantity < ended.quantity == 90.0
        assert ended.filled_quantity == account.orders[-2].filled_quantity


@pytest.mark.parametrize("name", EXCHANGES)
async def test_money_from_outside_is_a_new_balance(name: str) -> None:
    async with desk(name) as account:
        await account.listen()
        account.sim.deposit("USDT", "2.5")
        await account.log.until(lambda: bool(account.balances))
        (balance,) = account.balances
        assert (balance.symbol, balance.asset, balance.free, balance.locked) == ("", "USDT", FUNDS + 2.5, 0.0)


@pytest.mark.parametrize("name", EXCHANGES)
async def test_channels_come_and_go_one_by_one(name: str) -> None:
    orders, fills, balances = ACCOUNT
    async with desk(name) as account:
        await account.stream.initialize([balances], account.log.on_event)
        await account.place("one")
        await account.log.until(lambda: len(account.balances) == 1)
        assert account.orders == []
        await account.stream.subscribe([orders, fills], account.log.on_event)
        await account.stream.unsubscribe([balances])
        await account.place("two", price="65000")
        await account.log.until(lambda: bool(account.fills))
        assert account.states()[0] == ("t-two", "new")
        assert len(account.balances) == 1
        assert account.sim.stats.connections == 1


@pytest.mark.parametrize("name", EXCHANGES)
async def test_rolls_under_load_lose_and_double_nothing(name: str) -> None:
    rounds, orders = 5, 6
    async with desk(name) as account:
        await account.listen()
        for batch in range(rounds):
            names = [f"{batch}-{number}" for number in range(orders)]
            await asyncio.gather(account.stream.roll(), *(account.place(each) for each in names))
        wanted = rounds * orders
        await account.place("last")
        await account.hear("last")
        await account.log.until(lambda: len(account.balances) >= wanted + 1)
        told = [client_order_id for client_order_id, _ in account.states()]
        assert sorted(told) == sorted({*told, *(f"t-{b}-{n}" for b in range(rounds) for n in range(orders))})
        assert [balance.locked for balance in account.balances] == [
            600.0 * count for count in range(1, wanted + 2)
        ]
        assert account.stream.metrics().rolls == rounds


async def test_what_is_asked_on_the_wrong_side_says_where_to_ask() -> None:
    async with desk("binance") as account:
        with pytest.raises(ConfigurationError, match='scope="public"'):
            await account.stream.initialize([Subscription(Channel.TRADES, "BTCUSDT")], print)
    with pytest.raises(ConfigurationError, match="whole account"):
        Subscription(Channel.ORDERS, "BTCUSDT")
    with pytest.raises(ConfigurationError, match="need a symbol"):
        Subscription(Channel.TRADES)
