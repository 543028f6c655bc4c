"""Idle connections kept warm: one task that sends something harmless over them in turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cexnet_core.errors import CexnetError, ConfigurationError

_logger = logging.getLogger("cexnet.http")


class Warmth:
    """Calls ``warm()`` every ``every_s`` seconds until ``close()``, and owns the task that does.

    What ``warm`` raises is logged and counted in ``failures``: the next request opens a
    connection of its own. Raises ConfigurationError for a period that
    is not above 0 s. Made and closed on one running event loop.
    """

    def __init__(self, warm: Callable[[], Awaitable[None]], every_s: float) -> None:
        if not every_s > 0:
            raise ConfigurationError(f"every_s={every_s}: must be above 0")
        self.failures = 0
        self._warm = warm
        self._every_s = every_s
        self._task = asyncio.create_task(self._run(), name="cexnet keeps connections warm")

    async def _run(self) -> None:
        while True:
            try:
                await self._warm()
            except CexnetError as error:
                self.failures += 1
                _logger.warning("connections are not kept warm: %s", error)
            except Exception:  # a strategy's mistake must not end the task unnoticed
                self.failures += 1
                _logger.exception("connections are not kept warm")
            await asyncio.sleep(self._every_s)

    async def close(self) -> None:
        """End the task and wait until it has ended. Idempotent."""
        self._task.cancel()
        await asyncio.wait([self._task])
