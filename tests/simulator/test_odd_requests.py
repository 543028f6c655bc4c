"""Requests that no client of an exchange sends are refused by every persona, and crash none."""

from __future__ import annotations

import pytest

from cexnet.simulator import Simulator
from tests.simulator.rest_client import Wire, order, send

BOOKS = {
    "binance": "/api/v3/depth?symbol=BTCUSDT&limit=",
    "mexc": "/api/v3/depth?symbol=BTCUSDT&limit=",
    "gateio": "/api/v4/spot/order_book?currency_pair=BTC_USDT&limit=",
}
KEYS = {"binance": "X-MBX-APIKEY", "mexc": "X-MEXC-APIKEY", "gateio": "KEY"}


@pytest.mark.parametrize("exchange", BOOKS)
@pytest.mark.parametrize("limit", ["%C2%B2", "abc", "-5", "1.5", "%FF", "9" * 5000])
async def test_a_depth_limit_that_is_no_number(exchange: str, limit: str) -> None:
    async with Simulator(exchange, rate_per_s=0) as sim:
        said = await send(sim, Wire("GET", BOOKS[exchange] + limit, {}, ""))
        assert said.status == 400
        assert said.json


@pytest.mark.parametrize("exchange", KEYS)
async def test_a_key_outside_of_ascii(exchange: str) -> None:
    async with Simulator(exchange, rate_per_s=0) as sim:
        wire = order(sim, "t-1")
        said = await send(sim, wire._replace(headers={**wire.headers, KEYS[exchange]: "k\u00e9y"}))
        assert said.status in (400, 401)
        assert sim.stats.orders == 0


@pytest.mark.parametrize("exchange", KEYS)
@pytest.mark.parametrize("stamp", ["nan", "\u00b2", "inf", "9" * 30])
async def test_a_timestamp_that_is_none(exchange: str, stamp: str) -> None:
    async with Simulator(exchange, rate_per_s=0) as sim:
        wire = order(sim, "t-1")
        if exchange == "gateio":
            wire = wire._replace(headers={**wire.headers, "Timestamp": stamp})
        else:
            head, _, signature = wire.target.partition("&signature=")
            wire = wire._replace(
                target=f"{head.partition('&timestamp=')[0]}&timestamp={stamp}&signature={signature}"
            )
        said = await send(sim, wire)
        assert said.status in (400, 401, 403)
        assert sim.stats.orders == 0


@pytest.mark.parametrize("exchange", ["binance", "mexc"])
async def test_a_parameter_whose_name_ends_like_signature_is_signed(exchange: str) -> None:
    async with Simulator(exchange, rate_per_s=0) as sim:
        wire = order(sim, "t-1")
        said = await send(sim, wire._replace(target=f"{wire.target}&xsignature=1"))
        assert said.status == 400
        assert sim.stats.signature_failures == 1
