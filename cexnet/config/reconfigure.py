"""Another configuration for managers that live: checked as a whole, then in force as a whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from cexnet.config.logs import apply_level, check_level
from cexnet.config.show import leaves_of
from cexnet.config.tree import Config
from cexnet.http.live import RestChanges, check
from cexnet.http.manager import RestManager
from cexnet.types import ACCOUNT_CHANNELS, Scope, Subscription
from cexnet.websocket.live import Standing, StreamChange, StreamChanges
from cexnet.websocket.manager import WebSocketManager
from cexnet_core.errors import ConfigurationError

_logger = logging.getLogger("cexnet.config")

# What a connection, a pool or a signature was made with.
_FIXED_STREAM = ("redundancy", "whole_books")
_FIXED_REST = ("connections", "max_body_bytes")


@dataclass(frozen=True, slots=True)
class _Stream:
    manager: WebSocketManager
    exchange: str
    scope: Scope

    def fixed(self, config: Config) -> Iterator[tuple[str, Any]]:
        """What this manager was made with, by key."""
        own = config.of(self.exchange)
        yield f"exchange.{self.exchange}.websocket_url", own.websocket_url
        if self.scope == "private":
            yield f"exchange.{self.exchange}.private_websocket_url", own.private_websocket_url
            yield f"exchange.{self.exchange}.credentials", own.credentials
        else:
            settings = config.websocket_of(self.exchange)
            for name in _FIXED_STREAM:
                yield _key(config, self.exchange, "websocket", name), getattr(settings, name)

    def change(self, config: Config) -> StreamChange:
        """The change to ``config``, checked."""
        settings = config.websocket_of(self.exchange)
        standing = standing_of(config, self.exchange, self.scope)
        changes = StreamChanges(
            reconnect=settings.reconnect,
            connect_deadline_s=settings.connect_deadline_s,
            max_message_bytes=settings.max_message_bytes,
            queue_depth=standing.queue_depth,
            queue_policy=standing.queue_policy,
            sheddable=standing.sheddable,
        )
        if self.scope == "public":
            changes["liveness"] = settings.liveness
        if not self.manager.is_told:
            changes["subscriptions"] = standing.subscriptions
        return self.manager.prepare(**changes)


@dataclass(frozen=True, slots=True)
class _Requests:
    manager: RestManager
    exchange: str

    def fixed(self, config: Config) -> Iterator[tuple[str, Any]]:
        """What this manager was made with, by key."""
        own, settings = config.of(self.exchange), config.rest_of(self.exchange)
        yield f"exchange.{self.exchange}.rest_url", own.rest_url
        yield f"exchange.{self.exchange}.credentials", own.credentials
        for name in _FIXED_REST:
            yield _key(config, self.exchange, "rest", name), getattr(settings, name)

    def change(self, config: Config) -> RestChanges:
        """The change to ``config``, checked."""
        settings = config.rest_of(self.exchange)
        changes: RestChanges = {name: getattr(settings, name) for name in RestChanges.__annotations__}  # type: ignore[assignment]
        check(self.exchange, changes)
        return changes


class LiveConfig:
    """The configuration in force, and the managers that were made by it. One event loop."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._streams: list[_Stream] = []
        self._requests: list[_Requests] = []
        self._changing = asyncio.Lock()
        apply_level(config.log)

    def hold(self, manager: WebSocketManager | RestManager, exchange: str, scope: Scope = "public") -> None:
        """``manager`` was made by ``config``, and goes along with its changes."""
        if isinstance(manager, WebSocketManager):
            self._streams.append(_Stream(manager, exchange, scope))
        else:
            self._requests.append(_Requests(manager, exchange))

    def release(self) -> None:
        """The managers are closed: nothing goes along with changes any more."""
        self._streams.clear()
        self._requests.clear()

    async def change(self, config: Config, deadline_s: float) -> tuple[str, ...]:
        """See ``TransportFactory.reconfigure``."""
        async with self._changing, AsyncExitStack() as changing:
            changed = tuple(_differences(self.config, config))
            if not changed:
                return ()
            check_level(config.log)
            changes: list[StreamChange] = []
            try:
                while True:
                    fresh = []
                    for stream in self._streams[len(changes) :]:
                        await changing.enter_async_context(stream.manager.changing)
                        fresh.append(stream.change(config))
                    self._refuse_fixed(config)
                    rest_changes = [(each.manager, each.change(config)) for each in self._requests]
                    if not fresh:
                        break
                    for change in fresh:
                        await change.extend(deadline_s)
                        changes.append(change)
                    # Whatever was made meanwhile was made by the old configuration.
            except BaseException:
                # One that fails to go back keeps no other from it; why we go back is what counts.
                ends = await asyncio.gather(
                    *(change.retract(deadline_s) for change in changes), return_exceptions=True
                )
                for end in ends:
                    if isinstance(end, BaseException):
                        _logger.error("a change of the configuration was not taken back: %r", end)
                raise
            # Nothing below fails or waits until everything is in force.
            for change in changes:
                change.apply()
            for manager, rest_change in rest_changes:
                manager.reconfigure(**rest_change)
            apply_level(config.log)
            self.config = config
            await asyncio.gather(*(change.finish(deadline_s) for change in changes))
            return changed

    def _refuse_fixed(self, config: Config) -> None:
        """Raise ConfigurationError naming every key that a living manager cannot change."""
        refused: dict[str, None] = {}
        living: list[_Stream | _Requests] = [*self._streams, *self._requests]
        for held in living:
            before = {key.rpartition(".")[2]: value for key, value in held.fixed(self.config)}
            for key, value in held.fixed(config):
                if value != before[key.rpartition(".")[2]]:
                    refused[key] = None
        if living and self.config.network != config.network:
            refused["network"] = None
        if refused:
            raise ConfigurationError(
                f"configuration: {', '.join(refused)} cannot change while managers live that were made with "
                "it, and nothing was changed: close the factory and make a new one, or put the old value back"
            )


