"""Playback of captures: every message, in order, at the pace asked for."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from cexnet.simulator import Simulator
from cexnet_core.errors import ConfigurationError
from tests.simulator.peers import PATIENCE_S, ask, call, dial, receive

MESSAGES = [json.dumps({"stream": "abcusdt@trade", "data": {"n": n}}) for n in range(5000)]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    lines = ["wss://stream.binance.com:9443/stream?streams=abcusdt@trade <-> 100.0"]
    lines += [f"{100 + n / 1000}: {message}" for n, message in enumerate(MESSAGES)]
    lines.append('wss://stream.binance.com:9443/stream <- 101.0: {"method":"SUBSCRIBE"}')
    path = tmp_path / "BINANCE.ws.1.0"
    path.write_text("\n".join(lines) + "\n")
    answers = [
        "https://api.binance.com/api/v3/depth?symbol=ABCUSDT&limit=1000 -> 100.5: "
        + json.dumps({"lastUpdateId": number, "bids": [], "asks": []})
        for number in (1, 2)
    ]
    (tmp_path / "BINANCE.http.0.0").write_text("\n".join(answers) + "\n")
    return path


async def take(socket: Any, count: int) -> list[str]:
    return [str(await receive(socket)) for _ in range(count)]


async def test_flat_out_gives_everything_in_order_to_every_client(capture: Path) -> None:
    async with Simulator("binance", capture=capture, speed=None) as sim:
        url = sim.ws_url + "/stream?streams=abcusdt@trade"
        async with dial(url) as first, dial(sim.ws_url + "/ws") as second:
            ack = await ask(second, {"method": "SUBSCRIBE", "params": ["whatever@depth"], "id": 1})
            assert ack == {"result": None, "id": 1}
            assert await take(first, len(MESSAGES)) == MESSAGES
            assert await take(second, len(MESSAGES)) == MESSAGES
            async with asyncio.timeout(PATIENCE_S):
                await sim.finished
            assert sim.stats.messages["capture"] == 2 * len(MESSAGES)
        async with dial(url) as later:
            assert await take(later, 3) == MESSAGES[:3]


async def test_recorded_snapshots_are_served_in_turn(capture: Path) -> None:
    async with Simulator("binance", capture=capture) as sim:
        url = sim.rest_url + "/api/v3/depth?symbol=ABCUSDT"
        numbers = [(await call("GET", url))[1]["lastUpdateId"] for _ in range(3)]
        assert numbers == [1, 2, 2]
        assert (await call("GET", sim.rest_url + "/api/v3/depth?symbol=BTCUSDT"))[0] == 200


async def test_a_pace_keeps_the_order_too(capture: Path) -> None:
    async with (
        Simulator("binance", capture=capture, speed=50.0) as sim,
        dial(sim.ws_url + "/ws/abcusdt@trade") as socket,
    ):
        assert await take(socket, len(MESSAGES)) == MESSAGES


async def test_a_client_that_reads_late_misses_nothing(tmp_path: Path) -> None:
    big = [json.dumps({"n": n, "filling": "x" * 20_000}) for n in range(1500)]  # 30 MB
    path = tmp_path / "BINANCE.ws.1.0"
    path.write_text("".join(f"{n}.0: {message}\n" for n, message in enumerate(big)))
    async with Simulator("binance", capture=path, speed=None) as sim:
        host, _, port = sim.ws_url.removeprefix("ws://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /ws/abcusdt@trade HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        async with asyncio.timeout(PATIENCE_S):
            await reader.readuntil(b"\r\n\r\n")
            while not sim.stats.pauses:  # until the socket is full and the simulator waits for us
                await call("GET", sim.rest_url + "/api/v3/ping")
            assert not sim.finished.is_set()
            for message in big:
                opcode, _, size = await reader.readexactly(1), await reader.readexactly(1), 0
                size = int.from_bytes(await reader.readexactly(2), "big")
                assert opcode == b"\x81"
                assert await reader.readexactly(size) == message.encode()
            await sim.finished
        writer.close()
        assert sim.stats.slow_closed == 0


@pytest.mark.parametrize("content", [None, "", "nothing to see\n"])
def test_an_unusable_capture_says_so(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "bad"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match="bad"):
        Simulator("binance", capture=path)


CAPTURES = os.environ.get("CEXNET_CAPTURES", "")
EXCHANGES = {
    "BINANCE.ws.1.0": ("binance", "/ws/x@trade", None),
    "BINANCE_FUTURES.ws.1.0": ("binance_usdm", "/ws/x@bookTicker", None),
    "GATEIO.ws.1.0": (
        "gateio",
        "/ws/v4/",
        {"channel": "spot.tickers", "event": "subscribe", "payload": ["X"]},
    ),
    "OKX.ws.1.0": (
        "okx",
        "/ws/v5/public",
        {"op": "subscribe", "args": [{"channel": "trades", "instId": "X"}]},
    ),
}


@pytest.mark.skipif(not CAPTURES, reason="CEXNET_CAPTURES does not name the folder of captures")
@pytest.mark.parametrize("name", EXCHANGES)
async def test_real_captures_come_through_whole(name: str) -> None:
    path = Path(CAPTURES) / name
    received = [
        match[1]
        for match in (re.match(r"\d+\.\d+: (.*)", line) for line in path.read_text().splitlines())
        if match is not None
    ]
    data = [message for message in received if '"event":"subscribe"' not in message]
    exchange, address, subscribe = EXCHANGES[name]
    async with (
        Simulator(exchange, capture=path, speed=None) as sim,
        dial(sim.ws_url + address) as socket,
    ):
        assert sim.capture_messages == len(data)
        if subscribe is not None:
            ack = await ask(socket, {**subscribe, "time": time.time()})
            assert ack["event"] == "subscribe"
        assert await take(socket, len(data)) == data
        async with asyncio.timeout(PATIENCE_S):
            await sim.finished


@pytest.mark.skipif(not CAPTURES, reason="CEXNET_CAPTURES does not name the folder of captures")
async def test_the_two_routes_of_futures_share_a_capture() -> None:
    path = Path(CAPTURES) / "BINANCE_FUTURES.ws.1.0"
    async with (
        Simulator("binance_usdm", capture=path, speed=None) as sim,
        dial(sim.ws_url + "/public/ws/x@bookTicker") as public,
        dial(sim.ws_url + "/market/ws/x@aggTrade") as market,
    ):
        async with asyncio.timeout(PATIENCE_S):
            await sim.finished
        assert sim.stats.messages["capture"] == sim.capture_messages
        first = str(await receive(public))
        assert "@bookTicker" in first or "@depth" in first
        first = str(await receive(market))
        assert "@aggTrade" in first or "@kline" in first


async def test_faults_strike_a_capture_as_any_data(capture: Path) -> None:
    faults = ["reset:after=100,connection=1", "freeze:after=50,connection=2"]
    async with Simulator("binance", capture=capture, speed=None, faults=faults) as sim:
        url = sim.ws_url + "/stream?streams=abcusdt@trade"
        async with dial(url) as first:
            assert await take(first, 100) == MESSAGES[:100]
            with pytest.raises(ConnectionClosed):
                await receive(first)
        async with dial(url) as second:
            assert await take(second, 50) == MESSAGES[:50]
            async with asyncio.timeout(PATIENCE_S):
                await sim.finished
            assert sim.stats.withheld["capture"] == 1 + len(MESSAGES) - 50  # one was cut in two
            pong = await second.ping()
            async with asyncio.timeout(PATIENCE_S):
                await pong
        async with dial(url) as third:
            assert await take(third, len(MESSAGES)) == MESSAGES
