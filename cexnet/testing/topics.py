"""Are topics asked for as the exchange wants, and its answers understood? URLs and limits of streams too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from cexnet.testing.case import Answering, Case, shown
from cexnet.types import Channel, Subscription
from cexnet.websocket.strategies import ControlRequest, SubscriptionStrategy, WebSocketStrategySet
from cexnet_core.decode import Decoder, EventBatch
from cexnet_core.errors import ConfigurationError, StrategyError
from cexnet_core.events import SubscriptionAck

_ELSEWHERE = "ws://127.0.0.1:9"
_LONGEST_HEARTBEAT_S = 120.0


def wrong_strategies(case: Case) -> Iterator[str]:
    """Sets are complete, made afresh each time, and lead to the URL that they are given."""
    for kind, made in case.streams().items():
        try:
            made.validate()
        except StrategyError as error:
            yield f"{kind}: {error}"
            continue
        again = case.streams()[kind]
        for slot in ("connection", "subscription", "parser"):
            if getattr(made, slot) is getattr(again, slot):
                yield (f"{kind}: two managers would share one {slot} strategy: make a new one at each call")
        moved = case.streams(_ELSEWHERE)[kind]
        yield from _wrong_urls(kind, made, moved, tuple(_topics(made.subscription, kind, case.symbol)))
        yield from _wrong_numbers(kind, made)
    if not case.exchange.symbols:
        yield "Exchange.symbols is empty: name well-known ones, for demonstrations and these tests"


def _wrong_urls(
    kind: str, made: WebSocketStrategySet, moved: WebSocketStrategySet, topics: Sequence[str]
) -> Iterator[str]:
    for topic in topics:
        url = urlsplit(made.connection.endpoint((topic,)).url)
        if url.scheme != "wss" or not url.hostname:
            yield f"{kind}: topic {topic!r} is on {url.geturl()!r}: an exchange's own URL is wss://host/..."
        other = urlsplit(moved.connection.endpoint((topic,)).url)
        if (other.scheme, other.netloc) != ("ws", "127.0.0.1:9") or other.path != url.path:
            yield (
                f"{kind}: with base_url={_ELSEWHERE!r} topic {topic!r} is on {other.geturl()!r}: scheme, host"
                " and port must be those of base_url, the path the exchange's (Endpoints does it)"
            )


def _wrong_numbers(kind: str, made: WebSocketStrategySet) -> Iterator[str]:
    for strategy, names in (
        (made.subscription, ("max_topics_per_connection", "max_topics_per_message", "max_messages_per_s")),
        (made.connection, ("max_connects", "connects_window_s", "connect_deadline_s", "max_message_bytes")),
    ):
        for name in names:
            if getattr(strategy, name) <= 0:
                named = f"{type(strategy).__name__}.{name}"
                yield f"{kind}: {named} is {getattr(strategy, name)}: must be above 0"
    lifetime_s, heartbeat = made.connection.lifetime_s, made.connection.heartbeat
    if lifetime_s is not None and lifetime_s <= 0:
        yield f"{kind}: lifetime_s is {lifetime_s}: seconds until the exchange ends a connection, or None"
    if heartbeat is not None:
        if not 0 < heartbeat.interval_s <= _LONGEST_HEARTBEAT_S:
            yield f"{kind}: a heartbeat every {heartbeat.interval_s} s: is that in seconds?"
        if not isinstance(heartbeat.message(), bytes):
            yield f"{kind}: Heartbeat.message() gives {type(heartbeat.message()).__name__}, bytes are needed"


def wrong_topics(case: Case) -> Iterator[str]:
    """Equal subscriptions give equal topics, different ones different; messages keep to their limits."""
    for kind, made in case.streams().items():
        strategy = made.subscription
        spelled: dict[str, Subscription] = {}
        for subscription in _subscriptions(kind, case.exchange.symbols or ("BTCUSDT",)):
            try:
                topic, again = strategy.topic(subscription), strategy.topic(replace(subscription))
            except ConfigurationError:
                continue
            if topic != again:
                yield f"{kind}: topic() gives {topic!r}, then {again!r} for the same {subscription}"
            if topic in spelled:
                yield f"{kind}: topic {topic!r} is both {spelled[topic]} and {subscription}"
            spelled[topic] = subscription
        if not spelled:
            yield f"{kind}: topic() refuses every channel"
            continue
        for verb in ("subscribe", "unsubscribe"):
            yield from _wrong_requests(f"{kind}: {verb}", strategy, verb, tuple(spelled))
        # An account's topics may come with the login: then both ask for something harmless.
        asked = {
            request.payload
            for request in _requests(strategy, "subscribe", tuple(spelled), 7)
            if kind == "public"
        }
        for request in _requests(strategy, "unsubscribe", tuple(spelled), 7):
            if request.payload in asked:
                yield f"{kind}: unsubscribe sends what subscribe sends: {shown(request.payload)}"
        yield from _wrong_shards(kind, strategy, tuple(spelled))


def _wrong_requests(
    where: str, strategy: SubscriptionStrategy, verb: str, topics: tuple[str, ...]
) -> Iterator[str]:
    requests = _requests(strategy, verb, topics, 7)
    covered = [topic for request in requests for topic in request.topics]
    if sorted(covered) != sorted(topics):
        yield f"{where}: of {len(topics)} topics the messages are about {covered}: each once is needed"
    ids = [request.request_id for request in requests if request.request_id]
    if len(set(ids)) != len(ids):
        yield f"{where}: request ids are not unique: {ids}"
    # Ids are taken from a counter that is raised by the number of topics.
    if any(not number.isdecimal() or not 7 <= int(number) < 7 + len(topics) for number in ids):
        yield f"{where}: with request_id=7 and {len(topics)} topics the ids are {ids}: count up from it"
    for request in requests:
        if len(request.topics) > strategy.max_topics_per_message:
            yield f"{where}: {len(request.topics)} topics in a message, max_topics_per_message says fewer"
        if request.request_id and request.request_id.encode() not in request.payload:
            yield f"{where}: request id {request.request_id} is not in its payload {shown(request.payload)}"


def _wrong_shards(kind: str, strategy: SubscriptionStrategy, topics: tuple[str, ...]) -> Iterator[str]:
    for shard in strategy.shards(topics):
        groups = {strategy.group(topic) for topic in shard}
        if len(groups) > 1:
            yield f"{kind}: shards() puts topics of the groups {sorted(groups)} on one connection"
        if len(shard) > strategy.max_topics_per_connection:
            yield f"{kind}: shards() puts {len(shard)} topics on a connection, its own limit says fewer"


def wrong_answers(case: Case) -> Iterator[str]:
    """A subscription is confirmed by the exchange's answer, and refused by its refusal; so is a login."""
    for kind, made in case.streams().items():
        topics = tuple(_topics(made.subscription, kind, case.symbol))
        decoder = Decoder(made.parser.schema)
        requests = [
            *_requests(made.subscription, "subscribe", topics, 1),
            *_requests(made.subscription, "unsubscribe", topics, 1 + len(topics)),
        ]
        login = made.connection.login(100)
        for request in (*requests, *([] if login is None else [login])):
            for answering, wanted in ((case.confirm, "confirmed"), (case.refuse, "refused")):
                pending = [request, *(other for other in requests if other is not request)]
                yield from _wrong_settlement(
                    kind, made.subscription, decoder, request, pending, answering, wanted
                )


