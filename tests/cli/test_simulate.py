"""``cexnet simulate --fault``: the simulator in a process of its own, misbehaving as told."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


def simulate(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cexnet", "simulate", *arguments]


async def test_faults_of_the_command_line_strike() -> None:
    faults = ("--fault", "status:status=503,connection=1", "--fault", "reset:after=5,connection=2")
    process = await asyncio.create_subprocess_exec(
        *simulate("--seconds", "60", *faults), stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(60):
            while not (found := re.search(rb"websocket (ws://\S+)", await process.stderr.readline())):
                pass
        url = found[1].decode() + "/ws/btcusdt@bookTicker"
        with pytest.raises(InvalidStatus):
            await connect(url)
        async with connect(url) as client:
            async with asyncio.timeout(20):
                for _ in range(5):
                    await client.recv()
                with pytest.raises(ConnectionClosed):
                    await client.recv()
        process.send_signal(2)
        async with asyncio.timeout(20):
            told = (await process.stderr.read()).decode()
        assert "fault reset struck 1 times" in told
        assert "fault status struck 1 times" in told
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def test_an_unknown_fault_is_refused_in_one_sentence_that_names_all() -> None:
    done = subprocess.run(
        simulate("--fault", "nosuch"), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "unknown fault 'nosuch'; choose one of refuse, no-answer, hang-up" in done.stderr
