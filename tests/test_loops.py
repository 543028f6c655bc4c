"""The loops that cexnet offers do what every loop does."""

from __future__ import annotations

import asyncio
import selectors
import socket
import sys
from importlib.util import find_spec

import pytest

from cexnet.loops import fast_loop, spinning_loop
from cexnet.websocket.connect import connect
from cexnet_core.messages import PyMessageSink
from tests.websocket.peer import CLOSE, TEXT, Peer, close_frame, frame


async def talk() -> bytes:
    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    sink = PyMessageSink(lambda payload, is_text, at_ns: got.set_result(payload))
    async with Peer() as peer:
        attempt = asyncio.create_task(connect(peer.url, sink))
        other = await peer.accept()
        await other.upgrade()
        client = await attempt
        await other.write(frame(TEXT, b"hello"))
        payload = await got
        closing = asyncio.create_task(client.close())
        assert (await other.read_frame()).opcode == CLOSE
        await other.write(close_frame(1000))
        assert (await closing).was_clean
        return payload


@pytest.mark.parametrize("factory", [fast_loop, spinning_loop])
def test_a_connection_lives_on_it(factory: object) -> None:
    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]
        assert runner.run(talk()) == b"hello"


def test_fast_loop_is_uvloop_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = fast_loop()
    assert type(loop).__module__.startswith("uvloop" if find_spec("uvloop") else "asyncio")
    loop.close()
    monkeypatch.setitem(sys.modules, "uvloop", None)
    monkeypatch.setattr("cexnet.loops.find_spec", lambda name: None)
    loop = fast_loop()
    assert type(loop).__module__.startswith("asyncio")
    loop.close()


def test_spinning_loop_keeps_its_timers_threads_and_callbacks() -> None:
    async def live() -> list[str]:
        loop = asyncio.get_running_loop()
        order: list[str] = []
        done = asyncio.Event()
        loop.call_later(0.01, order.append, "later")
        loop.call_later(0.02, done.set)
        loop.call_soon(order.append, "soon")
        order.append(await asyncio.to_thread(lambda: "thread"))
        await done.wait()
        return order

    with asyncio.Runner(loop_factory=spinning_loop) as runner:
        assert set(runner.run(live())) == {"soon", "thread", "later"}


def test_spinning_selector_ends_with_its_timeout_and_its_events() -> None:
    loop = spinning_loop()
    selector = loop._selector  # type: ignore[attr-defined]
    assert selector.select(0) == []
    assert selector.select(-1) == []
    assert selector.select(0.001) == []
    near, far = socket.socketpair()
    with near, far:
        selector.register(near, selectors.EVENT_READ)
        far.send(b"x")
        assert [key.fileobj for key, _ in selector.select()] == [near]
        selector.unregister(near)
    loop.close()
