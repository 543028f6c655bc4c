"""The third seam: subscriptions come in, and their acknowledgements go out wrong."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from picows import WSCloseCode

if TYPE_CHECKING:
    from cexnet.simulator.faults.fault import Fault
    from cexnet.simulator.faults.outbound import Tampering
    from cexnet.simulator.faults.script import Armed

_SUBSCRIBES = re.compile(rb'"(?:subscribe|subscription|userDataStream\.subscribe)', re.IGNORECASE)
_MOST_REMEMBERED = 4096
_TOPIC_LISTS = ("params", "payload", "args")  # how the exchanges call a request's topics


class Desk:
    """Handles one connection's requests around the exchange's session, which does the answering.

    While a request is handled its replies are gathered, so that a fault can delay or
    repeat them; data that the request sets off is not held up.
    """

    def __init__(self, tampering: Tampering) -> None:
        self._tampering = tampering
        self._replies: list[bytes] | None = None
        self._topics: list[str] = []
        self._subscribed_s: deque[float] = deque(maxlen=_MOST_REMEMBERED)

    def on_request(self, payload: bytes) -> None:
        """One whole message from the client."""
        tampering = self._tampering
        session = tampering.connection.session
        if not _SUBSCRIBES.search(payload):
            session.on_message(payload)
            return
        if self._bans():
            tampering.connection.close(WSCloseCode.POLICY_VIOLATION, "Too many requests")
            return
        struck = self._struck_by(payload)
        wrong = asked = b""
        if "refuse-topic" in struck:
            payload, asked, wrong = misspell(payload, struck["refuse-topic"].topic)
        replies, topics = self._handle(payload)
        if wrong:
            replies = [reply.replace(wrong, asked) for reply in replies]
        if "ack-only" in struck:
            tampering.freeze(topics)
        if "ack-twice" in struck:
            replies = [reply for reply in replies for _ in range(2)]
        delay_s = struck["ack-late"].pause_s if "ack-late" in struck else 0.0
        tampering.later(delay_s, lambda: self._send(replies))

    def on_reply(self, frame: bytes) -> None:
        """A control message that the exchange sends: part of an answer, or on its own."""
        if self._replies is not None:
            self._replies.append(frame)
        else:
            self._tampering.write(frame)

    def on_subscribed(self, topic: str) -> None:
        """The request at hand subscribed to ``topic``."""
        self._topics.append(topic)

    def _handle(self, payload: bytes) -> tuple[list[bytes], list[str]]:
        replies: list[bytes] = []
        self._replies, self._topics = replies, []
        try:
            self._tampering.connection.session.on_message(payload)
        finally:
            self._replies = None
        return replies, self._topics

    def _send(self, replies: list[bytes]) -> None:
        for reply in replies:
            self._tampering.write(reply)

    def _struck_by(self, payload: bytes) -> dict[str, Fault]:
        struck: dict[str, Fault] = {}
        _, items, names = _read(payload)
        for armed in self._tampering.script.of("request"):
            fault = armed.fault
            concerned = any(fault.topic in name for name in names) if items else not fault.topic
            if fault.name in struck or not concerned or (fault.name == "refuse-topic" and not items):
                continue
            if self._tampering.is_due(armed) and self._tampering.draw(armed):
                struck[fault.name] = fault
        return struck

    def _bans(self) -> bool:
        now_s = time.monotonic()
        self._subscribed_s.append(now_s)
        return any(self._is_too_many(armed, now_s) for armed in self._tampering.script.of("ban"))

    def _is_too_many(self, armed: Armed, now_s: float) -> bool:
        fault = armed.fault
        recent = sum(1 for at_s in self._subscribed_s if now_s - at_s < fault.window_s)
        if recent <= fault.limit or not self._tampering.is_due(armed) or not self._tampering.draw(armed):
            return False
        self._tampering.script.ban(fault)
        return True


def misspell(payload: bytes, topic: str) -> tuple[bytes, bytes, bytes]:
    """Make one topic of a request one that does not exist, so that the exchange refuses it.

    Returns the request and the topic as asked and as misspelled, both equally long.
    ``topic`` may be part of a topic, after ``CHANNEL:`` where the channel is named apart;
    "" takes the last. One of the request's topics must contain it.
    """
    request, items, names = _read(payload)
    index = next((i for i, name in enumerate(names) if topic and topic in name), len(items) - 1)
    asked = _text(items[index])
    wrong = "?" + asked[1:]
    if isinstance(items[index], dict):
        items[index][list(items[index])[-1]] = wrong
    else:
        items[index] = wrong
    changed = json.dumps(request, separators=(",", ":"), ensure_ascii=False)
    return changed.encode(), asked.encode(), wrong.encode()


def _read(payload: bytes) -> tuple[Any, list[Any], list[str]]:
    """The request, its list of topics (a part of it) and their full names."""
    try:
        request = json.loads(payload)
    except ValueError:
        request = None
    if not isinstance(request, dict):
        return request, [], []
    lists = (request[name] for name in _TOPIC_LISTS if isinstance(request.get(name), list))
    items: list[Any] = next(lists, [])
    channel = request.get("channel", "")
    return request, items, [f"{channel}:{_text(item)}" for item in items]


def _text(item: Any) -> str:
    return str(list(item.values())[-1]) if isinstance(item, dict) and item else str(item)
