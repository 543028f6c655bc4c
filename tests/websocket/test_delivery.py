"""Consumers of queued delivery: iteration, batches, attached callbacks, and their end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from cexnet.websocket.delivery import Delivery
from cexnet_core.decode import Decoder
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import EventKind, SymbolTable
from cexnet_core.hotlog import process_log
from cexnet_core.route import Receiver, Router
from cexnet_core.schema import Field, Message, WireSchema

SCHEMA = WireSchema(
    name="test",
    json=(Message("Trade", when={"e": "trade"}, fields=(Field("symbol", "s"), Field("sequence", "u"))),),
)


class Feed:
    """Trades of one symbol, numbered, into a delivery."""

    def __init__(self, delivery: Delivery) -> None:
        symbols = SymbolTable()
        router = Router(SCHEMA, symbols)
        router.add(EventKind.TRADE, "A", delivery.queue)
        self._receiver = Receiver(Decoder(SCHEMA, symbols=symbols), router, 0)
        self._next = 1

    def put(self, count: int) -> None:
        for _ in range(count):
            self._receiver.feed(json.dumps({"e": "trade", "s": "A", "u": self._next}).encode())
            self._next += 1


async def consume(delivery: Delivery, seen: list[int]) -> None:
    """What a user writes."""
    async for event in delivery:
        sequence: int = event.sequence
        seen.append(sequence)


async def turns(count: int = 5) -> None:
    """Let every ready task run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_iteration_gets_every_event_in_order_and_ends_with_close() -> None:
    delivery = Delivery(100)
    feed = Feed(delivery)
    seen: list[int] = []

    consumer = asyncio.create_task(consume(delivery, seen))
    for count in (3, 1, 0, 2):
        feed.put(count)
        await turns()
    assert seen == [1, 2, 3, 4, 5, 6]
    feed.put(1)
    await delivery.close()
    await consumer
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert delivery.queue.waited.count == 7


async def test_batches_wait_for_one_and_take_what_there_is() -> None:
    delivery = Delivery(100)
    feed = Feed(delivery)
    waiting = asyncio.create_task(delivery.batch(10))
    await turns()
    assert not waiting.done()
    feed.put(3)
    assert [event.sequence for event in await waiting] == [1, 2, 3]
    feed.put(5)
    assert [event.sequence for event in await delivery.batch(4)] == [4, 5, 6, 7]
    await delivery.close()
    assert [event.sequence for event in await delivery.batch(4)] == [8]
    assert await delivery.batch(4) == []
    with pytest.raises(ConfigurationError):
        await delivery.batch(0)


async def test_consumers_share_the_events_and_one_may_give_up() -> None:
    delivery = Delivery(100)
    feed = Feed(delivery)
    seen: list[int] = []

    consumers = [asyncio.create_task(consume(delivery, seen)) for _ in range(3)]
    await turns()
    consumers[0].cancel()
    await turns()
    feed.put(4)
    await turns()
    feed.put(4)
    await delivery.close()
    await asyncio.gather(*consumers, return_exceptions=True)
    assert sorted(seen) == list(range(1, 9))


async def test_attached_callback_gets_everything_and_its_errors_are_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    delivery = Delivery(10_000)
    feed = Feed(delivery)
    seen: list[int] = []

    def callback(event: Any) -> None:
        if event.sequence == 2:
            raise RuntimeError("callback bug")
        if event.sequence == 3:
            raise asyncio.CancelledError  # as result() of a cancelled future does
        seen.append(event.sequence)

    delivery.attach(callback)
    with pytest.raises(ConfigurationError, match="attached already"):
        delivery.attach(callback)
    feed.put(1000)
    await delivery.close()
    await delivery.close()
    assert seen == [1, *range(4, 1001)]
    assert delivery.callback_errors == 2
    assert process_log.flush()
    assert "callback bug" in caplog.text
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "cexnet-delivery"]


async def test_a_consumer_that_was_cancelled_is_closed_without_an_error() -> None:
    before = asyncio.all_tasks()
    delivery = Delivery()
    delivery.attach(lambda event: None)
    (consumer,) = asyncio.all_tasks() - before
    await turns()
    consumer.cancel()  # a program that ends cancels whatever task there is
    await delivery.close()
    assert consumer.cancelled()
    assert delivery.is_closed


async def test_a_coroutine_function_is_no_callback() -> None:
    class Engine:
        async def __call__(self, event: Any) -> None: ...

    delivery = Delivery()
    for callback in (Engine(), Engine().__call__):
        with pytest.raises(ConfigurationError, match="is a coroutine function, which would never run"):
            delivery.attach(callback)
    delivery.attach(lambda event: None)
    await delivery.close()


async def test_pause_keeps_everything_when_reading_stops_at_the_mark() -> None:
    """A reader that obeys on_full and on_room loses nothing, however slow the consumer."""
    delivery = Delivery(10, "pause", reserve=4)
    feed = Feed(delivery)
    reading = asyncio.Event()
    reading.set()
    delivery.queue.on_full = reading.clear
    delivery.queue.on_room = reading.set

    async def read() -> None:
        for _ in range(100):
            await reading.wait()
            feed.put(4)  # what one read brings
        await delivery.close()

    reader = asyncio.create_task(read())
    seen = []
    async for event in delivery:
        seen.append(event.sequence)
        await asyncio.sleep(0)
    await reader
    assert seen == list(range(1, 401))
    assert delivery.queue.dropped == 0
