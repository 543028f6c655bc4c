"""What the rest of cexnet knows of an exchange: a name and two builders of strategy sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit, urlunsplit

from cexnet.credentials import Credentials
from cexnet.http.manager import RestManager
from cexnet.http.strategies import RestStrategySet
from cexnet.types import Channel, Scope, Subscription
from cexnet.websocket.listen_key import ListenKey
from cexnet.websocket.liveness import LivenessPolicy
from cexnet.websocket.strategies import (
    ConnectionStrategy,
    ControlRequest,
    Endpoint,
    Heartbeat,
    Settlement,
    SubscriptionStrategy,
    WebSocketStrategySet,
)
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import SubscriptionAck
from cexnet_core.schema import WireSchema

# An account may rest for days, and its connection may not die unnoticed meanwhile.
ACCOUNT_LIVENESS = LivenessPolicy(quiet_floor_s=20.0, expects_data=False)


class RestStrategiesMaker(Protocol):
    """What ``Rest.strategies`` is."""

    def __call__(self, *, credentials: Credentials | None) -> RestStrategySet:
        """A fresh strategy set; without credentials, for what needs no signature."""
        ...


@dataclass(frozen=True, slots=True)
class Rest:
    """An exchange's REST interface: its origin (``https://host``), and what makes a strategy set."""

    url: str
    strategies: RestStrategiesMaker


class PrivateStrategiesMaker(Protocol):
    """What ``Exchange.private_strategies`` is."""

    def __call__(
        self, base_url: str | None, credentials: Credentials, listen_key: Callable[[], ListenKey], /
    ) -> WebSocketStrategySet:
        """A fresh strategy set for the account's streams; ``listen_key`` makes one where needed."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange as the factory sees it.

    ``schema`` is its public market-data wire schema, ``websocket_strategies(base_url)``
    makes a fresh strategy set; ``None`` as base URL means the exchange's own host.
    ``rest`` and ``private_strategies(base_url, credentials, listen_key)`` are there where
    the exchange has REST tables, and streams of the account; ``private_schema()`` is the wire
    schema of those, for recordings of them.
    ``snapshot_levels`` is the depth of a book that mends a stream of updates.
    ``symbols`` are three well-known ones, as a default for demonstrations.
    """

    name: str
    schema: WireSchema
    websocket_strategies: Callable[[str | None], WebSocketStrategySet]
    symbols: tuple[str, ...]
    rest: Rest | None = None
    snapshot_levels: int = 1000
    private_strategies: PrivateStrategiesMaker | None = None
    private_schema: Callable[[], WireSchema] | None = None

    def schema_of(self, scope: Scope) -> WireSchema:
        """The wire schema of its market data, or of the account's streams.

        Raises ConfigurationError where it does not tell that of the account's.
        """
        if scope == "public":
            return self.schema
        if self.private_schema is None:
            raise ConfigurationError(f"{self.name} does not tell the wire schema of its private streams")
        return self.private_schema()

    def rest_manager(
        self, base_url: str | None = None, credentials: Credentials | None = None, **options: Any
    ) -> RestManager:
        """A RestManager for the exchange, or for the host ``base_url``; ``options`` are RestManager's.

        Raises ConfigurationError for an exchange without REST tables.
        """
        if self.rest is None:
            raise ConfigurationError(f"there are no REST tables of {self.name} here: only its streams")
        strategies = self.rest.strategies(credentials=credentials)
        return RestManager(strategies, base_url=base_url or self.rest.url, name=self.name, **options)


def private_streams_in(module: str) -> PrivateStrategiesMaker:
    """``private_strategies`` of ``module``, imported at the first use: it imports what the caller defines."""

    def private_strategies(
        base_url: str | None, credentials: Credentials, listen_key: Callable[[], ListenKey], /
    ) -> WebSocketStrategySet:
        make: PrivateStrategiesMaker = import_module(module).private_strategies
        return make(base_url, credentials, listen_key)

    return private_strategies


def private_schema_in(module: str) -> Callable[[], WireSchema]:
    """``SCHEMA`` of ``module``, imported at the first use."""

    def private_schema() -> WireSchema:
        schema: WireSchema = import_module(module).SCHEMA
        return schema

    return private_schema


class Endpoints(ConnectionStrategy):
    """One URL a group of topics; ``base_url`` replaces scheme and host, not the path.

    ``urls`` maps a group to its URL, ``group`` is the subscription strategy's own.
    """

    def __init__(
        self,
        urls: Mapping[str, str],
        group: Callable[[str], str],
        *,
        base_url: str | None = None,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self._endpoints = {name: Endpoint(rebase(url, base_url)) for name, url in urls.items()}
        self._group = group
        self.heartbeat = heartbeat

    def endpoint(self, topics: Sequence[str]) -> Endpoint:
        """The URL of the first topic's group: a shard never mixes groups."""
        return self._endpoints[self._group(topics[0])]


class AccountTopics(SubscriptionStrategy):
    """Topics of a private stream. ``names`` has the exchange's name of each channel."""

    names: ClassVar[Mapping[Channel, str]] = {}
    gives_up_refused = False

    def topic(self, subscription: Subscription) -> str:
        """The exchange's name of the channel. Raises ConfigurationError for a market's."""
        if subscription.channel not in self.names:
            raise ConfigurationError(
                f'{subscription.channel} come on a public stream: make another manager, with scope="public"'
            )
        return self.names[subscription.channel]


def not_public(subscription: Subscription) -> ConfigurationError:
    """The error for a subscription of the account on a public stream."""
    return ConfigurationError(
        f'{subscription.channel} come on a private stream: make another manager, with scope="private"'
    )


def rebase(url: str, base_url: str | None) -> str:
    """``url`` on the scheme, host and port of ``base_url`` (a test net, a simulator)."""
    if base_url is None:
        return url
    base, own = urlsplit(base_url), urlsplit(url)
    return urlunsplit((base.scheme, base.netloc, own.path, own.query, ""))


def chunked(topics: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """``topics`` in order, in groups of at most ``size``."""
    return [tuple(topics[i : i + size]) for i in range(0, len(topics), size)]


def settle_by_id(ack: SubscriptionAck, pending: Sequence[ControlRequest]) -> Settlement | None:
    """All topics of the request that has the answer's id, confirmed or refused together."""
    request = next((request for request in pending if request.request_id == ack.request_id), None)
    if request is None:
        return None
    if not ack.ok:
        why = f"{ack.message} (code {ack.code})"
        return Settlement(request, refused=dict.fromkeys(request.topics, why))
    return Settlement(request, confirmed=request.topics)
