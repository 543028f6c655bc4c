"""A user's own Cython extension cimports the installed core and receives its events in C."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from hmac import digest
from pathlib import Path
from types import ModuleType

import pytest

from cexnet_core.decode import Decoder
from cexnet_core.hotlog import HotLog
from cexnet_core.ratelimit import TokenBucket
from cexnet_core.schema import Field, Message, WireSchema
from cexnet_core.signing import HmacSigner

pytest.importorskip("Cython", reason="a user who builds an extension has Cython")

RECIPE = """\
from Cython.Build import cythonize
from setuptools import Extension, setup

setup(name="engine", ext_modules=cythonize([Extension("engine", ["engine.pyx"])], language_level=3))
"""
SCHEMA = WireSchema(
    "sample",
    json=(
        Message(
            "BookTicker",
            (
                Field("symbol", "s"),
                Field("bid_price", "b"),
                Field("bid_size", "B"),
                Field("ask_price", "a"),
                Field("ask_size", "A"),
            ),
            has=("b",),
        ),
        Message(
            "Trade",
            (Field("symbol", "s"), Field("price", "p"), Field("size", "q")),
            has=("p",),
        ),
    ),
)
PAYLOADS = [
    b'{"s":"BTCUSDT","b":"100.25","B":"1.5","a":"100.75","A":"2"}',
    b'{"s":"BTCUSDT","p":"100.5","q":"0.25"}',
    b'{"s":"BTCUSDT","p":',
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The extension, built in a folder of its own with nothing but what is installed."""
    folder = tmp_path_factory.mktemp("engine")
    shutil.copy(Path(__file__).with_name("engine.pyx"), folder)
    (folder / "setup.py").write_text(RECIPE)
    build = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("CEXNET_")},
        capture_output=True,
        text=True,
    )
    assert build.returncode == 0, build.stdout + build.stderr
    (library,) = [*folder.glob("engine*.so"), *folder.glob("engine*.pyd")]
    spec = importlib.util.spec_from_file_location("engine", library)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_events_arrive_in_c_with_their_fields(engine: ModuleType) -> None:
    sink = engine.Engine()
    engine.replay(engine.Wire(Decoder(SCHEMA), sink), PAYLOADS, 100)
    assert (sink.tickers, sink.trades, sink.others) == (100, 100, 100)
    assert sink.spread == 0.5
    assert sink.traded == 25.0
    assert sink.latency.count == 300


def test_no_python_call_per_message(engine: ModuleType) -> None:
    def python_calls(rounds: int) -> int:
        wire = engine.Wire(Decoder(SCHEMA), engine.Engine())
        engine.replay(wire, PAYLOADS[:2], 10)  # the decoder has learned both shapes
        calls = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(count)
        try:
            engine.replay(wire, PAYLOADS[:2], rounds)
        finally:
            sys.setprofile(None)
        return calls

    assert python_calls(1) == python_calls(1000)


def test_the_other_kernels_are_used_in_c(engine: ModuleType) -> None:
    assert engine.sign(HmacSigner(b"key"), b"payload") == digest(b"key", b"payload", sha256)
    bucket = TokenBucket(1, 0.001)
    assert engine.is_granted(bucket)
    assert not engine.is_granted(bucket)


def test_threads_log_from_c_without_the_gil(engine: ModuleType) -> None:
    producers, rounds = 4, 20_000
    records: list[logging.LogRecord] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    keeper = Keeper()
    logger = logging.getLogger("cexnet.hotlog")
    logger.addHandler(keeper)
    try:
        # Small enough to wrap around all the time and to overrun now and then.
        with HotLog(1 << 17, poll_s=0.0005) as log:
            template = log.template("cexnet.hotlog", logging.WARNING, "%d %d %f %s")
            with ThreadPoolExecutor(producers) as pool:
                jobs = [
                    pool.submit(engine.log_without_the_gil, template, each, rounds) for each in range(producers)
                ]
            taken = sum(job.result() for job in jobs)
            assert log.flush(60)
    finally:
        logger.removeHandler(keeper)
    seen: dict[int, list[int]] = {each: [] for each in range(producers)}
    reported = 0
    for record in records:
        assert isinstance(record.args, tuple)
        if len(record.args) == 2:
            reported += record.args[0]
            continue
        producer, number, quarter, text = record.args
        assert (quarter, text) == (number / 4, "0123456789"[: number % 11])
        seen[producer].append(number)
    assert all(numbers == sorted(set(numbers)) for numbers in seen.values())
    assert sum(map(len, seen.values())) == taken
    assert taken + reported == producers * rounds
    assert log.lost == reported
