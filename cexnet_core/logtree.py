"""From the hot log's records to those of the standard ``logging`` tree."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from typing import Any

_MOST_NAMES = 64


class RecordWriter:
    """Hands records to their loggers, one at a time, on whichever thread drains.

    ``wall_minus_ticks_ns`` turns a record's tick clock reading into wall time. An exception
    that gets out of a handler is counted, printed where ``logging.raiseExceptions`` says so,
    and harms no other record.
    """

    def __init__(self) -> None:
        self.written = 0
        self.handler_errors = 0
        self.wall_minus_ticks_ns = 0
        self._thread_names: dict[int, str] = {}

    def write(
        self,
        logger: logging.Logger,
        level: int,
        text: str,
        arguments: tuple[Any, ...],
        exception: BaseException | None,
        ticks_ns: int,
        thread: int,
    ) -> None:
        """Make the record that ``logger.log`` would have made then and there, and handle it."""
        self.written += 1
        try:
            if logger.isEnabledFor(level):
                logger.handle(self._record(logger, level, text, arguments, exception, ticks_ns, thread))
        except Exception:  # noqa: BLE001 - a handler's, and there may be any in the tree
            self.handler_errors += 1
            if logging.raiseExceptions and sys.stderr is not None:
                traceback.print_exc()

    def _record(
        self,
        logger: logging.Logger,
        level: int,
        text: str,
        arguments: tuple[Any, ...],
        exception: BaseException | None,
        ticks_ns: int,
        thread: int,
    ) -> logging.LogRecord:
        if not _fits(text, arguments):
            text, arguments = "%s %r", (text, tuple(map(_showable, arguments)))
        cause = None if exception is None else (type(exception), exception, exception.__traceback__)
        record = logger.makeRecord(logger.name, level, "(hotlog)", 0, text, arguments, cause)
        created_ns = ticks_ns + self.wall_minus_ticks_ns
        created_s = created_ns / 1e9
        record.relativeCreated += (created_s - record.created) * 1000
        record.created = created_s
        record.msecs = float(created_ns // 1_000_000 % 1000)
        if record.thread is not None:
            record.thread = thread
            record.threadName = self._name_of(thread)
        return record

    def _name_of(self, thread: int) -> str:
        name = self._thread_names.get(thread)
        if name is None:
            if len(self._thread_names) >= _MOST_NAMES:
                self._thread_names.clear()  # the system gives idents of ended threads to new ones
            name = next((each.name for each in threading.enumerate() if each.ident == thread), None)
            name = self._thread_names[thread] = name or f"thread {thread}"
        return name


def _fits(text: str, arguments: tuple[Any, ...]) -> bool:
    if not arguments:
        return True
    try:
        text % arguments
    except (TypeError, ValueError, OverflowError):  # the last: %d of an infinity, %c of no character
        return False
    return True


def _showable(argument: Any) -> Any:
    """``argument``, or what stands for an integer of more digits than Python writes out."""
    try:
        repr(argument)
    except ValueError:
        return f"<an integer of {argument.bit_length()} bits>"
    return argument
