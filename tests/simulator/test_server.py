"""The server itself: ports, pace, backpressure, an orderly end."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.exceptions import ConnectionClosed

from cexnet.simulator import Simulator, connection
from cexnet.simulator.personas.binance import BinancePersona
from cexnet.simulator.personas.mexc import MexcPersona
from cexnet_core.errors import ConfigurationError
from tests.simulator.peers import PATIENCE_S, ask, call, dial, receive, until


@asynccontextmanager
async def mute(sim: Simulator, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """A client that upgrades and then neither answers nor, unless told to, reads."""
    host, _, port = sim.ws_url.removeprefix("ws://").partition(":")
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=raw, limit=4096)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    async with asyncio.timeout(PATIENCE_S):
        await reader.readuntil(b"\r\n\r\n")
    yield reader
    writer.close()


def test_wrong_configuration_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="binance, binance_usdm, gateio, mexc, okx"):
        Simulator("nosuch")
    with pytest.raises(ConfigurationError, match="FOO"):
        Simulator("binance", ["FOO"])
    with pytest.raises(ConfigurationError, match="rate_per_s"):
        Simulator("binance", rate_per_s=-1)


async def test_a_port_in_use_is_refused() -> None:
    async with Simulator("binance", rate_per_s=0) as sim:
        port = int(sim.ws_url.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match=str(port)):
            async with Simulator("binance", port=port):
                pass
        with pytest.raises(ConfigurationError, match=str(port)):
            async with Simulator("binance", rest_port=port):
                pass


async def test_nothing_is_left_after_close() -> None:
    async with Simulator("gateio", rate_per_s=None) as sim, dial(sim.ws_url + "/ws/v4/") as client:
        ports = [int(url.rpartition(":")[2]) for url in (sim.ws_url, sim.rest_url)]
        request = {"time": int(time.time()), "channel": "spot.book_ticker", "event": "subscribe"}
        await ask(client, {**request, "payload": ["BTC_USDT"]})
        await receive(client)
        await sim.close()
        with pytest.raises(ConnectionClosed) as closed:
            await until(client, lambda _: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
    await sim.close()  # again is harmless
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("simulator-")]
    for port in ports:
        with sockets.socket() as probe:
            probe.bind(("127.0.0.1", port))


async def test_the_same_seed_gives_the_same_market() -> None:
    async def prices(seed: int) -> list[str]:
        async with Simulator("binance", seed=seed) as sim, dial(sim.ws_url + "/ws/btcusdt@trade") as client:
            messages = [json.loads(await receive(client)) for _ in range(30)]
            return [message["p"] + message["q"] for message in messages]

    assert await prices(5) == await prices(5)
    assert await prices(5) != await prices(6)


async def test_flat_out_waits_for_its_reader_and_loses_nothing() -> None:
    async with (
        Simulator("binance", rate_per_s=None) as sim,
        dial(sim.ws_url + "/ws/btcusdt@depth@100ms") as client,
    ):
        last = json.loads(await receive(client))["u"]
        for _ in range(200):
            diff = json.loads(await receive(client))
            assert diff["U"] == last + 1
            last = diff["u"]
        assert sim.stats.slow_closed == 0


async def test_sizes_of_a_candle_add_up() -> None:
    async with (
        Simulator("binance", rate_per_s=1000) as sim,
        dial(sim.ws_url + "/stream?streams=btcusdt@kline_1s/btcusdt@trade") as client,
    ):
        await until(client, lambda m: m["stream"].endswith("kline_1s") and m["data"]["k"]["x"])
        sizes: list[float] = []
        while True:
            message = json.loads(await receive(client))
            if message["stream"].endswith("@trade"):
                sizes.append(float(message["data"]["q"]))
            elif message["data"]["k"]["x"]:
                break
        assert message["data"]["k"]["n"] == len(sizes)
        assert float(message["data"]["k"]["v"]) == pytest.approx(sum(sizes))


async def test_unlisted_symbols_trade_too() -> None:
    async with Simulator("mexc", ["NKNUSDT", "XYZBTC"], rate_per_s=0) as sim:
        _, info, _ = await call("GET", sim.rest_url + "/api/v3/exchangeInfo")
        assert [row["quoteAsset"] for row in info["symbols"]] == ["USDT", "BTC"]


@pytest.mark.parametrize("exchange", ["binance_usdm", "okx"])
async def test_playback_personas_have_a_market_of_their_own(exchange: str) -> None:
    async with Simulator(exchange, rate_per_s=1000) as sim:
        if exchange == "okx":
            async with dial(sim.ws_url + "/ws/v5/public") as client:
                await client.send("ping")
                assert await receive(client) == "pong"
                arg = {"channel": "books", "instId": "BTC-USDT"}
                ack = await ask(client, {"id": "1", "op": "subscribe", "args": [arg]})
                assert ack["arg"] == arg
                assert ack["id"] == "1"
                first = json.loads(await receive(client))
                assert (first["action"], first["data"][0]["prevSeqId"]) == ("snapshot", -1)
                last = first["data"][0]["seqId"]
                for _ in range(5):
                    entry = json.loads(await receive(client))["data"][0]
                    assert entry["prevSeqId"] == last
                    last = entry["seqId"]
                wrong = await ask(client, {"op": "shout", "args": []})
                assert wrong["event"] == "error"
        else:
            async with dial(
                sim.ws_url + "/public/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker"
            ) as client:
                last = None
                for _ in range(400):
                    data = json.loads(await receive(client))["data"]
                    if data["e"] == "depthUpdate":
                        assert last in (None, data["pu"])
                        last = data["u"]
                    else:
                        assert {"E", "T", "u"} <= set(data)
            _, book, _ = await call("GET", sim.rest_url + "/fapi/v1/depth?symbol=BTCUSDT&limit=5")
            assert len(book["bids"]) == 5


async def test_a_client_that_falls_too_far_behind_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_BACKLOG_BYTES", 100_000)
    streams = "btcusdt@trade/btcusdt@aggTrade/btcusdt@bookTicker/btcusdt@depth@100ms"
    async with (
        Simulator("binance", ["BTCUSDT"], rate_per_s=20_000) as sim,
        mute(sim, f"/stream?streams={streams}"),
    ):
        async with asyncio.timeout(PATIENCE_S):
            (client,) = sim.connections
            await client.ended.wait()
        assert sim.stats.slow_closed == 1


async def test_who_does_not_answer_pings_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BinancePersona, "pong_deadline_s", 0.1)
    async with (
        Simulator("binance", rate_per_s=0, ping_interval_s=0.05) as sim,
        mute(sim, "/ws") as reader,
    ):
        async with asyncio.timeout(PATIENCE_S):
            everything = await reader.read()
    assert everything.startswith(b"\x89")
    assert everything.endswith(b"\x88\x0e" + (1008).to_bytes(2, "big") + b"Pong timeout")


async def test_who_never_subscribes_is_closed_on_mexc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MexcPersona, "no_topic_close_s", 0.1)
    async with Simulator("mexc", rate_per_s=0) as sim, dial(sim.ws_url + "/ws") as client:
        with pytest.raises(ConnectionClosed) as closed:
            await receive(client)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
