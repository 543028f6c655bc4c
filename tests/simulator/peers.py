"""Plain clients for the simulator's tests: hand-made signatures, no code of ours."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

KEY, SECRET = "simulator-key", "simulator-secret"
PATIENCE_S = 20.0  # a test that waits longer than this has failed

Answer = tuple[int, Any, dict[str, str]]


def stamp_ms(offset_ms: int = 0) -> int:
    return time.time_ns() // 1_000_000 + offset_ms


@asynccontextmanager
async def dial(url: str) -> AsyncIterator[ClientConnection]:
    async with connect(url, max_queue=None) as socket:
        yield socket


async def ask(socket: ClientConnection, request: Any) -> Any:
    """Send one request and return the next text message."""
    await socket.send(request if isinstance(request, str) else json.dumps(request))
    return json.loads(await receive(socket))


async def receive(socket: ClientConnection) -> str | bytes:
    async with asyncio.timeout(PATIENCE_S):
        return await socket.recv()


async def until(socket: ClientConnection, wanted: Callable[[Any], bool]) -> Any:
    """The next JSON message that ``wanted`` accepts."""
    while True:
        message = json.loads(await receive(socket))
        if wanted(message):
            return message


async def call(
    method: str, url: str, *, headers: dict[str, str] | None = None, body: str | None = None
) -> Answer:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, data=body) as response,
    ):
        return response.status, await response.json(), dict(response.headers)


async def call_signed_query(
    base: str, header: str, method: str, path: str, *, key: str = KEY, secret: str = SECRET,
    in_body: bool = False, **params: Any,
) -> Answer:  # fmt: skip
    """Binance's and MEXC's way: the query (and body) signed with SHA-256."""
    text = urlencode({"timestamp": stamp_ms(), **params})
    text += "&signature=" + hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    headers = {header: key, "Content-Type": "application/x-www-form-urlencoded"}
    if in_body:
        return await call(method, base + path, headers=headers, body=text)
    return await call(method, f"{base}{path}?{text}", headers=headers)


async def call_gate(
    base: str, method: str, path: str, *, query: str = "", body: Any = None,
    key: str = KEY, secret: str = SECRET, offset_s: int = 0,
) -> Answer:  # fmt: skip
    """Gate.io's way: five lines signed with SHA-512."""
    payload = json.dumps(body) if body is not None else ""
    at = str(int(time.time()) + offset_s)
    digest = hashlib.sha512(payload.encode()).hexdigest()
    text = f"{method}\n{path}\n{query}\n{digest}\n{at}"
    sign = hmac.new(secret.encode(), text.encode(), hashlib.sha512).hexdigest()
    headers = {"KEY": key, "SIGN": sign, "Timestamp": at, "Content-Type": "application/json"}
    url = f"{base}{path}?{query}" if query else base + path
    return await call(method, url, headers=headers, body=payload or None)


class Replica:
    """A book kept from a snapshot and absolute level updates, as a client keeps it."""

    def __init__(self, bids: list[list[str]], asks: list[list[str]]) -> None:
        self.bids = dict(map(tuple, bids))
        self.asks = dict(map(tuple, asks))

    def apply(self, bids: list[list[str]], asks: list[list[str]]) -> None:
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, size in levels:
                if float(size) == 0:
                    side.pop(price, None)
                else:
                    side[price] = size
