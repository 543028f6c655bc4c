"""An exchange in a process of its own that sends at an even pace to all of its clients.

Speaks as Binance's combined streams: each ``SUBSCRIBE`` is acknowledged, and ``go`` from any
client starts a run of book tickers, connection after connection and topic after topic.
Run as ``python -m benchmarks.paced_feed PORT_FILE FRAMES_A_SEGMENT``.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from benchmarks.line import text_frame

SEGMENTS = 4_000  # a run
# A segment finds its reader waiting, however few it has to itself: what a busy market does to
# a process that is not overloaded. Flat out, fewer connections would only mean larger reads.
SEGMENT_SPACING_NS = 60_000
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


@dataclass
class Client:
    """One connection and what it subscribed to; ``turn`` walks through the topics."""

    writer: asyncio.StreamWriter
    topics: list[bytes] = field(default_factory=list)
    turn: int = 0


class Feed:
    """All clients and one sequence for everything."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._clients: list[Client] = []
        self._sequence = count(40_000_000_000)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it goes away."""
        await upgrade(reader, writer)
        client = Client(writer)
        self._clients.append(client)
        try:
            while (message := await read_text(reader)) is not None:
                if message == b"go":
                    self.run()
                else:
                    request = json.loads(message)
                    client.topics += [topic.encode() for topic in request["params"]]
                    answer = json.dumps({"result": None, "id": request["id"]})
                    writer.write(text_frame(answer.encode()))
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self._clients.remove(client)
            writer.close()

    def run(self) -> None:
        """Send a run; nothing else happens in this process meanwhile."""
        due_ns = time.perf_counter_ns()
        for number in range(SEGMENTS):
            client = self._clients[number % len(self._clients)]
            segment = b"".join(self._next_frame(client) for _ in range(self._frames))
            due_ns += SEGMENT_SPACING_NS
            while time.perf_counter_ns() < due_ns:
                pass
            client.writer.write(segment)

    def _next_frame(self, client: Client) -> bytes:
        topic = client.topics[client.turn % len(client.topics)]
        client.turn += 1
        symbol = topic.partition(b"@")[0].upper()
        number = next(self._sequence)
        return text_frame(
            b'{"stream":"%b","data":{"u":%d,"s":"%b","b":"67012.%02d000000","B":"1.%05d000",'
            b'"a":"67013.%02d000000","A":"2.%05d000"}}'
            % (topic, number, symbol, number % 97, number % 9973, number % 89, number % 9967)
        )


async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the client's upgrade request."""
    request = await reader.readuntil(b"\r\n\r\n")
    fields = [line.partition(b": ") for line in request.split(b"\r\n")]
    key = next(value for name, _, value in fields if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - the RFC's
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


async def read_text(reader: asyncio.StreamReader) -> bytes | None:
    """The next text message; ``None`` at the close frame. Other frames are skipped."""
    while True:
        head = await reader.readexactly(2)
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(await reader.readexactly(2), "big")
        mask = await reader.readexactly(4)
        masked = await reader.readexactly(size)
        if head[0] & 0x0F == 8:
            return None
        if head[0] & 0x0F == 1:
            return bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))


async def main(port_file: Path, frames: int) -> None:
    """Serve until killed; the port is written for the parent to read."""
    server = await asyncio.start_server(Feed(frames).serve, "127.0.0.1", 0)
    port_file.write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
