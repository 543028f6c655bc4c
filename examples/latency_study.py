"""Where the time goes between the socket and the handler: a study in cells, text all the way.

    python examples/latency_study.py [SECONDS]

Run it cell by cell in an editor that knows ``# %%``, or as a script. What it prints is about this
machine at this moment, with the exchange in the same process: compare rows, quote none of them.
"""

# %% The question: the same feed with a handler that does nothing, one that works, and a queue.
from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from cexnet import Channel, Config, Delivery, Event, ExchangeConfig, Subscription, TransportFactory
from cexnet.simulator import Simulator
from cexnet.telemetry import GcWatch

# in a notebook the first argument is the kernel's, and no number
SECONDS = float(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].replace(".", "", 1).isdigit() else 3.0
STREAMS = [Subscription(Channel.BOOK_TICKER, "BTCUSDT"), Subscription(Channel.DEPTH, "BTCUSDT")]

Samples = NDArray[np.int64]
Handler = Callable[[Event], object] | Delivery


def nothing(event: Event) -> None:
    """The least that a Python handler can do."""


def some_work(event: Event) -> None:
    """As much as a small model does: about 20 us."""
    sum(i * i for i in range(300))


# %% Taking the samples. ``.samples`` is a view of the recorder's ring: copy what is to stay.
async def measure(name: str, handler: Handler) -> dict[str, Samples]:
    """Stream for a while; what was recorded, by stage, oldest first, in nanoseconds."""
    async with Simulator("binance", ("BTCUSDT",), rate_per_s=2_000) as exchange:
        settings = ExchangeConfig(websocket_url=exchange.ws_url)
        async with TransportFactory(Config(exchange={"binance": settings})) as factory:
            stream = factory.websocket("binance")
            await stream.initialize(STREAMS, handler)
            if isinstance(handler, Delivery):
                handler.attach(nothing)
            await asyncio.sleep(SECONDS)
            latency = stream.latency
            recorders = {"decoded": latency.decoded, "handled": latency.handled, "total": latency.total}
            if isinstance(handler, Delivery):
                recorders["waited"] = handler.queue.waited
            return {
                f"{name}, {stage}": np.roll(recorder.samples, -recorder.oldest)
                for stage, recorder in recorders.items()
            }


def in_its_own_loop(name: str, handler: Handler) -> dict[str, Samples]:
    """A notebook has a loop running already; another thread has none."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, measure(name, handler)).result()


with GcWatch(notable_ns=50_000) as pauses:
    samples = {
        **in_its_own_loop("inline, nothing", nothing),
        **in_its_own_loop("inline, some work", some_work),
        **in_its_own_loop("queued, nothing", Delivery(10_000)),
    }


# %% Percentiles. ``total`` is from the socket read to the handler's return, whatever came before in
# the same read included; ``decoded`` and ``handled`` are its parts, of one message in sixteen;
# ``waited`` is from the queue's end to its head, and comes on top.
AT = (50, 90, 99, 99.9)
print(f"{'microseconds':28}" + "".join(f"{f'p{p:g}':>10}" for p in AT) + f"{'max':>10}{'samples':>9}")
for name, taken in samples.items():
    cells = "".join(f"{p / 1e3:10.2f}" for p in np.percentile(taken, AT))
    print(f"{name:28}{cells}{taken.max() / 1e3:10.2f}{len(taken):9}")


# %% The shape: a histogram on a logarithmic scale, a line a doubling. A second hump is a second cause.
def draw(name: str, taken: Samples) -> None:
    """One line a bin, from the first to the last that holds anything."""
    print(f"\n{name}")
    edges = 2.0 ** np.arange(6, 26)  # 64 ns to 34 ms
    counts, _ = np.histogram(taken, edges)
    used = np.flatnonzero(counts)
    for i in range(used[0], used[-1] + 1):
        bar = "#" * round(60 * counts[i] / counts.max()) or ("." if counts[i] else "")
        print(f"{edges[i] / 1e3:10.2f} us  {bar} {counts[i]}")


for stage in ("inline, nothing, total", "inline, some work, total"):
    draw(stage, samples[stage])


# %% Are slow ones alone, or in runs? In runs they waited for each other: look for one cause before
# them (a collection, a blocked loop), not at each of them.
taken = samples["inline, some work, total"]
slow = taken > np.percentile(taken, 99)
runs = np.diff(np.flatnonzero(np.diff(np.concatenate(([0], slow.view(np.int8), [0])))))[::2]
print(f"\n{slow.sum()} beyond p99 in {len(runs)} runs, the longest of {runs.max(initial=0)}")

# %% Garbage collections of that time, which stop everything: see tame_gc() in docs/performance.md.
found = np.array([pause.duration_ns for pause in pauses.notable], dtype=np.int64)
print(f"{pauses.recorder.count} collections, {len(found)} of 50 us or more", end="")
print(f", the longest {found.max() / 1e3:.0f} us" if len(found) else "")
