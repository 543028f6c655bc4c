"""Pings clients and closes dead or idle ones, as the exchange does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from picows import WSCloseCode

if TYPE_CHECKING:
    from cexnet.simulator.connection import Connection
    from cexnet.simulator.server import Simulator

_ROUND_S = 0.5


async def keep_house(sim: Simulator) -> None:
    """Go round all connections until cancelled."""
    interval_s = sim.ping_interval_s
    next_ping_s = time.monotonic() + (interval_s or 0.0)
    while True:
        await asyncio.sleep(min(_ROUND_S, interval_s or _ROUND_S))
        now_s = time.monotonic()
        ping = interval_s is not None and now_s >= next_ping_s
        if ping and interval_s is not None:
            next_ping_s = now_s + interval_s
        for connection in list(sim.connections):
            if connection.is_half_open:
                connection.forget_if_gone()
                continue
            reason = _overdue(sim, connection, now_s)
            if reason:
                connection.close(WSCloseCode.POLICY_VIOLATION, reason)
            elif ping:
                connection.ping()


def _overdue(sim: Simulator, connection: Connection, now_s: float) -> str:
    persona, interval_s = sim.persona, sim.ping_interval_s
    if interval_s is not None and now_s - connection.last_pong_s > interval_s + persona.pong_deadline_s:
        return "Pong timeout"
    if persona.idle_close_s is not None and now_s - connection.last_traffic_s > persona.idle_close_s:
        return "no traffic"
    most_s = persona.no_topic_close_s
    if most_s is not None and not connection.session.topics and now_s - connection.opened_s > most_s:
        return "no subscription"
    return connection.session.lapsed()
