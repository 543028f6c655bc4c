"""``cexnet demo --fault``: what was lost, doubled and mended; and Ctrl-C in the middle of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.test_cli import cexnet, result_of

# What each fault must show, beside accounts that balance: which counters have moved.
SHOWN = {
    "reset": ("reconnects", "recovered_books"),
    "freeze": ("reconnects", "recovered_books"),
    "half-open": ("reconnects", "recovered_books"),
    "gap": ("recovered_books",),
    "roll": ("rolls",),
}


def assert_balanced(result: dict[str, Any]) -> None:
    assert result["lost_uncounted"] == 0
    assert result["duplicates_delivered"] == 0
    explained = result["not_delivered"]
    assert result["delivered"] > 0
    assert result["published"] == result["delivered"] + sum(explained.values())
    assert explained["waiting_for_a_snapshot"] == 0
    assert result["handler_errors"] == result["dropped"] == 0


@pytest.mark.parametrize("fault", SHOWN)
def test_faults_are_survived_and_accounted_for(fault: str) -> None:
    result = result_of("demo", "--fault", fault, "--seconds", "4")
    assert_balanced(result)
    for counter in SHOWN[fault]:
        assert result[counter] > 0
    assert result["faults"].get(fault, 0) > 0 or fault == "roll"
    opened, first = result["connect_subscribe_ms"], result["time_to_first_event_ms"]
    assert 0 < opened["p50"] <= opened["p99"]
    if result["reconnects"]:
        assert 0 < first["p50"] <= first["p99"]
    else:
        assert first == {"p50": None, "p99": None}


@pytest.mark.parametrize("exchange", ["gateio", "mexc", "okx", "binance_usdm"])
def test_several_faults_at_once_on_other_exchanges(exchange: str) -> None:
    faults = ("--fault", "reset:after=300", "--fault", "duplicate:times=3", "--fault", "gap:after=10")
    result = result_of("demo", "--exchange", exchange, *faults, "--seconds", "4")
    assert_balanced(result)
    assert result["reconnects"] > 0


def test_without_faults_nothing_is_added() -> None:
    assert "lost_uncounted" not in result_of("demo", "--seconds", "0.2")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--fault", "nosuch"), "unknown fault 'nosuch'"),
        (("--fault", "roll:code=1001"), "roll has the options"),
        (("--fault", "roll:after=5"), "roll goes by the clock"),
        (("--fault", "reset", "--capture", __file__, "--exchange", "binance"), "exclude each other"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], words: str) -> None:
    done = cexnet("demo", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("faults", [(), ("--fault", "reset")], ids=["calm", "faults"])
@pytest.mark.parametrize("as_json", [True, False], ids=["json", "text"])
@pytest.mark.parametrize(("told", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_the_summary(
    faults: tuple[str, ...], as_json: bool, told: signal.Signals, code: int
) -> None:
    command = [sys.executable, "-m", "cexnet", "demo", "--seconds", "600", *faults]
    process = subprocess.Popen(
        command + ["--json"] * as_json, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        said = ""
        while "streaming" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(told)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == code
    assert "Traceback" not in said + err
    if as_json:
        result = json.loads(out)
        assert result["seconds"] < 600
        assert result.get("lost_uncounted", 0) == result.get("duplicates_delivered", 0) == 0
    else:
        assert "messages in" in err
        assert out == ""
