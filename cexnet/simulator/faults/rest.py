"""The fourth seam: a REST request comes in, and its answer goes out wrong or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from email.utils import formatdate
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from aiohttp import web

if TYPE_CHECKING:
    from cexnet.simulator.faults.fault import Fault
    from cexnet.simulator.faults.script import Armed, FaultScript
    from cexnet.simulator.personas.base import Handler

_BAN_S = 120.0  # announced where a ban has no end: the shortest that exchanges speak of
_THROTTLE_S = 1.0


class RestFaults:
    """Stands between the REST port and the persona's endpoints, as an aiohttp middleware.

    At most one fault strikes a request: of those that would, the first in the script.
    """

    def __init__(self, script: FaultScript) -> None:
        self._script = script
        self._connections: WeakKeyDictionary[asyncio.BaseTransport, list[int]] = WeakKeyDictionary()
        self._last_connection = 0
        self._struck_s: dict[Armed, float] = {}
        self._banned_until_s = 0.0
        self._skew_s = self._skewed_until_s = 0.0
        self._held: dict[asyncio.Event, str] = {}

    @property
    def skew_s(self) -> float:
        """How far the exchange's clock is ahead of the true time now, by a ``skew`` fault."""
        return self._skew_s if time.monotonic() < self._skewed_until_s else 0.0

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """aiohttp's hook around every request."""
        number, is_reused = self._count(request)
        ban_s = self._banned_until_s - time.monotonic()
        if ban_s > 0:
            return self._dated(self._script.words.banned(min(ban_s, _BAN_S)))
        fault = self._struck_by(request, number, is_reused)
        answer = await (handler(request) if fault is None else self._answer(fault, request, handler))
        return self._dated(answer)

    def heal(self, name: str) -> None:
        """End a lasting fault, and answer the requests that it holds back."""
        if name == "rest-ban":
            self._banned_until_s = 0.0
        elif name == "skew":
            self._skewed_until_s = 0.0
        for event, held_by in self._held.items():
            if held_by == name:
                event.set()

    def close(self) -> None:
        """Let go of the requests that are held back."""
        for event in self._held:
            event.set()

    def _dated(self, answer: web.StreamResponse) -> web.StreamResponse:
        """The answer with the exchange's own date, where that is not the true one."""
        if self.skew_s and not answer.prepared:
            answer.headers["Date"] = formatdate(self._script.simulator.server_ms() / 1000, usegmt=True)
        return answer

    def _count(self, request: web.Request) -> tuple[int, bool]:
        """Which connection this is, from 1, and whether it has been used before."""
        if request.transport is None:  # the client is gone already
            return self._last_connection, False
        seen = self._connections.get(request.transport)
        if seen is None:
            self._last_connection += 1
            self._connections[request.transport] = seen = [self._last_connection, 0]
        seen[1] += 1
        return seen[0], seen[1] > 1

    def _struck_by(self, request: web.Request, number: int, is_reused: bool) -> Fault | None:
        asked = f"{request.method} {request.path}"
        struck = None
        for armed in self._script.of("rest"):
            fault = armed.fault
            if fault.connection not in (0, number) or fault.request not in asked:
                continue
            if fault.name == "rest-stale" and not is_reused:
                continue
            if fault.name == "rest-duplicate" and asked != self._script.words.place_request:
                continue
            armed.passed += 1
            now_s = time.monotonic()
            since_s = self._struck_s.get(armed, armed.since_s)
            if struck is not None or armed.passed <= fault.after_messages or now_s < since_s + fault.after_s:
                continue
            if self._script.draw(armed):
                armed.passed = 0
                self._struck_s[armed] = now_s
                struck = fault
        return struck

    async def _answer(self, fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
        await request.read()  # what is left unread would turn a close into a reset
        words = self._script.words
        match fault.name:
            case "rest-throttle":
                return words.throttled(_THROTTLE_S if fault.retry_after_s is None else fault.retry_after_s)
            case "rest-ban":
                self._banned_until_s = _until(fault)
                return words.banned(_BAN_S if fault.lasting_s is None else fault.lasting_s)
            case "rest-forbidden":
                return words.forbidden()
            case "rest-stale":
                return _hang_up(request)
            case "skew":
                self._skew_s, self._skewed_until_s = fault.skew_s, _until(fault)
                return await handler(request)
        answer = await _execute(request, handler) if fault.takes_effect else None
        match fault.name:
            case "rest-error":
                return words.failed(fault.error_status)
            case "rest-maintenance":
                return words.maintenance(fault.error_status)
            case "rest-lost":
                return _hang_up(request)
            case "rest-reset":
                return _reset(request)
        assert answer is not None  # the faults that are left have no say in that
        return await self._spoil(fault, request, answer)

    async def _spoil(self, fault: Fault, request: web.Request, answer: web.Response) -> web.StreamResponse:
        """What becomes of the answer to a request that was executed."""
        head, body = _wire(answer)
        match fault.name:
            case "rest-duplicate" if answer.status < 300:
                return self._script.words.duplicate()
            case "rest-slow":
                await self._hold(fault)
            case "rest-reset-body":
                return _reset(request, head)
            case "rest-reset-half":
                return _reset(request, head + body[: len(body) // 2])
            case "rest-hang-up":
                if request.transport is not None:
                    request.transport.write(head + body)
                if fault.pause_s:
                    await self._hold(fault)
                return _hang_up(request)
            case "rest-truncated":
                answer.body = body[: len(body) // 2]
            case "rest-empty":
                answer.body = b""
            case "rest-mislabelled":
                answer.content_type = "text/html"
        return answer

    async def _hold(self, fault: Fault) -> None:
        """Wait for the fault's delay, its lifting or the end of the simulator."""
        event = asyncio.Event()
        self._held[event] = fault.name
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(fault.pause_s):
                    await event.wait()
        finally:
            del self._held[event]


def _until(fault: Fault) -> float:
    return time.monotonic() + fault.lasting_s if fault.lasting_s is not None else float("inf")


async def _execute(request: web.Request, handler: Handler) -> web.Response:
    try:
        answer = await handler(request)
    except web.HTTPException as missing:  # no such path
        return web.Response(status=missing.status, text=missing.text)
    assert isinstance(answer, web.Response)
    return answer


def _wire(answer: web.Response) -> tuple[bytes, bytes]:
    """An answer as it goes out: head and body."""
    body = answer.body or b""
    assert isinstance(body, bytes)
    headers = {**answer.headers, "Content-Length": str(len(body))}
    lines = [f"HTTP/1.1 {answer.status} {answer.reason}", *(f"{name}: {headers[name]}" for name in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), body


def _hang_up(request: web.Request) -> web.Response:
    """Close TCP; what is returned is never sent, as aiohttp finds the connection closed."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def _reset(request: web.Request, last: bytes = b"") -> web.Response:
    """Send ``last`` and reset TCP; see :func:`_hang_up` for what is returned."""
    transport = request.transport
    if transport is not None:
        transport.write(last)
        no_linger = struct.pack("ii", 1, 0)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_linger)
        transport.abort()
    return web.Response()
