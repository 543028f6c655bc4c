"""``TransportFactory``: configuration -> managers. It closes everything that it made."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from cexnet.config import Config
from cexnet.exchanges import get_exchange
from cexnet.http.manager import RestManager
from cexnet.websocket.books import Snapshot, SnapshotProvider
from cexnet.websocket.manager import StateListener, TopicListener, WebSocketManager
from cexnet.websocket.strategies import Network
from cexnet_core.errors import ConfigurationError


class TransportFactory:
    """Builds managers from a ``Config``; without one, for the exchanges' own hosts.

    Raises ConfigurationError when the configuration names an exchange that cexnet lacks.

    ::

        async with TransportFactory(config) as factory:
            stream = factory.websocket("binance")
            rest = factory.rest("binance")
    """

    def __init__(self, config: Config | None = None) -> None:
        self.config = config if config is not None else Config()
        for name in self.config.exchange:
            get_exchange(name)
        self._made: list[WebSocketManager | RestManager] = []

    def websocket(
        self,
        exchange: str,
        *,
        on_state: StateListener | None = None,
        on_topic: TopicListener | None = None,
        whole_books: bool | None = None,
        redundancy: int | None = None,
    ) -> WebSocketManager:
        """A manager for the exchange's public streams, not yet connected.

        ``whole_books``: depth streams begin with a snapshot taken over REST, and are mended
        with another when something was lost. It and ``redundancy`` are the configuration's
        when left out. The rest is as in ``WebSocketManager``.
        Raises ConfigurationError for an unknown exchange, naming those there are, and for
        whole books of one without REST tables.
        """
        strategies = get_exchange(exchange).websocket_strategies(self.config.of(exchange).websocket_url)
        settings = self.config.websocket_of(exchange)
        connection = strategies.connection
        connection.reconnect, connection.liveness = settings.reconnect, settings.liveness
        connection.connect_deadline_s = settings.connect_deadline_s
        connection.max_message_bytes = settings.max_message_bytes
        connection.network = self._network()
        whole_books = settings.whole_books if whole_books is None else whole_books
        manager = WebSocketManager(
            strategies,
            name=exchange,
            on_state=on_state,
            on_topic=on_topic,
            snapshots=self._snapshots(exchange) if whole_books else None,
            redundancy=settings.redundancy if redundancy is None else redundancy,
        )
        self._made.append(manager)
        return manager

    def rest(self, exchange: str) -> RestManager:
        """A manager for the exchange's REST interface, signed when credentials are configured.

        Raises ConfigurationError for an unknown exchange or one without REST tables.
        """
        settings = self.config.of(exchange)
        known = get_exchange(exchange)
        if known.rest is None:
            raise ConfigurationError(f"cexnet has no REST tables for {exchange}: only its streams")
        manager = known.rest(settings.rest_url, settings.credentials)
        self._made.append(manager)
        return manager

    def _network(self) -> Network:
        settings = self.config.network
        return Network(
            ssl_context=settings.ssl_context(),
            proxy=settings.proxy,
            local_address=(settings.local_address, 0) if settings.local_address else None,
        )

    def _snapshots(self, exchange: str) -> SnapshotProvider:
        rest, levels = self.rest(exchange), get_exchange(exchange).snapshot_levels

        async def snapshot(symbol: str) -> Snapshot:
            book = await rest.depth(symbol, levels)
            return Snapshot(book.sequence, book.bids, book.asks, book.exchange_ts_ns)

        return snapshot

    async def close(self) -> None:
        """Close every manager made here. Idempotent."""
        made, self._made = self._made, []
        await asyncio.gather(*(manager.close() for manager in made))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
