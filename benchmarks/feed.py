"""A feed in a process of its own: upgrades, then sends frames as fast as TCP takes them.

Each text frame from the client is answered by the same run of book tickers, with
sequences that grow. Run as ``python -m benchmarks.feed PORT_FILE``.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import sys
from pathlib import Path

from benchmarks.line import book_ticker_messages, text_frame

RUN = 20_000
_WRITE_BYTES = 1 << 16
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One client, until it goes away."""
    request = await reader.readuntil(b"\r\n\r\n")
    fields = [line.partition(b": ") for line in request.split(b"\r\n")]
    key = next(value for name, _, value in fields if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - the RFC's
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    run = b"".join(text_frame(message) for message in book_ticker_messages(RUN))
    try:
        while True:
            head = await reader.readexactly(2)
            await reader.readexactly(4)
            await reader.readexactly(head[1] & 0x7F)
            if head[0] & 0x0F != 1:
                return
            for start in range(0, len(run), _WRITE_BYTES):
                writer.write(run[start : start + _WRITE_BYTES])
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        writer.close()


async def main(port_file: Path) -> None:
    """Serve until killed; the port is written for the parent to read."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port_file.write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
