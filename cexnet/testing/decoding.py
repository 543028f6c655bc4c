"""Are messages understood? Every path of the decoder against what the sample says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from cexnet.testing.case import Case, kind_of, shown
from cexnet.testing.samples import Expect, Sample
from cexnet.types import Channel, Subscription
from cexnet.websocket.register import KINDS_OF
from cexnet_core.decode import Decoder, EventBatch
from cexnet_core.errors import ConfigurationError
from cexnet_core.events import DecodeError, Event, RawMessage, SymbolTable
from cexnet_core.layout import COMMON, EVENTS, KIND_NAMES, attributes
from cexnet_core.route import Receiver, Router
from cexnet_core.schema import WireSchema

_NOT_GIVEN: dict[str, Any] = {
    "decimal": math.nan,
    "integer": -1,
    "time": -1,
    "symbol": "",
    "name": "",
    "side": "",
    "flag": False,
    "text": "",
    "levels": [],
}


def channels_without_sample(case: Case) -> Iterator[str]:
    """Every channel that the exchange spells a topic for needs a sample."""
    sampled = {sample.subscription.channel for sample in case.samples if sample.subscription is not None}
    streams = case.streams()
    for channel in Channel:
        made = streams.get(kind_of(_subscription(channel, case.symbol)))
        if made is None or channel in sampled:
            continue
        try:
            topic = made.subscription.topic(_subscription(channel, case.symbol))
        except ConfigurationError:
            continue  # not offered
        yield (
            f"{channel} can be subscribed to (topic {topic!r}) and has no sample: add one of its messages,"
            " from the exchange's documents, to samples"
        )


def wrong_decoding(case: Case) -> Iterator[str]:
    """Each sample on each path of the decoder gives the events that it states, field by field."""
    if not case.samples:
        yield "there are no samples: add Sample(subscription, payload, Expect(...)) to samples"
    schemas = case.schemas()
    for number, sample in enumerate(case.samples):
        schema = schemas.get(kind_of(sample.subscription))
        where = f"samples[{number}], {shown(sample.payload)}"
        if schema is None:
            yield f"{where}: is of the account, but the exchange has no private_strategies"
            continue
        seen: set[str] = set()
        for path, events in _every_path(schema, sample):
            for problem in _compare(events, sample.events, schema):
                if problem not in seen:  # each further path would repeat it
                    seen.add(problem)
                    yield f"{where}\n     {path}: {problem}"
        if not seen and sample.subscription is not None and not _is_learned(schema, sample):
            yield f"{where}\n     its shape is not learned: each such message takes the slow path"
    for number, run in enumerate(case.sequences):
        schema = schemas[kind_of(run.subscription)]
        learned = [_facts(event) for event in Decoder(schema).decode_all(run.payloads)]
        slow = [_facts(event) for event in Decoder(schema, max_shapes=0).decode_all(run.payloads)]
        if learned != slow:
            yield f"sequences[{number}]: the fast path reads {learned}, the slow one {slow}"


def wrong_routing(case: Case) -> Iterator[str]:
    """What a sample becomes reaches the handler of the subscription that it names."""
    streams = case.streams()
    for number, sample in enumerate(case.samples):
        subscription = sample.subscription
        made = streams.get(kind_of(subscription))
        if subscription is None or made is None:
            continue
        schema = made.parser.schema
        symbols = SymbolTable()
        router = Router(schema, symbols)
        got: list[Event] = []
        kinds = KINDS_OF[subscription.channel]
        for kind in kinds:
            router.add(kind, subscription.symbol, got.append)
        feed(Receiver(Decoder(schema, symbols=symbols), router, 0), sample.payload)
        names = {KIND_NAMES[kind] for kind in kinds}
        wanted = sum(event.event in names for event in sample.events)
        if wanted == 0:
            yield (
                f"samples[{number}]: {subscription.channel} brings {' or '.join(sorted(names))},"
                f" and the sample expects {', '.join(event.event for event in sample.events) or 'nothing'}"
            )
        elif len(got) != wanted:
            others = "; there is " + ", ".join(f"{kind} of {symbol!r}" for kind, symbol in router.unrouted)
            yield (
                f"samples[{number}], {shown(sample.payload)}: the handler of {subscription} got {len(got)} of"
                f" {wanted} events{others if router.unrouted else ''}. Spell the event's symbol as"
                " subscriptions do: Field(..., normalize=...)"
            )


def feed(receiver: Receiver, payload: bytes | str) -> None:
    """Hand a message over as its frame would be."""
    if isinstance(payload, str):
        receiver.feed(payload.encode(), is_text=True)
    else:
        receiver.feed(payload, is_text=False)


def _subscription(channel: Channel, symbol: str) -> Subscription:
    try:
        return Subscription(channel, symbol)
    except ConfigurationError:
        return Subscription(channel)


def _every_path(schema: WireSchema, sample: Sample) -> Iterator[tuple[str, list[Event]]]:
    """What each path of the decoder makes of a sample; a text is learned at its first sight."""
    yield "slow path", _events(Decoder(schema, max_shapes=0), sample)
    learning = Decoder(schema)
    _events(learning, sample)
    yield "fast path (the same shape again)", _events(learning, sample)
    yield "without SIMD", _events(Decoder(schema, simd=False), sample)
    yield "exact numbers", _events(Decoder(schema, exact=True), sample)


def _is_learned(schema: WireSchema, sample: Sample) -> bool:
    decoder = Decoder(schema)
    _events(decoder, sample)
    _events(decoder, sample)
    counters = decoder.counters
    return counters.shape == 1 or counters.protobuf == 2


def _facts(event: Event) -> str:
    """Every field of an event, its levels in full."""
    name = type(event).__name__
    facts = {each: getattr(event, each) for each in (*COMMON, *attributes(name))}
    for each, kind in EVENTS.get(name, {}).items():
        if kind == "levels":
            facts[each] = facts[each].tolist()
    return f"{name} {facts}"


def _events(decoder: Decoder, sample: Sample) -> list[Event]:
    decoded = decoder.decode(sample.payload)
    return list(decoded.events) if isinstance(decoded, EventBatch) else [decoded]


def _compare(events: list[Event], expected: tuple[Expect, ...], schema: WireSchema) -> Iterator[str]:
    names = [type(event).__name__ for event in events]
    if names != [each.event for each in expected]:
        yield (
            f"gave {', '.join(map(_summary, events)) or 'no event'},"
            f" expected {', '.join(each.event for each in expected) or 'none'}"
            + (_advice(schema) if "RawMessage" in names else "")
        )
        return
    for event, wanted in zip(events, expected, strict=True):
        yield from _differences(event, wanted)


def _differences(event: Event, wanted: Expect) -> Iterator[str]:
    types = {**COMMON, **EVENTS.get(wanted.event, {})}
    extra = set(attributes(wanted.event)) - set(types)
    for name in wanted.fields.keys() - types.keys() - extra:
        yield f"{wanted.event} has no field {name!r}; it has {', '.join(types)}"
    for name, kind in types.items():
        got = getattr(event, name)
        want = wanted.fields.get(name, _NOT_GIVEN[kind])
        if kind == "decimal":
            want = float(want)
            equal = got == want or (math.isnan(got) and math.isnan(want))
        elif kind == "levels":
            got = [tuple(level) for level in got.tolist()]
            want = [(float(price), float(size)) for price, size in want]
            equal = got == want
        else:
            equal = type(got) is type(want) and got == want
        if not equal:
            given = "expected" if name in wanted.fields else "expected (as Expect does not name it)"
            yield f"{wanted.event}.{name} is {got!r}, {given} {want!r}"
    for name in extra & wanted.fields.keys():
        if getattr(event, name) != wanted.fields[name]:
            yield f"{wanted.event}.{name} is {getattr(event, name)!r}, expected {wanted.fields[name]!r}"


def _summary(event: Event) -> str:
    if isinstance(event, DecodeError):
        return f"DecodeError ({event.reason})"
    if isinstance(event, RawMessage):
        return f"RawMessage (channel {event.channel!r})"
    return type(event).__name__


def _advice(schema: WireSchema) -> str:
    return f": no Message of schema {schema.name!r} fits, look at their when= and has="
