"""Watches a configuration file, and has what changes in it put in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from cexnet.config.load import load
from cexnet.config.tree import Config
from cexnet_core.callbacks import require_plain
from cexnet_core.errors import CexnetError, ConfigurationError

_logger = logging.getLogger("cexnet.config")

Stamp = tuple[int, int, int]
_NEVER: Stamp = (-1, -1, -1)

# Who writes a file in place empties it first, and what there is of it by then may well be valid.
_SETTLED_S = 0.05


class Reconfigurable(Protocol):
    """What a watch needs of a ``TransportFactory``."""

    async def reconfigure(self, config: Config) -> tuple[str, ...]:
        """Put ``config`` in force; which keys have changed."""


class ConfigWatch:
    """Looks at ``path`` every ``every_s`` seconds from a task of its own, from ``start`` to ``close``.

    The first look compares the file with the configuration in force, later ones with the file
    as it was: by inode, size and time of change, so that files which editors replace are seen
    too. A file that changes while it is read is left to the next look. ``env`` and ``overrides``
    are those of ``load_config``.

    ``on_change`` is told which keys have changed. What the file says wrongly, or what cannot
    change, leaves the old configuration in force: ``on_error`` is told, once an error, and it is
    logged and counted in ``errors``. What failed because of the network is tried again at the next look,
    what the file must mend when the file has changed. Callbacks run on the loop; an exception
    in one is counted in ``callback_errors`` and logged. Reading takes place on another thread.
    """

    def __init__(
        self,
        path: str | Path,
        factory: Reconfigurable,
        *,
        every_s: float = 1.0,
        on_change: Callable[[tuple[str, ...]], object] | None = None,
        on_error: Callable[[CexnetError], object] | None = None,
        env: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        if every_s <= 0:
            raise ConfigurationError(f"ConfigWatch: every_s={every_s:g} must be above 0")
        require_plain("on_change", on_change)
        require_plain("on_error", on_error)
        self.changes = 0
        self.errors = 0
        self.callback_errors = 0
        self._path = Path(path)
        self._factory = factory
        self._every_s = every_s
        self._on_change = on_change
        self._on_error = on_error
        self._env = env
        self._overrides = overrides
        self._seen: Stamp | None = _NEVER
        self._told = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop. Idempotent."""
        if self._task is None:
            self._task = asyncio.create_task(self._look_regularly(), name="cexnet-config-watch")

    async def close(self) -> None:
        """End the task. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)  # it reports its own failures

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def look(self) -> None:
        """Look once, and put in force what has changed."""
        stamp = await asyncio.to_thread(_stamp, self._path)
        if stamp == self._seen:
            return
        try:
            loaded = await asyncio.to_thread(load, self._path, env=self._env, overrides=self._overrides)
            await asyncio.sleep(_SETTLED_S)
            if await asyncio.to_thread(_stamp, self._path) != stamp:
                return
            changed = await self._factory.reconfigure(loaded.config)
        except CexnetError as error:
            if isinstance(error, ConfigurationError):
                self._seen = stamp
            self._complain(error)
            return
        self._seen, self._told = stamp, ""
        if changed:
            self.changes += 1
            _logger.info("%s: changed %s", self._path, ", ".join(changed))
            self._tell(self._on_change, changed)

    def _complain(self, error: CexnetError) -> None:
        if str(error) == self._told:
            return
        self._told = str(error)
        self.errors += 1
        _logger.error("%s: the configuration stays as it was: %s", self._path, error)
        self._tell(self._on_error, error)

    def _tell(self, callback: Callable[[Any], object] | None, news: Any) -> None:
        if callback is None:
            return
        try:
            callback(news)
        except (Exception, asyncio.CancelledError):  # called inline: a cancellation is its own
            self.callback_errors += 1
            _logger.exception("a callback of the configuration's watch failed")

    async def _look_regularly(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                self.errors += 1
                _logger.exception(
                    "%s: a look at the configuration failed; the next comes as usual", self._path
                )
            await asyncio.sleep(self._every_s)


def _stamp(path: Path) -> Stamp | None:
    """What tells one state of the file from another; ``None`` while there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
