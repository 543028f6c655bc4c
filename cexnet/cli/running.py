"""How a command's coroutine is run: Ctrl-C and SIGTERM end it in the same good order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any


def run_until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` to its end; Ctrl-C or SIGTERM cancel it, and exit with 130 or 143."""
    try:
        asyncio.run(_until_told(work))
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """SIGTERM is how service managers say Ctrl-C."""
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # Windows has no such signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work
