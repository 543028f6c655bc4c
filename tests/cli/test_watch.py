"""``cexnet watch`` against the embedded exchange, and against none; metrics beside a run."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
from pathlib import Path

import aiohttp
import pytest

from cexnet.simulator import Simulator
from tests.cli.test_cli import cexnet

COMMAND = (sys.executable, "-m", "cexnet", "watch")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "engine.toml"


def point_at(config: Path, url: str) -> None:
    config.write_text(f'[exchange.gateio]\nwebsocket_url = "{url}"\n')


async def test_watches_prices(config: Path) -> None:
    async with Simulator("gateio", ("BTC_USDT", "ETH_USDT"), rate_per_s=300) as simulator:
        point_at(config, simulator.ws_url)
        options = ("--config", str(config), "--seconds", "2", "--json")
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "gateio", "BTC_USDT", "ETH_USDT", *options, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    result = json.loads(out)
    assert set(result["symbols"]) == {"BTC_USDT", "ETH_USDT"}
    for prices in result["symbols"].values():
        assert 0 < prices["bid"] < prices["ask"]
    assert result["gaps"] == result["decode"]["errors"] == 0


async def test_ctrl_c_ends_it_and_metrics_are_served_meanwhile(config: Path) -> None:
    pytest.importorskip("prometheus_client", reason="the extra `metrics` is not installed")
    async with Simulator("gateio", ("BTC_USDT",), rate_per_s=300) as simulator:
        point_at(config, simulator.ws_url)
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "gateio", "BTC_USDT", "--config", str(config), "--metrics-port", "0",
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        try:
            async with asyncio.timeout(60):
                said = b""
                while not (found := re.search(rb"metrics: (\S+)\n", said)):
                    said += await process.stderr.readline()
                async with aiohttp.ClientSession() as session:
                    text = ""
                    while 'cexnet_websocket_live{manager="gateio"} 1.0' not in text:
                        async with session.get(found[1].decode()) as response:
                            text = await response.text()
                process.send_signal(signal.SIGINT)
                rest = (await process.stderr.read()).decode()
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 130
    assert "messages in" in rest
    assert "Traceback" not in rest


def test_without_a_way_there_it_says_so(config: Path) -> None:
    point_at(config, "ws://127.0.0.1:9")
    done = cexnet("watch", "gateio", "--config", str(config))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 2  # what it does, and that it failed: once
    assert "gateio cannot be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_exchange_is_refused() -> None:
    done = cexnet("watch", "nosuch")
    assert done.returncode == 2
    assert "unknown exchange 'nosuch'" in done.stderr
