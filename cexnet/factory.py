"""``TransportFactory``: configuration -> managers. It closes everything that it made."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from cexnet.config import Config
from cexnet.config.reconfigure import LiveConfig, standing_of
from cexnet.exchanges import get_exchange, private_strategies
from cexnet.http.breakers import BreakerListener
from cexnet.http.connector import ConnectionOptions
from cexnet.http.host_clock import ClockRegistry
from cexnet.http.manager import RestManager
from cexnet.http.trace import CallTracer
from cexnet.types import Scope
from cexnet.websocket.books import Snapshot, SnapshotProvider
from cexnet.websocket.listen_key import ListenKey
from cexnet.websocket.manager import StateListener, TopicListener, WebSocketManager
from cexnet.websocket.strategies import Network, WebSocketStrategySet
from cexnet_core.errors import ConfigurationError
from cexnet_core.meter import MetricsPolicy
from cexnet_core.tap import FrameTap


class TransportFactory:
    """Builds managers from a ``Config``; without one, for the exchanges' own hosts.

    ``trace`` follows the calls of every REST manager made here. Raises ConfigurationError
    when the configuration names an exchange that cexnet lacks. Managers of one host share its
    limits (all in this process do), and those of one factory its clock too: one task measures
    it for them. A factory is for one event loop.

    ::

        async with TransportFactory(config) as factory:
            stream = factory.websocket("binance")
            rest = factory.rest("binance")
    """

    def __init__(self, config: Config | None = None, *, trace: CallTracer | None = None) -> None:
        config = config if config is not None else Config()
        for name in config.exchange:
            get_exchange(name)
        self._live = LiveConfig(config)
        self._trace = trace
        self._made: list[WebSocketManager | RestManager] = []
        self._clocks = ClockRegistry()

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._live.config

    async def reconfigure(self, config: Config, *, deadline_s: float = 15.0) -> tuple[str, ...]:
        """Put another configuration in force, for managers that live too; which keys have changed.

        All of it or nothing: everything is checked first, then new subscriptions are made
        (``deadline_s`` for those of each manager), then the rest is changed. Managers whose
        ``initialize()`` was given subscriptions keep them. Raises ConfigurationError naming the
        keys that cannot change while managers live, and as ``WebSocketManager.subscribe``.
        """
        for name in config.exchange:
            get_exchange(name)
        return await self._live.change(config, deadline_s)

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
        policy: MetricsPolicy | None = None,
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
            standing=standing_of(self.config, exchange, scope),
            policy=policy,
        )
        self._made.append(manager)
        self._live.hold(manager, exchange, scope)
        return manager

    def rest(
        self,
        exchange: str,
        *,
        scope: Scope | None = None,
        on_breaker: BreakerListener | None = None,
        policy: MetricsPolicy | None = None,
    ) -> RestManager:
        """A manager for the exchange's REST interface.

        ``scope``: ``"public"`` never signs, whatever is configured, and an endpoint that needs
        a signature raises AuthenticationError, unsent; ``"private"`` signs what must be signed,
        with the configured credentials. Left out, it is private where there are credentials
        and public where there are none. ``on_breaker`` is told when a circuit breaker turns,
        ``policy`` is what ``metrics()`` keeps of the recent past; the rest is configuration.
        Raises ConfigurationError for an unknown exchange, one without REST tables, and for a
        private manager without credentials.
        """
        known = get_exchange(exchange)
        if scope not in (None, "public", "private"):
            raise ConfigurationError(f"scope={scope!r}: choose public or private")
        settings, own = self.config.rest_of(exchange), self.config.of(exchange)
        if scope == "private" and own.credentials is None:
            raise ConfigurationError(
                f"private requests to {exchange} need credentials: configure exchange.{exchange}.credentials"
            )
        manager = known.rest_manager(
            own.rest_url,
            None if scope == "public" else own.credentials,
            on_breaker=on_breaker,
            policy=policy,
            trace=self._trace,
            options=self._connection_options(),
            clocks=self._clocks,
            **{name: getattr(settings, name) for name in settings.__struct_fields__},
        )
        self._made.append(manager)
        self._live.hold(manager, exchange)
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
        rest = self.rest(exchange, scope="private")
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
        rest, levels = self.rest(exchange, scope="public"), get_exchange(exchange).snapshot_levels

        async def snapshot(symbol: str) -> Snapshot:
            book = await rest.depth(symbol, levels)
            return Snapshot(book.sequence, book.bids, book.asks, book.exchange_ts_ns)

        return snapshot

    async def close(self) -> None:
        """Close every manager made here, streams first; with the last, clocks end too. Idempotent.

        One that fails to close stops no other: the first error is raised when all are done, with
        the others as notes. After an error or a cancellation, call it again: what was not closed is
        tried once more.
        """
        made = tuple(self._made)
        self._live.release()
        troubles: list[BaseException] = []
        # Streams first: they may have to give a listen key back.
        for kind in (WebSocketManager, RestManager):
            closing = [manager for manager in made if isinstance(manager, kind)]
            ends = await asyncio.gather(*(manager.close() for manager in closing), return_exceptions=True)
            for manager, end in zip(closing, ends, strict=True):
                if isinstance(end, BaseException):
                    troubles.append(end)
                elif manager in self._made:  # another close() may have been as quick
                    self._made.remove(manager)
        if troubles:
            for other in troubles[1:]:
                troubles[0].add_note(f"Another manager could not be closed either: {other!r}")
            raise troubles[0]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
