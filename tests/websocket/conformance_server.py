"""A stand-in for the Autobahn test suite's server: its addresses, our cases."""

from __future__ import annotations

import asyncio
import contextlib
import json
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.websocket.conformance_cases import Case, Expect
from tests.websocket.peer import (
    BINARY,
    CLOSE,
    TEXT,
    Frame,
    Peer,
    PeerConnection,
    accept_key,
    close_frame,
    frame,
)


@dataclass
class ConformanceServer:
    """``verdicts`` by name of case, ``reports`` the agents that asked for theirs."""

    url: str
    cases: Sequence[Case]
    verdicts: dict[str, str] = field(default_factory=dict)
    reports: list[str] = field(default_factory=list)

    async def serve(self, connection: PeerConnection) -> None:
        headers = await connection.read_request()
        asked = urlsplit(connection.request_line.split()[1])
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        case = self.cases[int(query["case"]) - 1] if "case" in query else None
        granted = case.deflate if case and asked.path == "/runCase" else ""
        assert not granted or headers["sec-websocket-extensions"].startswith("permessage-deflate")
        await connection.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + (f"Sec-WebSocket-Extensions: {granted}\r\n".encode() if granted else b"")
            + b"Sec-WebSocket-Accept: "
            + accept_key(headers["sec-websocket-key"])
            + b"\r\n\r\n"
        )
        match asked.path:
            case "/getCaseCount":
                await self._say(connection, str(len(self.cases)))
            case "/runCase":
                assert case is not None
                try:
                    await play(case, connection)
                    self.verdicts[case.name] = "OK"
                except (AssertionError, OSError, EOFError, TimeoutError, zlib.error) as error:
                    self.verdicts[case.name] = f"FAILED: {error!r}"
                    await connection.reset()
            case "/getCaseStatus":
                assert case is not None
                await self._say(connection, json.dumps({"behavior": self.verdicts[case.name].split(":")[0]}))
            case "/updateReports":
                self.reports.append(query["agent"])
                await connection.write(close_frame(1000))
        await connection.read_to_end()
        await connection.close()

    async def _say(self, connection: PeerConnection, text: str) -> None:
        await connection.write(frame(TEXT, text.encode()) + close_frame(1000))


async def play(case: Case, connection: PeerConnection) -> None:
    """Do the steps of ``case``; raises AssertionError when the client does something else."""
    bits = 9 if "client_max_window_bits=9" in case.deflate else 15
    unpacker = zlib.decompressobj(-bits)

    def plain(received: Frame) -> tuple[int, bytes]:
        nonlocal unpacker
        if not case.deflate or received.opcode not in (TEXT, BINARY):
            assert received.rsv == 0
            return received.opcode, received.payload
        assert received.rsv == 4, "a message that is not compressed"
        payload = unpacker.decompress(received.payload + b"\x00\x00\xff\xff")
        if "client_no_context_takeover" in case.deflate:
            unpacker = zlib.decompressobj(-bits)
        return received.opcode, payload

    for step in case.steps:
        if isinstance(step, Expect):
            received = await connection.read_frame()
            assert received.fin
            assert received.masked
            assert plain(received) == (step.opcode, step.payload)
            continue
        for at in range(0, len(step.data), step.chop or len(step.data)):
            await connection.write(step.data[at : at + (step.chop or len(step.data))])
    if not case.fails or not case.steps:
        await connection.write(case.closing)
    last = await connection.read_frame()
    assert (last.opcode, last.close_code) == (CLOSE, case.code)
    assert await connection.read_to_end() == b""


@contextlib.asynccontextmanager
async def conformance_server(cases: Sequence[Case]) -> AsyncIterator[ConformanceServer]:
    async with Peer() as peer, asyncio.TaskGroup() as group:
        server = ConformanceServer(peer.url.partition("/feed")[0], cases)

        async def accept() -> None:
            while True:
                group.create_task(server.serve(await peer.take()))

        accepting = group.create_task(accept())
        yield server
        accepting.cancel()
