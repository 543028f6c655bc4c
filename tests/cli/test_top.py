"""``cexnet top`` attached to an engine of ours, to nothing, and to something else."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from rich.console import Console

pytest.importorskip("prometheus_client", reason="the extra `metrics` is not installed")

from cexnet.cli.metrics import DEFAULT_PORT
from cexnet.cli.scrape import Buckets, metrics_url, parse
from cexnet.cli.top import History, picture
from cexnet.config import Config, ExchangeConfig
from cexnet.factory import TransportFactory
from cexnet.simulator import Simulator
from cexnet.telemetry.prometheus import ManagerCollector, MetricsServer
from cexnet.types import Channel, Subscription
from cexnet_core.errors import ConfigurationError

URL = "http://127.0.0.1:1/metrics"


@asynccontextmanager
async def engine() -> AsyncIterator[str]:
    """A running engine; the URL of its metrics."""
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=500) as simulator:
        settings = ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)
        async with TransportFactory(Config(exchange={"binance": settings})) as factory:
            stream, rest = factory.websocket("binance"), factory.rest("binance")
            collector = ManagerCollector()
            collector.add(stream)
            collector.add(rest)
            await stream.initialize([Subscription(Channel.BOOK_TICKER, "BTCUSDT")], lambda event: None)
            await rest.ping()
            server = MetricsServer(collector)
            try:
                yield server.url
            finally:
                await server.close()


async def top(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cexnet", "top", *arguments, stdout=-1, stderr=-1
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_one_snapshot_as_json() -> None:
    async with engine() as url:
        code, out, err = await top(url, "--json")
    assert code == 0, err
    told = json.loads(out)
    stream, rest = told["streams"]["binance"], told["rest"]["binance"]
    assert stream["live"] == stream["connections"] == 1
    assert stream["messages"] > 0
    assert stream["messages_per_s"] > 0
    assert stream["events"]["BookTicker"] > 0
    recent = stream["stages"]["total"]["recent"]
    assert recent["count"] > 0
    assert 0 < recent["p50_ns"] <= recent["p99_ns"]
    assert recent["count"] < stream["stages"]["total"]["since_start"]["count"]
    assert rest["requests"] == 1
    assert rest["errors_per_s"] == 0
    assert rest["stages"]["total"]["since_start"]["count"] == 1


async def test_with_seconds_one_line_a_snapshot() -> None:
    async with engine() as url:
        code, out, err = await top(url, "--json", "--seconds", "2")
    assert code == 0, err
    messages = [json.loads(line)["streams"]["binance"]["messages"] for line in out.splitlines()]
    assert len(messages) == 2
    assert messages[0] < messages[1]


async def test_the_picture_once() -> None:
    async with engine() as url:
        code, out, err = await top(url.removeprefix("http://").removesuffix("/metrics"), "--once")
    assert code == 0, err
    for words in ("messages/s", "binance total", "binance REST total", "closed", "yes"):
        assert words in out


async def test_where_nothing_listens_it_says_how_to_begin() -> None:
    code, out, err = await top("127.0.0.1:1")
    assert code == 2
    assert out == ""
    assert f"nothing serves metrics at {URL}" in err
    assert "cexnet demo --metrics-port" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (404, "no such page", "answers HTTP 404"),
        (200, "<html>hello</html>", "something else than metrics"),
        (200, "up 1\n", "serves no metrics of cexnet"),
    ],
)
async def test_another_server_is_told_apart(status: int, body: str, words: str) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, text=body)

    server = web.Server(answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        code, _, err = await top(str(port))
    finally:
        await runner.cleanup()
    assert code == 2
    assert words in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (str(DEFAULT_PORT), f"http://127.0.0.1:{DEFAULT_PORT}/metrics"),
        ("engine:9000", "http://engine:9000/metrics"),
        ("http://engine:9000", "http://engine:9000/metrics"),
        ("https://engine/other", "https://engine/other"),
    ],
)
def test_targets(target: str, url: str) -> None:
    assert metrics_url(target) == url


@pytest.mark.parametrize("target", ["", "host:port", "ftp://engine:1", "host:99999999"])
def test_bad_targets(target: str) -> None:
    with pytest.raises(ConfigurationError, match="give a port, HOST:PORT"):
        metrics_url(target)


def test_percentiles_of_buckets_are_interpolated_as_prometheus_does() -> None:
    inf = float("inf")
    buckets = Buckets({0.001: 50.0, 0.002: 90.0, 0.004: 99.0, inf: 100.0})
    assert buckets.percentile_ns(50) == pytest.approx(1e6)
    assert buckets.percentile_ns(70) == pytest.approx(1.5e6)
    assert buckets.percentile_ns(99) == pytest.approx(4e6)
    assert buckets.percentile_ns(99.9) == inf
    assert buckets.highest_ns() == inf
    recent = buckets.since(Buckets({0.001: 50.0, 0.002: 80.0, 0.004: 89.0, inf: 90.0}))
    assert recent.count == 10
    assert recent.percentile_ns(50) == pytest.approx(1.5e6)
    assert recent.highest_ns() == pytest.approx(2e6)
    assert Buckets().percentile_ns(50) != Buckets().percentile_ns(50)  # not a number


def test_families_that_it_does_not_know_are_kept() -> None:
    text = (
        'cexnet_websocket_messages_total{manager="a"} 3\n'
        'cexnet_websocket_novelty{manager="a",kind="x",symbol="y"} 4\n'
        'cexnet_rest_requests_total{manager="b"} 5\n'
        "unrelated 6\n"
    )
    found: Any = parse(text, URL)
    assert found.streams["a"].value("messages") == 3
    assert found.streams["a"].by_label("novelty") == {"x/y": 4}
    assert found.rest["b"].value("requests") == 5
    assert found.rest["b"].value("errors") == 0


def exposition(streams: int, rests: int, stages: int, busy: int) -> str:
    """Metrics of so many managers; of their stages, the first ``busy`` and the total have no record."""
    lines = []
    for kind, count in (("websocket", streams), ("rest", rests)):
        family = f"cexnet_{kind}_stage_seconds"
        lines.append(f"# TYPE {family} histogram")
        for manager in range(count):
            for number, stage in enumerate(["aside"] * (stages - 1) + ["total"]):
                name = stage if stage == "total" else f"{stage}{number}"
                labels = f'manager="m{manager}",stage="{name}"'
                records = 0 if number < busy or stage == "total" else 5
                lines += [
                    f'{family}_bucket{{{labels},le="0.001"}} {records}',
                    f'{family}_bucket{{{labels},le="+Inf"}} {records}',
                    f"{family}_count{{{labels}}} {records}",
                    f"{family}_sum{{{labels}}} 0.001",
                ]
    lines += [f'cexnet_websocket_messages_total{{manager="m{number}"}} 3' for number in range(streams)]
    lines += [f'cexnet_rest_requests_total{{manager="m{number}"}} 3' for number in range(rests)]
    return "\n".join(lines) + "\n"


def drawn(streams: int, rests: int, stages: int, busy: int, height: float) -> list[str]:
    """The picture when the first ``busy`` stages and the total of each manager have records of late."""
    history = History()
    history.add(parse(exposition(streams, rests, stages, busy), URL))
    history.add(parse(exposition(streams, rests, stages, 0).replace("} 0\n", "} 5\n"), URL))
    console = Console(width=80, height=24, file=io.StringIO())
    with console.capture() as capture:
        console.print(picture(URL, history, "trouble " * 20, 80, height))
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize(
    ("streams", "rests", "stages", "busy"), [(1, 1, 9, 9), (1, 1, 12, 3), (3, 3, 9, 5), (12, 12, 4, 4)]
)
def test_the_picture_fits_the_terminal_and_says_what_is_left_out(
    streams: int, rests: int, stages: int, busy: int
) -> None:
    whole, fitted = (drawn(streams, rests, stages, busy, height) for height in (float("inf"), 24))
    assert "more" not in "".join(whole)
    assert len(fitted) <= 24 < len(whole)
    latencies = next(number for number, line in enumerate(fitted) if line.startswith("last"))
    rows = [line.split() for line in fitted[latencies + 2 :]]
    shown = [row for row in rows if row[0] != "..."]
    left_out = sum(int(row[1]) for row in rows if row[0] == "...")
    assert len(shown) + left_out == (streams + rests) * min(busy + 1, stages)
    assert all(row[-1] == "5" for row in shown)
    if streams == 1:
        assert ["m0", "total"] in [row[:2] for row in shown]
        assert shown[-1][:3] == ["m0", "REST", "total"]
    managers = [line.split()[0] for line in fitted[:latencies] if line.startswith(("m", "..."))]
    if streams + rests > 10:
        assert managers.count("...") == 2
    else:
        assert len(managers) == streams + rests


def test_what_has_no_record_of_late_is_shown_where_there_is_room() -> None:
    roomy = drawn(1, 1, 3, 1, 50)
    assert roomy == drawn(1, 1, 3, 1, float("inf"))
    assert any(line.startswith("m0 aside1") for line in roomy)
