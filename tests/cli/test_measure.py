"""``cexnet report``, ``bench`` and ``doctor``: with no network and no configuration, in an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cexnet.cli import doctor, machine
from cexnet.cli.bench import NAMES
from tests.cli.test_cli import cexnet, result_of


def test_report_writes_one_page(tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    done = cexnet("report", "--seconds", "1", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    page = out.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    for words in (
        *("binance receive", "binance REST", "Over time", "The slowest", "Garbage collection", "Targets"),
        *("clock cost (ns)", "binance REST signature"),
    ):
        assert words in page


def test_report_on_what_it_printed_and_on_a_demo(tmp_path: Path) -> None:
    for command in ("report", "demo"):
        result = result_of(command, "--seconds", "1")
        kept = tmp_path / f"{command}.json"
        kept.write_text(json.dumps(result))
        out = tmp_path / f"{command}.html"
        done = cexnet("report", str(kept), "--out", str(out))
        assert done.returncode == 0, done.stderr
        messages = result["messages"] if command == "demo" else dict(result["figures"])["messages"]
        assert f"{messages:,}" if command == "demo" else messages in out.read_text(encoding="utf-8")


def test_report_on_a_recording(tmp_path: Path) -> None:
    pytest.importorskip("mcap", reason="the extra `recording` is not installed")
    recording = tmp_path / "a.mcap"
    recorded = result_of("record", "gateio", "--simulator", "--seconds", "1", "--out", str(recording))
    told = result_of("report", str(recording))
    assert dict(told["figures"])["messages"] == f"{recorded['frames']:,}"
    assert sum(part["messages"] for part in told["slices"]) == recorded["frames"]
    counted = {title: dict(numbers) for title, numbers in told["counts"]}
    assert counted["gateio: trouble"]["gaps"] == 0
    (target,) = told["targets"]
    assert target["count"] == told["lines"][0]["curves"][-1]["count"] > 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ('{"a": 1}', "is no result of `cexnet demo --json`"),
        ('{"receive_to_handled_ns": {}}', "is no result of `cexnet demo --json`"),
        ("{broken", "is no result of `cexnet demo --json`"),
        ("hello\n", "line 1 is not of a capture"),
    ],
)
def test_report_on_something_else_is_one_sentence(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "given"
    if content is not None:
        path.write_text(content)
    done = cexnet("report", str(path), "--out", str(tmp_path / "page.html"))
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_report_says_at_once_that_it_cannot_write(tmp_path: Path) -> None:
    done = cexnet("report", "--seconds", "600", "--out", str(tmp_path / "no" / "page.html"))
    assert done.returncode == 2
    assert "there is no folder" in done.stderr
    done = cexnet("report", "--seconds", "600", "--out", str(tmp_path))
    assert done.returncode == 2
    assert "which is a folder: name a file in it" in done.stderr
    given = tmp_path / "a.json"
    given.write_text("{}")
    done = cexnet("report", str(given), "--out", str(given))
    assert done.returncode == 2
    assert given.read_text() == "{}"


@pytest.mark.parametrize("command", ["report", "demo", "simulate"])
def test_a_loopback_interface_that_is_down_is_named(command: str) -> None:
    alone = ("unshare", "--map-root-user", "--net")
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine makes no network namespaces")
    done = subprocess.run(
        [*alone, sys.executable, "-m", "cexnet", command], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "the loopback interface is down" in done.stderr
    assert "ip link set lo up" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_bench_measures_every_job_beside_others() -> None:
    told = result_of("bench", "--rounds", "1")
    assert [job["name"] for job in told["jobs"]] == list(NAMES)
    for job in told["jobs"]:
        ours, *others = job["contestants"]
        assert ours["name"] == "cexnet"
        assert ours["ratio"] == 1.0
        assert others
        assert all(0 < each["p5_ns"] <= each["median_ns"] <= each["p95_ns"] for each in job["contestants"])
    names = {each["name"] for job in told["jobs"] for each in job["contestants"]}
    assert {"msgspec Struct", "json and float()", "hmac.digest", "aiohttp, bare"} <= names
    assert not set(told["not_installed"]) & names


def test_bench_measures_what_it_is_asked_to() -> None:
    done = cexnet("bench", "sign", "record", "--rounds", "2")
    assert done.returncode == 0, done.stderr
    assert "HMAC-SHA256 of 160 bytes" in done.stdout
    assert "recording one latency" in done.stdout
    assert "loopback" not in done.stdout
    assert "1 of 2" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("nosuch",), "choose among decode, receive, sign"), (("--rounds", "0"), "give at least 1")],
)
def test_bench_refuses_in_one_sentence(arguments: tuple[str, ...], words: str) -> None:
    done = cexnet("bench", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_doctor_needs_nothing_around_it(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CEXNET_")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-m", "cexnet", "doctor", "--json"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    for name in (name for names in doctor.SECTIONS.values() for name in names):
        assert name in facts
    assert facts["timer_late_us"]["median"] <= facts["timer_late_us"]["worst"]
    assert facts["libraries"]["aiohttp"]


def test_doctor_where_the_system_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    for name in ("_CPU", "_NET", "_MAPS", "_HUGE_PAGES", "_CLOCKSOURCE", "_CPU_MODEL"):
        monkeypatch.setattr(machine, name, nowhere)
    facts = doctor.examine()
    for name in ("cpu", "cpu_governor", "isolated_cpus", "kernel_clock", "huge_pages", "libcrypto"):
        assert facts[name] is None
    assert facts["tcp"] == {}
    assert doctor.text(facts["cpu"]) == "not known here"


def facts(**changed: Any) -> dict[str, Any]:
    """Facts of a machine that could not be better."""
    return {
        "build_mode": "release",
        "hmac": "libcrypto OpenSSL",
        "clock_cost_ns": 10.0,
        "kernel_clock": "tsc",
        "timer_late_us": {"median": 60.0, "worst": 90.0},
        "cpu_governor": "performance",
        "cpu_affinity": [0, 1],
        "cpus": 2,
        "event_loop": "uvloop",
        "gc_thresholds": [50_000, 20, 100],
        "file_descriptor_limit": 65_536,
        "file_descriptor_limit_max": 65_536,
        "tcp": {"tcp_slow_start_after_idle": "0"},
    } | changed


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"build_mode": "debug"}, "debug build"),
        ({"hmac": "hashlib (no such library)"}, "slow way"),
        ({"clock_cost_ns": 900.0, "kernel_clock": "hpet"}, "900 ns (kernel clock: hpet)"),
        ({"timer_late_us": {"median": 4000.0, "worst": 9000.0}}, "4000 us late"),
        ({"cpu_governor": "powersave"}, "powersave"),
        ({"cpu_affinity": [1]}, "CPU 1 only"),
        ({"cpus": 1, "cpu_affinity": [0]}, "one CPU"),
        ({"event_loop": "asyncio"}, "cexnet[uvloop]"),
        ({"gc_thresholds": [700, 10, 10]}, "700 new containers"),
        ({"file_descriptor_limit": 256}, "ulimit -n 4096"),
        ({"tcp": {"tcp_slow_start_after_idle": "1"}}, "tcp_slow_start_after_idle=0"),
    ],
)
def test_advice_is_given_for_what_could_be_better(changed: dict[str, Any], words: str) -> None:
    assert list(doctor.advice(facts())) == []
    (advice,) = doctor.advice(facts(**changed))
    assert words in advice
