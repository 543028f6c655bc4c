"""Each example runs offline, as its first lines say, and shows what it is there to show."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

pytestmark = pytest.mark.skipif(not EXAMPLES.exists(), reason="no examples in an installed wheel")


def run(*command: str | Path, folder: Path) -> str:
    """What the program prints. Its folder is not the repository: nothing there may be needed."""
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout


def test_the_watcher_finds_crossings_and_ends_by_itself(tmp_path: Path) -> None:
    shown = run(EXAMPLES / "arbitrage_watcher.py", "3", folder=tmp_path)
    assert re.search(r"[1-9]\d* messages of gateio, [1-9]\d* messages of mexc$", shown)
    crossings = re.findall(r"for (\d\.\d+), sell at \w+ for (\d\.\d+): \+", shown)
    assert int(re.search(r"^(\d+) crossings", shown, re.MULTILINE)[1]) == len(crossings)  # type: ignore[index]
    assert all(float(ask) < float(bid) for ask, bid in crossings)


def test_ctrl_c_ends_the_watcher_with_its_sum(tmp_path: Path) -> None:
    watcher = subprocess.Popen(
        [sys.executable, "-u", EXAMPLES / "arbitrage_watcher.py", "600"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watcher.stdout is not None
        assert watcher.stdout.readline().startswith("buy ")
        watcher.send_signal(signal.SIGINT)
        shown, complaints = watcher.communicate(timeout=30)
    finally:
        watcher.kill()
    assert watcher.returncode == 0
    assert not complaints
    assert "bp after fees at the widest" in shown


def test_the_lost_answer_is_resolved_and_nothing_is_doubled(tmp_path: Path) -> None:
    shown = run(EXAMPLES / "order_round_trip.py", folder=tmp_path)
    undisturbed, lost = shown.split("with a lost answer:")
    assert "unknown" not in undisturbed
    assert re.search(r"unknown: .*\n  resolved: it arrived, and is new\n  placed: ", lost)
    assert shown.count("canceled: canceled, 0.00000000 filled") == 2
    assert "orders at the exchange: 2," in shown


def test_the_study_compares_three_ways_to_deliver(tmp_path: Path) -> None:
    shown = run(EXAMPLES / "latency_study.py", "1", folder=tmp_path)
    rows = re.findall(r"^(inline|queued), ([\w ]+), (\w+) +[\d.]+.* (\d+)$", shown, re.MULTILINE)
    assert len(rows) == 10
    assert all(int(samples) > 10 for *_, samples in rows)
    assert "collections, " in shown


def test_the_cython_engine_builds_and_signals(tmp_path: Path) -> None:
    pytest.importorskip("Cython", reason="a user who builds an extension has Cython")
    folder = Path(shutil.copytree(EXAMPLES / "cython_engine", tmp_path / "engine"))
    build = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("CEXNET_")},
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stdout + build.stderr
    shown = run("run.py", "2", folder=folder)
    assert re.match(r"[1-9]\d* tickers, [1-9]\d* trades, [1-9]\d* signals\nfrom the socket", shown)
