"""Recording while it happens: the loop copies a frame, a thread of its own writes it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from cexnet.recording.container import Frame, RecordingWriter
from cexnet.types import Scope
from cexnet_core.callbacks import require_plain
from cexnet_core.errors import ConfigurationError, RecordingError
from cexnet_core.tap import FrameTap

_logger = logging.getLogger("cexnet.recording")

_LOOK_S = 0.05
_AT_ONCE = 32  # frames that the thread packs between two offers of the GIL


class Recorder:
    """Writes what its ``tap`` copies to ``path`` (see ``RecordingWriter``), off the loop.

    ::

        with Recorder(Path("a.mcap"), "binance") as recorder:
            stream = factory.websocket("binance", tap=recorder.tap)

    What a crash of the process can take is what came in the last ``flush_interval_s``. When
    the thread falls behind by the tap's capacity, frames are dropped and counted, and the file
    says where. What waits in a ``tap`` given to it is recorded too. When the file cannot be
    written any more, ``error`` says why, ``on_error`` is called with it, once, on the thread,
    and frames are counted as dropped from then on. Raises ConfigurationError
    when the file cannot be made. One recorder, one exchange and ``scope``, which is that of the
    manager; ``close()`` it when the manager is closed.
    """

    def __init__(
        self,
        path: Path,
        exchange: str,
        tap: FrameTap | None = None,
        *,
        scope: Scope = "public",
        max_file_bytes: int = 2**30,
        flush_interval_s: float = 1.0,
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        if not flush_interval_s > 0:
            raise ConfigurationError(f"flush_interval_s is {flush_interval_s}; it must be above 0")
        require_plain("on_error", on_error)
        self.tap = FrameTap() if tap is None else tap
        self.error: Exception | None = None
        self._flush_interval_s = flush_interval_s
        self._writer = RecordingWriter(path, exchange, scope=scope, max_file_bytes=max_file_bytes)
        self._on_error = on_error
        self._unwritten = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cexnet-recorder", daemon=True)
        self._thread.start()

    @property
    def frames(self) -> int:
        """Frames written so far."""
        return self._writer.frames

    @property
    def dropped(self) -> int:
        """Frames that were received and will not be in the file."""
        return self.tap.dropped + self._unwritten

    @property
    def parts(self) -> int:
        """Files begun so far."""
        return self._writer.parts

    @property
    def bytes_written(self) -> int:
        """Size of the finished files; of all of them after ``close()``."""
        return self._writer.bytes_written

    def close(self) -> None:
        """Write what waits and finish the file. Blocks: on a loop, use ``asyncio.to_thread``.

        Idempotent. Raises RecordingError when the file could not be written to its end.
        """
        self._stop.set()
        self._thread.join()
        if self.error is not None:
            raise RecordingError(
                f"recording {self._writer.path} ended early: {self.error}; {self.frames} frames are "
                f"in it, {self.dropped} are missing"
            ) from self.error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            self._record()
        except Exception as error:  # noqa: BLE001 - whatever ends the thread is told at the end
            self.error = error
            self._unwritten += self._writer.abandon()
            self._tell(error)
            while not self._stop.wait(_LOOK_S):
                self._unwritten += len(self.tap.take())
            self._unwritten += len(self.tap.take())

    def _tell(self, error: Exception) -> None:
        _logger.error("recording %s has ended: %s", self._writer.path, error)
        try:
            if self._on_error is not None:
                self._on_error(error)
        except Exception:
            _logger.exception("the callback of a recording that has ended failed")

    def _record(self) -> None:
        flush_due_s = time.monotonic() + self._flush_interval_s
        stopping = False
        while not stopping:
            stopping = self._stop.wait(_LOOK_S)  # then one last look
            self._write(self.tap.take())
            if time.monotonic() >= flush_due_s:
                self._writer.flush()
                flush_due_s = time.monotonic() + self._flush_interval_s
        at_the_end = self.tap.dropped - self._writer.dropped
        if at_the_end:
            self._writer.mark_dropped(at_the_end, time.time_ns())
        self._writer.close()

    def _write(self, frames: list[tuple[int, int, bool, int, bytes]]) -> None:
        written = 0
        try:
            for frame in frames:
                self._writer.write(Frame(*frame))
                written += 1
                if written % _AT_ONCE == 0:
                    time.sleep(0)  # the loop's thread may be waiting for the GIL
        finally:
            self._unwritten += len(frames) - written