def standing_of(config: Config, exchange: str, scope: Scope) -> Standing:
    """What a manager of ``exchange`` streams when ``initialize()`` is not told."""
    queue = config.websocket_of(exchange).queue
    wanted: dict[Subscription, bool] = {
        each.subscription(): each.sheddable
        for each in config.of(exchange).subscriptions
        if (each.channel in ACCOUNT_CHANNELS) is (scope == "private")
    }
    return Standing(
        subscriptions=tuple(wanted),
        sheddable=tuple(each for each, sheddable in wanted.items() if sheddable),
        queue_depth=queue.depth,
        queue_policy=queue.policy,
    )


def _differences(before: Config, after: Config) -> Iterator[str]:
    """Keys whose value is another one, in the order of the tree."""
    old, new = dict(leaves_of(_spelled_out(before, after))), dict(leaves_of(_spelled_out(after, before)))
    for path in {**new, **old}:
        if path not in old or path not in new or old[path] != new[path]:
            yield ".".join(path)


def _spelled_out(config: Config, other: Config) -> Config:
    """``config`` with a table for whatever has one in ``other``: what is inherited differs in nothing."""
    exchange = {}
    for name in {**config.exchange, **other.exchange}:
        mine, theirs = config.of(name), other.of(name)
        exchange[name] = structs.replace(
            mine,
            websocket=config.websocket_of(name) if mine.websocket or theirs.websocket else None,
            rest=config.rest_of(name) if mine.rest or theirs.rest else None,
        )
    return structs.replace(config, exchange=exchange)


def _key(config: Config, exchange: str, table: str, name: str) -> str:
    """Where ``name`` is set for ``exchange``: its own table, or that of all."""
    own = getattr(config.of(exchange), table) is not None
    return f"exchange.{exchange}.{table}.{name}" if own else f"{table}.{name}"
