"""Attempts that end early, by a cancel or the deadline, leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cexnet.websocket.connect import Connection, connect
from cexnet_core.errors import DeadlineExceeded, HandshakeError
from cexnet_core.messages import PyMessageSink
from tests.websocket.conftest import Inbox
from tests.websocket.peer import TEXT, Peer, accept_key, frame

SINK = PyMessageSink(lambda payload, is_text, receive_ts_ns: None)


def start(url: str, **arguments: Any) -> asyncio.Task[Connection]:
    return asyncio.create_task(connect(url, SINK, **arguments))


def open_files() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


async def test_cancel_during_the_upgrade_ends_tcp(peer: Peer) -> None:
    attempt = start(peer.url)
    other = await peer.accept()
    await other.read_request()
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert await other.read_to_end() == b""


async def test_cancel_when_the_answer_is_already_on_its_way(peer: Peer) -> None:
    """The 101 and a message reach the client together with its cancellation."""
    inbox = Inbox()
    attempt = asyncio.create_task(connect(peer.url, PyMessageSink(inbox)))
    other = await peer.accept()
    key = (await other.read_request())["sec-websocket-key"]
    other.writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key) + b"\r\n\r\n" + frame(TEXT, b"early")
    )
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert await other.read_to_end() == b""


async def test_cancel_right_after_the_upgrade_settled(peer: Peer) -> None:
    """Cancelled by the first message, when the connection stands but is not handed out yet."""
    attempt: asyncio.Task[Connection]

    def cancel(payload: bytes, is_text: bool, receive_ts_ns: int) -> None:
        attempt.cancel()

    attempt = asyncio.create_task(connect(peer.url, PyMessageSink(cancel)))
    other = await peer.accept()
    await other.upgrade(frame(TEXT, b"early"))
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert await other.read_to_end() == b""


async def test_cancel_during_tls(peer: Peer) -> None:
    attempt = start(peer.url.replace("ws://", "wss://"))
    other = await peer.accept()
    assert await other.reader.readexactly(1) == b"\x16"  # a TLS handshake record
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    await other.read_to_end()


@contextlib.asynccontextmanager
async def full_backlog() -> AsyncIterator[str]:
    """A listening socket that the kernel accepts no more connections for: SYNs get lost."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listening.getsockname())
        yield f"ws://127.0.0.1:{listening.getsockname()[1]}/feed?key=secret"


async def test_deadline_over_tcp() -> None:
    async with full_backlog() as url:
        before = open_files()
        with pytest.raises(DeadlineExceeded, match=r"deadline_s=0\.05 \(in DNS, TCP or TLS\)") as e:
            await connect(url, SINK, deadline_s=0.05)
        assert "secret" not in str(e.value)
        assert open_files() == before


async def test_deadline_over_tls(peer: Peer) -> None:
    with pytest.raises(DeadlineExceeded, match="in DNS, TCP or TLS"):
        await connect(peer.url.replace("ws://", "wss://"), SINK, deadline_s=0.05)
    await (await peer.accept()).read_to_end()


async def test_deadline_over_the_upgrade(peer: Peer) -> None:
    attempt = start(peer.url, deadline_s=0.05)
    other = await peer.accept()
    await other.read_request()
    await other.write(b"HTTP/1.1 101 ")
    with pytest.raises(DeadlineExceeded, match="in the upgrade"):
        await attempt
    assert await other.read_to_end() == b""


async def test_deadline_over_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    async def silent(*_: object, **__: object) -> object:
        asked.set()
        return await loop.create_future()

    if not hasattr(loop, "__dict__"):
        pytest.skip("this loop's resolver cannot be replaced")
    monkeypatch.setattr(loop, "getaddrinfo", silent)
    with pytest.raises(DeadlineExceeded, match="in DNS, TCP or TLS"):
        await connect("ws://name.example/", SINK, deadline_s=0.05)
    assert asked.is_set()


async def test_a_callers_timeout_is_not_taken_for_ours(peer: Peer) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connect(peer.url, SINK, deadline_s=60)
    await (await peer.accept()).read_to_end()


async def test_failed_attempts_leave_no_file_open(peer: Peer) -> None:
    async def fail(how: int) -> None:
        attempt = start(peer.url)
        other = await peer.accept()
        await other.read_request()
        if how == 0:
            attempt.cancel()
        elif how == 1:
            await other.write(b"HTTP/1.1 503 Busy\r\n\r\n")
        else:
            await other.reset()
        with pytest.raises((asyncio.CancelledError, HandshakeError)):
            await attempt
        await other.read_to_end()
        await other.close()

    await fail(0)
    before = open_files()
    for how in (0, 1, 2) * 5:
        await fail(how)
    assert open_files() == before


async def test_connections_leave_no_file_and_no_task(peer: Peer) -> None:
    async def live(how: int) -> None:
        attempt = start(peer.url)
        other = await peer.accept()
        await other.upgrade()
        client = await attempt
        if how == 0:
            client.abort()
        elif how == 1:
            await other.reset()
        else:
            await other.close()
        await client.wait_closed()
        await other.read_to_end()
        await other.close()

    await live(0)
    before, tasks = open_files(), asyncio.all_tasks()
    for how in (0, 1, 2) * 5:
        await live(how)
    assert open_files() == before
    assert asyncio.all_tasks() <= tasks
