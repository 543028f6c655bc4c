"""The report's page: what it shows of what was collected, and that it needs nothing and trusts nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import msgspec
import pytest

from cexnet.config import Config, ExchangeConfig, TargetsConfig
from cexnet.factory import TransportFactory
from cexnet.simulator import Simulator
from cexnet.telemetry.report_charts import nines
from cexnet.telemetry.report_collect import ReportCollector
from cexnet.telemetry.report_data import Curve, Kept, Line, Pause, Pauses, Report, Slice, Slow
from cexnet.telemetry.report_page import page
from cexnet.telemetry.report_text import duration, share
from cexnet.types import Channel, Subscription
from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder

HOSTILE = "<script>alert('x')</script>&\""


def curve(stage: str, *durations_ns: int) -> Curve:
    recorder = LatencyRecorder(16)
    for ns in durations_ns:
        recorder.record(ns)
    return Curve.of(stage, recorder)


def report(text: str = "binance") -> Report:
    """A report in which every section has something to show, and every text is ``text``."""
    return Report(
        title=text,
        source=text,
        version=text,
        began_ts_ns=1_700_000_000_000_000_000,
        seconds=2.0,
        figures=((text, text),),
        lines=(Line(text, "receive", (curve(text, *range(1000, 9000, 7)),), 1_000_000),),
        slices=(Slice(1.0, 1.0, 100, 3, 1000, 9000, 20_000), Slice(2.0, 1.0, 120, 2, 1100, 8000, 9000)),
        targets=(Kept(text, text, 1_000_000, 0.99, 1000, 980, 2_000_000, 9_000_000),),
        slowest=(Slow(0.5, text, "REST", text, 5_000_000, ((text, 3_000_000), ("b", 1_000_000)), text),),
        pauses=Pauses(1, 2_000_000, 2_000_000, (Pause(0.7, 2_000_000, 2),)),
        counts=((text, ((text, 12_345),)),),
        environment=((text, text),),
        advice=(text,),
    )


class Page(HTMLParser):
    """The tags of a page, the addresses in it, and whether every tag is closed in its turn."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [f"{name}={value}" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_from_elsewhere() -> None:
    text = page(report())
    read = Page(text)
    assert read.open == []
    assert read.addresses == []
    assert not {"script", "link", "img", "iframe"} & set(read.tags)
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text
    for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(drawing)  # noqa: S314 - our own


def test_every_text_is_escaped() -> None:
    text = page(report(HOSTILE))
    assert "<script" not in text
    assert "alert('x')" not in text
    assert text.count("&lt;script&gt;") > 10


def test_it_shows_what_it_was_given() -> None:
    text = page(report())
    for words in ("✗ 1 of 1 targets missed", "20 of 1,000", "200 %", "12,345", "2 ms", "not timed apart"):
        assert words in text
    kept = page(replace(report(), targets=(Kept("a", "b", 10, 0.5, 4, 3, 5, 20),)))
    assert "✓ the target kept" in kept
    assert "50 %" in kept


def test_what_was_not_measured_is_left_out() -> None:
    bare = page(Report("nothing", "nowhere", "1", 0, 0.0))
    assert Page(bare).open == []
    assert "<svg" not in bare
    assert "<h2>" not in bare
    assert "1970" not in bare


@pytest.mark.parametrize(
    "durations_ns",
    [(1,), (5, 5, 5), (1, 10**10), tuple(range(1, 200))],
    ids=["one", "all the same", "ten decades", "many"],
)
def test_odd_curves_can_be_drawn(durations_ns: tuple[int, ...]) -> None:
    drawn = page(replace(report(), lines=(Line("a", "REST", (curve("total", *durations_ns),)),)))
    assert not re.search(r"\b(nan|inf)\b", drawn)


def test_slices_without_a_message_can_be_drawn() -> None:
    slices = (Slice(1.0, 1.0, 0, 0), Slice(2.0, 1.0, 5, 0, 10, 20, 30), Slice(3.0, 1.0, 0, 0))
    assert "Messages per second" in page(replace(report(), slices=slices))


def test_a_report_survives_json() -> None:
    whole = report(HOSTILE)
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Report) == whole


