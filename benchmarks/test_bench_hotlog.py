"""A log record of three arguments from the hot path: append here, write elsewhere, beside writing at once.

Everyone's records end as formatted text in a stream that throws it away, so that nobody is
charged for a disk. What the hot log's thread spends on formatting is not in its figure: not
paying that on the calling thread is the point. Its ring is emptied between the rounds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import structlog

from benchmarks.conftest import Contestant, Interleaved
from cexnet_core.hotlog import HotLog, append_cost_ns

try:
    import picologging
except ImportError:  # it has no wheel for this Python
    picologging = None

TEXT = "%s refused at %.2f, try %d"
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
APPENDS = 5000


class Nowhere:
    """A stream that throws away what is written."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def stdlib_warning(name: str) -> Callable[..., None]:
    handler = logging.StreamHandler(Nowhere())
    handler.setFormatter(logging.Formatter(FORMAT))
    logger = logging.getLogger(name)
    logger.handlers = [handler]
    logger.propagate = False
    return logger.warning


def picologging_warning(level: int = logging.WARNING) -> Callable[..., None]:
    handler = picologging.StreamHandler(Nowhere())
    handler.setFormatter(picologging.Formatter(FORMAT))
    logger = picologging.Logger("bench.pico", level)
    logger.addHandler(handler)
    return logger.warning


def structlog_warning() -> Callable[..., None]:
    logger = structlog.wrap_logger(
        structlog.PrintLogger(Nowhere()),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.KeyValueRenderer(),
        ],
        cache_logger_on_first_use=True,
    ).bind()
    return logger.warning


def timed_appends() -> Callable[[], int]:
    """Nanoseconds of ``APPENDS`` appends from Python; the flush is outside."""
    stdlib_warning("bench.hot")
    log = HotLog(1 << 20, poll_s=None)
    append = log.template("bench.hot", logging.WARNING, TEXT).log

    def run() -> int:
        begin_ns = time.perf_counter_ns()
        for number in range(APPENDS):
            append("BTCUSDT", 64250.1, number)
        elapsed_ns = time.perf_counter_ns() - begin_ns
        assert log.flush(60)
        assert log.lost == 0
        return elapsed_ns

    return run


def rivals() -> list[Contestant]:
    arguments = (TEXT, "BTCUSDT", 64250.1, 3)
    return [
        Contestant("picologging", picologging_warning(), arguments),
        Contestant("logging", stdlib_warning("bench.stdlib"), arguments),
        Contestant("structlog", structlog_warning(), arguments),
    ]


def test_append(interleaved: Interleaved) -> None:
    interleaved(
        "log record of three arguments, from Python",
        Contestant("cexnet hotlog", timed_appends(), operations=APPENDS, returns_ns=True),
        *rivals(),
        goal=10,
    )


def test_append_from_c(interleaved: Interleaved) -> None:
    interleaved(
        "log record of three arguments, from C",
        Contestant(
            "cexnet hotlog",
            lambda: int(append_cost_ns(100_000) * 100_000),
            operations=100_000,
            returns_ns=True,
        ),
        *rivals(),
    )


def test_append_below_the_level(interleaved: Interleaved) -> None:
    log = HotLog(level=logging.ERROR, poll_s=None)
    below = log.template("bench.hot", logging.WARNING, TEXT).log  # fills no ring: timed as its rival is
    interleaved(
        "log record below the level",
        Contestant("cexnet hotlog", below, ("BTCUSDT", 64250.1, 3)),
        Contestant("picologging", picologging_warning(logging.ERROR), (TEXT, "BTCUSDT", 64250.1, 3)),
    )
    log.close()
