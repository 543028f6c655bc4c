"""Looks after the connections of a manager: ticks, replacements that are due, key renewals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from cexnet.websocket.bundle import Bundle
from cexnet.websocket.session import Session
from cexnet.websocket.setting import Setting
from cexnet.websocket.strategies import Renewal
from cexnet.websocket.tally import Tally
from cexnet_core.clock import now_ns
from cexnet_core.errors import AuthenticationError, CexnetError
from cexnet_core.latency import LatencyRecorder
from cexnet_core.route import Router

_logger = logging.getLogger("cexnet.websocket")

# A connection that could not be replaced is tried again after this long.
ROLL_RETRY_S = 60.0


class Caretaker:
    """Owns every task that belongs to no single connection, until ``close()``.

    ``lag`` records how late each look came, in ns: that long something blocked the loop.
    ``on_look`` is called at each look.
    """

    def __init__(
        self,
        setting: Setting,
        tally: Tally,
        bundles: Callable[[], Iterable[Bundle]],
        router: Callable[[], Router],
        on_look: Callable[[], None],
    ) -> None:
        self.lag = LatencyRecorder(4096)
        self._setting = setting
        self._tally = tally
        self._bundles = bundles
        self._router = router
        self._on_look = on_look
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> bool:
        """Whether it was started and not closed."""
        return bool(self._tasks)

    def start(self) -> None:
        """Begin, on the running loop."""
        self.own(self._look_regularly(), "caretaker")
        if self._setting.connection.renewal is not None:
            self.own(self._keep_renewed(self._setting.connection.renewal), "renewal")

    async def close(self) -> None:
        """End every task. Idempotent."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # each reports its own failures

    def look(self, now_s: float, late_s: float = 0.0) -> None:
        """One look at every connection, ``late_s`` after it was due."""
        liveness = self._setting.connection.liveness
        self._router().release_overdue(now_ns())
        for bundle in list(self._bundles()):
            for session in list(bundle.sessions):
                if late_s > liveness.lag_s:
                    # Data may wait in the socket unread: its silence is ours, not the peer's.
                    session.excuse(late_s)
                talk = _twins_talk(bundle, session, now_s, liveness.quiet_floor_s)
                session.tick(now_s, peers_talk=talk)
                if session.is_held or not session.carries_data:
                    continue  # a connection that is not read cannot be replaced without loss
                if session.roll_due_s is not None and now_s >= session.roll_due_s:
                    session.roll_due_s = now_s + ROLL_RETRY_S
                    self.own(self._roll(bundle, session), f"roll-{session.connection_id}")
        self._on_look()

    async def _look_regularly(self) -> None:
        clock = self._setting.clock
        while True:
            pause_s = self._setting.connection.liveness.check_s
            due_s = clock() + pause_s
            await asyncio.sleep(pause_s)
            now_s = clock()
            late_s = max(0.0, now_s - due_s)
            self.lag.record(int(late_s * 1e9))
            try:
                self.look(now_s, late_s)
            except Exception:
                self._tally.care_errors += 1
                _logger.exception("looking after the connections failed; the next look comes as usual")

    async def _roll(self, bundle: Bundle, session: Session) -> None:
        try:
            await bundle.roll(self._setting.resubscribe_deadline_s, session)
        except CexnetError as error:
            _logger.warning("connection %d could not be replaced and stays: %s", session.connection_id, error)
        else:
            self._tally.rolls += 1

    async def _keep_renewed(self, renewal: Renewal) -> None:
        pause_s = renewal.interval_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                await renewal.renew()
                pause_s = renewal.interval_s
            except AuthenticationError as error:
                self._tally.care_errors += 1
                for session in [s for bundle in self._bundles() for s in bundle.sessions]:
                    session.end_login(str(error))
            except Exception:
                self._tally.care_errors += 1
                _logger.exception("the key of the private stream was not renewed")
                pause_s = renewal.interval_s / 10

    def own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run ``work`` as a task that ``close()`` cancels."""
        task = asyncio.create_task(work, name=f"cexnet-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _twins_talk(bundle: Bundle, session: Session, now_s: float, lately_s: float) -> bool:
    """Whether another connection with the same topics has had data since this one had."""
    mine_s = session.judge.pulse.silence_s(now_s)
    return any(
        twin.carries_data and twin.judge.pulse.silence_s(now_s) < min(mine_s, lately_s)
        for twin in bundle.sessions
        if twin is not session
    )