def test_a_curve_tells_no_percentile_that_its_records_cannot() -> None:
    ten = curve("a", *range(1, 11))
    assert ten.at(90.0) is not None
    assert ten.at(99.0) is None
    assert max(p for p, _ in ten.points) == 90.0


def test_a_target_of_few_records_is_grey_with_their_number() -> None:
    few = Kept("binance", "REST signature", 200_000, 0.99, 40, 37, 900_000, 900_000)
    drawn = page(replace(report(), targets=(few,)))
    assert "too few: 40 of 100 records" in drawn
    assert "too few records to judge a target" in drawn
    assert 'class="bad"' not in drawn
    assert "badge bad" not in drawn
    enough = replace(few, target="handling", count=1000, within=999)
    assert "✓ 1 of 2 targets kept, none missed" in page(replace(report(), targets=(few, enough)))
    missed = replace(enough, within=900)
    assert "✗ 1 of 1 targets missed" in page(replace(report(), targets=(few, missed)))
    assert "too few:" not in page(replace(report(), targets=(missed,)))


def test_an_allowance_is_used_up_before_a_target_is_missed() -> None:
    at_the_edge = Kept("a", "b", 1000, 0.99, 1000, 990, 1, 1)
    assert at_the_edge.is_kept
    assert at_the_edge.allowance_used == pytest.approx(1.0)
    beyond = Kept("a", "b", 1000, 0.99, 1000, 989, 1, 1)
    assert not beyond.is_kept
    assert beyond.allowance_used > 1.0
    assert Kept("a", "b", 1000, 1.0, 10, 9, 1, 1).allowance_used == 1.0


def test_numbers_as_text() -> None:
    assert [duration(ns) for ns in (0, 999, 1234, 56_789, 999_600, 2_500_000_000)] == [
        *("0 ns", "999 ns", "1.23 µs", "56.8 µs", "1 ms", "2.5 s")
    ]
    assert share(1, 1) == "100 %"
    assert share(999_999_999, 1_000_000_000) != "100 %"
    assert share(0, 0) == "-"
    assert [round(nines(p), 6) for p in (0.0, 90.0, 99.0, 99.9)] == [0, 1, 2, 3]


async def test_a_collector_reports_on_both_lines() -> None:
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=500) as simulator:
        settings = ExchangeConfig(websocket_url=simulator.ws_url, rest_url=simulator.rest_url)
        async with TransportFactory(Config(exchange={"binance": settings})) as factory:
            stream, rest = factory.websocket("binance"), factory.rest("binance")
            # No record can be within a nanosecond: every one is a violation.
            targets = TargetsConfig(rest_total_ms=1e-6)
            collector = ReportCollector(targets, slice_s=0.02, slowest=3)
            collector.add(stream)
            collector.add(rest)
            await stream.initialize([Subscription(Channel.BOOK_TICKER, "BTCUSDT")], lambda event: None)
            begun = stream.metrics().messages
            async with collector:
                while stream.metrics().messages < begun + 100 or len(collector.report("a", "b").slices) < 5:
                    await rest.ping()
                collector.note(Slow(collector.elapsed_s, "binance", "REST", "by hand", 10**12))
            made = collector.report("title", "source", version="1")
    assert made.seconds > 0
    assert [line.kind for line in made.lines] == ["receive", "REST"]
    assert 100 <= sum(part.messages for part in made.slices) <= stream.metrics().messages - begun
    assert sum(part.requests for part in made.slices) > 0
    judged = {kept.target: kept for kept in made.targets}
    assert judged["REST total"].within == 0
    assert not judged["REST total"].is_kept
    assert judged["receive to handled"].count >= 100
    by_hand, *calls = (slow for slow in made.slowest if slow.line == "REST")
    assert by_hand.what == "by hand"
    assert len(calls) == 2
    for call in calls:
        assert call.what == "GET /api/v3/ping"
        assert [name for name, _ in call.stages] == ["limit wait", "sign", "pool wait", "first byte"]
        assert 0 < sum(ns for _, ns in call.stages) <= call.total_ns
    assert len([slow for slow in made.slowest if slow.line == "receive"]) == 3
    assert Page(page(made)).open == []


def test_a_collector_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ConfigurationError, match="slice_s=0"):
        ReportCollector(slice_s=0)
