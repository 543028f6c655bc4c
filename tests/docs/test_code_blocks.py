"""Every block of README.md and docs/*.md does what it says.

Python runs as a script, led to embedded exchanges by its configuration and kept from the network;
TOML loads as configuration; JSON is JSON; the command line takes every ``cexnet`` command, and those
that are quick and need no network are run. What cannot run (a diagram, C) has another language or none.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from cexnet.config import load_config
from tests.docs.block_runner import BlockRunner
from tests.docs.documents import ROOT, SHELL, Block, blocks
from tests.docs.embedded import EmbeddedExchanges

# What must come out of the block that holds some words; every other one must end well.
EXPECTED = {
    ("README.md", "stream.initialize"): r"BookTicker\(symbol='BTCUSDT'(.|\n)*^[1-9]\d* messages$",
    ("docs/configuration.md", '"policy": "drop"'): "choose one of conflate",
    ("docs/configuration.md", "ConfigWatch("): r"now has 2\.0 s a call",
    ("docs/http-infrastructure.md", "accountType"): "SPOT application/json",
    ("docs/http-infrastructure.md", "resolve_unknown"): "new canceled",
    ("docs/http-infrastructure.md", "on_breaker"): "public closed -> open because",
    ("docs/overview.md", "def on_event"): r"DepthUpdate\(symbol='BTCUSDT'(.|\n)*WebSocketMetrics",
    ("docs/overview.md", '"pause"'): r"^[1-9]\d* trades$",
    ("docs/overview.md", "whole_books=True"): r"subscribing -> live(.|\n)*^[1-9]\d* books, 2 rolls$",
    ("docs/overview.md", 'scope="private"'): r"OrderUpdate\((.|\n)*status='new'",
    ("docs/overview.md", "process_log"): "BTCUSDT refused at 64250.10, try 3",
    ("docs/overview.md", "resolve_unknown"): r"^new \S+$",
    ("docs/overview.md", "Recorder("): r"^[1-9]\d* frames, [1-9]\d* trades$",
    ("docs/performance.md", "latency.total"): r"^total: p50 [1-9]\d* ns, p99\.9 [1-9]\d* ns$",
    ("docs/performance.md", "tame_gc()"): r"^[1-9]\d* objects frozen\n\d+ collections, [1-9]\d* messages$",
    ("docs/simulator.md", "exchange.inject"): r"http://127\.0\.0\.1:\d+ ws://127\.0\.0\.1:\d+",
    (
        "docs/telemetry.md",
        "merge_metrics",
    ): r"^[1-9]\d* events, p99.9 [1-9]\d* ns, newest .*\n(\w+ (BTCUSDT)? [1-9]\d* \d+ .*\n)+\d+$",
    ("docs/telemetry.md", "monitor.compliance"): r"^binance handling (normal|degraded) \d+% of [1-9]",
    ("docs/websocket-infrastructure.md", "on_state"): r"live -> backing_off(.|\n)*^\{'code 1006': 1\}$",
    ("docs/websocket-infrastructure.md", "stream.roll"): r"^2 connections, 2 rolls, 0 gaps\nTrue {\d+: 0",
    ("docs/websocket-infrastructure.md", "class Book"): r"^2 snapshots; True$",
    ("docs/websocket-infrastructure.md", '"conflate"'): r"^{\('BookTicker', 'BTCUSDT'\): \d+}$",
    (
        "docs/websocket-infrastructure.md",
        "stream.request",
    ): r"^\['btcusdt@trade'\]\nrequest mine-2 was refused",
}
# Documents that print files in pieces, and the tests that hold the pieces to the files and run those.
IN_PIECES = {"docs/add-an-exchange.md": "tests/docs/test_add_an_exchange.py"}
# Words of a block, and the extra that it needs.
NEEDS = {
    "telemetry.arrow": "pyarrow",
    "cexnet.recording": "mcap",
    "cexnet.telemetry.prometheus": "prometheus_client",
    "opentelemetry": "opentelemetry.sdk",
}
# Commands that end at once, and need neither a network nor a file.
QUICK = {"doctor", "sign", "config", "--help", "--version"}


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedExchanges]:
    with EmbeddedExchanges() as exchanges:
        yield exchanges


@pytest.fixture(scope="module")
def runner() -> Iterator[BlockRunner]:
    with BlockRunner() as started:
        yield started


@pytest.mark.parametrize("block", [b for b in blocks("python") if b.document not in IN_PIECES], ids=str)
def test_python_runs(block: Block, embedded: EmbeddedExchanges, runner: BlockRunner, tmp_path: Path) -> None:
    for words, package in NEEDS.items():
        if words in block.text:
            pytest.importorskip(package)
    status, output = runner.run(block.text, tmp_path, embedded.environment(block.text))
    assert status == 0, output
    assert "Traceback" not in output, output
    for (document, words), pattern in EXPECTED.items():
        if document == block.document and words in block.text:
            assert re.search(pattern, output, re.MULTILINE), output


@pytest.mark.parametrize("document", IN_PIECES)
def test_what_is_in_pieces_has_a_test_of_its_own(document: str) -> None:
    assert (ROOT / IN_PIECES[document]).exists() or not (ROOT / document).exists()


@pytest.mark.skipif(not blocks("python"), reason="the documents are not part of an installed wheel")
@pytest.mark.parametrize(("document", "words"), EXPECTED)
def test_every_expectation_is_of_one_block(document: str, words: str) -> None:
    assert [block.document for block in blocks("python") if words in block.text].count(document) == 1


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
def test_toml_is_configuration(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tomllib.loads(block.text)
    if "project" in tree:  # a pyproject.toml
        return
    secret = tmp_path / "secret"
    secret.write_text("of a test")
    for variable in re.findall(r'env = "(\w+)"', block.text):
        monkeypatch.setenv(variable, "of a test")
    text = re.sub(r'\{ file = "[^"]+" \}', f'{{ file = "{secret}" }}', block.text)
    text = re.sub(r"\{ keyring = [^}]+\}", '"of a test"', text)  # a keyring belongs to a person
    file = tmp_path / "cexnet.toml"
    file.write_text(text)
    load_config(file)
    for overlay in tree.get("env", {}):
        load_config(file, env=overlay)


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", [b for b in blocks(*SHELL) if b.commands()], ids=str)
def test_commands_are_understood(block: Block) -> None:
    pytest.importorskip("cyclopts")
    from cexnet.cli.app import app

    for command in block.commands():
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        start = words.index("cexnet") + 1
        end = next((i for i, word in enumerate(words) if set(word) <= set("|&;<>()")), len(words))
        app.parse_args(words[start:end], exit_on_error=False, print_error=False)


def is_quick(block: Block) -> bool:
    """Whether a shell can run the whole block at once: quick commands, and variables for them."""
    names = [command.split("cexnet", 1)[1].split()[0] for command in block.commands()]
    rest = [
        line
        for line in block.text.replace("\\\n", " ").splitlines()
        if line.strip() and not re.match(r"(\$ )?(([A-Z_]+=\S* )*cexnet |export |#)", line)
    ]
    return bool(names) and not rest and set(names) <= QUICK


@pytest.mark.parametrize("block", [b for b in blocks(*SHELL) if is_quick(b)], ids=str)
def test_quick_commands_run(block: Block, tmp_path: Path) -> None:
    if importlib.util.find_spec("cyclopts") is None:
        pytest.skip("the command line is an extra")
    script = re.sub(r"^\$ ", "", block.text, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-ec", f'cexnet() {{ "{sys.executable}" -m cexnet "$@"; }}\n{script}'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
