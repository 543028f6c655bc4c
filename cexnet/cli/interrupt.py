"""What Ctrl-C does while there is nothing to put in order yet, or any more.

Until a command runs, Python imports for half a second. A KeyboardInterrupt in the middle of
that would be a traceback, or be swallowed by a module that is being initialised in C.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

EXIT_CODE = 128 + signal.SIGINT


def ends_at_once() -> None:
    """From now on Ctrl-C ends the process where it stands, with exit code 130.

    Where it is ignored, as in a shell's background, it still is.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def is_raised() -> None:
    """From now on Ctrl-C is a KeyboardInterrupt again, and asyncio's to handle."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(EXIT_CODE)
