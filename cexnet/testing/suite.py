"""``ExchangeSuite``: one test a question, each telling everything that is wrong at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import exchange_names, get_exchange
from cexnet.exchanges.exchange import Exchange
from cexnet.testing import asked, decoding, orders, sequences, signing, tables, topics
from cexnet.testing.case import Case, report
from cexnet.testing.samples import (
    AnswerSample,
    ErrorSample,
    InSequence,
    Payload,
    Sample,
    SignatureVector,
)
from cexnet.websocket.strategies import ControlRequest

_MADE_UP = Credentials("made-up-key", Secret("bWFkZS11cC1zZWNyZXQ="), passphrase=Secret("made-up-phrase"))


class ExchangeSuite:
    """The tests of one exchange: subclass it, name ``exchange``, and give what its documents print.

    Plain methods and AssertionErrors: pytest collects a subclass whose name begins with
    ``Test``, ``unittest`` one that is a ``TestCase`` too. A test is skipped where an exchange
    has nothing for it, no REST tables say. Only ``test_orders_are_never_sent_twice`` opens
    sockets, on loopback.

    ``samples`` are messages of every channel, ``sequences`` three that follow each other of each
    event with a sequence rule; ``signatures``, ``errors`` and ``answers`` are for the REST tables.
    ``credentials`` are made up; give others where the exchange takes a private key.
    """

    exchange: ClassVar[Exchange]
    credentials: ClassVar[Credentials] = _MADE_UP
    samples: ClassVar[Sequence[Sample]] = ()
    sequences: ClassVar[Sequence[InSequence]] = ()
    signatures: ClassVar[Sequence[SignatureVector]] = ()
    errors: ClassVar[Sequence[ErrorSample]] = ()
    answers: ClassVar[Sequence[AnswerSample]] = ()

    def confirm(self, request: ControlRequest) -> Sequence[Payload]:
        """What the exchange sends when it does what ``request`` asks: all answers, in order."""
        return ()

    def refuse(self, request: ControlRequest) -> Sequence[Payload]:
        """What the exchange sends when it refuses ``request``: one answer is enough."""
        return ()

    def test_it_is_registered(self) -> None:
        """``get_exchange(name)`` leads here: the entry point is installed and names this object."""
        self._report("its registration", self._unregistered)

    def test_strategies_and_urls(self) -> None:
        """Sets are whole and fresh, URLs are well formed and can be replaced."""
        self._report("its stream strategies", topics.wrong_strategies)

    def test_every_channel_has_a_sample(self) -> None:
        """No channel can be subscribed to whose messages nobody has tried."""
        self._report("what is sampled", decoding.channels_without_sample)

    def test_messages_are_decoded(self) -> None:
        """Each sample gives its events, field by field, on each path of the decoder."""
        self._report("how messages are decoded", decoding.wrong_decoding)

    def test_messages_reach_their_subscription(self) -> None:
        """Each sample's events go to the handler of the subscription that it names."""
        self._report("how events are routed", decoding.wrong_routing)

    def test_sequences(self) -> None:
        """Gaps, duplicates and reorders are told by the exchange's rule."""
        self._report("its sequences", sequences.wrong_sequences)

    def test_topics(self) -> None:
        """Topics are spelled one to one, and asked for within the exchange's limits."""
        self._report("its topics", topics.wrong_topics)

    def test_answers_settle_requests(self) -> None:
        """What the exchange answers confirms or refuses the request that it is about."""
        self._report("how answers are understood", topics.wrong_answers)

    def test_endpoints(self) -> None:
        """Rows can be sent, are metered, and orders are marked as what they are."""
        self._report("its endpoints", tables.wrong_endpoints)

    def test_limits(self) -> None:
        """Scopes make sense and are used."""
        self._report("its limits", tables.wrong_limits)

    def test_errors(self) -> None:
        """Refusals become the errors that they stand for."""
        self._report("its errors", tables.wrong_errors)

    def test_rest_answers_are_read(self) -> None:
        """Answers become books, orders and times as sampled."""
        self._report("how answers are read", tables.wrong_reading)

    def test_what_is_asked_for_is_sent(self) -> None:
        """Requests that ask for different things differ."""
        self._report("what it sends", asked.lost_on_the_way)

    def test_signatures(self) -> None:
        """Known signatures come out; what needs none has none."""
        self._report("its signatures", signing.wrong_signatures)

    def test_secrets_show_nowhere(self) -> None:
        """No repr shows a secret, and what is secret on the wire is named as such."""
        self._report("its secrets", signing.shown_secrets)

    def test_client_order_ids(self) -> None:
        """Ids that are minted obey the exchange's rule, and are sent."""
        self._report("its client order ids", orders.wrong_order_ids)

    def test_orders_are_never_sent_twice(self) -> None:
        """An order whose answer is lost is sent once, and its outcome is unknown."""
        self._report("orders on a bad line", orders.orders_sent_twice)

    def _report(self, subject: str, check: Callable[[Case], Iterator[str]]) -> None:
        __tracebackhide__ = True
        exchange = getattr(type(self), "exchange", None)
        if not isinstance(exchange, Exchange):
            raise AssertionError(
                f"{type(self).__name__}.exchange is {exchange!r}: name the Exchange under test"
            )
        case = Case(
            exchange,
            self.credentials,
            tuple(self.samples),
            tuple(self.sequences),
            tuple(self.signatures),
            tuple(self.errors),
            tuple(self.answers),
            self.confirm,
            self.refuse,
        )
        report(exchange.name, subject, check(case))

    @staticmethod
    def _unregistered(case: Case) -> Iterator[str]:
        name = case.exchange.name
        if name not in exchange_names():
            yield (
                f"no entry point of the group cexnet.exchanges is called {name!r}: add it to pyproject.toml,"
                " and install the package (pip install -e .)"
            )
        elif get_exchange(name) is not case.exchange:
            yield f"get_exchange({name!r}) leads to another Exchange: is that name taken?"
