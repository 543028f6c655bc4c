"""The whole terminal for a live view; everything is put back when it ends, however it ends.

What is logged meanwhile would tear the picture: it is kept, its newest line can be shown, and
all of it is printed when the terminal is itself again.
"""

from __future__ import annotations

import logging
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from cexnet_core.hotlog import process_log

_KEPT = 200


def can_show(console: Console) -> bool:
    """Whether there is a terminal that a view can take."""
    return console.is_terminal and not console.is_dumb_terminal


class _Keeper(logging.Handler):
    """Keeps the newest records as text."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=_KEPT)
        self.count = 0
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        self.count += 1


class LiveScreen:
    """Between ``with`` and its end ``console`` shows what was last given to ``draw``, and nothing else.

    The last picture stays in the terminal's ordinary text, followed by what was logged.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._keeper = _Keeper()
        self._last: RenderableType | None = None
        self._live = Live(
            Text(""), console=console, screen=True, auto_refresh=False, vertical_overflow="crop"
        )

    @property
    def width(self) -> int:
        """Columns, as of now."""
        return self.console.width

    @property
    def height(self) -> int:
        """Lines, as of now."""
        return self.console.height

    @property
    def notice(self) -> str:
        """The newest line that was logged, and how many there were; empty when there were none."""
        if not self._keeper.lines:
            return ""
        (newest, *_) = self._keeper.lines[-1].splitlines() or [""]
        return newest if self._keeper.count == 1 else f"{newest} (and {self._keeper.count - 1} before)"

    def draw(self, picture: RenderableType) -> None:
        """Show ``picture`` now."""
        self._last = picture
        self._live.update(picture, refresh=True)

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._keeper)
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()
        process_log.flush()
        logging.getLogger().removeHandler(self._keeper)
        if self._last is not None:
            self.console.print(self._last)
        if self._keeper.count > len(self._keeper.lines):
            self.console.print(f"the newest {len(self._keeper.lines)} of {self._keeper.count} log lines:")
        for line in self._keeper.lines:
            self.console.print(line, markup=False, style="dim")
