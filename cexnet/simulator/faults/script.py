"""The faults of one simulator: which are due, and what has struck so far."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from picows import WSUpgradeResponseWithListener

from cexnet.simulator.faults.fault import Fault, Seam
from cexnet.simulator.faults.outbound import Tampering
from cexnet.simulator.faults.rest import RestFaults
from cexnet.simulator.faults.upgrades import Stranger, answer_upgrade, refusal

if TYPE_CHECKING:
    from cexnet.simulator.connection import Connection
    from cexnet.simulator.personas.words import RestWords
    from cexnet.simulator.server import Simulator

_BANNED = 418


class Armed:
    """A fault with how often it may still strike. ``since_s`` is when it was armed."""

    __slots__ = ("fault", "left", "passed", "since_s")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times
        self.passed = 0  # upgrade or REST requests let through
        self.since_s = time.monotonic()


class FaultScript:
    """Draws which faults strike; owned by the simulator, used on its loop only.

    The same ``seed`` draws the same chances in the same order of occasions.
    """

    def __init__(self, simulator: Simulator, faults: Iterable[Fault], seed: int) -> None:
        self.simulator = simulator
        self.armed = [Armed(fault) for fault in faults]
        self.strangers: dict[Stranger, None] = {}
        self.banned_until_s = 0.0
        self.rest = RestFaults(self)
        self._chance = random.Random(seed).random
        self._requests = 0

    @property
    def words(self) -> RestWords:
        """How the exchange words its refusals."""
        return self.simulator.persona.words

    def start(self) -> None:
        """Start the clock of the faults that were given beforehand."""
        for armed in self.armed:
            armed.since_s = time.monotonic()
            self._arm_listener(armed)

    def inject(self, fault: Fault) -> None:
        """Arm one more fault now, for connections that are there and those to come."""
        armed = Armed(fault)
        self.armed.append(armed)
        self._arm_listener(armed)
        for connection in list(self.simulator.connections):
            if connection.tampering is None:
                connection.tampering = Tampering(self, connection)
            connection.tampering.arm(armed)

    async def lift(self, name: str) -> None:
        """Disarm all faults called ``name`` and heal what lasts (frozen, half-open, banned,
        refusing connections, held answers, a skewed clock)."""
        for armed in [armed for armed in self.armed if armed.fault.name == name]:
            armed.left = 0  # its timers may still run
            self.armed.remove(armed)
        if name == "ban":
            self.banned_until_s = 0.0
        elif name == "refuse":
            await self.simulator.door.open()
        self.rest.heal(name)
        for connection in list(self.simulator.connections):
            if connection.tampering is not None:
                connection.tampering.heal(name)

    def of(self, *seams: Seam) -> Iterator[Armed]:
        """Armed faults of these seams that may still strike, in the order they were given."""
        for armed in list(self.armed):
            if armed.left != 0 and armed.fault.kind.seam in seams:
                yield armed

    def draw(self, armed: Armed) -> bool:
        """Whether ``armed`` strikes on this occasion; counted in ``stats.faults`` if so."""
        if armed.left == 0 or self._chance() >= armed.fault.probability:
            return False
        if armed.left is not None:
            armed.left -= 1
        self.simulator.stats.faults[armed.fault.name] += 1
        if self.simulator.witness is not None:
            self.simulator.witness.struck(armed.fault)
        return True

    def ban(self, fault: Fault) -> None:
        """Refuse every upgrade until the ban is over."""
        lasting_s = fault.lasting_s if fault.lasting_s is not None else float("inf")
        self.banned_until_s = time.monotonic() + lasting_s

    def admit(self, connection: Connection) -> Connection | WSUpgradeResponseWithListener:
        """What a client gets that asked for an upgrade: its connection, or a fault."""
        self._requests += 1
        connection.number = self._requests
        now_s = time.monotonic()
        self._close_listener_after(self._requests)
        if now_s < self.banned_until_s:
            return refusal(_BANNED, self.banned_until_s - now_s)
        if self.armed:
            connection.tampering = Tampering(self, connection)
        for armed in self.of("upgrade"):
            fault = armed.fault
            if fault.connection not in (0, connection.number) or now_s - armed.since_s < fault.after_s:
                continue
            armed.passed += 1
            if armed.passed > fault.after_messages and self.draw(armed):
                armed.passed = 0
                return answer_upgrade(self, fault, connection)
        return connection

    def close(self) -> None:
        """Disconnect the clients that never got an answer, answer those that wait for one."""
        self.rest.close()
        for stranger in list(self.strangers):
            stranger.abort()

    def _arm_listener(self, armed: Armed) -> None:
        fault = armed.fault
        if fault.kind.seam == "listener" and fault.connection in (0, self._requests + 1):
            self._refuse(armed)

    def _close_listener_after(self, requests: int) -> None:
        for armed in self.of("listener"):
            if armed.fault.connection == requests + 1:
                self._refuse(armed)

    def _refuse(self, armed: Armed) -> None:
        if armed.fault.after_s:
            self.simulator.own(self._refuse_later(armed), "refusal")
        else:
            self._shut(armed)

    async def _refuse_later(self, armed: Armed) -> None:
        await asyncio.sleep(armed.fault.after_s)
        self._shut(armed)

    def _shut(self, armed: Armed) -> None:
        if self.draw(armed):
            self.simulator.door.shut()
            if armed.fault.lasting_s is not None:
                self.simulator.own(self._open_again(armed.fault.lasting_s), "refusal")

    async def _open_again(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self.simulator.door.open()
