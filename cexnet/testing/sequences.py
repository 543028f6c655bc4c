"""Are gaps, duplicates and reorders seen? Three messages that follow each other, in every wrong order."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import SkipTest

from cexnet.testing.case import Case, kind_of
from cexnet.testing.decoding import feed
from cexnet.types import Subscription
from cexnet.websocket.register import KINDS_OF
from cexnet_core.decode import Decoder
from cexnet_core.events import Event, SymbolTable
from cexnet_core.route import Receiver, Router
from cexnet_core.schema import WireSchema

_ASK = "Is the message's sequence rule the exchange's own?"


def wrong_sequences(case: Case) -> Iterator[str]:
    """In order there is no gap; a repeated message is a duplicate, a missing one a gap."""
    ruled = {
        (kind, message.event): message.sequence
        for kind, schema in case.schemas().items()
        for message in (*schema.json, *schema.protobuf)
        if message.sequence != "none"
    }
    if not ruled and not case.sequences:
        raise SkipTest(f"{case.exchange.name} declares no sequences")
    tried = set()
    for number, sample in enumerate(case.sequences):
        kind = kind_of(sample.subscription)
        schema = case.schemas()[kind]
        where = f"sequences[{number}] ({sample.subscription.channel} of {sample.subscription.symbol})"
        decoded = {type(event).__name__ for event in _events(schema, sample.payloads)}
        rules = {ruled.get((kind, name), "none") for name in decoded}
        tried |= {(kind, name) for name in decoded}
        if rules == {"none"}:
            yield f"{where}: {', '.join(sorted(decoded))} declares no sequence: give its Message one"
            continue
        if rules == {"increasing"} and any(map(_tells_the_one_before, _events(schema, sample.payloads))):
            yield (
                f"{where}: the updates tell which number comes before them, and the rule 'increasing'"
                " sees no gap: 'range' or 'previous' does"
            )
        first, second, third = sample.payloads
        in_order = _counts(schema, sample.subscription, (first, second, third))
        if in_order != (3, 0, 0, 0):
            yield f"{where}, in order: {_told(in_order)}; all three should be delivered, with no gap"
        repeated = _counts(schema, sample.subscription, (first, second, second))
        if repeated[0] != 2 or repeated[2] != 1:
            yield f"{where}, the second one twice: {_told(repeated)}; the repetition is a duplicate"
        missing = _counts(schema, sample.subscription, (first, third))
        if rules != {"increasing"} and missing[1] != 1:
            yield f"{where}, without the second: {_told(missing)}; that is one gap. {_ASK}"
        late = _counts(schema, sample.subscription, (first, third, second))
        if late[3] != 1:
            yield f"{where}, the second one last: {_told(late)}; that is one reorder. {_ASK}"
    for kind, name in sorted({key for key in ruled if key[1] in _sampled(case)} - tried):
        yield (
            f"{name} has the sequence rule {ruled[kind, name]!r} and is not in sequences: add three messages"
            " that follow each other, InSequence(subscription, (first, second, third))"
        )


def _sampled(case: Case) -> set[str]:
    return {event.event for sample in case.samples for event in sample.events} - {"DepthSnapshot"}


def _events(schema: WireSchema, payloads: tuple[bytes | str, ...]) -> list[Event]:
    return list(Decoder(schema).decode_all(payloads))


def _tells_the_one_before(event: Event) -> bool:
    return max(getattr(event, "first_sequence", -1), getattr(event, "prev_sequence", -1)) >= 0


def _counts(
    schema: WireSchema, subscription: Subscription, payloads: tuple[bytes | str, ...]
) -> tuple[int, int, int, int]:
    """Delivered, gaps, duplicates and reorders of a stream that sent ``payloads``."""
    symbols = SymbolTable()
    router = Router(schema, symbols)
    receiver = Receiver(Decoder(schema, symbols=symbols), router, 0)
    got: list[Event] = []
    for kind in KINDS_OF[subscription.channel]:
        router.add(kind, subscription.symbol, got.append)
    for payload in payloads:
        feed(receiver, payload)
    streams = router.streams()
    return (
        len(got),
        sum(stream.gaps for stream in streams),
        sum(stream.duplicates for stream in streams),
        sum(stream.reorders for stream in streams),
    )


def _told(counts: tuple[int, int, int, int]) -> str:
    return "{} delivered, {} gaps, {} duplicates, {} reorders".format(*counts)
