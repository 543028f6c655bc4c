"""One order, placed by several clients: the same parameters, signature and decoded answer."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import secrets
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from benchmarks.least import LeastClient
from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import binance_rest
from cexnet.http.manager import RestManager
from cexnet.types import OrderRequest, Side

KEY, SECRET = "benchmark-key", "benchmark-secret"
PATH = "/api/v3/order"
_ORDER = OrderRequest("BTCUSDT", Side.BUY, "0.01", "50000.10")
_FIELDS = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
           "quantity": "0.01", "price": "50000.10"}  # fmt: skip
# Where ci/bench puts the packages that only this benchmark needs, with pins of their own.
RIVALS = Path(sys.prefix) / "rivals"
_FAR = 1_000_000  # times the exchange's limits: nobody is to wait

if RIVALS.is_dir():
    sys.path.append(str(RIVALS))  # at the end: what both need is the environment's own

Place = Callable[[], Awaitable[Any]]


def signed_query() -> str:
    """A new order's query, signed by hand."""
    fields = {**_FIELDS, "newClientOrderId": secrets.token_hex(12), "recvWindow": 5000}
    text = urlencode({**fields, "timestamp": time.time_ns() // 1_000_000})
    return f"{text}&signature={hmac.digest(SECRET.encode(), text.encode(), hashlib.sha256).hex()}"


@asynccontextmanager
async def cexnet_places(url: str) -> AsyncIterator[Place]:
    """RestManager as it ships, but for limits that pace nobody."""
    limits = [dataclasses.replace(scope, limit=scope.limit * _FAR) for scope in binance_rest.LIMITS]
    strategies = binance_rest.rest_strategies(credentials=Credentials(KEY, Secret(SECRET)), limits=limits)
    async with RestManager(strategies, base_url=url, name="binance") as rest:
        yield lambda: rest.place_order(_ORDER)


@asynccontextmanager
async def aiohttp_places(url: str) -> AsyncIterator[Place]:
    """What one would write with aiohttp alone: no limits, no classification, no retry."""
    headers = {"X-MBX-APIKEY": KEY}

    async def place() -> Any:
        target = URL(f"{url}{PATH}?{signed_query()}", encoded=True)
        async with session.post(target, headers=headers) as response:
            response.raise_for_status()
            return msgspec.json.decode(await response.read())

    async with aiohttp.ClientSession() as session:
        yield place


@asynccontextmanager
async def asyncio_places(url: str) -> AsyncIterator[Place]:
    """No HTTP library at all: the floor, see :mod:`benchmarks.least`."""
    parts = URL(url)
    client = LeastClient(str(parts.host), int(parts.port or 80))

    async def place() -> Any:
        request = (
            f"POST {PATH}?{signed_query()} HTTP/1.1\r\nHost: {parts.host}\r\nX-MBX-APIKEY: {KEY}\r\n"
            "Accept: application/json\r\nUser-Agent: bench\r\nContent-Length: 0\r\n\r\n"
        )
        return msgspec.json.decode(await client.ask(request.encode()))

    yield place
    client.close()


@asynccontextmanager
async def httpx_places(url: str) -> AsyncIterator[Place]:
    """The same with httpx."""
    import httpx

    headers = {"X-MBX-APIKEY": KEY}

    async def place() -> Any:
        response = await client.post(f"{url}{PATH}?{signed_query()}", headers=headers)
        response.raise_for_status()
        return msgspec.json.decode(response.content)

    # By default it keeps 20 connections and closes the others after each request.
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with httpx.AsyncClient(limits=limits) as client:
        yield place


@asynccontextmanager
async def ccxt_places(url: str) -> AsyncIterator[Place]:
    """ccxt's request path (sign, fetch, handle errors, parse), its rate limiter off."""
    import ccxt.async_support as ccxt

    exchange = ccxt.binance({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False})
    exchange.urls["api"]["private"] = f"{url}/api/v3"
    try:
        yield lambda: exchange.private_post_order({**_FIELDS, "newClientOrderId": secrets.token_hex(12)})
    finally:
        await exchange.close()


_RIVALS = {"httpx": httpx_places, "ccxt": ccxt_places}
MISSING = [name for name in _RIVALS if find_spec(name) is None]
PLACERS = {
    "cexnet": cexnet_places,
    "bare aiohttp": aiohttp_places,
    "asyncio alone": asyncio_places,
    **{name: places for name, places in _RIVALS.items() if name not in MISSING},
}