def _wrong_settlement(
    kind: str,
    strategy: SubscriptionStrategy,
    decoder: Decoder,
    request: ControlRequest,
    pending: list[ControlRequest],
    answering: Answering,
    wanted: str,
) -> Iterator[str]:
    hook = "confirm" if wanted == "confirmed" else "refuse"
    undecided = set(request.topics)
    answers = answering(request)
    for answer in answers:
        decoded = decoder.decode(answer)
        where = f"{kind}: {shown(request.payload)} answered by {shown(answer)}"
        for event in decoded.events if isinstance(decoded, EventBatch) else (decoded,):
            if not isinstance(event, SubscriptionAck):
                yield (
                    f"{where}: decodes as {event!r}: a SubscriptionAck is needed, declare a Message for it"
                )
                continue
            settlement = strategy.settle(event, pending)
            if settlement is None:
                yield f"{where}: settle() does not know whose answer {event!r} is"
            elif settlement.request is not request:
                yield f"{where}: settle() takes it for the answer to {shown(settlement.request.payload)}"
            else:
                decided: Iterable[str] = getattr(settlement, wanted)
                if not decided:
                    yield f"{where}: {hook}() says that it is {wanted}, settle() says {settlement!r}"
                undecided -= {*settlement.confirmed, *settlement.refused}
                if any(not words for words in settlement.refused.values()):
                    yield f"{where}: the refusal has no words: pass on what the exchange says"
    if undecided and wanted == "confirmed":
        yield (
            f"{kind}: {shown(request.payload)}: after {len(answers)} answers of {hook}() these topics are not"
            f" decided: {', '.join(sorted(undecided))}"
        )
    elif not answers:
        yield f"{hook}() gives no answer to {shown(request.payload)}: return what the exchange would send"


def _requests(
    strategy: SubscriptionStrategy, verb: str, topics: Sequence[str], request_id: int
) -> list[ControlRequest]:
    """The messages of all groups of topics, as a manager asks for them: one connection each."""
    requests: list[ControlRequest] = []
    for shard in strategy.shards(topics):
        requests += getattr(strategy, verb)(shard, request_id)
        request_id += len(shard)
    return requests


def _subscriptions(kind: str, symbols: Sequence[str]) -> Iterator[Subscription]:
    for channel in Channel:
        for symbol in symbols if kind == "public" else ("",):
            try:
                yield Subscription(channel, symbol)
            except ConfigurationError:
                break  # of the other kind


def _topics(strategy: SubscriptionStrategy, kind: str, symbol: str) -> Iterator[str]:
    for subscription in _subscriptions(kind, (symbol,)):
        try:
            yield strategy.topic(subscription)
        except ConfigurationError:
            continue
