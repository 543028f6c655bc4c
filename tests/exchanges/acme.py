"""The template exchange of the documents: as modules, as an installed package, and a server that is one."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import sys
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp import WSMsgType, web

TEMPLATE = Path(__file__).resolve().parents[2] / "docs" / "template-exchange"
MODULES = ("cexnet_acme", "test_cexnet_acme")
API_KEY, API_SECRET = "acme-key", "acme-secret"


def install(folder: Path) -> None:
    """Put the template into ``folder`` as pip would, with the metadata of its own pyproject.toml."""
    if not TEMPLATE.exists():
        pytest.skip("the documents are not part of an installed wheel")
    for path in TEMPLATE.glob("*.*"):
        shutil.copy(path, folder)
    project = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["cexnet.exchanges"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[cexnet.exchanges]", *lines, ""]))


@contextmanager
def on_the_path(folder: Path) -> Iterator[tuple[ModuleType, ModuleType]]:
    """The template's module and its tests, importable and registered for the while."""
    install(folder)
    sys.path.insert(0, str(folder))
    try:
        yield import_module("cexnet_acme"), import_module("test_cexnet_acme")
    finally:
        sys.path.remove(str(folder))
        for name in MODULES:
            sys.modules.pop(name, None)


class Acme:
    """The exchange that the template is about: one market, one account, signatures verified."""

    def __init__(self) -> None:
        self.orders: dict[str, dict[str, Any]] = {}
        self.refused = 0
        self.sockets: list[web.WebSocketResponse] = []
        self._sequence = 10

    async def ping(self, request: web.Request) -> web.Response:
        return web.json_response({})

    async def time(self, request: web.Request) -> web.Response:
        return web.json_response({"ms": 1_700_000_000_000})

    async def book(self, request: web.Request) -> web.Response:
        book = {"to": self._sequence, "ts": 1_700_000_000_000, "bids": [["64000", "1"]], "asks": []}
        return web.json_response(book, headers={"X-Acme-Used": "40"})

    async def order(self, request: web.Request) -> web.Response:
        body = await request.read()
        text = f"{request.headers['X-Acme-Time']}{request.method}{request.path_qs}".encode() + body
        signature = hmac.new(API_SECRET.encode(), text, hashlib.sha256).hexdigest()
        if request.headers["X-Acme-Sign"] != signature or request.headers["X-Acme-Key"] != API_KEY:
            self.refused += 1
            return web.json_response({"code": "bad_signature", "reason": "no"}, status=401)
        if request.method == "POST":
            new = json.loads(body)
            order = {
                "id": str(len(self.orders) + 1),
                "state": "resting",
                "filled": "0",
                **{name: new[name] for name in ("client_id", "market", "side", "px", "qty")},
            }
            self.orders[order["id"]] = order
            return web.json_response(order)
        wanted = [request.query.get("id"), request.query.get("client_id")]
        for order in self.orders.values():
            if order["id"] in wanted or order["client_id"] in wanted:
                order["state"] = "cancelled" if request.method == "DELETE" else order["state"]
                return web.json_response(order)
        return web.json_response({"code": "no_such_order", "reason": str(wanted)}, status=404)

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is not WSMsgType.TEXT and message.type is not WSMsgType.BINARY:
                break
            asked = json.loads(message.data)
            if asked["op"] == "subscribe":
                await socket.send_json({"id": asked["id"], "done": True})
                for topic in asked["topics"]:
                    await self._push(socket, *topic.split(":"))
        return socket

    async def _push(self, socket: web.WebSocketResponse, kind: str, market: str) -> None:
        for _ in range(3):
            first = self._sequence = self._sequence + 1
            common = {"type": kind, "market": market, "ts": 1_700_000_000_123}
            bodies: dict[str, dict[str, Any]] = {
                "ticker": {"seq": first, "bid": ["64000", "1"], "ask": ["64001", "2"]},
                "book": {"from": first, "to": first, "bids": [["64000", "3"]], "asks": []},
                "trade": {"id": str(first), "taker": "S", "px": "64000.5", "qty": "0.1"},
            }
            await socket.send_str(json.dumps({**common, **bodies[kind]}, separators=(",", ":")))


@asynccontextmanager
async def acme_server() -> AsyncIterator[tuple[Acme, str]]:
    """The exchange on loopback, and its host and port."""
    exchange = Acme()
    app = web.Application()
    app.router.add_get("/v1/ping", exchange.ping)
    app.router.add_get("/v1/time", exchange.time)
    app.router.add_get("/v1/book", exchange.book)
    app.router.add_route("*", "/v1/orders", exchange.order)
    app.router.add_get("/v1", exchange.stream)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield exchange, f"{host}:{port}"
    finally:
        for socket in exchange.sockets:
            await socket.close()
        await runner.cleanup()
