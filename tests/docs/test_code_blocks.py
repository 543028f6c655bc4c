"""The README's engine runs as it is printed, and the documents' blocks at least define what they say."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cexnet.config import load

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


TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("index, expected", [(0, "choose one of conflate"), (1, "now has 2.0 s a call")])
def test_the_blocks_about_configuration_run(index: int, expected: str) -> None:
    found = blocks("docs/configuration.md")
    assert len(found) == 2
    done = subprocess.run(
        [sys.executable, "-c", found[index]], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


def test_the_file_of_the_document_about_configuration_loads(tmp_path: Path) -> None:
    blocks("docs/configuration.md")
    (written,) = TOML.findall((ROOT / "docs/configuration.md").read_text())
    path = tmp_path / "engine.toml"
    path.write_text(written)
    config = load(path, env="production", environ={}).config
    assert config.rest.deadline_s == 2.0
    assert config.websocket_of("binance").queue.policy == "conflate"
    assert [each.sheddable for each in config.of("binance").subscriptions] == [False, True]
