"""One exchange under test: what was given, the strategies that it makes, and how problems are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import SkipTest

from cexnet.credentials import Credentials, Secret
from cexnet.exchanges.exchange import Exchange
from cexnet.http.endpoint import Call
from cexnet.http.intents import TableRequests
from cexnet.http.strategies import RestStrategySet
from cexnet.testing.samples import (
    AnswerSample,
    ErrorSample,
    InSequence,
    Payload,
    Sample,
    SignatureVector,
)
from cexnet.types import ACCOUNT_CHANNELS, OrderRequest, Side, Subscription
from cexnet.websocket.listen_key import ListenKey
from cexnet.websocket.strategies import ControlRequest, WebSocketStrategySet
from cexnet_core.errors import ConfigurationError
from cexnet_core.schema import WireSchema

Answering = Callable[[ControlRequest], Sequence[Payload]]
_SHOWN = 160


@dataclass(frozen=True)
class Case:
    """What ``ExchangeSuite`` was given, for the checks."""

    exchange: Exchange
    credentials: Credentials
    samples: tuple[Sample, ...]
    sequences: tuple[InSequence, ...]
    signatures: tuple[SignatureVector, ...]
    errors: tuple[ErrorSample, ...]
    answers: tuple[AnswerSample, ...]
    confirm: Answering
    refuse: Answering

    @property
    def symbol(self) -> str:
        """A symbol that the exchange has."""
        return self.exchange.symbols[0] if self.exchange.symbols else "BTCUSDT"

    def streams(self, base_url: str | None = None) -> dict[str, WebSocketStrategySet]:
        """A fresh set for the streams of markets, and of the account where there are any."""
        made = {"public": self.exchange.websocket_strategies(base_url)}
        if self.exchange.private_strategies is not None:
            made["private"] = self.exchange.private_strategies(
                base_url, self.credentials, _made_up_listen_key
            )
        return made

    def schemas(self) -> dict[str, WireSchema]:
        """The wire schemas, by the kind of stream."""
        return {kind: made.parser.schema for kind, made in self.streams().items()}

    def rest(self, *, signed: bool = True, credentials: Credentials | None = None) -> RestStrategySet:
        """A fresh REST set, with the case's credentials or others. Skips the test where there is none."""
        if self.exchange.rest is None:
            raise SkipTest(f"{self.exchange.name} has no REST tables")
        return self.exchange.rest.strategies(
            credentials=(credentials or self.credentials) if signed else None
        )

    def order(self) -> OrderRequest:
        """A limit order."""
        return OrderRequest(self.symbol, Side.BUY, "1", "10")

    def intents(self, rest: RestStrategySet) -> dict[str, Call[Any]]:
        """A call of every intent that the exchange offers, by the intent's name."""
        arguments: dict[str, tuple[Any, ...]] = {
            "ping": (),
            "server_time": (),
            "depth": (self.symbol, self.exchange.snapshot_levels),
            "place_order": (self.order(),),
            "cancel_order": (self.symbol, "7", ""),
            "query_order": (self.symbol, "7", ""),
        }
        calls = {}
        for intent, given in arguments.items():
            try:
                calls[intent] = getattr(rest.request, intent)(*given)
            except ConfigurationError:
                # Left out of the tables on purpose; one of the exchange's own must not refuse these.
                if getattr(type(rest.request), intent) is not getattr(TableRequests, intent):
                    raise
        return calls


def kind_of(subscription: Subscription | None) -> str:
    """Which streams a sample is of."""
    return "private" if subscription is not None and subscription.channel in ACCOUNT_CHANNELS else "public"


def shown(payload: Payload) -> str:
    """The start of a message, for a person: text where it is text."""
    try:
        text = payload if isinstance(payload, str) else payload.decode("ascii")
    except UnicodeDecodeError as error:
        return f"bytes.fromhex({error.object[: _SHOWN // 2].hex()!r})"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def report(name: str, subject: str, problems: Iterable[str]) -> None:
    """Raise AssertionError with all ``problems``, numbered; nothing when there are none.

    An exception out of the exchange's own code ends the list and is its last entry.
    """
    __tracebackhide__ = True
    found: list[str] = []
    cause = None
    try:
        found.extend(problems)
    except SkipTest:
        raise
    except Exception as error:  # noqa: BLE001 - told below, with its traceback
        cause = error
        found.append(f"{type(error).__name__}: {error} ended the check; its traceback is above")
    if found:
        count = "a problem" if len(found) == 1 else f"{len(found)} problems"
        lines = "\n".join(f"  {number}. {problem}" for number, problem in enumerate(found, 1))
        raise AssertionError(f"{name}: {count} with {subject}\n{lines}") from cause


async def _no_request(*_: object) -> Secret:
    return Secret("made-up-listen-key")


_create: Callable[[], Awaitable[Secret]] = _no_request
_with_key: Callable[[Secret], Awaitable[object]] = _no_request


def _made_up_listen_key() -> ListenKey:
    return ListenKey(_create, _with_key, _with_key)
