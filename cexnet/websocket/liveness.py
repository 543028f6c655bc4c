"""Is it quiet, or is it dead? Judged by data, against each one's own history and its peers.

No I/O and no clock here. Someone looks at message counters every ``check_s`` and passes
them on with the time. Answers to pings and subscriptions are not data: a peer that
answers pings while its feed stands still must not pass for alive.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cexnet_core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class LivenessPolicy:
    """When silence becomes suspicious. All times in seconds.

    A connection is *quiet* after ``quiet_floor_s`` without data and ``gap_factor`` times
    the longest pause of its recent history: it is probed, and replaced when the probe is
    not answered within ``probe_deadline_s``. One that answers is *frozen*, and replaced,
    when other connections have data meanwhile, or when it was silent for
    ``frozen_floor_s`` and ``frozen_factor`` times its longest pause. Only who talked over
    ``history_s`` is expected to go on, and each false alarm doubles the patience. Of one that
    did not, nobody can say whether its market is quiet or its subscription was lost: after
    ``unheard_s`` without data it is replaced make before break, which costs a quiet market
    nothing, and each time twice as late. ``math.inf``: never, as suits a private stream.

    Where data is not expected (``expects_data=False``, as of an account that may rest for
    days) a connection is probed whenever it was quiet for ``quiet_floor_s``; what answers
    is alive, and no topic is renewed.

    A topic is renewed after ``topic_floor_s`` and ``gap_factor`` times its longest pause
    while other topics of its connection have data.

    A check that comes more than ``lag_s`` late found the event loop blocked: the delay is
    not held against anyone.
    """

    check_s: float = 0.5
    quiet_floor_s: float = 5.0
    gap_factor: float = 4.0
    probe_deadline_s: float = 3.0
    frozen_floor_s: float = 15.0
    frozen_factor: float = 10.0
    history_s: float = 20.0
    unheard_s: float = 120.0
    topic_floor_s: float = 30.0
    topic_check_s: float = 2.0
    lag_s: float = 0.25
    expects_data: bool = True

    def __post_init__(self) -> None:
        times = (
            self.check_s,
            self.quiet_floor_s,
            self.probe_deadline_s,
            self.unheard_s,
            self.topic_check_s,
            self.lag_s,
        )
        if min(times) <= 0 or min(self.gap_factor, self.frozen_factor) < 1:
            raise ConfigurationError("LivenessPolicy: times must be above 0 and factors at least 1")


# Forget a long pause slowly: one odd minute must not make a connection patient for a day.
HALF_LIFE_S = 600.0
MOST_PATIENCE = 64.0


class Pulse:
    """The history of one thing that talks: a connection or a topic.

    ``longest_s`` is its longest recent pause, ``talked_s`` how long it has been talking,
    ``patience`` a factor that false alarms raise and new data resets.
    """

    __slots__ = ("_last_s", "_seen", "_total", "longest_s", "patience", "talked_s")

    def __init__(self, now_s: float, total: int = 0) -> None:
        self.longest_s = 0.0
        self.talked_s = 0.0
        self.patience = 1.0
        self._total = total
        self._last_s = self._seen = now_s

    def sample(self, total: int, now_s: float) -> bool:
        """Take the counter's present value; True when there was something new."""
        elapsed_s = max(0.0, now_s - self._seen)
        self._seen = now_s
        if total == self._total:
            return False
        self._total = total
        pause_s = now_s - self._last_s
        self.talked_s += pause_s
        self.longest_s = max(pause_s, self.longest_s * 0.5 ** (elapsed_s / HALF_LIFE_S))
        self._last_s = now_s
        self.patience = 1.0
        return True

    def silence_s(self, now_s: float) -> float:
        """How long there has been nothing new."""
        return now_s - self._last_s

    def excuse(self, seconds: float) -> None:
        """Do not count ``seconds`` of silence: we were not listening."""
        self._last_s += seconds
        self._seen += seconds

    def restart(self, now_s: float, total: int) -> None:
        """A new connection: its counter, the same history."""
        self._total = total
        self._last_s = self._seen = now_s

    def inherit(self, before: Pulse) -> None:
        """Go on with the history of the one that this one replaces."""
        self.talked_s += before.talked_s
        self.longest_s = max(self.longest_s, before.longest_s)
        self.patience = max(self.patience, before.patience)

    def false_alarm(self) -> None:
        """It was asked and is fine: be more patient with it."""
        self.patience = min(MOST_PATIENCE, 2 * self.patience)


