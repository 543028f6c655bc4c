"""Recording one latency from Python, into a histogram of 0.5 % relative error."""

from __future__ import annotations

from ddsketch import DDSketch

from benchmarks.conftest import Contestant, Interleaved
from cexnet_core.latency import LatencyRecorder

SAMPLE_NS = 18_330


def test_record(interleaved: Interleaved) -> None:
    interleaved(
        "latency record",
        Contestant("cexnet LatencyRecorder", LatencyRecorder().record, (SAMPLE_NS,)),
        Contestant("ddsketch add", DDSketch(relative_accuracy=0.005).add, (SAMPLE_NS,)),
        goal=20.0,
    )
