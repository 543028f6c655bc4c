"""Reading recordings back: MCAP files in parts, whole, cut off or damaged, and text captures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from cexnet.recording.capture import Capture, read_capture
from cexnet.recording.container import DROPPED_TOPIC, METADATA, SEQUENCES, Frame, later_parts
from cexnet.recording.records import MAGIC, Records
from cexnet.types import Scope
from cexnet_core.errors import ConfigurationError

_Channels = dict[int, tuple[int, bool] | None]


class Recording:
    """The frames of ``path`` and of the parts beside it, in the order of their arrival.

    Iterate it as often as needed; it reads while it goes. The rest is of the last iteration:
    ``dropped`` frames the recorder could not keep, ``lost`` ones were in chunks that are
    ``damaged`` now, or in parts that are missing, and ``cut`` is the first part that breaks off
    (None: none does); what came behind the last whole chunk there is not counted. ``left_out``
    are files with the name of a part that are of another recording. ``exchange`` is None where
    the file does not say; ``scope`` tells whether it is of the market or of an account.
    Raises ConfigurationError when the file cannot be read or is of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.dropped = 0
        self.lost = 0
        self.damaged = 0
        self.cut: Path | None = None
        self.left_out: list[Path] = []
        self._next: int | None = None  # the sequence of the frame that should come next
        told = _told(path)
        self.exchange = told.get("exchange")
        self.scope: Scope = "private" if told.get("scope") == "private" else "public"
        self._recording = told.get("recording")

    def __iter__(self) -> Iterator[Frame]:
        self.dropped = self.lost = self.damaged = 0
        self.cut = self._next = None
        self.left_out = []
        # A part that is missing hides none behind it: what it held is counted as lost.
        for path in (self.path, *later_parts(self.path)):
            if self._is_of_another(path):
                self.left_out.append(path)
                continue
            records = Records(path)
            yield from self._frames(records)
            self.damaged += records.damaged
            if records.is_cut and self.cut is None:
                self.cut = path

    def _is_of_another(self, path: Path) -> bool:
        """Whether ``path`` says so; a part that does not say, being damaged, is taken for ours."""
        theirs = _told(path).get("recording")
        return None not in (self._recording, theirs) and theirs != self._recording

    def _frames(self, records: Records) -> Iterator[Frame]:
        channels: _Channels = {}
        missing = 0
        all_named = False
        for record in records:
            kind = type(record).__name__
            if kind == "Channel":
                _take(record, channels)
            elif kind == "Metadata" and record.metadata.get("part") == "1":
                self._next = 0
            elif kind == "Message":
                if record.channel_id not in channels and not all_named:
                    # It was named in a chunk that is damaged; the end of the file names all.
                    all_named = True
                    _take_all(Records(records.path), channels)
                channel = channels.get(record.channel_id)
                if channel is not None:
                    missing += self._lost_before(record.sequence)
                    yield Frame(*channel[:1], record.log_time, channel[1], missing, record.data)
                    missing = 0
                elif record.channel_id in channels:
                    dropped = json.loads(record.data)["frames"]
                    missing += dropped
                    self.dropped += dropped

    def _lost_before(self, sequence: int) -> int:
        lost = 0 if self._next is None else (sequence - self._next) % SEQUENCES
        self._next = (sequence + 1) % SEQUENCES
        self.lost += lost
        return lost


def _told(path: Path) -> dict[str, str]:
    """What the file says of itself; nothing, where that is damaged."""
    for record in Records(path):
        if type(record).__name__ == "Metadata" and record.name == METADATA:
            told: dict[str, str] = record.metadata
            return told
    return {}


def _take(record: Any, channels: _Channels) -> None:
    """Remember a channel. Those at the end of a file may be damaged and replace no other."""
    told = record.metadata
    if record.id in channels:
        return
    if record.topic == DROPPED_TOPIC:
        channels[record.id] = None
    elif told.get("connection_id", "").isdecimal() and told.get("kind") in ("text", "binary"):
        channels[record.id] = (int(told["connection_id"]), told["kind"] == "text")


def _take_all(records: Records, channels: _Channels) -> None:
    for record in records:
        if type(record).__name__ == "Channel":
            _take(record, channels)


class CapturedFrames:
    """A text capture as if it had been recorded: text frames of one connection."""

    dropped = lost = damaged = 0
    cut: Path | None = None
    left_out: tuple[Path, ...] = ()
    scope: Scope = "public"

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
            head = file.read(len(MAGIC))
    except OSError as error:
        raise ConfigurationError(f"cannot read the recording {path}: {error.strerror}") from None
    return Recording(path) if head == MAGIC else CapturedFrames(path)
