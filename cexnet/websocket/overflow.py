"""What a full queue does to the connections that feed it, and what it has cost.

Each ``Delivery`` of a manager says by its queue whether it is full. From that alone
follows which connections are held (``pause``: not read; ``disconnect``: ended, and back
when there is room), so that it can be worked out again whenever anything has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cexnet.websocket.delivery import Delivery
from cexnet.websocket.metrics import DeliveryMetrics
from cexnet.websocket.reconnect import Loss
from cexnet.websocket.session import Session
from cexnet_core.errors import ConfigurationError, ConnectionClosed
from cexnet_core.queue import EventQueue


class Overflow:
    """The deliveries of one manager, until it is closed.

    ``feeding`` tells which connections feed a queue, ``on_gap`` is told of each symbol
    whose depth event was dropped. Everything runs on the event loop's thread.
    """

    def __init__(
        self, feeding: Callable[[EventQueue], Iterable[Session]], on_gap: Callable[[str], object]
    ) -> None:
        self.deliveries: list[Delivery] = []
        self._held: set[Session] = set()
        self._feeding = feeding
        self._on_gap = on_gap

    def sink_of(self, handler: Any) -> Any:
        """What the router calls for ``handler``: the queue of a delivery, else itself.

        Raises ConfigurationError for a delivery that is closed or that another manager feeds.
        """
        if not isinstance(handler, Delivery):
            return handler
        if handler.is_closed:
            raise ConfigurationError("this Delivery is closed, its consumers have ended: make a new one")
        if all(handler is not known for known in self.deliveries):
            queue = handler.queue
            if (queue.on_full, queue.on_room, queue.on_gap) != (None, None, None):
                raise ConfigurationError("this Delivery is wired already: give each manager one of its own")
            queue.on_full = queue.on_room = self.settle
            queue.on_gap = self._on_gap
            self.deliveries.append(handler)
        return handler.queue

    def settle(self) -> None:
        """Hold, end and release connections as the queues are now."""
        held: set[Session] = set()
        for delivery in self.deliveries:
            if not delivery.queue.is_full:
                continue
            for session in self._feeding(delivery.queue):
                held.add(session)
                session.hold()
                if delivery.queue.policy == "disconnect" and session.carries_data:
                    session.link.end(_too_slow(session, delivery.queue))
        for session in self._held - held:
            session.release()
        self._held = held

    def metrics(self) -> tuple[DeliveryMetrics, ...]:
        """The counters of every delivery, in the order in which they were given."""
        return tuple(DeliveryMetrics.of(delivery) for delivery in self.deliveries)

    async def close(self) -> None:
        """End the consumers once they have taken what waits. Idempotent."""
        for delivery in self.deliveries:
            await delivery.close()


def _too_slow(session: Session, queue: EventQueue) -> Loss:
    error = ConnectionClosed(
        f"connection {session.connection_id} was ended because its consumer is too slow: {queue.capacity} "
        "events wait. Take them faster, or choose a deeper queue or another overflow policy",
        reason="overflow",
    )
    return Loss(error, reason=error.reason)
