"""What a running engine tells about itself, and whether that is as promised.

``merge`` adds managers up and ``arrow`` (an extra, not imported here) exports them. ``window`` is
the last seconds of a recorder, ``compliance`` compares them with targets, ``stages`` says which
ones. ``pauses`` times what is our own doing, ``causes`` names it. ``monitor`` does all of it from
a task of its own, and acts on what it finds by ``remedies``.
"""

from cexnet.telemetry.compliance import Compliance, Condition, Judge, Target
from cexnet.telemetry.merge import MergedMetrics, merge_metrics
from cexnet.telemetry.monitor import Alert, Measure, Monitor
from cexnet.telemetry.news import Listener
from cexnet.telemetry.pauses import GcPause, GcWatch, LoopWatch, tame_gc
from cexnet.telemetry.window import Percentiles, Window
from cexnet_core.meter import MetricsPolicy

__all__ = [
    "Alert",
    "Compliance",
    "Condition",
    "GcPause",
    "GcWatch",
    "Judge",
    "Listener",
    "LoopWatch",
    "Measure",
    "MergedMetrics",
    "MetricsPolicy",
    "Monitor",
    "Percentiles",
    "Target",
    "Window",
    "merge_metrics",
    "tame_gc",
]
