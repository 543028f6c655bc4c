"""What must not be left behind: sockets and tasks."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from pathlib import Path

PATIENCE_S = 30.0


def sockets() -> int:
    """How many sockets this process holds, where the system tells."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return 0
    gc.collect()
    held = 0
    for entry in folder.iterdir():
        try:
            held += str(entry.readlink()).startswith("socket:")
        except OSError:
            continue  # the listing's own descriptor
    return held


def tasks() -> set[asyncio.Task[object]]:
    """All unfinished tasks but the one that asks."""
    return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]


async def until(holds: Callable[[], object], what: str) -> None:
    """Wait for a condition that needs the loop, or other processes, to go on."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise AssertionError(f"never came true: {what}") from None
