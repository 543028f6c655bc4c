"""Orders at the simulator's REST port without any code of ours: hand-made signatures."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp

from cexnet.simulator import Simulator
from tests.simulator.peers import KEY, PATIENCE_S, SECRET, stamp_ms


class Wire(NamedTuple):
    """A request as it goes out."""

    method: str
    target: str
    headers: dict[str, str]
    body: str


class Said(NamedTuple):
    """An answer as it came in."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def order(sim: Simulator, client_id: str, *, offset_ms: int = 0) -> Wire:
    """A new limit order that rests far below the market."""
    if sim.persona.name == "gateio":
        fields = {"text": client_id, "currency_pair": "BTC_USDT", "side": "buy", "type": "limit",
                  "amount": "0.1", "price": "100"}  # fmt: skip
        return gate("POST", "/api/v4/spot/orders", "", json.dumps(fields), offset_ms)
    path, header = "/api/v3/order", {"binance": "X-MBX-APIKEY", "mexc": "X-MEXC-APIKEY"}
    fields = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "0.1", "price": "100",
              "newClientOrderId": client_id}  # fmt: skip
    if sim.persona.name == "binance":
        fields["timeInForce"] = "GTC"
    text = urlencode({**fields, "timestamp": stamp_ms(offset_ms)})
    text += "&signature=" + hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()
    return Wire("POST", f"{path}?{text}", {header[sim.persona.name]: KEY}, "")


def gate(method: str, path: str, query: str, body: str, offset_ms: int = 0) -> Wire:
    """A signed request of Gate.io."""
    at = str(int(time.time() + offset_ms / 1000))
    digest = hashlib.sha512(body.encode()).hexdigest()
    text = f"{method}\n{path}\n{query}\n{digest}\n{at}"
    sign = hmac.new(SECRET.encode(), text.encode(), hashlib.sha512).hexdigest()
    headers = {"KEY": KEY, "SIGN": sign, "Timestamp": at, "Content-Type": "application/json"}
    return Wire(method, f"{path}?{query}" if query else path, headers, body)


async def send(sim: Simulator, wire: Wire) -> Said:
    """Send once with aiohttp, on a connection of its own."""
    async with aiohttp.ClientSession() as session:
        return await send_with(session, sim, wire)


async def send_with(session: aiohttp.ClientSession, sim: Simulator, wire: Wire) -> Said:
    """Send once with aiohttp."""
    async with (
        asyncio.timeout(PATIENCE_S),
        session.request(
            wire.method, sim.rest_url + wire.target, headers=wire.headers, data=wire.body or None
        ) as response,
    ):
        return Said(response.status, await response.read(), dict(response.headers))


def http(wire: Wire) -> bytes:
    """The request's bytes."""
    headers = {"Host": "exchange", **wire.headers, "Content-Length": str(len(wire.body))}
    lines = [f"{wire.method} {wire.target} HTTP/1.1", *(f"{name}: {headers[name]}" for name in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n" + wire.body).encode()


class Line:
    """A keep-alive connection to the REST port, down at the bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def write(self, wire: Wire) -> None:
        self._writer.write(http(wire))

    async def ask(self, wire: Wire) -> Said:
        """Send and read one whole answer."""
        self.write(wire)
        return await self.answer()

    async def answer(self) -> Said:
        async with asyncio.timeout(PATIENCE_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            first, *rest = head.strip().split("\r\n")
            headers = dict(line.split(": ", 1) for line in rest)
            return Said(
                int(first.split()[1]),
                await self._reader.readexactly(int(headers["Content-Length"])),
                headers,
            )

    async def end(self) -> tuple[bytes, bool]:
        """What comes until the connection ends, and whether a reset ended it."""
        got = b""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    more = await self._reader.read(1 << 16)
                except ConnectionResetError:
                    return got, True
                if not more:
                    return got, False
                got += more


@asynccontextmanager
async def line(sim: Simulator) -> AsyncIterator[Line]:
    """Open a connection to the REST port."""
    host, _, port = sim.rest_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


def ids(sim: Simulator) -> list[str]:
    """Client ids of all orders that the exchange has ever accepted."""
    return [ours.client_id for ours in sim.account.orders.values()]
