"""The conformance driver, and through it our message layer, against the stand-in server."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.autobahn_client import run
from tests.websocket.conformance_cases import COMPRESSED, PLAIN, Case, Expect, Send
from tests.websocket.conformance_server import conformance_server
from tests.websocket.peer import TEXT, frame


@pytest.mark.parametrize("deflate", [False, True])
async def test_every_case(deflate: bool) -> None:
    cases = COMPRESSED if deflate else PLAIN
    async with conformance_server(cases) as server:
        verdicts = await run(server.url, "cexnet & co", deflate, show=False)
    assert {name: verdict for name, verdict in server.verdicts.items() if verdict != "OK"} == {}
    assert verdicts == {"OK": len(cases)}
    assert server.reports == ["cexnet & co"]


async def test_the_command() -> None:
    """Its words and its exit code, with a case that no client passes."""
    wrong = Case("wrong", (Send(frame(TEXT, b"a")), Expect(TEXT, b"b")))
    async with conformance_server([*PLAIN[:2], wrong]) as server:
        command = (sys.executable, "-m", "tests.autobahn_client", server.url, "agent", "--deflate")
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
    assert process.returncode == 1
    assert out.decode().splitlines() == ["case 3 of 3: FAILED", "1 FAILED, 2 OK"]
    assert server.verdicts["wrong"].startswith("FAILED: AssertionError")
