"""The blocks of docs/recording.md do what they say."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mcap", reason="recordings are an extra")

PATH = Path(__file__).resolve().parents[2] / "docs" / "recording.md"


def blocks(language: str) -> list[str]:
    if not PATH.exists():
        pytest.skip("the documents are not part of an installed wheel")
    return re.findall(rf"^```{language}\n(.*?)^```", PATH.read_text(), re.MULTILINE | re.DOTALL)


def test_the_commands_record_and_replay(tmp_path: Path) -> None:
    pytest.importorskip("cyclopts", reason="the command line is an extra")
    (block,) = blocks("sh")
    printed = []
    for line in block.splitlines():
        command, *arguments = shlex.split(line)
        assert command == "cexnet"
        done = subprocess.run(
            [sys.executable, "-m", "cexnet", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    result = json.loads(printed[-1])
    assert result["messages"] > 0
    assert (result["cut"], result["damaged_chunks"], result["lost_to_damage"]) == (False, 0, 0)


def test_the_block_replays_what_was_live() -> None:
    (block,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", block], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the same whole\n"
