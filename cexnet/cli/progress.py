"""One line on standard error that tells a person how far a long work is; nothing elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from rich.console import Console
from rich.status import Status
from rich.text import Text

EVERY_S = 0.25


@asynccontextmanager
async def telling(console: Console, say: Callable[[], str]) -> AsyncIterator[None]:
    """While the body runs, show what ``say`` says, where ``console`` is a terminal."""
    if not console.is_terminal:
        yield
        return
    with console.status(Text(say())) as status:
        task = asyncio.create_task(_keep_telling(status, say), name="cexnet-progress")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _keep_telling(status: Status, say: Callable[[], str]) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        status.update(Text(say()))
