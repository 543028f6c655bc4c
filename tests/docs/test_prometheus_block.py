"""The Prometheus block of docs/telemetry.md runs as it is printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("prometheus_client", reason="the extra `metrics` is not installed")

PATH = Path(__file__).resolve().parents[2] / "docs" / "telemetry.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_block_scrapes_what_was_counted() -> None:
    if not PATH.exists():
        pytest.skip("the documents are not part of an installed wheel")
    (block,) = [found for found in BLOCK.findall(PATH.read_text()) if "MetricsServer" in found]
    done = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == 'cexnet_rest_requests_total{manager="binance"} 1.0\n'
