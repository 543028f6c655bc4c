"""The blocks of docs/telemetry.md about metrics and traces run as they are printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "docs" / "telemetry.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def output_of(word: str) -> str:
    """What the block that holds ``word`` prints."""
    if not PATH.exists():
        pytest.skip("the documents are not part of an installed wheel")
    (block,) = [found for found in BLOCK.findall(PATH.read_text()) if word in found]
    done = subprocess.run(
        [sys.executable, "-c", block], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_block_scrapes_what_was_counted() -> None:
    pytest.importorskip("prometheus_client", reason="the extra `metrics` is not installed")
    assert output_of("MetricsServer") == 'cexnet_rest_requests_total{manager="binance"} 1.0\n'


def test_the_block_traces_a_request() -> None:
    pytest.importorskip("opentelemetry.sdk", reason="the SDK of OpenTelemetry is for tests only")
    printed = output_of("OpenTelemetryTracer")
    assert '"name": "GET /api/v3/depth"' in printed
    assert '"name": "cexnet.first_byte"' in printed
