"""The topics of one connection: those that are wanted and those that the exchange confirmed."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cexnet.websocket.answers import Outcome
from cexnet.websocket.link import Link
from cexnet.websocket.setting import Setting
from cexnet.websocket.strategies import ControlRequest
from cexnet_core.errors import ConnectionClosed, DeadlineExceeded


class TopicEvent(enum.StrEnum):
    """What happened to a topic without anybody waiting for it."""

    REFUSED = "refused"  # at a resubscription; it is given up
    UNANSWERED = "unanswered"  # at a resubscription; it will be asked for again
    SILENT = "silent"  # while others talk; it is subscribed anew
    RENEWED = "renewed"  # subscribed anew and confirmed


@dataclass(frozen=True, slots=True)
class TopicReport:
    """One topic of one connection, what happened to it, and the exchange's words if any."""

    connection_id: int
    topic: str
    event: TopicEvent
    words: str = ""


class Topics:
    """Wanted and confirmed topics of one link.

    ``unwanted`` are those that nobody wants and that the exchange may be sending: asked for
    by a caller who gave up, or not yet confirmed to be ended. ``renew()`` ends them.
    ``report`` is told what no caller waits for.
    """

    def __init__(
        self,
        setting: Setting,
        link: Link,
        report: Callable[[TopicReport], None],
    ) -> None:
        self.desired: dict[str, None] = {}
        self.confirmed: dict[str, None] = {}
        self.unwanted: dict[str, None] = {}
        self._strategy = setting.subscription
        self._deadline_s = setting.resubscribe_deadline_s
        self._link = link
        self._report = report

    async def subscribe(self, topics: Sequence[str], deadline_s: float) -> None:
        """Ask for ``topics`` and return when each is confirmed.

        Raises SubscriptionError with the exchange's words when any is refused,
        AuthenticationError when it refused us, DeadlineExceeded naming those never answered,
        ConnectionClosed when it ended.
        Topics that were not confirmed are not asked for again.
        """
        self.desired.update(dict.fromkeys(topics))
        for topic in topics:
            self.unwanted.pop(topic, None)
        refused: Mapping[str, str] = {}
        try:
            outcome = await self._ask_for(topics, deadline_s)
            refused = outcome.refused
            outcome.raise_refusals()
            _raise_unanswered("subscribe", outcome, deadline_s)
        except BaseException:
            failed = [topic for topic in topics if topic not in self.confirmed]
            self.forget(failed)
            self.unwanted.update({topic: None for topic in failed if topic not in refused})
            raise

    async def unsubscribe(self, topics: Sequence[str], deadline_s: float) -> None:
        """End ``topics`` and return when the exchange has confirmed it. Raises as subscribe.

        Whatever happens, they are not asked for again.
        """
        self.forget(topics)
        outcome = await self._unsubscribe(topics, deadline_s)
        outcome.raise_refusals()
        _raise_unanswered("unsubscribe", outcome, deadline_s)

    async def resubscribe(self) -> None:
        """Ask for every wanted topic on a new connection; what fails is reported.

        Raises DeadlineExceeded when nothing at all was confirmed, AuthenticationError,
        ConnectionClosed, and SubscriptionError where no refused topic may be given up.
        """
        topics = tuple(self.desired)
        self.confirmed.clear()
        self.unwanted.clear()
        await self._ask_again(topics)
        if self.desired and not self.confirmed:
            raise DeadlineExceeded(
                f"resubscription: none of {len(topics)} topics was confirmed within {self._deadline_s:g} s"
            )

    async def renew(self, topics: Sequence[str]) -> None:
        """Subscribe single topics anew: silent ones, and those without an answer so far.

        Ends the unwanted ones first.
        """
        again = [topic for topic in topics if topic in self.desired]
        silent = [topic for topic in again if topic in self.confirmed]
        try:
            if self.unwanted:
                ended = tuple(self.unwanted)
                await self._unsubscribe(ended, self._deadline_s)
                # The two requests may have left in either order.
                again += [topic for topic in ended if topic in self.desired and topic not in again]
            if silent:
                for topic in silent:
                    self._tell(topic, TopicEvent.SILENT, "silent while others talk")
                    del self.confirmed[topic]
                await self._link.ask(self._unsubscriptions(silent), self._deadline_s)
            await self._ask_again(again)
        except ConnectionClosed:
            return  # whoever watches the connection sees it, and everything is asked anew
        for topic in again:
            if topic in self.confirmed:
                self._tell(topic, TopicEvent.RENEWED)

    def missing(self) -> list[str]:
        """Wanted topics that are not confirmed."""
        return [topic for topic in self.desired if topic not in self.confirmed]

    def abandon(self, topics: Sequence[str]) -> None:
        """Do not want them any longer; those that are confirmed will be ended."""
        self.unwanted.update({topic: None for topic in topics if topic in self.confirmed})
        self.forget(topics)

    def forget(self, topics: Sequence[str]) -> None:
        """Do not want them any longer."""
        for topic in topics:
            self.desired.pop(topic, None)
            self.confirmed.pop(topic, None)

    async def _ask_again(self, topics: Sequence[str]) -> None:
        outcome = await self._ask_for(topics, self._deadline_s)
        if not self._strategy.gives_up_refused:
            outcome.raise_refusals()
        self.forget(tuple(outcome.refused))
        for topic, why in outcome.refused.items():
            self._tell(topic, TopicEvent.REFUSED, why)
        for topic in outcome.unanswered:
            self._tell(topic, TopicEvent.UNANSWERED)

    async def _ask_for(self, topics: Sequence[str], deadline_s: float) -> Outcome:
        requests = self._strategy.subscribe(topics, self._link.take_request_ids(len(topics)))
        outcome = await self._link.ask(requests, deadline_s)
        outcome.raise_unauthorized("subscription")
        # One that was unsubscribed meanwhile is not wanted back.
        self.confirmed.update({topic: None for topic in outcome.confirmed if topic in self.desired})
        return outcome

    async def _unsubscribe(self, topics: Sequence[str], deadline_s: float) -> Outcome:
        self.unwanted.update(dict.fromkeys(topics))
        outcome = await self._link.ask(self._unsubscriptions(topics), deadline_s)
        for topic in topics:
            if topic not in outcome.unanswered:
                self.unwanted.pop(topic, None)
        return outcome

    def _unsubscriptions(self, topics: Sequence[str]) -> list[ControlRequest]:
        return self._strategy.unsubscribe(topics, self._link.take_request_ids(len(topics)))

    def _tell(self, topic: str, event: TopicEvent, words: str = "") -> None:
        self._report(TopicReport(self._link.connection_id, topic, event, words))


def _raise_unanswered(verb: str, outcome: Outcome, deadline_s: float) -> None:
    if outcome.unanswered:
        raise DeadlineExceeded(
            f"{verb}: no answer within {deadline_s:g} s for {', '.join(outcome.unanswered)}; "
            "check the symbol spelling, or allow more time with deadline_s"
        )