class Verdict(enum.StrEnum):
    """What to do about a connection."""

    FINE = "fine"
    PROBE = "probe"
    FROZEN = "frozen"
    UNHEARD = "unheard"


class ConnectionJudge:
    """Judges one connection. ``answered()`` after a probe that the peer answered."""

    def __init__(self, policy: LivenessPolicy, now_s: float) -> None:
        self.pulse = Pulse(now_s)
        self.policy = policy
        self._probed_at_s: float | None = None

    def judge(self, total: int, now_s: float, *, peers_talk: bool) -> Verdict:
        """The verdict on a connection with ``total`` data messages so far.

        ``peers_talk``: other connections of the same exchange had data since this one had.
        """
        policy, pulse = self.policy, self.pulse
        if pulse.sample(total, now_s):
            self._probed_at_s = None
            return Verdict.FINE
        silence_s = pulse.silence_s(now_s)
        usual_s = policy.quiet_floor_s
        if policy.expects_data:
            usual_s = max(usual_s, policy.gap_factor * pulse.longest_s)
        if silence_s <= usual_s * pulse.patience:
            return Verdict.FINE
        if self._probed_at_s is None:
            self._probed_at_s = now_s
            return Verdict.PROBE
        if policy.expects_data:
            ended = self._silent_too_long(silence_s, peers_talk=peers_talk)
            if ended is not Verdict.FINE:
                pulse.false_alarm()  # should the new connection be as silent: give it longer
                self._probed_at_s = None
                return ended
        if now_s - self._probed_at_s > usual_s * pulse.patience:
            self._probed_at_s = now_s  # still quiet: the peer may have died since
            return Verdict.PROBE
        return Verdict.FINE

    def _silent_too_long(self, silence_s: float, *, peers_talk: bool) -> Verdict:
        policy, pulse = self.policy, self.pulse
        talked = pulse.talked_s >= policy.history_s
        frozen_s = max(policy.frozen_floor_s, policy.frozen_factor * pulse.longest_s)
        if peers_talk and (talked or pulse.talked_s == 0.0):
            return Verdict.FROZEN
        if talked:
            return Verdict.FROZEN if silence_s > frozen_s * pulse.patience else Verdict.FINE
        return Verdict.UNHEARD if silence_s > policy.unheard_s * pulse.patience else Verdict.FINE

    def restart(self, now_s: float, total: int) -> None:
        """A new connection took over: it starts with the history of the old one."""
        self.pulse.restart(now_s, total)
        self._probed_at_s = None


class TopicJudge:
    """Finds the topics of one connection that went silent while others talk."""

    def __init__(self, policy: LivenessPolicy) -> None:
        self.policy = policy
        self._pulses: dict[str, Pulse] = {}

    def restart(self, totals: dict[str, int], now_s: float) -> None:
        """Topics were confirmed anew: their silence counts from now."""
        for topic, total in totals.items():
            self._pulses.setdefault(topic, Pulse(now_s)).restart(now_s, total)

    def excuse(self, seconds: float) -> None:
        """Do not count ``seconds`` of silence against any topic."""
        for pulse in self._pulses.values():
            pulse.excuse(seconds)

    def silent(self, totals: dict[str, int], now_s: float) -> list[str]:
        """Topics to renew, given how many events each confirmed topic had so far.

        Each named topic gets twice the patience until it talks again.
        """
        policy = self.policy
        for gone in self._pulses.keys() - totals.keys():
            del self._pulses[gone]
        suspects: list[tuple[str, Pulse]] = []
        others_talk = False
        for topic, total in totals.items():
            pulse = self._pulses.get(topic)
            if pulse is None:
                self._pulses[topic] = Pulse(now_s, total)
            elif pulse.sample(total, now_s):
                others_talk = True
            elif pulse.silence_s(now_s) > pulse.patience * max(
                policy.topic_floor_s, policy.gap_factor * pulse.longest_s
            ):
                suspects.append((topic, pulse))
        if not others_talk or not policy.expects_data:
            return []  # the connection as a whole is silent: that is not a topic's affair
        for _, pulse in suspects:
            pulse.false_alarm()
        return [topic for topic, _ in suspects]
