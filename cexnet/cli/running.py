"""How a command's coroutine is run and ended, and how it tells that an exchange is out of reach."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine, Iterator
from typing import Any

from cexnet_core.errors import ConnectError, DeadlineExceeded


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


@contextlib.contextmanager
def first_connection(exchange: str, way_out: str) -> Iterator[None]:
    """Says a failure to reach ``exchange`` once, with the way out, instead of logging it as well.

    Raises ConnectError for what the body raises of that kind.
    """
    logger = logging.getLogger("cexnet.websocket")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    except (ConnectError, DeadlineExceeded) as error:
        raise ConnectError(
            f"{exchange} cannot be reached: {error}. Is there a network, and does it let us out? {way_out}"
        ) from error
    finally:
        logger.setLevel(level)
