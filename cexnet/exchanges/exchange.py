"""What the rest of cexnet knows of an exchange: a name and two builders of strategy sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from cexnet.credentials import Credentials
from cexnet.http.manager import RestManager
from cexnet.websocket.strategies import (
    ConnectionStrategy,
    ControlRequest,
    Endpoint,
    Heartbeat,
    Settlement,
    WebSocketStrategySet,
)
from cexnet_core.events import SubscriptionAck
from cexnet_core.schema import WireSchema


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange as the factory sees it.

    ``schema`` is its public market-data wire schema, ``websocket_strategies(base_url)``
    makes a fresh strategy set; ``None`` as base URL means the exchange's own host.
    ``rest(base_url, credentials)`` makes a REST manager, where cexnet has the tables.
    ``snapshot_levels`` is the depth of a book that mends a stream of updates.
    ``symbols`` are three well-known ones, as a default for demonstrations.
    """

    name: str
    schema: WireSchema
    websocket_strategies: Callable[[str | None], WebSocketStrategySet]
    symbols: tuple[str, ...]
    rest: Callable[[str | None, Credentials | None], RestManager] | None = None
    snapshot_levels: int = 1000


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
