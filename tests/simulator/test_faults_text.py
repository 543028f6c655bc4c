"""Faults as values and as text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cexnet.simulator import FAULTS, Fault, Simulator, parse_fault
from cexnet_core.errors import ConfigurationError


def test_text_and_value_are_the_same() -> None:
    assert parse_fault("reset") == Fault("reset")
    assert parse_fault("half_open:after=2.5s,for=1") == Fault("half-open", after_s=2.5, lasting_s=1.0)
    assert parse_fault("gap:after=50,times=always,p=0.5,topic=btcusdt@depth") == Fault(
        "gap", after_messages=50, times=None, probability=0.5, topic="btcusdt@depth"
    )
    assert parse_fault("close:code=1012,reason=restart,connection=2") == Fault(
        "close", code=1012, reason="restart", connection=2
    )
    assert parse_fault("lifetime:announced=yes,delay=0.5") == Fault("lifetime", announced=True, delay_s=0.5)
    assert parse_fault("ban:limit=3,window=2,for=4") == Fault("ban", limit=3, window_s=2, lasting_s=4)
    assert parse_fault("status:status=418,retry-after=7") == Fault("status", status=418, retry_after_s=7)


@pytest.mark.parametrize(
    "text, words",
    [
        ("nosuch", "unknown fault 'nosuch'"),
        ("reset:code=1001x", "code cannot be '1001x'"),
        ("reset:code=1008", "fault reset has no option code"),
        ("reset:after", "'after' is not of the form key=value"),
        ("reset:colour=red", "no option 'colour'"),
        ("lifetime:announced=maybe", "announced cannot be 'maybe'"),
        ("close:code=999", "999 is no WebSocket close code"),
        ("status:status=200", "200 is no HTTP error"),
        ("reset:p=0", "0 < probability"),
        ("reset:times=0", "times >= 1"),
        ("reset:after=-1", "cannot be negative"),
        ("ban:limit=0", "cannot be negative"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse_fault(text)
    with pytest.raises(ConfigurationError, match=words):
        Simulator("binance", faults=[text])


def test_every_fault_can_be_named_without_options() -> None:
    for name, kind in FAULTS.items():
        assert parse_fault(name).kind is kind
        assert kind.summary


def test_rest_faults_have_text_too() -> None:
    assert parse_fault("rest_error:status=503,executed=yes,request=POST /api/v3/order") == Fault(
        "rest-error", status=503, executed=True, request="POST /api/v3/order"
    )
    assert parse_fault("skew:skew=-2.5,for=3") == Fault("skew", skew_s=-2.5, lasting_s=3.0)
    with pytest.raises(ConfigurationError, match="executed cannot be 'perhaps'"):
        parse_fault("rest-lost:executed=perhaps")
    with pytest.raises(ConfigurationError, match="rest-forbidden has no option status"):
        parse_fault("rest-forbidden:status=401")
    with pytest.raises(ConfigurationError, match="200 is no HTTP error"):
        parse_fault("rest-maintenance:status=200")
    with pytest.raises(ConfigurationError, match="limit_scale"):
        Simulator("binance", limit_scale=0)


def test_every_fault_is_in_the_document() -> None:
    document = Path(__file__).resolve().parents[2] / "docs" / "simulator.md"
    if not document.exists():
        pytest.skip("the documents are not part of an installed wheel")
    rows = [row.split("|")[1] for row in document.read_text().splitlines() if row.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row)}
    assert set(FAULTS) <= listed
