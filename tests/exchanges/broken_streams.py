"""Mistakes in streams, and the words that tell of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cexnet.testing import Expect, Sample
from cexnet.websocket.strategies import ControlRequest
from cexnet_core.schema import Field
from tests.exchanges.broken import Attributes, Mistake, Template

TRADE = Expect(
    "Trade",
    symbol="BTC-USD",
    side="buy",
    price="64250.1",
    size="0.5",
    exchange_ts_ns=1_700_000_000_123_000_000,
)


def one_for_all(t: Template) -> Attributes:
    made = t.acme.websocket_strategies()
    return t.exchange(websocket_strategies=lambda base_url=None: made)


def no_secure_url(t: Template) -> Attributes:
    def change(made: Any) -> None:
        made.connection = t.acme.AcmeConnection({"": "ws://stream.acme.example/v1"}, made.subscription.group)

    return t.public(change)


def same_ids(self: Any, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
    return [ControlRequest(b'{"id":7}', "7", (topic,)) for topic in topics]


def all_at_once(self: Any, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
    return [ControlRequest(b'{"id":%d}' % request_id, str(request_id), tuple(topics))]


def half_of_them(self: Any, topics: Sequence[str], request_id: int) -> list[ControlRequest]:
    return [ControlRequest(b'{"id":%d}' % request_id, str(request_id), tuple(topics[:1]))]


class Telling(ControlRequest):
    """A login that shows its key."""

    def __repr__(self) -> str:
        return "login as made-up-key"


def telling(t: Template) -> Attributes:
    def change(made: Any) -> None:
        made.connection.login = lambda request_id: Telling(b"{}", "1", ("login",))

    return t.public(change)


def only(t: Template, expect: Expect) -> Attributes:
    return {"samples": (Sample(None, t.suite.samples[0].payload, expect),)}


STREAMS: tuple[Mistake, ...] = (
    ("registered", "no entry point .* is called 'acne'", lambda t: t.exchange(name="acne")),
    ("registered", "leads to another Exchange", lambda t: t.exchange(snapshot_levels=7)),
    ("strategies_and_urls", "two managers would share one parser strategy", one_for_all),
    ("strategies_and_urls", "an exchange's own URL is wss://host", no_secure_url),
    (
        "strategies_and_urls",
        "with base_url='ws://127.0.0.1:9' topic 'trades:BTC-USD' is on 'wss://stream",
        lambda t: t.exchange(websocket_strategies=lambda base_url=None: t.acme.websocket_strategies()),
    ),
    (
        "strategies_and_urls",
        r"AcmeTopics\.max_messages_per_s is 0: must be above 0",
        lambda t: t.topics(max_messages_per_s=0),
    ),
    (
        "strategies_and_urls",
        "parser is str, a MessageParser is needed",
        lambda t: t.public(lambda made: setattr(made, "parser", "json")),
    ),
    ("strategies_and_urls", r"Exchange\.symbols is empty", lambda t: t.exchange(symbols=())),
    (
        "every_channel",
        r"depth can be subscribed to \(topic 'book:BTC-USD'\) and has no sample",
        lambda t: {"samples": t.suite.samples[:2]},
    ),
    ("are_decoded", "there are no samples", lambda t: {"samples": ()}),
    (
        "are_decoded",
        r"samples\[0\].*slow path: Trade\.price is 0\.5, expected 64250\.1$",
        lambda t: t.with_fields("Trade", Field("price", "qty")),
    ),
    (
        "are_decoded",
        r"gave DecodeError \(.*prize.*\)",
        lambda t: t.with_fields("Trade", Field("price", "prize")),
    ),
    (
        "are_decoded",
        r"gave RawMessage .*look at their when=",
        lambda t: t.messages("Trade", lambda one: replace(one, when={"type": "deal"})),
    ),
    (
        "are_decoded",
        "Trade.side is 'sell', expected 'buy'",
        lambda t: t.with_fields("Trade", Field("side", "taker", values={"B": "sell", "S": "buy"})),
    ),
    (
        "are_decoded",
        "exchange_ts_ns is 1700000000123000, expected 1700000000123000000",
        lambda t: t.with_fields("Trade", Field("exchange_ts_ns", "ts", unit="us")),
    ),
    (
        "are_decoded",
        r"Trade.trade_id is '991', expected \(as Expect does not name it\) ''",
        lambda t: only(t, TRADE),
    ),
    (
        "are_decoded",
        "Trade has no field 'prize'; it has symbol",
        lambda t: only(t, Expect("Trade", prize="1")),
    ),
    (
        "reach_their",
        "got 0 of 1 events; there is Trade of 'BTC-USD'.*normalize",
        lambda t: t.sample(0, symbol="BTCUSD"),
    ),
    (
        "reach_their",
        "book_ticker brings BookTicker, and the sample expects Trade",
        lambda t: t.sample(0, channel="book_ticker"),
    ),
    (
        "sequences",
        "DepthUpdate has the sequence rule 'range' and is not in sequences",
        lambda t: {"sequences": t.suite.sequences[:1]},
    ),
    (
        "sequences",
        "DepthUpdate declares no sequence",
        lambda t: t.messages("DepthUpdate", lambda one: replace(one, sequence="none")),
    ),
    (
        "sequences",
        r"sequences\[1\] .depth of BTC-USD.: the updates tell which number comes before them, and the rule"
        " 'increasing' sees no gap",
        lambda t: t.messages("DepthUpdate", lambda one: replace(one, sequence="increasing")),
    ),
    (
        "sequences",
        r"sequences\[1\] .depth of BTC-USD., in order: 3 delivered, 1 gaps",
        lambda t: t.with_fields("DepthUpdate", Field("first_sequence", "to")),
    ),
    (
        "sequences",
        "without the second: 2 delivered, 0 gaps.*; that is one gap",
        lambda t: t.with_fields("DepthUpdate", Field("first_sequence", "first", optional=True)),
    ),
    (
        "sequences",
        "the second one twice: 3 delivered.*; the repetition is a duplicate",
        lambda t: t.with_fields("DepthUpdate", Field("sequence", "last", optional=True)),
    ),
    (
        "sequences",
        "the second one last: 3 delivered.*; that is one reorder",
        lambda t: t.with_fields("BookTicker", Field("sequence", "last", optional=True)),
    ),
    ("topics", "topic 'all' is both", lambda t: t.topics(topic=lambda self, subscription: "all")),
    ("topics", "request ids are not unique", lambda t: t.topics(subscribe=same_ids)),
    (
        "topics",
        "9 topics in a message, max_topics_per_message says fewer",
        lambda t: t.topics(subscribe=all_at_once, max_topics_per_message=5),
    ),
    ("topics", "of 9 topics the messages are about .*each once", lambda t: t.topics(subscribe=half_of_them)),
    (
        "topics",
        "count up from it",
        lambda t: t.topics(subscribe=lambda self, topics, i: self._requests("subscribe", topics, i + 9)),
    ),
    (
        "topics",
        'unsubscribe sends what subscribe sends: {"op":"subscribe","id":7',
        lambda t: t.topics(unsubscribe=lambda self, topics, i: self._requests("subscribe", topics, i)),
    ),
    (
        "answers_settle",
        r"settle\(\) does not know whose answer",
        lambda t: t.topics(settle=lambda self, ack, pending: None),
    ),
    (
        "answers_settle",
        r"settle\(\) takes it for the answer to",
        lambda t: t.topics(
            settle=lambda self, ack, pending: replace(t.acme.settle_by_id(ack, pending), request=pending[-1])
        ),
    ),
    (
        "answers_settle",
        "decodes as RawMessage.*a SubscriptionAck is needed",
        lambda t: t.messages("SubscriptionAck", lambda one: replace(one, has=("never",))),
    ),
    (
        "answers_settle",
        r"refuse\(\) says that it is refused, settle\(\) says",
        lambda t: {"refuse": t.suite.confirm},
    ),
    (
        "answers_settle",
        "these topics are not decided: trades:BTC-USD|these topics are not decided: book",
        lambda t: {"confirm": lambda self, request: ()},
    ),
    (
        "answers_settle",
        r"refuse\(\) gives no answer to",
        lambda t: {"refuse": lambda self, request: ()},
    ),
    (
        "answers_settle",
        "KeyError: 'nothing' ended the check; its traceback is above",
        lambda t: t.topics(settle=lambda self, ack, pending: {}["nothing"]),
    ),
    ("secrets", "repr of public login .* shows the API key", telling),
)
