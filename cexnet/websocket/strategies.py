"""What an exchange supplies to a ``WebSocketManager``: three strategies in one set.

The set is validated once, at ``WebSocketManager.initialize()``; afterwards the manager
reaches each strategy by plain attribute, with no checks at run time.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cexnet.types import Subscription
from cexnet.websocket.deflate import DeflateOffer
from cexnet.websocket.liveness import LivenessPolicy
from cexnet.websocket.reconnect import Fault, Loss, ReconnectPolicy, classify
from cexnet_core.decode import Decoder
from cexnet_core.errors import StrategyError
from cexnet_core.events import RawMessage, SubscriptionAck, SymbolTable
from cexnet_core.route import Receiver, Router
from cexnet_core.schema import WireSchema


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect. ``ssl_context`` ``None`` means that of the strategy's ``network``.

    URL and headers may hold a listen key: ``repr`` leaves them out.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ssl_context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """How a connection leaves this machine.

    ``ssl_context`` ``None`` means verified defaults for ``wss``. ``proxy`` is an ``http``,
    ``https``, ``socks4`` or ``socks5`` URL; it may hold a password, ``repr`` leaves it out.
    ``local_address`` binds our side. ``happy_eyeballs_delay_s`` is the head start of an
    address before the next one is tried (RFC 8305 section 5), ``None`` to try them in turn.
    ``deflate`` asks the peer to compress (RFC 7692).
    """

    ssl_context: ssl.SSLContext | None = None
    proxy: str | None = field(default=None, repr=False)
    proxy_ssl_context: ssl.SSLContext | None = None
    local_address: tuple[str, int] | None = None
    happy_eyeballs_delay_s: float | None = 0.25
    deflate: DeflateOffer | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What the client must send to keep the connection: ``message()`` every ``interval_s``.

    ``only_when_quiet``: not while messages come in, as exchanges that count silence want.
    """

    interval_s: float
    message: Callable[[], bytes]
    only_when_quiet: bool = False


@dataclass(frozen=True, slots=True)
class Renewal:
    """What keeps a private stream's key alive: ``renew()`` every ``interval_s``.

    A renewal that fails is logged, counted, and tried again after a tenth of the interval.
    An AuthenticationError says that the key has ended: every connection is made anew.
    """

    interval_s: float
    renew: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """One subscribe or unsubscribe message on the wire and the topics it is about.

    The payload may hold a key and a signature: ``repr`` leaves it out.
    """

    payload: bytes = field(repr=False)
    request_id: str
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an answer of the exchange decided: topics confirmed, topics refused and why.

    ``unauthorized``: it refused who asked, not what was asked for. The topics stay wanted.
    """

    request: ControlRequest
    confirmed: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    unauthorized: bool = False


class ConnectionStrategy:
    """Endpoint, login, heartbeat, reconnection and limits of one connection.

    ``connect_deadline_s`` bounds DNS, TCP, TLS and upgrade together.
    ``max_message_bytes`` bounds one message; a larger one closes with code 1009.
    ``max_connects`` new connections are opened in any ``connects_window_s``.
    ``lifetime_s`` is when the exchange ends a connection: it is rolled before; ``None``
    where no limit is known. ``farewells`` are channels (as in ``unknown_channels``) whose
    messages announce an early end: the connection is rolled at once.
    """

    heartbeat: Heartbeat | None = None
    renewal: Renewal | None = None
    reconnect: ReconnectPolicy = ReconnectPolicy()
    liveness: LivenessPolicy = LivenessPolicy()
    network: Network = Network()
    connect_deadline_s: float = 10.0
    max_message_bytes: int = 16 * 1024 * 1024
    max_connects: int = 30
    connects_window_s: float = 10.0
    lifetime_s: float | None = None
    farewells: frozenset[str] = frozenset()

    async def prepare(self) -> None:
        """Do what must precede every attempt, such as getting a listen key. Default: nothing."""

    async def release(self) -> None:
        """Give back what ``prepare`` got, once the manager has closed. Default: nothing."""

    def login(self, request_id: int) -> ControlRequest | None:
        """The message that logs in, its answer matched by ``settle``; ``None``: no login.

        Its one topic is a name of the strategy's own. A refusal ends the attempt.
        """
        return None

    def ends_login(self, event: SubscriptionAck | RawMessage) -> str:
        """The exchange's words when ``event`` says that the login has ended, else "".

        Asked of answers that no request of ours waits for and of unknown messages. The
        connection is then made anew at once, login included. Default: never.
        """
        return ""

    def classify(self, loss: Loss) -> Fault:
        """What a loss asks of us. Default: by close code and handshake status."""
        return classify(loss)

    def endpoint(self, topics: Sequence[str]) -> Endpoint:
        """Where to connect for ``topics`` (one shard of them)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement endpoint(topics)")


