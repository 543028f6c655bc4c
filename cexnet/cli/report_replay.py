"""A recording, fed through the receive line at full speed, to be reported on."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from cexnet import __version__
from cexnet.config import TargetsConfig
from cexnet.exchanges import get_exchange
from cexnet.recording import Frame, Recording, Replay, resolve_exchange
from cexnet.recording.recording import CapturedFrames
from cexnet.telemetry.pauses import GcWatch
from cexnet.telemetry.report_data import Curve, Kept, Line, Pauses, Report, Slice
from cexnet.telemetry.report_text import duration
from cexnet_core.errors import ConfigurationError
from cexnet_core.latency import LatencyRecorder

SLICES = 60


class _Watched:
    """The frames, and while they are fed for the second time, what is measured of each slice.

    ``Replay`` iterates twice: first to learn which streams there are. Slices are those of the
    recorded time; how long handling takes is our own time, now.
    """

    def __init__(self, source: Recording | CapturedFrames) -> None:
        self.slices: list[Slice] = []
        self.first_ns = self.last_ns = 0
        self.measured: LatencyRecorder | None = None
        self._source = source

    def __iter__(self) -> Iterator[Frame]:
        if self.measured is None:
            yield from self._learn()
        else:
            yield from self._measure(self.measured)

    def _learn(self) -> Iterator[Frame]:
        count = 0
        for count, frame in enumerate(self._source, 1):
            if count == 1:
                self.first_ns = frame.receive_ts_ns
            self.last_ns = max(self.last_ns, frame.receive_ts_ns)
            yield frame
        if not count:
            raise ConfigurationError(f"{self._source.path} holds no frame: there is nothing to report")

    def _measure(self, total: LatencyRecorder) -> Iterator[Frame]:
        slice_ns = max(1, -(-(self.last_ns - self.first_ns + 1) // SLICES))
        before, number, messages = total.copy(), 0, 0
        for frame in self._source:
            while frame.receive_ts_ns >= self.first_ns + (number + 1) * slice_ns:
                self._end(number, slice_ns, messages, total.since(before))
                before, number, messages = total.copy(), number + 1, 0
            messages += 1
            yield frame
        self._end(number, slice_ns, messages, total.since(before))

    def _end(self, number: int, slice_ns: int, messages: int, recent: LatencyRecorder) -> None:
        at_s, seconds = (number + 1) * slice_ns / 1e9, slice_ns / 1e9
        if recent.count:
            at = recent.percentile
            self.slices.append(Slice(at_s, seconds, messages, 0, at(50.0), at(99.0), recent.max))
        else:
            self.slices.append(Slice(at_s, seconds, messages, 0))


async def report_recording(
    source: Recording | CapturedFrames, exchange: str | None, console: Console
) -> Report:
    """Feed all of ``source``; the report. Raises ConfigurationError when it holds nothing of use."""
    name = resolve_exchange(exchange, source)
    console.print(f"feeding {source.path.name} through the receive line ...", markup=False)
    watched = _Watched(source)
    replay = Replay(watched, get_exchange(name).schema_of(source.scope), _ignore)
    router = replay.router
    watched.measured = router.total
    with GcWatch() as pauses:
        await replay.run(speed=None)
    total, seconds = router.total, (watched.last_ns - watched.first_ns) / 1e9
    limits = TargetsConfig()
    limit_ns = round(limits.websocket_handling_ms * 1e6)
    within, p99_ns = total.within(limit_ns), total.percentile(99.0)
    figures = [
        ("messages", f"{replay.frames:,}"),
        ("messages per second, as recorded", f"{replay.frames / max(1e-9, seconds):,.0f}"),
    ]
    if total.count:
        figures += [
            ("receive to handled, median", duration(total.percentile(50.0))),
            ("receive to handled, p99", duration(p99_ns)),
        ]
    counters, streams = replay.decoder.counters, router.streams()
    decoded = {each: getattr(counters, each) for each in ("shape", "ondemand", "protobuf", "errors")}
    collections = pauses.recorder
    return Report(
        title=f"cexnet on {name}",
        source=f"recording {source.path.name}, fed at full speed",
        version=__version__,
        began_ts_ns=watched.first_ns,
        seconds=seconds,
        figures=tuple(figures),
        lines=(
            Line(
                name,
                "receive",
                (
                    Curve.of("decode (1 in 8)", router.decoded),
                    Curve.of("handle (1 in 8)", router.handled),
                    Curve.of("receive to handled", total),
                ),
                limit_ns,
            ),
        ),
        slices=tuple(watched.slices),
        targets=(
            Kept(name, "receive to handled", limit_ns, limits.share, total.count, within, p99_ns, total.max),
        ),
        pauses=Pauses(collections.count, round(collections.mean * collections.count), collections.max),
        counts=(
            (f"{name}: events", tuple((kind, n) for kind, n in counters.events.items() if n)),
            (f"{name}: decoded by", tuple((path, n) for path, n in decoded.items() if n)),
            (
                f"{name}: trouble",
                (
                    ("gaps", sum(stream.gaps for stream in streams)),
                    ("duplicates", sum(stream.duplicates for stream in streams)),
                    ("reorders", sum(stream.reorders for stream in streams)),
                    ("frames dropped while recording", source.dropped),
                ),
            ),
        ),
    )


def _ignore(event: object) -> None:
    """What is measured is the line itself."""
