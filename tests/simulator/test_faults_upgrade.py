"""Faults where a client asks to be let in."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.exceptions import InvalidStatus

from cexnet.simulator import Fault, Simulator
from tests.simulator.peers import PATIENCE_S, ask, dial, receive
from tests.simulator.raw import frame, head, knock, pieces, raw_client, rest, split

TICKERS = "/stream?streams=btcusdt@bookTicker"


async def test_refuse_lets_nobody_connect_until_it_is_lifted() -> None:
    async with Simulator("binance", rate_per_s=500) as sim, dial(sim.ws_url + TICKERS) as before:
        port = sim.ws_url
        sim.inject("refuse")
        with pytest.raises(ConnectionRefusedError):
            await knock(sim)
        await receive(before)  # who is there stays
        await sim.lift("refuse")
        assert sim.ws_url == port
        async with dial(sim.ws_url + TICKERS) as after:
            await receive(after)
        assert sim.stats.faults == {"refuse": 1}


async def test_refuse_strikes_instead_of_the_nth_connection_and_heals_by_itself() -> None:
    async with Simulator("binance", faults=["refuse:connection=2,for=0.2"]) as sim:
        async with dial(sim.ws_url + TICKERS) as first:
            await receive(first)
        assert sim.stats.faults == {"refuse": 1}
        refused = 0
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    async with dial(sim.ws_url + TICKERS) as second:
                        await receive(second)
                        break
                except ConnectionRefusedError:
                    refused += 1
        assert refused


async def test_no_answer_keeps_tcp_open_and_says_nothing() -> None:
    async with (
        Simulator("binance", faults=["no-answer"]) as sim,
        raw_client(sim, TICKERS) as (mute, _),
        raw_client(sim, TICKERS) as (second, _),
    ):
        assert "101" in await head(second)
        await frame(second)  # the next one is served while the first waits
        assert not mute.at_eof()
        assert sim.stats.faults == {"no-answer": 1}
        assert sim.stats.connections == 1
        await sim.close()
        assert await rest(mute) == b""


@pytest.mark.parametrize("size", [0, 20])
async def test_hang_up_closes_tcp_during_the_handshake(size: int) -> None:
    async with Simulator("binance", faults=[Fault("hang-up", size=size)]) as sim:
        async with raw_client(sim, TICKERS) as (reader, _):
            assert await rest(reader) == b"HTTP/1.1 101 Switching Protocols"[:size]
        async with dial(sim.ws_url + TICKERS) as second:
            await receive(second)
        assert sim.stats.faults == {"hang-up": 1}


@pytest.mark.parametrize("status", [401, 403, 429, 418, 503])
async def test_status_answers_the_upgrade_with_an_error(status: int) -> None:
    fault = Fault("status", status=status, retry_after_s=7, times=2)
    async with Simulator("binance", faults=[fault]) as sim:
        for _ in range(2):
            with pytest.raises(InvalidStatus) as refused:
                async with dial(sim.ws_url + TICKERS):
                    pass
            assert refused.value.response.status_code == status
            assert refused.value.response.headers["Retry-After"] == "7"
        async with dial(sim.ws_url + TICKERS) as third:
            await receive(third)
        assert sim.stats.faults == {"status": 2}


async def test_upgrade_faults_count_connections() -> None:
    async with Simulator("binance", faults=["status:connection=2", "hang-up:after=2"]) as sim:
        async with dial(sim.ws_url + TICKERS):
            pass
        with pytest.raises(InvalidStatus):
            async with dial(sim.ws_url + TICKERS):
                pass
        async with dial(sim.ws_url + TICKERS):
            pass  # a struck upgrade is not one that hang-up let through
        async with raw_client(sim, TICKERS) as (reader, _):
            assert await rest(reader) == b""


@pytest.mark.parametrize("stream", ["btcusdt@bookTicker", "btcusdt@depth@100ms"])
async def test_early_data_comes_in_the_segment_of_the_101(stream: str) -> None:
    async with Simulator("binance", faults=["early-data"]) as sim:
        async with pieces(sim, "/stream?streams=" + stream) as reads:
            answer, _, frames = (await anext(reads)).partition(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 101")
        (_, message), *_ = split(frames)
        assert json.loads(message)["stream"] == stream
        assert sim.stats.faults == {"early-data": 1}


async def test_after_early_data_the_stream_goes_on_without_a_gap() -> None:
    async with (
        Simulator("binance", faults=["early-data"]) as sim,
        dial(sim.ws_url + "/ws/btcusdt@depth@100ms") as client,
    ):
        last = json.loads(await receive(client))["u"]
        for _ in range(3):
            update = json.loads(await receive(client))
            assert update["U"] == last + 1
            last = update["u"]


async def test_early_data_is_a_greeting_where_the_url_names_no_stream() -> None:
    async with Simulator("gateio", faults=["early-data"]) as sim, pieces(sim, "/ws/v4/") as reads:
        assert (await anext(reads)).endswith(b"\r\n\r\n\x81\x02{}")


async def test_ban_after_too_many_subscriptions() -> None:
    async with Simulator("binance", faults=["ban:limit=3,window=60"]) as sim:
        async with dial(sim.ws_url + "/ws") as client:
            for number in range(3):
                request = {"method": "SUBSCRIBE", "params": [], "id": number}
                assert await ask(client, request) == {"result": None, "id": number}
            await client.send('{"method":"SUBSCRIBE","params":[],"id":3}')
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == (1008, "Too many requests")
        for _ in range(2):
            with pytest.raises(InvalidStatus) as refused:
                async with dial(sim.ws_url + "/ws"):
                    pass
            assert refused.value.response.status_code == 418
        await sim.lift("ban")
        async with dial(sim.ws_url + TICKERS) as free:
            await receive(free)
        assert sim.stats.faults == {"ban": 1}


async def test_a_ban_says_how_long_it_lasts() -> None:
    async with Simulator("binance", faults=["ban:limit=1,window=60,for=50"]) as sim:
        async with dial(sim.ws_url + "/ws") as client:
            await client.send('{"method":"SUBSCRIBE","params":[],"id":1}')
            await client.send('{"method":"SUBSCRIBE","params":[],"id":2}')
            await client.wait_closed()
        with pytest.raises(InvalidStatus) as refused:
            async with dial(sim.ws_url + "/ws"):
                pass
        assert 0 < int(refused.value.response.headers["Retry-After"]) <= 50
