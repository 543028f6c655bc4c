"""Requests over the socket: answers by id, refusals, and what is unknown after a loss."""

from __future__ import annotations

import asyncio
import json

import pytest

from cexnet.simulator import Simulator
from cexnet.types import Channel
from cexnet.websocket import SessionState, WebSocketManager
from cexnet_core.errors import ConfigurationError, ExchangeError, OutcomeUnknown, RequestNotSent
from tests.websocket.live import Log, quick_manager, topics_of
from tests.websocket.peer import TEXT, Peer, PeerConnection, frame

TICKER = topics_of("BTCUSDT", channels=(Channel.BOOK_TICKER,))


def asking(request_id: str) -> bytes:
    return json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": request_id}).encode()


async def test_answers_go_to_those_who_asked() -> None:
    log = Log()
    async with (
        Simulator("binance", ("BTCUSDT",)) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(TICKER, log.on_event)
        names = [f"r{number}" for number in range(4)]
        acks = await asyncio.gather(*(manager.request(asking(name), name) for name in names))
        assert [ack.request_id for ack in acks] == names
        assert all(json.loads(ack.payload)["result"] == ["btcusdt@bookTicker"] for ack in acks)


async def test_refusal_carries_the_exchanges_words() -> None:
    log = Log()
    async with (
        Simulator("binance", ("BTCUSDT",)) as simulator,
        quick_manager("binance", simulator, log) as manager,
    ):
        await manager.initialize(TICKER, log.on_event)
        with pytest.raises(ExchangeError) as caught:
            await manager.request(b'{"method":"NONSENSE","id":"x"}', "x")
        assert caught.value.exchange_message
        assert caught.value.outcome == "rejected"


class Puppet:
    """A Binance whose every answer the test writes by hand."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def admit(self) -> PeerConnection:
        connection = await self.peer.accept()
        await connection.upgrade()
        asked = json.loads((await connection.read_frame()).payload)
        await connection.write(frame(TEXT, json.dumps({"result": None, "id": asked["id"]}).encode()))
        return connection


async def puppet_manager(peer: Peer, log: Log) -> tuple[WebSocketManager, PeerConnection]:
    class Address:
        ws_url = f"ws://127.0.0.1:{peer.port}"

    manager = quick_manager("binance", Address(), log)  # type: ignore[arg-type]
    admitted = asyncio.create_task(Puppet(peer).admit())
    await manager.initialize(TICKER, log.on_event)
    return manager, await admitted


async def test_outcome_is_unknown_when_the_connection_ends(peer: Peer) -> None:
    log = Log()
    manager, connection = await puppet_manager(peer, log)
    request = asyncio.create_task(manager.request(asking("order-1"), "order-1"))
    assert b"order-1" in (await connection.read_frame()).payload
    await connection.reset()
    with pytest.raises(OutcomeUnknown, match="order-1"):
        await request
    await manager.close()


async def test_outcome_is_unknown_when_time_is_up(peer: Peer) -> None:
    log = Log()
    manager, connection = await puppet_manager(peer, log)
    with pytest.raises(OutcomeUnknown, match="no answer within"):
        await manager.request(asking("order-1"), "order-1", deadline_s=0.05)
    # An answer that comes too late belongs to nobody, and hurts nobody.
    await connection.write(frame(TEXT, b'{"result":[],"id":"order-1"}'))
    second = asyncio.create_task(manager.request(asking("order-2"), "order-2"))
    await connection.read_frame()
    assert b"order-2" in (await connection.read_frame()).payload
    await connection.write(frame(TEXT, b'{"result":[],"id":"order-2"}'))
    assert (await second).ok
    await manager.close()


async def test_nothing_is_sent_while_there_is_no_connection(peer: Peer) -> None:
    log = Log()
    manager, connection = await puppet_manager(peer, log)
    await connection.reset()
    await log.until(lambda: log.states[-1] in (SessionState.BACKING_OFF, SessionState.CONNECTING))
    with pytest.raises(RequestNotSent):
        await manager.request(asking("order-1"), "order-1")
    await manager.close()


async def test_an_id_may_be_open_once(peer: Peer) -> None:
    log = Log()
    manager, connection = await puppet_manager(peer, log)
    first = asyncio.create_task(manager.request(asking("same"), "same"))
    await connection.read_frame()
    with pytest.raises(ConfigurationError, match="still open"):
        await manager.request(asking("same"), "same")
    await connection.write(frame(TEXT, b'{"result":[],"id":"same"}'))
    assert (await first).ok
    await manager.close()


async def test_close_fails_what_is_open(peer: Peer) -> None:
    log = Log()
    manager, connection = await puppet_manager(peer, log)
    request = asyncio.create_task(manager.request(asking("order-1"), "order-1"))
    await connection.read_frame()
    await asyncio.gather(manager.close(), manager.close(), connection.reset())
    with pytest.raises(OutcomeUnknown):
        await request
