"""What goes wrong in ``cexnet demo --fault``, and how it is told.

A fault is written as for ``cexnet simulate --fault``, but goes on striking by default, often
enough for a run to show it many times. ``roll`` is no fault of the exchange: it replaces
the connections make-before-break, as is due before an exchange's time limit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from cexnet.simulator import Fault, Simulator, parse_fault
from cexnet.websocket import (
    LivenessPolicy,
    ReconnectPolicy,
    SessionState,
    StateChange,
    WebSocketManager,
)
from cexnet_core.errors import CexnetError, ConfigurationError
from cexnet_core.events import Event
from cexnet_core.latency import LatencyRecorder

_logger = logging.getLogger("cexnet.demo")

ROLL = "roll"

# A run shows a fault so many times; more often than LEAST_S would leave books no time to mend,
# which exchanges' limits on snapshots bound.
STRIKES = 40.0
LEAST_S = {"reset": 0.5, "freeze": 0.75, "half-open": 0.75, "lifetime": 1.0, ROLL: 0.5}
USUAL_LEAST_S = 0.5

# A run of seconds must see the connection lost and back many times, so nothing here is as
# patient as by default, where minutes count: healthy after a tenth of a second means that
# each first attempt comes at once, and an exchange that sends thousands of messages a second
# is suspected after a fifth of a second without one.
RECONNECT = ReconnectPolicy(
    base_s=0.05, cap_s=0.5, healthy_s=0.1, slow_down_s=0.2, busy_s=0.1, throttled_s=0.5, refused_s=0.5,
    refused_cap_s=2.0,
)  # fmt: skip
LIVENESS = LivenessPolicy(
    check_s=0.05, quiet_floor_s=0.2, gap_factor=2.0, probe_deadline_s=0.25, frozen_floor_s=0.4,
    frozen_factor=3.0, history_s=0.3, topic_floor_s=2.0, topic_check_s=0.5, lag_s=0.1,
)  # fmt: skip
IMPATIENT = (
    f"for this run: suspected after {LIVENESS.quiet_floor_s:g} s of silence, a probe must be answered in "
    f"{LIVENESS.probe_deadline_s:g} s, healthy again after {RECONNECT.healthy_s:g} s"
)


@dataclass(frozen=True, slots=True)
class Misfortunes:
    """The faults of the exchange, and every how many seconds to roll, how often at most."""

    faults: tuple[Fault, ...]
    roll_every_s: float | None = None
    rolls: int | None = None


def read_misfortunes(texts: tuple[str, ...], seconds: float) -> Misfortunes:
    """Read ``NAME[:key=value,...]`` texts for a run of ``seconds``. Raises ConfigurationError."""
    faults: list[Fault] = []
    roll: Fault | None = None
    for text in texts:
        name, _, listed = text.partition(":")
        name = name.strip().replace("_", "-")
        options = [option.strip() for option in listed.split(",") if option.strip()]
        given = {option.partition("=")[0].strip() for option in options}
        if "after" not in given and "p" not in given:
            options.append(f"after={max(LEAST_S.get(name, USUAL_LEAST_S), seconds / STRIKES):g}s")
        if "times" not in given:
            options.append("times=always")
        if name == ROLL:
            if not given <= {"after", "times"}:
                raise ConfigurationError(f"fault {text!r}: roll has the options after=SECONDSs and times")
            # Spelled as a fault of time alone, so that both are read the same way.
            roll = parse_fault(f"lifetime:{','.join(options)}")
            if roll.after_messages:
                raise ConfigurationError(f"fault {text!r}: roll goes by the clock, like after=2s")
        else:
            faults.append(parse_fault(f"{name}:{','.join(options)}"))
    if roll is None:
        return Misfortunes(tuple(faults))
    return Misfortunes(tuple(faults), roll.after_s, roll.times)


async def keep_rolling(stream: WebSocketManager, misfortunes: Misfortunes) -> None:
    """Roll every connection again and again, until cancelled or often enough."""
    done = 0
    while misfortunes.roll_every_s is not None and done != misfortunes.rolls:
        await asyncio.sleep(misfortunes.roll_every_s)
        if not stream.live:
            continue  # what is broken comes back by itself
        try:
            await stream.roll()
        except CexnetError as error:  # the old connection stays
            _logger.warning("roll: %s", error)
        else:
            done += 1


class Stopwatch:
    """Times what a fault costs, from what the manager tells. ``StateListener`` and handler.

    ``connect_subscribe`` is from the start of each attempt that succeeded to the last topic's
    confirmation. ``first_event`` runs to the handler's first event from the connection that
    came back: from the strike where that ended TCP, else from the moment the manager gave
    the connection up, which is ``notice`` after the strike. Strikes are told to connections
    apart only where there is one. All in ns.
    """

    def __init__(self) -> None:
        self.connect_subscribe = LatencyRecorder(4096)
        self.first_event = LatencyRecorder(4096)
        self.notice = LatencyRecorder(4096)
        self.losses = 0
        self._struck: tuple[int, bool] | None = None
        self._began_ns: dict[int, int] = {}
        self._lost_ns: dict[int, int] = {}

    def on_struck(self, fault: Fault) -> None:
        """A fault strikes now."""
        ends_tcp = fault.name in ("reset", "close") or (fault.name == "lifetime" and not fault.announced)
        if ends_tcp or (fault.name in ("half-open", "freeze") and not fault.topic):
            self._struck = (time.perf_counter_ns(), ends_tcp)

    def on_state(self, change: StateChange) -> None:
        """A connection's state changed."""
        now_ns = time.perf_counter_ns()
        number = change.connection_id
        if change.state is SessionState.CONNECTING:
            self._began_ns[number] = now_ns
        elif change.state is SessionState.LIVE and change.before is SessionState.SUBSCRIBING:
            self.connect_subscribe.record(now_ns - self._began_ns.pop(number))
        if change.loss is not None:
            self.losses += 1
            self._began_ns.pop(number, None)
            if change.before in (SessionState.LIVE, SessionState.STALE):
                self._lost_ns[number] = self._lost_since(now_ns)
        if change.state is SessionState.CLOSED:
            self._lost_ns.pop(number, None)

    def on_event(self, event: Event) -> None:
        """The handler gets an event."""
        if self._lost_ns and event.connection_id in self._lost_ns:
            lost_ns = self._lost_ns.pop(event.connection_id)
            self.first_event.record(time.perf_counter_ns() - lost_ns)

    def _lost_since(self, now_ns: int) -> int:
        if self._struck is None:
            return now_ns
        (struck_ns, ends_tcp), self._struck = self._struck, None
        self.notice.record(now_ns - struck_ns)
        return struck_ns if ends_tcp else now_ns


def milliseconds(recorder: LatencyRecorder) -> dict[str, float | None]:
    """Median and 99th percentile; ``None`` when nothing was timed."""
    if recorder.count == 0:
        return {"p50": None, "p99": None}
    return {"p50": recorder.percentile(50.0) / 1e6, "p99": recorder.percentile(99.0) / 1e6}


async def calm_down(simulator: Simulator, misfortunes: Misfortunes) -> None:
    """End every fault, so that what is under way can arrive."""
    for name in {fault.name for fault in misfortunes.faults}:
        await simulator.lift(name)
