"""The records of one MCAP file, as far as they are whole.

Every record says how long it is, so one that is damaged inside is stepped over: chunks stand
for themselves and carry a checksum. Reading ends where no record can begin. The checksum of all
of them shows damage that would have a chunk taken for something else.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from cexnet.recording.container import library
from cexnet_core.errors import ConfigurationError

MAGIC = b"\x89MCAP0\r\n"
_MAX_RECORD_BYTES = 2**30  # a length beyond it is no length but a broken file
_HEAD = struct.Struct("<BQ")  # opcode, length of what follows
_FOOTER = 0x02
_DATA_END = 0x0F
_OF_INTEREST = {0x04: "Channel", 0x05: "Message", 0x06: "Chunk", 0x0C: "Metadata"}


class Records:
    """Channels, messages and metadata of the file at ``path``, in its order.

    After an iteration ``damaged`` says how many records could not be read (a chunk is one),
    and ``is_cut`` whether the file breaks off. Raises ConfigurationError when it cannot be
    opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self.is_cut = False
        self._kinds = library("mcap.records")
        self._stream: type[Any] = library("mcap.data_stream").ReadDataStream
        self._break_up = library("mcap.stream_reader").breakup_chunk
        self._broken: tuple[type[Exception], ...] = (
            *(library("mcap.exceptions").McapError, library("zstandard").ZstdError),
            *(ValueError, struct.error, MemoryError, OverflowError),
        )

    def __iter__(self) -> Iterator[Any]:
        self.damaged, self.is_cut = 0, False
        try:
            with self.path.open("rb") as file:
                self.is_cut = file.read(len(MAGIC)) != MAGIC
                crc = zlib.crc32(MAGIC)
                while not self.is_cut:
                    head = file.read(_HEAD.size)
                    opcode, length = _HEAD.unpack(head) if len(head) == _HEAD.size else (0, 0)
                    body = file.read(length) if opcode and length <= _MAX_RECORD_BYTES else b""
                    if not opcode or len(body) < length:
                        self.is_cut = True
                    elif opcode == _FOOTER:
                        self.is_cut = not _ends(file)
                        return
                    elif opcode == _DATA_END and body[:4] not in (bytes(4), crc.to_bytes(4, "little")):
                        self.damaged = max(1, self.damaged)
                    elif opcode in _OF_INTEREST:
                        yield from self._parsed(opcode, body)
                    crc = zlib.crc32(body, zlib.crc32(head, crc))
        except OSError as error:
            raise ConfigurationError(f"cannot read the recording {self.path}: {error.strerror}") from None

    def _parsed(self, opcode: int, body: bytes) -> list[Any]:
        kind, stream = getattr(self._kinds, _OF_INTEREST[opcode]), self._stream(BytesIO(body))
        try:
            if kind is self._kinds.Message:
                return [kind.read(stream, len(body))]
            record = kind.read(stream)
            if kind is self._kinds.Chunk:
                return list(self._break_up(record, validate_crc=True))
        except self._broken:
            self.damaged += 1
            return []
        return [record]


def _ends(file: IO[bytes]) -> bool:
    return file.read(len(MAGIC)) == MAGIC
