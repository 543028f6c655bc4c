"""The container: MCAP files with zstd chunks, written through the ``mcap`` library.

MCAP (https://mcap.dev/spec) is an open container for timestamped messages, append-only and cut
into chunks that stand for themselves: a file that breaks off replays up to its last whole chunk,
and any MCAP tool shows it. Each received frame is one message with ``log_time`` its receive time
(Unix ns); a channel is a connection's text or binary frames, its topic ``EXCHANGE/CONNECTION/text``
or ``.../binary``. A message on ``cexnet/dropped``, ``{"frames": N}``, stands where N frames could
not be kept. A metadata record named ``cexnet`` tells exchange, scope, part, and the recording that it is
a part of.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, NamedTuple
from uuid import uuid4

from cexnet.types import Scope
from cexnet_core.errors import ConfigurationError

DROPPED_TOPIC = "cexnet/dropped"
METADATA = "cexnet"
CHUNK_BYTES = 256 * 1024  # uncompressed
SEQUENCES = 2**32  # MCAP's sequence is 32 bits wide


class Frame(NamedTuple):
    """One received message; ``dropped_before``: how many before it could not be kept."""

    connection_id: int
    receive_ts_ns: int
    is_text: bool
    dropped_before: int
    payload: bytes


def library(module: str) -> Any:
    """A module of the ``mcap`` library. Raises ConfigurationError where it is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"recordings need the package {error.name}: pip install 'cexnet[recording]'"
        ) from None


def part_path(path: Path, part: int) -> Path:
    """The file of the n-th part, counted from 1: ``a.mcap``, ``a-2.mcap``, ``a-3.mcap`` ..."""
    return path if part == 1 else path.with_name(f"{path.stem}-{part}{path.suffix}")


def later_parts(path: Path) -> list[Path]:
    """The files there are of the second part and those behind it, in order."""
    name = re.compile(re.escape(path.stem) + r"-([1-9]\d*)" + re.escape(path.suffix))
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    numbers = (int(found[1]) for each in beside if (found := name.fullmatch(each.name)))
    return [part_path(path, number) for number in sorted(numbers) if number > 1]


class RecordingWriter:
    """Writes frames to ``path``, and to a further part whenever one has ``max_file_bytes``.

    Nothing is overwritten: raises ConfigurationError when a file exists already or cannot be
    made, and OSError when the disk is full. For one thread; it blocks.
    """

    def __init__(
        self, path: Path, exchange: str, *, scope: Scope = "public", max_file_bytes: int = 2**30
    ) -> None:
        if max_file_bytes < 1:
            raise ConfigurationError(f"max_file_bytes is {max_file_bytes}; at least 1 is needed")
        later = later_parts(path)
        if later:
            raise ConfigurationError(
                f"{later[0]} exists, and {path} may need that name for a part: move it or choose another"
            )
        self.path = path
        self.exchange = exchange
        self.scope = scope
        self.max_file_bytes = max_file_bytes
        self.frames = 0
        self.dropped = 0
        self.parts = 0
        self.bytes_written = 0  # of finished parts
        self._mcap = library("mcap.writer")
        self._file: IO[bytes]
        self._writer: Any = None
        self._recording = uuid4().hex
        self._whole_frames = 0  # that the operating system has, in whole chunks
        self._whole_bytes = 0  # of the part in progress: where they end
        self._channels: dict[tuple[int, bool], int] = {}
        self._dropped_channel = 0
        self._begin_part()

    def write(self, frame: Frame) -> None:
        """Add a frame to the chunk in progress."""
        if frame.dropped_before:
            self.mark_dropped(frame.dropped_before, frame.receive_ts_ns)
        if self._whole_bytes >= self.max_file_bytes:
            self._end_part()
            self._begin_part()
        channel = self._channels.get((frame.connection_id, frame.is_text))
        if channel is None:
            channel = self._add_channel(frame.connection_id, frame.is_text)
        self._writer.add_message(
            channel,
            log_time=frame.receive_ts_ns,
            publish_time=frame.receive_ts_ns,
            data=frame.payload,
            sequence=self.frames % SEQUENCES,
        )
        self.frames += 1
        self._notice_chunk()

    def mark_dropped(self, count: int, at_ns: int) -> None:
        """Say that ``count`` frames are missing here."""
        data = json.dumps({"frames": count}).encode()
        if not self._dropped_channel:
            self._dropped_channel = self._writer.register_channel(DROPPED_TOPIC, "json", 0)
        self._writer.add_message(self._dropped_channel, log_time=at_ns, publish_time=at_ns, data=data)
        self.dropped += count
        self._notice_chunk()

    def flush(self) -> None:
        """Hand everything to the operating system: it survives a crash of this process."""
        self._writer.flush()
        self._hand_over()

    def close(self) -> None:
        """Finish the last part. Idempotent."""
        if self._writer is not None:
            self._end_part()

    def abandon(self) -> int:
        """Close the file behind its last whole chunk, after an error; how many ``frames`` that takes back."""
        if self._writer is not None:
            self._writer = None
            with contextlib.suppress(OSError):
                self._file.close()
            with contextlib.suppress(OSError):
                os.truncate(self._file.name, self._whole_bytes)
        lost = self.frames - self._whole_frames
        self.frames = self._whole_frames
        return lost

    def _begin_part(self) -> None:
        path = part_path(self.path, self.parts + 1)
        try:
            self._file = path.open("xb")
        except FileExistsError:
            raise ConfigurationError(f"{path} exists: a recording overwrites nothing") from None
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None
        self.parts += 1
        self._whole_bytes = 0
        self._channels.clear()
        self._dropped_channel = 0
        self._writer = self._mcap.Writer(self._file, chunk_size=CHUNK_BYTES, enable_data_crcs=True)
        self._writer.start(library=f"cexnet {version('cexnet')}")
        self._writer.add_metadata(
            METADATA,
            {
                "exchange": self.exchange,
                "scope": self.scope,
                "part": str(self.parts),
                "recording": self._recording,
            },
        )
        self.flush()

    def _end_part(self) -> None:
        self._writer.finish()
        self._hand_over()
        self._writer = None
        self.bytes_written += self._whole_bytes
        self._file.close()

    def _notice_chunk(self) -> None:
        """Hand a chunk over that the last message has filled."""
        if self._file.tell() != self._whole_bytes:
            self._hand_over()

    def _hand_over(self) -> None:
        self._file.flush()
        self._whole_bytes, self._whole_frames = self._file.tell(), self.frames

    def _add_channel(self, connection_id: int, is_text: bool) -> int:
        kind = "text" if is_text else "binary"
        channel: int = self._writer.register_channel(
            f"{self.exchange}/{connection_id}/{kind}",
            "json" if is_text else "protobuf",
            0,
            {"connection_id": str(connection_id), "kind": kind},
        )
        self._channels[connection_id, is_text] = channel
        return channel
