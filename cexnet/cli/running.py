"""How a command's coroutine is run and ended, and how it tells that an exchange is out of reach."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from types import FrameType
from typing import Any

from cexnet_core.errors import ConnectError, DeadlineExceeded

# A second Ctrl-C within so long of the first changes nothing.
_PATIENCE_S = 1.0


def run_until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run ``work`` to its end; Ctrl-C or SIGTERM cancel it, and exit with 130 or 143."""
    ear = _Ear()
    told = ear.listen(work)
    try:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(told)
    except asyncio.CancelledError:
        if not ear.heard:
            raise
        raise SystemExit(128 + ear.heard) from None
    finally:
        for each in (told, work):
            each.close()  # had Ctrl-C come before it began, it would complain


class _Ear:
    """Hears Ctrl-C and SIGTERM, which is how service managers say it: once, for the rest of the process.

    A shell and a program between may both pass Ctrl-C on, and people press it twice: what comes
    within a second of the first is no news. Later it means that ending takes too long.
    """

    def __init__(self) -> None:
        self.heard = 0
        self._heard_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    async def listen(self, work: Coroutine[Any, Any, None]) -> None:
        """Await ``work``, cancelled by the first signal."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as in a shell's background
                signal.signal(number, self._hear)
        await work

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard:
            if time.monotonic() - self._heard_s > _PATIENCE_S:
                os._exit(128 + number)
            return
        self.heard, self._heard_s = number, time.monotonic()
        assert self._loop is not None
        assert self._task is not None
        if not self._task.done():
            self._loop.call_soon_threadsafe(self._task.cancel)


class _Loop(asyncio.SelectorEventLoop):
    """Asks name servers on threads that nobody waits for.

    asyncio's own are waited for at the end: a name server that does not answer would hold
    Ctrl-C up for half a minute.
    """

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """As ``socket.getaddrinfo``."""
        answer: Future[Any] = Future()

        def ask() -> None:
            answer.set_running_or_notify_cancel()  # from now on it cannot be cancelled, only ignored
            try:
                answer.set_result(socket.getaddrinfo(host, port, family, type, proto, flags))
            except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
                answer.set_exception(error)

        threading.Thread(target=ask, name="cexnet-resolver", daemon=True).start()
        return await asyncio.wrap_future(answer, loop=self)


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
