"""Managers added up, and their records as Arrow and Parquet: against the live recorders."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cexnet import (
    Channel,
    Config,
    ConfigurationError,
    ExchangeConfig,
    RestManager,
    Subscription,
    TransportFactory,
    WebSocketManager,
)
from cexnet.simulator import Simulator
from cexnet.telemetry import MetricsPolicy, merge_metrics
from cexnet.telemetry.arrow import percentiles_table, samples_table, write_parquet
from cexnet_core.latency import LatencyRecorder
from cexnet_core.summary import LatencySummary
from tests.websocket.live import Log

parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `arrow` is not installed")
Managers = tuple[WebSocketManager, WebSocketManager, RestManager, RestManager]


@pytest.fixture
async def managers() -> AsyncIterator[Managers]:
    """Two of each kind that have seen something, and stand still."""
    log = Log()
    async with Simulator("binance", ("BTCUSDT", "ETHUSDT"), rate_per_s=1000) as simulator:
        settings = ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)
        async with TransportFactory(Config(exchange={"binance": settings})) as factory:
            streams = factory.websocket("binance"), factory.websocket("binance")
            requests = factory.rest("binance"), factory.rest("binance", policy=MetricsPolicy(slowest=1))
            for stream, symbol in zip(streams, ("BTCUSDT", "ETHUSDT"), strict=True):
                wanted = [Subscription(Channel.TRADES, symbol)]
                await stream.initialize(wanted, log.on_event)
                await log.more(50)
                await stream.unsubscribe(wanted)
            for pings, rest in enumerate(requests, 1):
                for _ in range(pings):
                    await rest.ping()
            yield (*streams, *requests)


async def test_merged_stages_are_those_of_all_records(managers: Managers) -> None:
    one, two, *requests = managers
    merged = merge_metrics([one, two])
    assert (merged.kind, merged.managers) == ("websocket", ("binance", "binance"))
    whole = LatencyRecorder(1)
    whole.merge(one.latency.total)
    whole.merge(two.latency.total)
    assert merged.stages["total"].since_start == LatencySummary.of(whole)
    assert merged.counts["messages"] == merged.rate.count == one.metrics().messages + two.metrics().messages
    assert merged.counts.keys() > {"gaps", "reconnects", "handler_errors", "dropped"}
    assert "losses" not in merged.counts
    together = merge_metrics(requests)
    assert (together.kind, together.counts["requests"], together.counts["errors"]) == ("rest", 3, 0)
    assert together.stages["sign"].since_start.count == 3
    assert [len(rest.slowest()) for rest in requests] == [1, 1]  # two were made, one is kept


async def test_what_cannot_be_merged_is_refused(managers: Managers) -> None:
    with pytest.raises(ConfigurationError, match="merge each kind by itself"):
        merge_metrics(managers)
    with pytest.raises(ConfigurationError, match="no manager was given"):
        merge_metrics([])
    with pytest.raises(ConfigurationError, match="given twice"):
        merge_metrics([managers[0], managers[0]])
    with pytest.raises(ConfigurationError, match="str is no manager"):
        merge_metrics(["binance"])  # type: ignore[list-item]


async def test_percentiles_are_those_of_the_snapshot(managers: Managers, tmp_path: Path) -> None:
    table = percentiles_table(*managers)
    write_parquet(table, tmp_path / "percentiles.parquet")
    rows = parquet.read_table(tmp_path / "percentiles.parquet").to_pylist()
    assert len(rows) == 2 * (9 + 9 + 5 + 5)
    metrics = managers[0].metrics()
    since_start = [row for row in rows if row["period"] == "since_start" and row["kind"] == "websocket"]
    for row, (stage, found) in zip(since_start, metrics.stages.items(), strict=False):
        summary = found.since_start
        assert (row["manager"], row["stage"], row["count"]) == ("binance", stage, summary.count)
        if not summary.count:
            assert (row["p50_ns"], row["mean_ns"], row["max_ns"]) == (None, None, None)
            continue
        assert (row["p50_ns"], row["p90_ns"], row["p99_ns"]) == (
            summary.p50_ns,
            summary.p90_ns,
            summary.p99_ns,
        )
        assert (row["p999_ns"], row["max_ns"], row["mean_ns"]) == (
            summary.p999_ns,
            summary.max_ns,
            summary.mean_ns,
        )
        assert row["rate_per_s"] == pytest.approx(row["count"] / row["period_s"])
    assert {row["period"] for row in rows} == {"since_start", "recent"}


async def test_samples_are_the_rings_in_the_order_of_time(managers: Managers, tmp_path: Path) -> None:
    table = samples_table(*managers)
    write_parquet(table, tmp_path / "samples.parquet")
    rows = parquet.read_table(tmp_path / "samples.parquet").to_pylist()
    counted = Counter((row["kind"], row["stage"]) for row in rows)
    assert counted["websocket", "total"] == managers[0].latency.total.count + managers[1].latency.total.count
    assert counted["rest", "sign"] == 3
    totals = [r["duration_ns"] for r in rows if (r["kind"], r["stage"]) == ("rest", "total")]
    assert totals == [*managers[2].latency.samples, *managers[3].latency.samples]
    assert {row["manager"] for row in rows} == {"binance"}


async def test_a_full_ring_is_unrolled(managers: Managers) -> None:
    rest = managers[2]
    recorder = rest.latency.total
    recorder.reset()
    for value in range(1, recorder.capacity + 4):
        recorder.record(value)
    rows = samples_table(rest).to_pylist()
    totals = [row["duration_ns"] for row in rows if row["stage"] == "total"]
    assert totals == list(range(4, recorder.capacity + 4))


def test_nothing_is_a_table_without_rows() -> None:
    assert samples_table().num_rows == percentiles_table().num_rows == 0
    assert samples_table().column_names == ["manager", "kind", "stage", "duration_ns"]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_text("something else")
    write_parquet(samples_table(), path)
    assert parquet.read_table(path).num_rows == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot write .*nowhere"):
        write_parquet(samples_table(), tmp_path / "nowhere" / "x.parquet")


def test_cexnet_imports_no_arrow_and_names_the_extra_without_it() -> None:
    program = (
        "import sys; import cexnet, cexnet.telemetry.arrow as arrow; assert 'pyarrow' not in sys.modules;"
        "sys.modules['pyarrow'] = None\n"
        "try: arrow.samples_table()\n"
        "except cexnet.ConfigurationError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "pip install cexnet[arrow]" in done.stdout, done.stderr
