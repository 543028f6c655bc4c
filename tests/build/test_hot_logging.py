"""What runs once a message or once a request logs through the hot log, which cannot hold it up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The hot log itself is where records go over into the standard tree.
CORE = [path for path in sorted((ROOT / "cexnet_core").glob("*.pyx")) if not path.name.startswith("hot")]
# Tasks of a manager's own, and what happens once in a while.
NOW_AND_THEN = {"breakers", "clock_keeper", "host_clock", "warmth"}
LINES = [
    *(path for path in sorted((ROOT / "cexnet" / "http").glob("*.py")) if path.stem not in NOW_AND_THEN),
    *(ROOT / "cexnet" / "websocket" / f"{name}.py" for name in ("answers", "delivery", "link", "overflow")),
]
STANDARD = re.compile(r"logging\.getLogger\(|\b_?log(ger)?\.(debug|info|warning|error|exception|critical)\(")


pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.py").exists(), reason="the sources are not part of an installed wheel"
)


@pytest.mark.parametrize("path", [*CORE, *LINES], ids=lambda path: path.name)
def test_a_hot_path_uses_no_standard_logger(path: Path) -> None:
    code = re.sub(r'""".*?"""', "", path.read_text(), flags=re.DOTALL)
    assert STANDARD.findall(code) == []


def test_the_core_is_looked_at() -> None:
    assert len(CORE) > 15
