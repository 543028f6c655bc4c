"""Real traffic, whole and spoiled: every path of the decoder says what the oracle says."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cexnet_core.decode import Decoder, EventBatch
from tests.core.decode_cases import CAPTURES, Jury, captured, mutants, schema_of, varied
from tests.core.oracle import expect, observe, without_exact

pytestmark = pytest.mark.parametrize("name", CAPTURES)


@pytest.fixture
def payloads(captures: Path, name: str) -> list[bytes]:
    return captured(captures, name)


def test_every_message(payloads: list[bytes], name: str) -> None:
    jury = Jury(schema_of(CAPTURES[name]))
    assert {jury.check(payload) for payload in payloads} == {"events"}
    assert jury.shapes.counters.shape > 0.9 * jury.shapes.counters.ondemand
    assert jury.ondemand.counters.shape == 0


def test_truncated_everywhere(payloads: list[bytes], name: str) -> None:
    jury = Jury(schema_of(CAPTURES[name]))
    for payload in varied(payloads, 8):
        jury.check(payload)
        assert {jury.check(payload[:size]) for size in range(len(payload))} == {"error"}


def test_every_byte_changed(payloads: list[bytes], name: str) -> None:
    jury = Jury(schema_of(CAPTURES[name]))
    for payload in varied(payloads, 4):
        if len(payload) > 600:
            continue
        jury.check(payload)
        for at in range(len(payload)):
            for byte in b'"\\0-.e,:{}[] \xff':
                jury.check(payload[:at] + bytes([byte]) + payload[at + 1 :])


def test_mutants(payloads: list[bytes], name: str) -> None:
    jury = Jury(schema_of(CAPTURES[name]))
    rng = random.Random(2)
    for payload in varied(payloads, 40):
        for mutant in mutants(payload, 50, rng):
            jury.check(mutant)


def test_what_was_learned_changes_nothing(payloads: list[bytes], name: str) -> None:
    """A decoder with thousands of messages behind it beside one that knows nothing."""
    schema = schema_of(CAPTURES[name])
    learned = Decoder(schema)
    rng = random.Random(3)
    sample = varied(payloads, 20)
    for _ in range(3):
        for payload in payloads:
            learned.decode(payload)
        for payload in sample:
            for mutant in mutants(payload, 3, rng):
                wanted = without_exact(expect(schema, mutant))
                assert observe(learned.decode(mutant)) == wanted, mutant
                assert observe(Decoder(schema).decode(mutant)) == wanted, mutant
    before = learned.counters
    for payload in payloads:
        learned.decode(payload)
    after = learned.counters
    assert after.shape - before.shape > 0.8 * len(payloads)


def test_white_space_between_any_two_tokens(payloads: list[bytes], name: str) -> None:
    jury = Jury(schema_of(CAPTURES[name]))
    for payload in varied(payloads, 6):
        in_string = False
        for at, byte in enumerate(payload):
            if byte == ord('"'):
                in_string = not in_string
            if not in_string and byte in b'{}[],:"':
                assert jury.check(payload[: at + 1] + b" \n" + payload[at + 1 :]) == "events"


def test_all_at_once_is_one_by_one(payloads: list[bytes], name: str) -> None:
    schema = schema_of(CAPTURES[name])
    one_by_one: list[str] = []
    decoder = Decoder(schema)
    for payload in payloads:
        decoded = decoder.decode(payload)
        one_by_one += map(repr, decoded if isinstance(decoded, EventBatch) else [decoded])
    assert list(map(repr, Decoder(schema).decode_all(payloads))) == one_by_one
