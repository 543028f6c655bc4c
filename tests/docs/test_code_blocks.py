"""The README's engine runs as it is printed, and the documents' blocks at least define what they say."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(name: str) -> list[str]:
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"{name} is not part of an installed wheel")
    found = BLOCK.findall(path.read_text())
    assert found, f"{name} has no Python block"
    return found


def test_the_readmes_engine_streams() -> None:
    (engine,) = blocks("README.md")
    done = subprocess.run(
        [sys.executable, "-c", engine], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "BookTicker(symbol='BTCUSDT'" in done.stdout
    # Events may follow it: they are delivered until the connection is closed.
    counted = re.search(r"^(\d+) messages$", done.stdout, re.MULTILINE)
    assert counted is not None
    assert int(counted[1]) > 0


def test_the_blocks_about_limits_and_connections_run() -> None:
    for block in blocks("docs/limits-and-connections.md"):
        exec(compile(block, "docs/limits-and-connections.md", "exec"), {})  # noqa: S102 - our own document


@pytest.mark.parametrize("index", range(7))
def test_the_overviews_blocks_import_and_define(index: int) -> None:
    block = blocks("docs/overview.md")[index]
    # Their engines talk to a real exchange: everything but the last call is run.
    tree = ast.parse(block)
    tree.body = [node for node in tree.body if not isinstance(node, ast.If)]
    names: dict[str, object] = {"__name__": "overview"}
    exec(compile(tree, "docs/overview.md", "exec"), names)  # noqa: S102 - our own document
    assert any(inspect.isfunction(value) for value in names.values())


@pytest.mark.parametrize("index", range(3))
def test_the_rest_lines_blocks_run(index: int) -> None:
    block = blocks("docs/http-infrastructure.md")[index]
    done = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = ("SPOT application/json", "new canceled", "public closed -> open because")[index]
    assert expected in done.stdout


def test_the_monitor_of_the_telemetry_document_judges() -> None:
    (engine,) = blocks("docs/telemetry.md")
    done = subprocess.run(
        [sys.executable, "-c", engine], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^binance handling (normal|degraded) \d+% of [1-9]", done.stdout, re.MULTILINE)
