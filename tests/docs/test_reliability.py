"""Each test that docs/reliability.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_every_promise_names_tests_that_exist() -> None:
    path = ROOT / "docs" / "reliability.md"
    if not path.exists():
        pytest.skip("the documents are not part of an installed wheel")
    promises = [line for line in path.read_text().splitlines() if line.startswith("| ") and ". |" in line]
    assert len(promises) > 30
    for promise in promises:
        named = NAMED.findall(promise)
        assert named, f"no test behind: {promise}"
        for file, test in named:
            source = (ROOT / file).read_text()
            assert not test or re.search(rf"^(async )?def {test}\(", source, re.MULTILINE), f"{file}::{test}"
