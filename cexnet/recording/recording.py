"""Reading recordings back: MCAP files in parts, whole or cut off, and text captures."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from cexnet.recording.capture import Capture, read_capture
from cexnet.recording.container import DROPPED_TOPIC, METADATA, Frame, library, part_path
from cexnet_core.errors import ConfigurationError

_MAGIC = b"\x89MCAP0\r\n"
_MAX_RECORD_BYTES = 2**30  # a length beyond it is no length but a broken file


class Recording:
    """The frames of ``path`` and of the parts beside it, in the order of their arrival.

    Iterate it as often as needed; it reads while it goes. ``dropped`` and ``cut`` are of the last
    iteration: frames that the recorder could not keep, and the part that breaks off (None: none
    does), after whose last whole chunk nothing more is read. ``exchange`` is None where the
    file does not say. Raises ConfigurationError when the file cannot be read or is of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped = 0
        self.cut: Path | None = None
        self.exchange: str | None = None
        for record in self._records(path):
            if type(record).__name__ == "Metadata" and record.name == METADATA:
                self.exchange = record.metadata.get("exchange")
                break

    def __iter__(self) -> Iterator[Frame]:
        self.dropped, self.cut = 0, None
        part = 1
        while self.cut is None and (path := part_path(self.path, part)).exists():
            yield from self._frames(path)
            part += 1

    def _frames(self, path: Path) -> Iterator[Frame]:
        channels: dict[int, tuple[int, bool] | None] = {}
        dropped = 0
        for record in self._records(path):
            kind = type(record).__name__
            if kind == "Message":
                channel = channels.get(record.channel_id)
                if channel is not None:
                    yield Frame(*channel[:1], record.log_time, channel[1], dropped, record.data)
                    dropped = 0
                elif record.channel_id in channels:
                    dropped += json.loads(record.data)["frames"]
                    self.dropped += dropped
            elif kind == "Channel" and record.id not in channels:
                if record.topic == DROPPED_TOPIC:
                    channels[record.id] = None
                elif "connection_id" in record.metadata:
                    told = record.metadata
                    channels[record.id] = (int(told["connection_id"]), told["kind"] == "text")

    def _records(self, path: Path) -> Iterator[Any]:
        """The file's records up to its end, or up to where it is cut."""
        reader = library("mcap.stream_reader")
        broken: tuple[type[Exception], ...] = (
            *(library("mcap.exceptions").McapError, reader.CRCValidationError),
            *(library("zstandard").ZstdError, struct.error, UnicodeDecodeError),
        )
        try:
            with path.open("rb") as file:
                stream = reader.StreamReader(file, validate_crcs=True, record_size_limit=_MAX_RECORD_BYTES)
                try:
                    yield from stream.records
                except broken:
                    self.cut = path
        except OSError as error:
            raise ConfigurationError(f"cannot read the recording {path}: {error.strerror}") from None


class CapturedFrames:
    """A text capture as if it had been recorded: text frames of one connection."""

    dropped = 0
    cut: Path | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._capture: Capture = read_capture(path)
        self.exchange = self._capture.exchange

    def __iter__(self) -> Iterator[Frame]:
        for at_s, payload in self._capture.messages:
            yield Frame(0, int(Decimal(repr(at_s)) * 1_000_000_000), True, 0, payload)


def open_recording(path: Path) -> Recording | CapturedFrames:
    """An MCAP recording or a text capture, whichever ``path`` is.

    Raises ConfigurationError when it is neither or cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as error:
        raise ConfigurationError(f"cannot read the recording {path}: {error.strerror}") from None
    return Recording(path) if head == _MAGIC else CapturedFrames(path)
