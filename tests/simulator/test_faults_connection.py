"""Faults of a whole connection: deaf, frozen, closed, expired."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from cexnet.simulator import Fault, Simulator, housekeeping
from tests.simulator.peers import PATIENCE_S, ask, dial, receive, until
from tests.simulator.raw import CLOSE, frame, head, raw_client, rest

TICKERS = "/ws/btcusdt@bookTicker"
BOTH = "/stream?streams=btcusdt@bookTicker/ethusdt@bookTicker"


async def pass_by(witness: ClientConnection, count: int = 20) -> None:
    """Let the market say ``count`` things, as a client without faults sees it."""
    for _ in range(count):
        await receive(witness)


async def test_half_open_neither_reads_nor_writes_but_keeps_tcp_open() -> None:
    async with (
        Simulator("binance", faults=["half-open:after=3,connection=1"]) as sim,
        dial(sim.ws_url + TICKERS) as client,
        dial(sim.ws_url + TICKERS) as witness,
    ):
        for _ in range(3):
            await receive(client)
        await pass_by(witness)
        pong = await client.ping()
        await client.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        await pass_by(witness)
        assert sim.stats.withheld["ticker"] >= 20
        assert not pong.done()
        assert client.close_code is None
        await sim.lift("half-open")  # what was sent meanwhile is read now
        async with asyncio.timeout(PATIENCE_S):
            await pong
        assert (await until(client, lambda message: "result" in message))["id"] == 1
        assert sim.stats.faults == {"half-open": 1}


async def test_half_open_can_last_a_while() -> None:
    async with (
        Simulator("binance", faults=["half-open:after=2,for=0.1"]) as sim,
        dial(sim.ws_url + TICKERS) as client,
    ):
        last = [json.loads(await receive(client))["u"] for _ in range(2)][-1]
        assert json.loads(await receive(client))["u"] > last
        assert sim.stats.withheld["ticker"]


async def test_a_client_that_leaves_a_half_open_connection_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(housekeeping, "_ROUND_S", 0.01)
    async with Simulator("binance", faults=["half-open"]) as sim:
        async with raw_client(sim, TICKERS) as (reader, _):
            await head(reader)
            (connection,) = sim.connections
        async with asyncio.timeout(PATIENCE_S):
            await connection.ended.wait()
        assert not sim.connections


async def test_freeze_holds_back_data_but_answers_pings_and_requests() -> None:
    async with (
        Simulator("binance", faults=["freeze:after=3,connection=1"]) as sim,
        dial(sim.ws_url + TICKERS) as client,
        dial(sim.ws_url + TICKERS) as witness,
    ):
        for _ in range(3):
            await receive(client)
        await pass_by(witness, 30)
        assert sim.stats.withheld["ticker"] >= 20
        async with asyncio.timeout(PATIENCE_S):
            await (await client.ping())
        listed = await ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 1})
        assert listed == {"result": ["btcusdt@bookTicker"], "id": 1}
        await sim.lift("freeze")
        assert json.loads(await receive(client))["s"] == "BTCUSDT"


async def test_a_frozen_topic_thaws_when_it_is_subscribed_to_again() -> None:
    async with (
        Simulator("binance", faults=["freeze:after=2,topic=ethusdt"]) as sim,
        dial(sim.ws_url + BOTH) as client,
    ):

        def is_eth(message: Any) -> bool:
            return bool(message.get("stream", "").startswith("ethusdt"))

        for _ in range(2):
            await until(client, is_eth)
        for _ in range(50):  # its peer talks on
            assert not is_eth(json.loads(await receive(client)))
        assert sim.stats.withheld["ticker"]
        request = {"method": "SUBSCRIBE", "params": ["ethusdt@bookTicker"], "id": 1}
        await client.send(json.dumps(request))
        await until(client, is_eth)
        assert sim.stats.faults == {"freeze": 1}


@pytest.mark.parametrize("code", [1001, 1008, 1012])
async def test_close_has_a_code_and_a_reason(code: int) -> None:
    fault = Fault("close", after_messages=2, code=code, reason="so it is")
    async with Simulator("binance", faults=[fault]) as sim, dial(sim.ws_url + TICKERS) as client:
        for _ in range(2):
            await receive(client)
        with pytest.raises(ConnectionClosed) as closed:
            await receive(client)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "so it is")
        assert sim.stats.faults == {"close": 1}


async def test_close_1005_has_no_code_and_1006_no_close_frame() -> None:
    faults = ["close:code=1005,connection=1", "close:code=1006,connection=2,after=1"]
    async with Simulator("binance", faults=faults) as sim:
        async with raw_client(sim, TICKERS) as (reader, _):
            await head(reader)
            assert await rest(reader) == bytes((CLOSE, 0))
        async with raw_client(sim, TICKERS) as (reader, _):
            await head(reader)
            await frame(reader)
            assert await rest(reader) == b""


async def test_close_strikes_by_time_even_when_nothing_is_sent() -> None:
    async with (
        Simulator("binance", rate_per_s=0, faults=["close:after=0.05s"]) as sim,
        dial(sim.ws_url + TICKERS) as client,
    ):
        with pytest.raises(ConnectionClosed):
            await receive(client)
        assert sim.stats.faults == {"close": 1}


@pytest.mark.parametrize(
    "exchange, path, notice",
    [
        ("binance", "/ws", {"e": "serverShutdown"}),
        ("gateio", "/ws/v4/", {"type": "upgrade"}),
        ("okx", "/ws/v5/public", {"event": "notice", "code": "64008"}),
        ("mexc", "/ws", {}),
    ],
)
async def test_the_end_of_a_lifetime_comes_as_the_exchange_announces_it(
    exchange: str, path: str, notice: dict[str, str]
) -> None:
    fault = Fault("lifetime", after_s=0.05, announced=True, delay_s=0.05)
    async with (
        Simulator(exchange, rate_per_s=0, faults=[fault]) as sim,
        dial(sim.ws_url + path) as client,
    ):
        if notice:
            message = json.loads(await receive(client))
            assert notice.items() <= message.items()
        with pytest.raises(ConnectionClosed) as closed:
            await receive(client)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert sim.stats.faults == {"lifetime": 1}


async def test_the_end_of_a_lifetime_can_come_unannounced() -> None:
    async with (
        Simulator("binance", rate_per_s=0, faults=["lifetime:after=0.05s,times=always"]) as sim,
        dial(sim.ws_url + TICKERS) as client,
        dial(sim.ws_url + TICKERS) as other,
    ):
        for each in (client, other):
            with pytest.raises(ConnectionClosed):
                await receive(each)
        assert sim.stats.faults == {"lifetime": 2}


async def test_a_lifted_fault_strikes_no_more() -> None:
    async with (
        Simulator("binance", rate_per_s=0) as sim,
        dial(sim.ws_url + TICKERS) as client,
    ):
        sim.inject("close:after=0.05s,code=1001")
        await sim.lift("close")
        sim.inject("close:after=0.1s,code=1012")
        with pytest.raises(ConnectionClosed) as closed:
            await receive(client)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert sim.stats.faults == {"close": 1}


async def test_injected_faults_strike_connections_that_are_there() -> None:
    async with Simulator("binance") as sim, dial(sim.ws_url + TICKERS) as client:
        await receive(client)
        sim.inject(Fault("close", code=1012))
        with pytest.raises(ConnectionClosed) as closed:
            await until(client, lambda _: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        async with dial(sim.ws_url + TICKERS) as second:
            sim.inject("reset")
            with pytest.raises(ConnectionClosed):
                await until(second, lambda _: False)
        assert sim.stats.faults == {"close": 1, "reset": 1}
