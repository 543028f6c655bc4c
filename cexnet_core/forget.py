"""Exceptions without the frames that they passed: those of a transport hold URLs, keys and passwords."""

from __future__ import annotations


def drop_frames(error: BaseException, handled: BaseException | None) -> None:
    """Empty the tracebacks of ``error`` and of what led to it, up to what the caller ``handled``."""
    pending: list[BaseException | None] = [error]
    seen = {id(handled)}
    while pending:
        each = pending.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            pending += [each.__cause__, each.__context__]
