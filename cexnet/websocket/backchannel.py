"""What an exchange says of a connection rather than of a market: answers, pongs, notices."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from cexnet.websocket.session import Session
from cexnet.websocket.setting import Setting
from cexnet_core.events import DecodeError, Event, EventKind, RawMessage, SubscriptionAck
from cexnet_core.hotlog import process_log
from cexnet_core.route import Router

_UNDECODABLE = process_log.template(
    "cexnet.websocket", logging.WARNING, "%s: undecodable message: %s", per_second=10
)
_UNASKED = process_log.template(
    "cexnet.websocket",
    logging.WARNING,
    "%s: an answer that no request of ours waits for: %s",
    per_second=10,
)
_FAREWELL = process_log.template(
    "cexnet.websocket", logging.INFO, "%s: connection %d will end soon", per_second=10
)


class BackChannel:
    """Hands such events to the session that they are about; ``name`` is the manager's."""

    def __init__(self, setting: Setting, sessions: Mapping[int, Session], name: str) -> None:
        self._setting = setting
        self._sessions = sessions
        self._name = name

    def listen(self, router: Router) -> None:
        """Hear them from ``router`` too."""
        router.add(EventKind.SUBSCRIPTION_ACK, "", self._on_ack)
        router.add(EventKind.DECODE_ERROR, "", self._on_decode_error)
        router.add(EventKind.PONG, "", self._on_control)
        router.add(EventKind.RAW_MESSAGE, "", self._on_raw)

    def _on_ack(self, ack: SubscriptionAck) -> None:
        session = self._sessions.get(ack.connection_id)
        if session is None or session.link.on_answer(ack):
            return
        if words := self._setting.connection.ends_login(ack):
            session.end_login(words)
        else:
            _UNASKED.log(self._name, repr(ack))

    def _on_control(self, event: Event) -> None:
        session = self._sessions.get(event.connection_id)
        if session is not None:
            session.link.on_control()

    def _on_raw(self, event: RawMessage) -> None:
        self._on_control(event)  # the decoder has counted it by channel
        session = self._sessions.get(event.connection_id)
        if session is None:
            return
        if words := self._setting.connection.ends_login(event):
            session.end_login(words)
        if event.channel in self._setting.connection.farewells:
            _FAREWELL.log(self._name, event.connection_id)
            session.roll_due_s = self._setting.clock()

    def _on_decode_error(self, event: DecodeError) -> None:
        _UNDECODABLE.log(self._name, event.reason)
