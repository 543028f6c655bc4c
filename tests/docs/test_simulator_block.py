"""The block of docs/simulator.md runs as it is printed."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.docs.test_code_blocks import blocks


def test_the_simulators_block_runs() -> None:
    (block,) = blocks("docs/simulator.md")
    names: dict[str, Any] = {}
    exec(compile(block, "docs/simulator.md", "exec"), names)  # noqa: S102 - our own document
    asyncio.run(names["main"]())
