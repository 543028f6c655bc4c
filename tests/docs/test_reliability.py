"""Each test that docs/reliability.md and docs/threat-model.md name is there, and so is each file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`((?:tests|cexnet|ci)/[\w/]+\.py|pyproject\.toml)(?:::(\w+))?`")
LEAST = {"reliability.md": 30, "threat-model.md": 30}


@pytest.mark.parametrize("document", LEAST)
def test_every_promise_names_tests_that_exist(document: str) -> None:
    path = ROOT / "docs" / document
    if not path.exists():
        pytest.skip("the documents are not part of an installed wheel")
    rows = [line for line in path.read_text().splitlines() if line.startswith("| ")]
    heads = ("| promise", "| attack")
    promises = [row for row in rows if not row.startswith(heads)]
    assert len(promises) > LEAST[document]
    for promise in promises:
        named = NAMED.findall(promise)
        assert named, f"nothing behind: {promise}"
        for file, test in named:
            source = (ROOT / file).read_text()
            assert not test or re.search(rf"^(async )?def {test}\(", source, re.MULTILINE), f"{file}::{test}"
