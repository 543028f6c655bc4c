"""A command in a terminal of its own: a pseudo-terminal whose Ctrl-C and size are real."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from types import TracebackType
from typing import Self

DEADLINE_S = 60.0
# What the terminal is told when a view takes the whole of it, and when it gives it back.
TAKES, GIVES_BACK = "\x1b[?1049h", "\x1b[?1049l"
HIDES_CURSOR, SHOWS_CURSOR = "\x1b[?25l", "\x1b[?25h"
CLEARS = "\x1b[2J"
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
# Makes the pseudo-terminal the controlling one, as a shell would, and becomes the command.
_LAUNCHER = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, '-m', 'cexnet', *sys.argv[1:]])"
)


class Terminal:
    """``python -m cexnet ARGUMENTS`` in ``columns`` x ``lines``; what it writes is in ``raw``."""

    def __init__(self, *arguments: str, columns: int = 80, lines: int = 24) -> None:
        self.raw = ""
        self._fd, theirs = pty.openpty()
        self.resize(columns, lines)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**_environment(), "TERM": "xterm-256color"},
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._fd)

    @property
    def text(self) -> str:
        """What was written, without the terminal's sequences."""
        return plain(self.raw)

    @property
    def is_itself_again(self) -> bool:
        """Whether the view's screen was left and the cursor is back."""
        return self.raw.rfind(GIVES_BACK) > self.raw.rfind(TAKES) >= 0 and (
            self.raw.rfind(SHOWS_CURSOR) > self.raw.rfind(HIDES_CURSOR)
        )

    def until(self, pattern: str) -> str:
        """Read on until ``pattern`` is found in what comes from now on; that, as it came."""
        begin = len(self.raw)
        while not re.search(pattern, plain(self.raw[begin:])):
            assert self._read(), f"{pattern!r} never came; the end was:\n{self.text[-2000:]}"
        return self.raw[begin:]

    def type(self, keys: str) -> None:
        """Press keys: ``\\x03`` is Ctrl-C."""
        os.write(self._fd, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Drag the window's corner."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def wait(self) -> int:
        """Read to the end; the exit code."""
        while self._read():
            pass
        return self._process.wait(DEADLINE_S)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._fd], [], [], DEADLINE_S)
        assert ready, f"nothing for {DEADLINE_S:g} s; the end was:\n{self.text[-2000:]}"
        try:
            data = os.read(self._fd, 65_536)
        except OSError:  # how Linux says that the other end is closed
            return False
        self.raw += data.decode("utf-8", "replace")
        return bool(data)


def _environment() -> dict[str, str]:
    """Ours, without the size of a terminal that is not this one: it would count for more."""
    return {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}


def plain(raw: str) -> str:
    """``raw`` without the terminal's sequences."""
    return _SEQUENCE.sub("", raw)
