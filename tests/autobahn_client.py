"""Our WebSocket layer as the client under test of a conformance server.

``python -m tests.autobahn_client ws://HOST:PORT AGENT [--deflate]`` runs every case that the
server has (the protocol of the Autobahn test suite: ``/getCaseCount``, ``/runCase``,
``/getCaseStatus``, ``/updateReports``), echoing each message. It prints the cases that the
server does not call OK and exits 1 when one of them failed. docs/conformance.md says how to
set up a server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from urllib.parse import quote

from cexnet.websocket.connect import Connection, DeflateOffer, connect
from cexnet_core.errors import ConnectionClosed, TransportError
from cexnet_core.messages import PyMessageSink

MAX_MESSAGE_BYTES = 64 * 2**20  # the suite sends up to 16 MiB
CASE_LIMIT_S = 300.0  # far beyond the server's own patience

# What passes: the suite's words for its verdicts.
PASSED = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED")


class Echo:
    """Sends each message back as it came; ``connection`` is set once there is one."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._early: list[tuple[bytes, bool]] = []

    def __call__(self, payload: bytes, is_text: bool, _receive_ts_ns: int) -> None:
        if self._connection is None:  # came together with the upgrade's answer
            self._early.append((payload, is_text))
            return
        try:
            (self._connection.send_text if is_text else self._connection.send_binary)(payload)
        except ConnectionClosed:
            return  # the server broke the protocol right behind this message, on purpose

    def start(self, connection: Connection) -> None:
        self._connection = connection
        for payload, is_text in self._early:
            self(payload, is_text, 0)


async def echo_until_closed(url: str, deflate: DeflateOffer | None) -> None:
    """One case: echo until the server has seen enough."""
    echo = Echo()
    connection = await connect(url, PyMessageSink(echo), max_message_bytes=MAX_MESSAGE_BYTES, deflate=deflate)
    echo.start(connection)
    try:
        async with asyncio.timeout(CASE_LIMIT_S):
            await connection.wait_closed()
    finally:
        connection.abort()


async def ask(url: str) -> bytes:
    """The server's one message at ``url``; empty when it says nothing."""
    said: list[bytes] = []
    connection = await connect(url, PyMessageSink(lambda payload, is_text, at_ns: said.append(payload)))
    await connection.wait_closed()
    return said[0] if said else b""


async def run(server: str, agent: str, deflate: bool, *, show: bool = True) -> Counter[str]:
    """Run every case of ``server``; how many got which verdict."""
    offer = DeflateOffer(compress_from_bytes=0) if deflate else None
    agent = quote(agent)
    verdicts: Counter[str] = Counter()
    count = int(await ask(f"{server}/getCaseCount"))
    for case in range(1, count + 1):
        try:
            await echo_until_closed(f"{server}/runCase?case={case}&agent={agent}", offer)
        except (TransportError, TimeoutError) as error:
            print(f"case {case}: {type(error).__name__}: {error}")
        status = json.loads(await ask(f"{server}/getCaseStatus?case={case}&agent={agent}"))
        verdict = status["behavior"]
        verdicts[verdict] += 1
        if show and verdict != "OK":
            print(f"case {case} of {count}: {verdict}", flush=True)
    await ask(f"{server}/updateReports?agent={agent}")
    return verdicts


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.autobahn_client", description=__doc__)
    parser.add_argument("server", help="ws://HOST:PORT of the conformance server")
    parser.add_argument("agent", help="our name in its report")
    parser.add_argument("--deflate", action="store_true", help="offer permessage-deflate and use it")
    arguments = parser.parse_args()
    verdicts = asyncio.run(run(arguments.server.rstrip("/"), arguments.agent, arguments.deflate))
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items())))
    return 0 if set(verdicts) <= set(PASSED) else 1


if __name__ == "__main__":
    sys.exit(main())
