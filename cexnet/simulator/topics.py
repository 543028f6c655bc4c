"""Who listens to what."""

from __future__ import annotations

from cexnet.simulator.connection import Connection
from cexnet.simulator.stats import Stats


class Topics:
    """Topic name -> its subscribers, in the order they came."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats
        self._listeners: dict[str, dict[Connection, None]] = {}
        self.published = 0

    def __contains__(self, topic: str) -> bool:
        return topic in self._listeners

    def subscribe(self, topic: str, connection: Connection) -> None:
        """Add a subscriber; again is no change."""
        self._listeners.setdefault(topic, {})[connection] = None

    def unsubscribe(self, topic: str, connection: Connection) -> None:
        """Remove a subscriber if it is one."""
        listeners = self._listeners.get(topic)
        if listeners is not None:
            listeners.pop(connection, None)
            if not listeners:
                del self._listeners[topic]

    def drop(self, connection: Connection) -> None:
        """Remove a subscriber from every topic."""
        for topic in self.of(connection):
            self.unsubscribe(topic, connection)

    def of(self, connection: Connection) -> list[str]:
        """The topics that a connection is subscribed to."""
        return [topic for topic, listeners in self._listeners.items() if connection in listeners]

    def publish(self, kind: str, topic: str, frame: bytes) -> None:
        """Send one frame to every subscriber of ``topic``, counted under ``kind``."""
        listeners = self._listeners.get(topic)
        if listeners:
            everyone = list(listeners)  # a fault may end a subscription meanwhile
            for connection in everyone:
                connection.send(frame, kind, topic)
            self._stats.messages[kind] += len(everyone)
            self.published += len(everyone)
