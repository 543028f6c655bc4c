"""An exchange that accepts every order, for benchmarks: ``python -m benchmarks.exchange PORT_FILE``.

It answers as Binance spot does, checks nothing and costs as little as asyncio allows, so that
what is measured is the client. Runs until killed.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

_CLIENT_ID = re.compile(rb"newClientOrderId=([^& ]+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BODY = (
    b'{"symbol":"BTCUSDT","orderId":28457,"orderListId":-1,"clientOrderId":"%s",'
    b'"transactTime":1795000000000,"price":"50000.10000000","origQty":"0.01000000",'
    b'"executedQty":"0.00000000","origQuoteOrderQty":"0.00000000","cummulativeQuoteQty":"0.00000000",'
    b'"status":"NEW","timeInForce":"GTC","type":"LIMIT","side":"BUY","workingTime":1795000000000,'
    b'"fills":[],"selfTradePreventionMode":"NONE"}'
)
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: %d\r\n"
    b"Connection: keep-alive\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nServer: nginx\r\n"
    b"x-mbx-uuid: 9e6b1d3c-0000-4000-8000-000000000000\r\nX-MBX-USED-WEIGHT: 1\r\n"
    b"X-MBX-USED-WEIGHT-1M: 1\r\nX-MBX-ORDER-COUNT-10S: 1\r\nX-MBX-ORDER-COUNT-1D: 1\r\n"
    b"Strict-Transport-Security: max-age=31536000; includeSubdomains\r\n"
    b"Cache-Control: no-cache, no-store, must-revalidate\r\n\r\n"
)


class Acceptor(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self) -> None:
        self._got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        got = self._got + data
        while (end := got.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(got, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(got) < whole:
                break
            named = _CLIENT_ID.search(got, 0, whole)
            body = _BODY % (named[1] if named else b"none")
            self._transport.write(_HEAD % len(body) + body)
            got = got[whole:]
        self._got = got


async def main(port_file: Path) -> None:
    """Serve on a free port and write its number to ``port_file``."""
    server = await asyncio.get_running_loop().create_server(Acceptor, "127.0.0.1", 0)
    port_file.write_text(str(server.sockets[0].getsockname()[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
