"""Faults that the simulator commits on purpose: scripted, seeded, counted.

They take hold at four places only: where a client asks to be let in (:mod:`.upgrades`),
where frames leave (:mod:`.outbound`), where requests come in over the WebSocket
(:mod:`.requests`) and where they come in over REST (:mod:`.rest`). The exchanges' personas
know nothing of them.
"""

from cexnet.simulator.faults.fault import FAULTS, Fault
from cexnet.simulator.faults.parse import parse_fault
from cexnet.simulator.faults.script import FaultScript

__all__ = ["FAULTS", "Fault", "FaultScript", "parse_fault"]
