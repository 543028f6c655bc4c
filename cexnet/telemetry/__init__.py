"""What a running engine tells about itself, and whether that is as promised.

``window`` is the last seconds of a recorder, ``compliance`` compares them with targets,
``stages`` says which ones. ``pauses`` times what is our own doing, ``causes`` names it.
``monitor`` does all of it from a task of its own, and acts on what it finds by ``remedies``.
"""

from cexnet.telemetry.compliance import Compliance, Condition, Judge, Target
from cexnet.telemetry.monitor import Alert, Measure, Monitor
from cexnet.telemetry.news import Listener
from cexnet.telemetry.pauses import GcPause, GcWatch, LoopWatch, tame_gc
from cexnet.telemetry.window import Percentiles, Window

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
    "Monitor",
    "Percentiles",
    "Target",
    "Window",
    "tame_gc",
]
