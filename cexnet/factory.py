"""``TransportFactory``: configuration -> managers. It closes everything that it made."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal, Self

from cexnet.config import Config
from cexnet.exchanges import get_exchange, private_strategies
from cexnet.http.breakers import BreakerListener
from cexnet.http.connector import ConnectionOptions
from cexnet.http.manager import RestManager
from cexnet.http.trace import CallTracer
from cexnet.websocket.books import Snapshot, SnapshotProvider
from cexnet.websocket.listen_key import ListenKey
from cexnet.websocket.manager import StateListener, TopicListener, WebSocketManager
from cexnet.websocket.strategies import Network, WebSocketStrategySet
from cexnet_core.errors import ConfigurationError
from cexnet_core.tap import FrameTap

Scope = Literal["public", "private"]


class TransportFactory:
    """Builds managers from a ``Config``; without one, for the exchanges' own hosts.

    ``trace`` follows the calls of every REST manager made here. Raises ConfigurationError
    when the configuration names an exchange that cexnet lacks.

    ::

        async with TransportFactory(config) as factory:
            stream = factory.websocket("binance")
            rest = factory.rest("binance")
    """

    def __init__(self, config: Config | None = None, *, trace: CallTracer | None = None) -> None:
        self.config = config if config is not None else Config()
        for name in self.config.exchange:
            get_exchange(name)
        self._trace = trace
        self._made: list[WebSocketManager | RestManager] = []

    def websocket(
        self,
        exchange: str,
        *,
        scope: Scope = "public",
        on_state: StateListener | None = None,
        on_topic: TopicListener | None = None,
        whole_books: bool | None = None,
        redundancy: int | None = None,
        tap: FrameTap | None = None,
    ) -> WebSocketManager:
        """A manager for the exchange's streams, not yet connected.

        ``scope``: the streams of markets (``"public"``), or of the account that the
        configured credentials belong to (``"private"``: orders, fills, balances, on one
        connection). ``whole_books``: depth streams begin with a snapshot taken over REST,
        and are mended with another when something was lost. It and ``redundancy`` are the
        configuration's when left out. The rest is as in ``WebSocketManager``.
        Raises ConfigurationError for an unknown exchange, naming those there are, for
        whole books of one without REST tables, for private streams without credentials or
        of an exchange that has none here, and for what private streams cannot do.
        """
        settings = self.config.websocket_of(exchange)
        if scope == "private":
            if whole_books or (redundancy or 1) > 1:
                raise ConfigurationError("private streams have no books, and one connection carries them")
            whole_books, redundancy = False, 1
            strategies = self._private_strategies(exchange)
        elif scope == "public":
            strategies = get_exchange(exchange).websocket_strategies(self.config.of(exchange).websocket_url)
            strategies.connection.liveness = settings.liveness
        else:
            raise ConfigurationError(f"scope={scope!r}: choose public or private")
        connection = strategies.connection
        connection.reconnect = settings.reconnect
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
            tap=tap,
        )
        self._made.append(manager)
        return manager

    def rest(self, exchange: str, *, on_breaker: BreakerListener | None = None) -> RestManager:
        """A manager for the exchange's REST interface, signed when credentials are configured.

        ``on_breaker`` is told when a circuit breaker turns; the rest is configuration.
        Raises ConfigurationError for an unknown exchange or one without REST tables.
        """
        known = get_exchange(exchange)
        if known.rest is None:
            raise ConfigurationError(f"cexnet has no REST tables for {exchange}: only its streams")
        settings = self.config.rest_of(exchange)
        manager = known.rest(
            self.config.of(exchange).rest_url,
            self.config.of(exchange).credentials,
            on_breaker=on_breaker,
            trace=self._trace,
            options=self._connection_options(),
            **{name: getattr(settings, name) for name in settings.__struct_fields__},
        )
        self._made.append(manager)
        return manager

    def _private_strategies(self, exchange: str) -> WebSocketStrategySet:
        get_exchange(exchange)
        settings = self.config.of(exchange)
        if settings.credentials is None:
            raise ConfigurationError(
                f"private streams of {exchange} need credentials: configure exchange.{exchange}.credentials"
            )
        url = settings.private_websocket_url or settings.websocket_url
        return private_strategies(exchange, url, settings.credentials, lambda: self._listen_key(exchange))

    def _listen_key(self, exchange: str) -> ListenKey:
        rest = self.rest(exchange)
        return ListenKey(rest.create_listen_key, rest.keep_listen_key, rest.close_listen_key)

    def _connection_options(self) -> ConnectionOptions:
        network = self._network()
        return ConnectionOptions(network.proxy, network.ssl_context, network.local_address)

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
        # Streams first: they may have to give a listen key back.
        for kind in (WebSocketManager, RestManager):
            await asyncio.gather(*(manager.close() for manager in made if isinstance(manager, kind)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