class SubscriptionStrategy:
    """How topics are spelled, asked for and confirmed.

    ``max_topics_per_connection`` and ``max_messages_per_s`` are the exchange's limits,
    ``max_topics_per_message`` keeps one request small enough for it. ``counts_control_frames``:
    pings and pongs of ours count against ``max_messages_per_s`` as well.
    ``depth_begins_with_snapshot``: a depth subscription brings the whole book by itself.
    ``gives_up_refused``: a topic that is refused at a resubscription is given up, and
    reported; where that may not happen, the connection is made anew until it is confirmed.
    """

    max_topics_per_connection: int = 1024
    max_topics_per_message: int = 50
    max_messages_per_s: int = 5
    counts_control_frames: bool = False
    depth_begins_with_snapshot: bool = False
    gives_up_refused: bool = True

    def topic(self, subscription: Subscription) -> str:
        """The exchange's name of a subscription; equal subscriptions give equal topics."""
        raise NotImplementedError(f"{type(self).__name__} does not implement topic(subscription)")

    def subscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """Messages that ask for ``topics``; ids count up from ``request_id``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement subscribe(...)")

    def unsubscribe(self, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
        """Messages that end ``topics``; ids count up from ``request_id``."""
        raise NotImplementedError(f"{type(self).__name__} does not implement unsubscribe(...)")

    def settle(self, ack: SubscriptionAck, pending: Sequence[ControlRequest]) -> Settlement | None:
        """Match an answer to one of ``pending`` (oldest first); ``None``: not for any of them.

        A request is finished when every one of its topics was confirmed or refused.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement settle(...)")

    def group(self, topic: str) -> str:
        """Topics of different groups never share a connection (an exchange's routes)."""
        return ""

    def shards(self, topics: Sequence[str]) -> list[tuple[str, ...]]:
        """Spread ``topics`` over as many connections as routes and limits need."""
        groups: dict[str, list[str]] = {}
        for topic in topics:
            groups.setdefault(self.group(topic), []).append(topic)
        size = self.max_topics_per_connection
        return [
            tuple(members[i : i + size]) for members in groups.values() for i in range(0, len(members), size)
        ]


class MessageParser:
    """Owns the wire schema, the decoder and the route of one manager.

    ``name`` tells variants apart in the metrics of a manager that swaps them.
    """

    def __init__(self, schema: WireSchema, *, exact: bool = False, name: str = "") -> None:
        self.name = name or schema.name
        self.schema = schema
        self.symbols = SymbolTable()
        self.decoder = Decoder(schema, symbols=self.symbols, exact=exact)
        self.router = Router(schema, self.symbols)

    def receiver(self, connection_id: int) -> Receiver:
        """The sink of one connection; events carry ``connection_id``."""
        return Receiver(self.decoder, self.router, connection_id)


@dataclass(slots=True)
class WebSocketStrategySet:
    """The three strategies of a ``WebSocketManager``."""

    connection: ConnectionStrategy
    subscription: SubscriptionStrategy
    parser: MessageParser

    def validate(self) -> None:
        """Raise :class:`StrategyError` naming every slot that is missing or of a wrong type."""
        wanted: dict[str, type] = {
            "connection": ConnectionStrategy,
            "subscription": SubscriptionStrategy,
            "parser": MessageParser,
        }
        problems = [
            f"{slot} is {type(getattr(self, slot)).__name__}, a {kind.__name__} is needed"
            for slot, kind in wanted.items()
            if not isinstance(getattr(self, slot), kind)
        ]
        if problems:
            raise StrategyError("incomplete WebSocketStrategySet: " + "; ".join(problems))
