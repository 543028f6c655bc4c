"""Quiet or dead: judged from counters and times alone."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from cexnet.websocket.liveness import ConnectionJudge, LivenessPolicy, TopicJudge, Verdict
from cexnet_core.errors import ConfigurationError

POLICY = LivenessPolicy()


class Feed:
    """A connection's counter and the judge that looks at it every half second."""

    def __init__(self, policy: LivenessPolicy = POLICY) -> None:
        self.judge = ConnectionJudge(policy, 0.0)
        self.now_s = 0.0
        self.total = 0
        self.verdicts: list[tuple[float, Verdict]] = []

    def run(self, seconds: float, *, every_s: float | None = None, peers_talk: bool = False) -> None:
        ends_s = self.now_s + seconds
        next_s = self.now_s
        while self.now_s < ends_s:
            self.now_s += 0.5
            while every_s is not None and next_s < self.now_s:
                next_s += every_s
                self.total += 1
            verdict = self.judge.judge(self.total, self.now_s, peers_talk=peers_talk)
            if verdict is not Verdict.FINE:
                self.verdicts.append((self.now_s, verdict))
            if verdict is Verdict.FROZEN:
                self.judge.restart(self.now_s, self.total)

    @property
    def kinds(self) -> list[Verdict]:
        return [verdict for _, verdict in self.verdicts]


def test_a_talking_connection_is_left_alone() -> None:
    feed = Feed()
    feed.run(3600, every_s=0.01)
    assert feed.kinds == []


def test_one_that_froze_is_probed_then_replaced() -> None:
    feed = Feed()
    feed.run(60, every_s=0.01)
    feed.run(20)
    assert feed.kinds[0] is Verdict.PROBE
    assert feed.verdicts[0][0] == pytest.approx(65.5, abs=1.0)
    assert feed.kinds.count(Verdict.FROZEN) == 1
    assert {v: at_s for at_s, v in feed.verdicts}[Verdict.FROZEN] == pytest.approx(75.5, abs=1.0)


def test_peers_that_talk_make_it_sooner() -> None:
    feed = Feed()
    feed.run(60, every_s=0.01)
    feed.run(7, peers_talk=True)
    assert feed.kinds == [Verdict.PROBE, Verdict.FROZEN]


def test_a_quiet_market_is_probed_and_left_alone() -> None:
    feed = Feed()
    feed.run(1200, every_s=40.0)
    assert Verdict.FROZEN not in feed.kinds
    feed.run(100)
    assert Verdict.FROZEN not in feed.kinds


def test_one_that_was_never_heard_is_replaced_with_growing_patience() -> None:
    feed = Feed()
    feed.run(3600)
    assert Verdict.FROZEN not in feed.kinds
    at_s = [at_s for at_s, verdict in feed.verdicts if verdict is Verdict.UNHEARD]
    assert at_s == pytest.approx([120.5, 240.5, 480.5, 960.5, 1920.5], abs=1.0)


def test_a_replacement_goes_on_with_the_history() -> None:
    before, after = Feed(), Feed()
    before.run(60, every_s=1.0)
    after.judge.pulse.inherit(before.judge.pulse)
    after.run(30)
    assert Verdict.FROZEN in after.kinds


def test_random_arrivals_raise_no_alarm_over_a_day() -> None:
    rng = Random(7)
    feed = Feed()
    next_s = 0.0
    while feed.now_s < 86_400:
        feed.now_s += 0.5
        while next_s < feed.now_s:
            next_s += rng.expovariate(1 / 3.0)
            feed.total += 1
        if feed.judge.judge(feed.total, feed.now_s, peers_talk=False) is Verdict.FROZEN:
            feed.verdicts.append((feed.now_s, Verdict.FROZEN))
    assert feed.kinds == []


def test_a_burst_at_the_start_promises_nothing() -> None:
    feed = Feed()
    feed.run(2, every_s=0.001)
    feed.run(600)
    assert Verdict.FROZEN not in feed.kinds


def test_false_alarms_become_rare() -> None:
    feed = Feed()
    feed.run(60, every_s=0.01)
    feed.run(3600)
    frozen = [at_s for at_s, verdict in feed.verdicts if verdict is Verdict.FROZEN]
    pauses = [later - earlier for earlier, later in pairwise(frozen)]
    assert len(frozen) <= 8
    assert pauses == sorted(pauses)


def test_a_blocked_loop_is_excused() -> None:
    feed = Feed()
    feed.run(60, every_s=0.01)
    feed.now_s += 30
    feed.judge.pulse.excuse(30)
    feed.run(4)
    assert feed.kinds == []


def test_topic_that_falls_silent_beside_others_is_named() -> None:
    judge = TopicJudge(POLICY)
    judge.restart({"a": 0, "b": 0}, 0.0)
    named: list[tuple[float, str]] = []
    for step in range(1, 100):
        now_s = step * 2.0
        quiet = min(step, 30)
        named += [(now_s, topic) for topic in judge.silent({"a": step, "b": quiet}, now_s)]
    assert [topic for _, topic in named] == ["b"] * len(named)
    times = [at_s for at_s, _ in named]
    assert 90 <= times[0] <= 94
    assert times == sorted(times)
    assert len(times) <= 3  # after 30 s, 60 s, 120 s: less and less often


def test_silent_connection_blames_no_topic() -> None:
    judge = TopicJudge(POLICY)
    judge.restart({"a": 0, "b": 0}, 0.0)
    assert all(judge.silent({"a": 5, "b": 7}, now_s) == [] for now_s in range(2, 400, 2) if now_s > 2)


def test_topic_never_heard_is_named_while_others_talk() -> None:
    judge = TopicJudge(POLICY)
    judge.restart({"a": 0, "b": 0}, 0.0)
    named = [t for step in range(1, 20) for t in judge.silent({"a": step, "b": 0}, step * 2.0)]
    assert named == ["b"]


def test_nonsense_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="LivenessPolicy"):
        LivenessPolicy(check_s=0.0)


def test_where_no_data_is_expected_silence_is_probed_for_ever_and_never_frozen() -> None:
    policy = LivenessPolicy(quiet_floor_s=5.0, expects_data=False)
    judge = ConnectionJudge(policy, 0.0)
    verdicts = [judge.judge(seconds // 1000, float(seconds), peers_talk=True) for seconds in range(1, 5000)]
    assert set(verdicts) == {Verdict.FINE, Verdict.PROBE}
    assert verdicts.count(Verdict.PROBE) > 700  # about every six seconds, however long the pauses
    topics = TopicJudge(policy)
    topics.restart({"orders": 0, "fills": 0}, 0.0)
    assert all(topics.silent({"orders": now, "fills": 0}, float(now)) == [] for now in range(1, 5000))
