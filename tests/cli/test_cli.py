"""The command as a user types it, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cexnet.cli.board import Row

# What the capture yields when the demo plays it: every market-data line of the file.
CAPTURES = {
    "BINANCE.ws.1.0": {"BookTicker": 84, "Trade": 2, "DepthUpdate": 177, "Candle": 2},
    "BINANCE_FUTURES.ws.1.0": {"BookTicker": 613, "Trade": 91, "DepthUpdate": 764, "Candle": 67},
    "GATEIO.ws.1.0": {"BookTicker": 22, "Trade": 9, "DepthUpdate": 172, "Candle": 14},
    "OKX.ws.1.0": {"BookTicker": 28, "Trade": 74, "DepthUpdate": 287, "DepthSnapshot": 3},
}


def cexnet(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cexnet", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def result_of(*arguments: str) -> dict[str, Any]:
    done = cexnet(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("exchange", ["binance", "gateio", "mexc"])
def test_demo_runs_clean(exchange: str) -> None:
    result = result_of("demo", "--exchange", exchange, "--seconds", "2")
    assert result["exchange"] == exchange
    assert result["source"] == "synthetic"
    assert result["decode"]["errors"] == result["gaps"] == result["dropped"] == 0
    assert result["unrouted"] == 0
    assert result["unknown_channels"] == {}
    assert all(result["events"][kind] > 0 for kind in ("BookTicker", "Trade", "DepthUpdate", "Candle"))
    assert result["messages"] > 0
    assert result["rest"]["requests"] >= 5
    assert result["rest"]["errors"] == 0
    orders = result["orders"]
    assert orders["placed"] > 0
    assert 0 <= orders["placed"] - orders["cancelled"] - orders["filled"] <= 1  # one may be on its way
    assert orders["unknown"] == orders["refused"] == 0
    quantiles = result["receive_to_handled_ns"]
    assert 0 < quantiles["p50"] <= quantiles["p99"] <= quantiles["p999"] <= quantiles["max"]


def test_prices_of_a_symbol_keep_its_decimals() -> None:
    row = Row(bid=100.0, ask=100.25, last=100.5)
    assert row.prices() == ("100.00", "100.25", "100.50")
    row.ask = 101.0
    assert row.prices() == ("100.00", "101.00", "100.50")
    assert Row(bid=0.00001234).prices() == ("0.00001234", "-", "-")


@pytest.mark.parametrize("name", CAPTURES)
def test_demo_plays_a_whole_capture(captures: Path, name: str) -> None:
    result = result_of("demo", "--capture", str(captures / name), "--seconds", "2")
    assert result["source"] == "capture"
    assert {kind: n for kind, n in result["events"].items() if n} == CAPTURES[name]
    assert result["decode"]["errors"] == result["gaps"] == result["dropped"] == 0
    assert result["rest"]["errors"] == 0


@pytest.mark.parametrize("name", CAPTURES)
def test_decode_counts_a_capture(captures: Path, name: str) -> None:
    result = result_of("decode", str(captures / name))
    assert {kind: n for kind, n in result["events"].items() if n} == CAPTURES[name]
    market = sum(CAPTURES[name].values())
    assert result["decode"]["errors"] == 0
    assert result["decode"]["shape"] / market >= 0.9


def test_simulate_says_where_it_listens() -> None:
    done = cexnet("simulate", "--exchange", "gateio", "--seconds", "0.2")
    assert done.returncode == 0
    assert "ws://127.0.0.1:" in done.stderr
    assert "http://127.0.0.1:" in done.stderr


def test_doctor_is_machine_readable() -> None:
    facts = result_of("doctor")
    assert facts["build_mode"] in ("release", "debug", "trace")
    assert facts["hmac"]
    assert facts["simd"]
    assert facts["clock_cost_ns"] > 0


def test_config_show_speaks_as_a_file_does_and_keeps_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    path = tmp_path / "engine.toml"
    path.write_text(
        '[env.live.exchange.binance]\nwebsocket_url = "wss://host?token=s3cret"\n'
        '[env.live.exchange.binance.credentials]\napi_key = "s3cret"\napi_secret = "s3cret"\n'
    )
    done = cexnet("config", "show", str(path), "--env", "live")
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "websocket.whole_books false default" in lines
    assert "websocket.reconnect.max_attempts not set default" in lines
    assert 'targets.remedies ["probe", "roll"] default' in lines
    words = " ".join(lines)
    assert 'exchange.binance.websocket_url "wss://host?token=****"' in words
    assert "[env.live]" in words
    for shown in (done.stdout, cexnet("config", "show", str(path), "--env", "live", "--json").stdout):
        assert "s3cret" not in shown
        assert "****" in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("demo", "--exchange", "nowhere"), "unknown exchange 'nowhere': choose one of"),
        (("demo", "--seconds", "-1"), "--seconds is -1: give a time above 0"),
        (("demo", "--seconds", "nan"), "--seconds is nan: give a time above 0"),
        (("demo", "--capture", "missing.ws"), "cannot read the capture missing.ws"),
        (("demo", "--metrics-port", "99999"), "--metrics-port is 99999: choose 1 to 65535"),
        (("watch", "binance", "--metrics-port", "-1"), "--metrics-port is -1: choose 1 to 65535"),
        (("simulate", "--port", "99999"), "port 99999: choose 1 to 65535"),
        (("simulate", "--rest-port", "-3"), "rest_port -3: choose 1 to 65535"),
        (("simulate", "--seconds", "-1"), "--seconds is -1: give a time above 0"),
        (("simulate", "--rate", "-1"), "rate_per_s -1"),
        (("demo", "--rate", "nan"), "rate_per_s nan"),
        (("demo", "--rate", "inf"), "rate_per_s inf"),
        (("decode", "missing.ws"), "cannot read the recording missing.ws"),
        (("demo", "--nonsense"), "--nonsense"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(arguments: tuple[str, ...], words: str) -> None:
    done = cexnet(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cexnet("simulate", "--port", str(port), "--seconds", "0.1")
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_is_no_capture_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello\n")
    done = cexnet("decode", str(path), "--exchange", "binance")
    assert done.returncode == 2
    assert "notes.txt line 1" in done.stderr.replace("\n", " ")
