"""``cexnet record``, ``replay`` and ``convert``, as a person or a script runs them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from cexnet.recording import Recording

pytest.importorskip("mcap", reason="recordings are an extra")
pytest.importorskip("cyclopts", reason="the command line is an extra")

PATIENCE_S = 60
CAPTURES = ("BINANCE.ws.1.0", "BINANCE_FUTURES.ws.1.0", "GATEIO.ws.1.0", "OKX.ws.1.0")


def cexnet(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cexnet", *map(str, arguments)], capture_output=True, text=True, timeout=100
    )


def result(*arguments: object) -> dict[str, Any]:
    done = cexnet(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_record_then_replay(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    recorded = result("record", "binance", "BTCUSDT", "--out", path, "--simulator", "--seconds", 1)
    assert recorded["frames"] > 0
    assert (recorded["dropped"], recorded["files"]) == (0, 1)
    assert recorded["bytes"] == path.stat().st_size
    replayed = result("replay", path, "--speed", 0)
    assert replayed["messages"] == recorded["frames"]
    assert (replayed["gaps"], replayed["decode"]["errors"], replayed["cut"]) == (0, 0, False)
    assert replayed["delivered"] == sum(replayed["events"].values()) > 0
    shown = cexnet("replay", path, "--speed", 0)
    assert f"{recorded['frames']:,} messages of binance" in shown.stdout


@pytest.mark.parametrize("name", CAPTURES)
def test_a_converted_capture_counts_as_decode_does(captures: Path, name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    decoded = result("decode", captures / name)
    converted = result("convert", captures / name, "--out", path)
    assert (converted["frames"], converted["exchange"]) == (decoded["messages"], decoded["exchange"])
    for file in (path, captures / name):
        replayed = result("replay", file, "--speed", 0)
        assert {key: replayed[key] for key in decoded} == decoded
        assert replayed["gaps"] == 0


def test_a_recording_is_decoded_as_a_capture_is(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    recorded = result("record", "mexc", "--out", path, "--simulator", "--seconds", 2)
    decoded, replayed = result("decode", path), result("replay", path, "--speed", 0)
    assert decoded["exchange"] == "mexc"
    assert decoded["messages"] == recorded["frames"] > 0
    assert decoded["events"] == replayed["events"]
    assert decoded["decode"]["protobuf"] > 0
    assert decoded["decode"]["errors"] == 0
    assert f"a.mcap: {recorded['frames']:,} messages of mexc" in cexnet("decode", path).stdout


def started(path: Path) -> subprocess.Popen[str]:
    """A recorder whose file holds some chunks already."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cexnet", "record", "binance", "--simulator", "--out", str(path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline_s = time.monotonic() + PATIENCE_S
    while not path.exists() or path.stat().st_size < 5000:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_recording_that_is_told_to_end_ends_in_good_order(tmp_path: Path, told: signal.Signals) -> None:
    path = tmp_path / "a.mcap"
    process = started(path)
    process.send_signal(told)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    recording = Recording(path)
    assert len(list(recording)) == json.loads(out)["frames"]
    assert recording.cut is None


def test_a_killed_recorder_leaves_a_file_that_replays(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    process = started(path)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    replayed = result("replay", path, "--speed", 0)
    assert replayed["messages"] > 0
    assert (replayed["cut"], replayed["gaps"]) == (True, 0)
    assert "breaks off" in cexnet("replay", path, "--speed", 0).stdout


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of a file")
def test_a_recording_that_cannot_go_on_ends_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000));"
        "from cexnet.cli import main; sys.exit(main())"
    )
    arguments = ["record", "binance", "--simulator", "--out", str(path)]  # until Ctrl-C
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 2
    assert "ended early" in done.stderr
    assert "File too large" in done.stderr
    replayed = result("replay", path, "--speed", 0)
    assert replayed["messages"] > 0
    assert replayed["cut"]


def test_a_damaged_recording_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    recorded = result("record", "binance", "--out", path, "--simulator", "--seconds", 3)
    whole = path.read_bytes()
    at = 1000  # in the first chunk
    path.write_bytes(whole[:at] + bytes(each ^ 255 for each in whole[at : at + 20]) + whole[at + 20 :])
    replayed = result("replay", path, "--speed", 0)
    assert replayed["damaged_chunks"] == 1
    assert replayed["messages"] + replayed["lost_to_damage"] == recorded["frames"]
    assert replayed["lost_to_damage"] > 0
    assert f"at least {replayed['lost_to_damage']:,}" in cexnet("replay", path, "--speed", 0).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("replay", "missing.mcap"), "cannot read the recording missing.mcap"),
        (("replay", "missing.mcap", "--speed", "-1"), "--speed is -1"),
        (("convert", "missing.ws", "--out", "x.mcap"), "cannot read the capture missing.ws"),
        (("record", "binnance", "--out", "x.mcap"), "unknown exchange 'binnance'"),
        (("record", "binance", "--out", "x.mcap", "--channels", "ticks"), "unknown channel 'ticks'"),
        (("record", "binance", "--out", "x.mcap", "--seconds", "0"), "--seconds is 0"),
        (("record", "binance", "--out", "x.mcap", "--max-megabytes", "0"), "--max-megabytes is 0"),
        (("record", "binance", "--simulator", "--out", "missing/x.mcap"), "cannot write missing/x.mcap"),
    ],
)
def test_a_foreseen_failure_is_one_sentence(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cexnet", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=100,
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
