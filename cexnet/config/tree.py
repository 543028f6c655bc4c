"""The configuration as one typed tree; every field's default is what happens without it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from cexnet.config.secrecy import shown
from cexnet.credentials import Credentials
from cexnet.http.breaker import BreakerPolicy
from cexnet.http.hedge import HedgePolicy
from cexnet.types import Channel, Subscription
from cexnet.websocket.delivery import OverflowPolicy
from cexnet.websocket.live import MOST
from cexnet.websocket.liveness import LivenessPolicy
from cexnet.websocket.reconnect import ReconnectPolicy
from cexnet_core.errors import ConfigurationError

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1, le=MOST)]
Share = Annotated[float, Meta(gt=0, le=1)]
Remedy = Literal["probe", "roll", "conflate", "shed"]
LogLevel = Literal["debug", "info", "warning", "error"]


class QueueConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A bounded queue between a connection and its consumer; see ``cexnet.websocket.delivery``."""

    depth: Count = 65_536
    policy: OverflowPolicy = "drop_oldest"


class NetworkConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, repr_omit_defaults=True):
    """How connections leave this machine, for WebSocket and REST alike.

    ``proxy`` is an ``http``, ``https``, ``socks4`` or ``socks5`` URL. ``ca_file`` (PEM) replaces the
    system's authorities, ``client_certificate`` and ``client_key`` (PEM) are shown to a peer
    that asks. ``local_address`` is the address of ours to connect from.
    """

    proxy: str | None = None
    ca_file: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    local_address: str | None = None

    def __post_init__(self) -> None:
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("client_key without client_certificate: give both, or one file with both")
        if self.proxy is not None and not _is_proxy(self.proxy):
            raise ValueError("proxy must be a URL like http://user:password@host:3128 or socks5://host:1080")
        if self.local_address is not None and not _is_address(self.local_address):
            raise ValueError(
                f"local_address is {self.local_address!r}: give an IP address of this machine, like 192.0.2.7"
            )

    def __repr__(self) -> str:
        host = urlsplit(self.proxy).hostname if self.proxy else None
        return (
            f"NetworkConfig(proxy={host!r}, ca_file={self.ca_file!r}, local_address={self.local_address!r})"
        )

    def ssl_context(self) -> ssl.SSLContext | None:
        """Verified TLS with these certificates; ``None`` when the system's defaults will do.

        Raises ConfigurationError for a file that is missing or no certificate.
        """
        if self.ca_file is None and self.client_certificate is None:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.client_certificate is not None:
                context.load_cert_chain(self.client_certificate, self.client_key)
        except (OSError, ValueError) as error:  # a zero byte in a path is a ValueError
            files = ", ".join(filter(None, (self.ca_file, self.client_certificate, self.client_key)))
            raise ConfigurationError(f"network: cannot use {files} for TLS: {error}") from None
        return context


class SubscriptionConfig(
    Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True
):
    """One stream to subscribe: a ``cexnet.types.Subscription`` as it is written in a file.

    ``sheddable``: under load it may be given up for a while (``remedies`` in ``[targets]``).
    """

    channel: Channel
    symbol: str = ""
    interval: str = "1m"
    sheddable: bool = False

    def __post_init__(self) -> None:
        try:
            self.subscription()
        except ConfigurationError as error:
            raise ValueError(str(error)) from None  # the tree's reader adds the key to it

    def subscription(self) -> Subscription:
        """The subscription that this stands for."""
        return Subscription(self.channel, self.symbol, self.interval)


class WebSocketConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Streams: how many connections, and when one is replaced. Times in seconds.

    ``queue`` is the one that ``initialize()`` makes when it is given no handler.
    """

    redundancy: Count = 1
    whole_books: bool = False
    connect_deadline_s: Positive = 10.0
    max_message_bytes: Count = 16 * 1024 * 1024
    reconnect: ReconnectPolicy = field(default_factory=ReconnectPolicy)
    liveness: LivenessPolicy = field(default_factory=LivenessPolicy)
    queue: QueueConfig = field(default_factory=QueueConfig)


class RestConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Requests: how long one may take, how many connections, how large an answer.

    ``clock_every_s`` has the exchange's clock measured in the background, ``hedging`` turns
    hedged reads on; see ``RestManager``. ``limit_share`` is the part of the exchange's limits
    that this process uses: less than 1 where others share the address or the account.
    """

    deadline_s: Positive = 10.0
    connections: Count = 64
    max_body_bytes: Count = 16 * 1024 * 1024
    clock_every_s: Positive | None = None
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    hedging: HedgePolicy | None = None
    limit_share: Share = 1.0


class TargetsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is promised, in milliseconds, and which share of the records must keep to it.

    ``websocket_handling_ms`` is from the socket to the handler's return, ``queue_wait_ms`` how
    long an event waits in a queue (left out: not judged), ``rest_total_ms`` a call as a whole,
    ``rest_sign_ms`` its signature, ``connect_ms`` the making of a connection from DNS to TLS
    and upgrade, ``recovery_ms`` from the start or a loss of a connection to the first data
    after it.

    ``remedies`` names what a monitor does about a degraded stream, step after step until it
    helps; see ``cexnet.telemetry.remedies``.
    """

    websocket_handling_ms: Positive = 1.0
    queue_wait_ms: Positive | None = None
    rest_total_ms: Positive = 50.0
    rest_sign_ms: Positive = 0.2
    connect_ms: Positive = 100.0
    recovery_ms: Positive = 100.0
    share: Share = 0.99
    remedies: tuple[Remedy, ...] = ("probe", "roll")


class LogConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The level of the ``cexnet`` loggers and of the hot log; left out: as the program sets them."""

    level: LogLevel | None = None


class ExchangeConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings of one exchange.

    The URLs replace scheme, host and port of the exchange's own (a test net, a
    simulator), never the path. ``private_websocket_url`` is for private streams where they
    have a host of their own, as Binance's; left out, it is ``websocket_url``.
    ``credentials`` are needed by signed requests and private streams only.
    ``websocket`` and ``rest`` replace the tree's own for this exchange; in a file they
    need to name only what differs. ``subscriptions`` are what ``initialize()`` streams when
    it is not told: those of markets on a public manager, those of the account on a private one.
    """

    websocket_url: str | None = None
    private_websocket_url: str | None = None
    rest_url: str | None = None
    credentials: Credentials | None = None
    websocket: WebSocketConfig | None = None
    rest: RestConfig | None = None
    subscriptions: tuple[SubscriptionConfig, ...] = ()

    def __repr__(self) -> str:
        parts = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            parts.append(f"{name}={(shown((name,), value) if isinstance(value, str) else value)!r}")
        return f"ExchangeConfig({', '.join(parts)})"


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole tree. An exchange without a table of its own gets the defaults."""

    exchange: Mapping[str, ExchangeConfig] = field(default_factory=dict)
    websocket: WebSocketConfig = field(default_factory=WebSocketConfig)
    rest: RestConfig = field(default_factory=RestConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    targets: TargetsConfig = field(default_factory=TargetsConfig)
    log: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        for name, settings in self.exchange.items():
            if not isinstance(settings, ExchangeConfig):
                raise ConfigurationError(
                    f"configuration of {name!r} is a {type(settings).__name__}: give an "
                    "ExchangeConfig, or build the whole tree with config_from_dict()"
                )

    def of(self, name: str) -> ExchangeConfig:
        """Settings of the exchange ``name``."""
        return self.exchange.get(name, _DEFAULT)

    def websocket_of(self, name: str) -> WebSocketConfig:
        """What holds for the streams of the exchange ``name``."""
        return self.of(name).websocket or self.websocket

    def rest_of(self, name: str) -> RestConfig:
        """What holds for the requests to the exchange ``name``."""
        return self.of(name).rest or self.rest


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.scheme and parts.hostname and (parts.port is None or parts.port > 0))
    except ValueError:  # brackets without an end, a port that is none
        return False


def _is_proxy(text: str) -> bool:
    return _is_url(text) and urlsplit(text).scheme in ("http", "https", "socks4", "socks5")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


_DEFAULT = ExchangeConfig()
