"""Who may watch what the exchange sends: a demonstration that keeps accounts, or a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cexnet.simulator.connection import Connection
    from cexnet.simulator.faults.fault import Fault


class Witness(Protocol):
    """Told, on the simulator's loop, of every data frame before a client can have it.

    Assign one to ``Simulator.witness``. One frame sent to two clients is the same object.
    """

    def sent(self, connection: Connection, frame: bytes, kind: str) -> None:
        """The exchange sends a data frame of ``kind``; a fault may still keep it back."""

    def withheld(self, connection: Connection, frame: bytes) -> None:
        """A fault kept back the frame that was just sent."""

    def struck(self, fault: Fault) -> None:
        """A fault is about to strike."""
