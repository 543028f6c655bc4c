"""One module an exchange: how the simulator speaks as that exchange."""

from __future__ import annotations

from cexnet.simulator.personas.base import Persona
from cexnet.simulator.personas.binance import BinancePersona
from cexnet.simulator.personas.binance_usdm import BinanceUsdmPersona
from cexnet.simulator.personas.gateio import GatePersona
from cexnet.simulator.personas.mexc import MexcPersona
from cexnet.simulator.personas.okx import OkxPersona

PERSONAS: dict[str, type[Persona]] = {
    persona.name: persona
    for persona in (BinancePersona, GatePersona, MexcPersona, BinanceUsdmPersona, OkxPersona)
}
