"""The second seam: every frame on its way to one client."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from cexnet.simulator.connection import CONTROL, make_frame, text_frame
from cexnet.simulator.faults.requests import Desk

if TYPE_CHECKING:
    from cexnet.simulator.connection import Connection
    from cexnet.simulator.faults.fault import Fault
    from cexnet.simulator.faults.script import Armed, FaultScript

_OVERSIZE = (16 << 20) + 1
_CHUNK = 1 << 16
_NOT_UTF8 = make_frame(b'{"note":"\xff\xfe"}', 0x81)
_NO_CODE, _NO_FRAME = 1005, 1006


class Tampering:
    """What the faults do to one connection; frames go through it in the order they were sent."""

    def __init__(self, script: FaultScript, connection: Connection) -> None:
        self.script = script
        self.connection = connection
        self.desk = Desk(self)
        self.is_deaf = False
        self._frozen_all = False
        self._frozen: set[str] = set()
        self._passed: dict[Armed, int] = {}
        self._struck_s: dict[Armed, float] = {}
        self._successor_first: dict[str, bytes] = {}
        self._behind: deque[bytes] | None = None
        self._timers: set[asyncio.TimerHandle] = set()

    def opened(self) -> None:
        """The connection is up: start the clocks of the faults that strike by time alone."""
        for armed in self.script.of("connection"):
            self.arm(armed)

    def closed(self) -> None:
        """The connection is gone: nothing strikes any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def arm(self, armed: Armed) -> None:
        """Let a connection's fault strike by itself once it is time, if it waits for no message."""
        fault = armed.fault
        if fault.kind.seam == "connection" and not fault.after_messages and self._concerned(fault):
            left_s = self._base_s(armed) + fault.after_s - time.monotonic()
            self.later(max(0.0, left_s), lambda: self._strike_alone(armed))

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run ``action`` after ``delay_s`` (0: now) unless the connection has ended by then."""
        if not delay_s:
            action()
            return

        def due() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(delay_s, due)
        self._timers.add(timer)

    def is_due(self, armed: Armed) -> bool:
        """Count one occasion on this connection; whether enough of them and of time have passed."""
        fault = armed.fault
        if not self._concerned(fault):
            return False
        passed = self._passed[armed] = self._passed.get(armed, 0) + 1
        return passed > fault.after_messages and time.monotonic() >= self._base_s(armed) + fault.after_s

    def draw(self, armed: Armed) -> bool:
        """Whether a due fault strikes; its count and its clock start anew then."""
        if not self.script.draw(armed):
            return False
        self._passed[armed] = 0
        self._struck_s[armed] = time.monotonic()
        return True

    def on_frame(self, frame: bytes, kind: str, topic: str) -> None:
        """One frame that the exchange sends, of any kind."""
        if self.is_deaf:
            self._withhold(frame, kind)
        elif kind == CONTROL:
            self.desk.on_reply(frame)
        elif self._frozen_all or topic in self._frozen:
            self._withhold(frame, kind)
        else:
            struck = self._struck_by(kind, topic)
            if struck is None:
                self._pass(frame, topic)
            elif struck.kind.seam == "connection":
                self._strike_connection(struck)
                if topic and topic not in self.script.simulator.topics.of(self.connection):
                    self._withhold(frame, kind)  # the subscription ended with it
                else:
                    self.connection.send(frame, kind, topic)
            else:
                self._strike_frame(struck, frame, kind, topic)

    def write(self, frame: bytes) -> None:
        """Send a frame as it is, behind what is still on its way slowly."""
        if self._behind is not None:
            self._behind.append(frame)
        else:
            self.connection.write(frame)

    def subscribed(self, topic: str) -> None:
        """The client subscribed to ``topic`` (again): a frozen one thaws."""
        self._frozen.discard(topic)
        self.desk.on_subscribed(topic)

    def freeze(self, topics: list[str]) -> None:
        """Hold back what is published on ``topics`` until each is subscribed to again."""
        self._frozen.update(topics)
        self._frozen_all |= self.script.simulator.playing  # a capture has no topics

    def heal(self, name: str) -> None:
        """End a lasting fault of this connection."""
        if name in ("freeze", "ack-only"):
            self._frozen_all = False
            self._frozen.clear()
        elif name == "half-open" and self.is_deaf:
            self.is_deaf = False
            self.connection.listen_again()

    def _base_s(self, armed: Armed) -> float:
        return max(armed.since_s, self.connection.opened_s, self._struck_s.get(armed, 0.0))

    def _concerned(self, fault: Fault) -> bool:
        return fault.connection in (0, self.connection.number)

    def _withhold(self, frame: bytes, kind: str) -> None:
        simulator = self.script.simulator
        simulator.stats.withheld[kind] += 1
        if simulator.witness is not None and kind != CONTROL:
            simulator.witness.withheld(self.connection, frame)

    def _struck_by(self, kind: str, topic: str) -> Fault | None:
        struck = None
        for armed in self.script.of("frame", "connection"):
            fault = armed.fault
            if fault.kind.target not in ("", kind) or fault.topic not in topic:
                continue
            if fault.kind.seam == "connection" and not fault.after_messages:
                continue  # strikes by itself
            if self.is_due(armed) and struck is None and self.draw(armed):
                struck = fault
        return struck

    def _strike_alone(self, armed: Armed) -> None:
        if not self.connection.ended.is_set() and self.script.draw(armed):
            self._strike_connection(armed.fault)

    def _strike_connection(self, fault: Fault) -> None:
        connection = self.connection
        if fault.name == "half-open":
            self.is_deaf = True
            connection.stop_listening()
        elif fault.name == "freeze":
            mine = self.script.simulator.topics.of(connection)
            if fault.topic:
                self.freeze([topic for topic in mine if fault.topic in topic])
            else:
                self._frozen_all = True
        elif fault.name == "auth-expiry":
            connection.session.revoke()
        elif fault.name == "lifetime" and fault.announced:
            connection.session.announce_end()
            self.later(fault.pause_s, lambda: self._close(fault))
        else:
            self._close(fault)
        if fault.lasting_s is not None:
            self.later(fault.lasting_s, lambda: self.heal(fault.name))

    def _close(self, fault: Fault) -> None:
        if fault.code == _NO_FRAME:
            last = b""
        elif fault.code == _NO_CODE:
            last = make_frame(b"", 0x88)
        else:
            last = make_frame(fault.code.to_bytes(2, "big") + fault.reason.encode(), 0x88)
        self.connection.end_with(last)

    def _strike_frame(self, fault: Fault, frame: bytes, kind: str, topic: str) -> None:
        match fault.name:
            case "reset":
                self._withhold(frame, kind)
                self.connection.reset_after(frame[: len(frame) // 2])
            case "gap":
                self._withhold(frame, kind)
            case "duplicate":
                self._pass(frame, topic)
                self.write(frame)
            case "reorder":
                self._pass(b"", topic)  # two in a row: the first goes out now
                self._successor_first[topic] = frame
            case "oversize":
                self._send_slowly(text_frame("x" * (fault.size or _OVERSIZE)), _CHUNK, 0.0)
                self._pass(frame, topic)
            case "bad-utf8":
                self.write(_NOT_UTF8)
                self._pass(frame, topic)
            case "drip":
                self._send_slowly(frame, 1, fault.pause_s)

    def _pass(self, frame: bytes, topic: str) -> None:
        self.write(frame)
        predecessor = self._successor_first.pop(topic, None) if self._successor_first else None
        if predecessor is not None:
            self.write(predecessor)

    def _send_slowly(self, frame: bytes, chunk: int, pause_s: float) -> None:
        if self._behind is not None:  # one at a time
            self._behind.append(frame)
            return
        self._behind = deque()
        self.script.simulator.own(self._trickle(frame, chunk, pause_s), "drip")

    async def _trickle(self, frame: bytes, chunk: int, pause_s: float) -> None:
        connection = self.connection
        with connection.busy():
            for start in range(0, len(frame), chunk):
                await connection.written()
                if connection.ended.is_set():
                    return
                connection.write(frame[start : start + chunk])
                connection.flush()
                await asyncio.sleep(pause_s)
        behind, self._behind = self._behind, None
        for waiting in behind or ():
            connection.write(waiting)
