"""The life cycle without a socket: Hypothesis plays the network, the user and the clock."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cexnet.websocket.lifecycle import (
    CAN_BE_LOST,
    TRANSITIONS,
    Answered,
    Authenticate,
    Authenticated,
    Close,
    Connect,
    Connected,
    Input,
    Lifecycle,
    Lost,
    Probe,
    RetryDue,
    SessionState,
    Start,
    Stop,
    Subscribe,
    Subscribed,
    Wait,
    Watch,
    WentQuiet,
)
from cexnet.websocket.reconnect import Backoff, Fault, Loss, ReconnectPolicy, classify
from cexnet_core.errors import ConnectionClosed

POLICY = ReconnectPolicy(base_s=0.5, cap_s=8.0, healthy_s=10.0, max_attempts=6)
LOSSES = st.builds(
    Loss,
    st.just(ConnectionClosed("gone")),
    code=st.sampled_from([0, 1000, 1001, 1006, 1008, 1012, 1013]),
    status=st.sampled_from([0, 401, 403, 418, 429, 500, 503]),
    retry_after_s=st.none() | st.floats(0, 120),
)
INPUTS: tuple[type[Input], ...] = (
    Start, Connected, Authenticated, Subscribed, WentQuiet, Answered, RetryDue, Close,
)  # fmt: skip


class LifecycleMachine(RuleBasedStateMachine):
    """Does each action as a driver would, with outcomes chosen at random."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = Lifecycle(Backoff(POLICY, Random(1)), classify)
        self.now_s = 0.0
        self.action: object = Stop()
        self.connections = 0  # open at the driver's side
        self.failures = 0
        self.live_since_s: float | None = None
        self.was_live = False

    def tell(self, event: Input) -> None:
        step = self.machine.handle(event)
        assert step.after is self.machine.state
        assert step.action is not None, "an action's own outcome is never too late"
        self.action = step.action
        match step.action:
            case Connect():
                assert self.connections == 0, "a second connection beside the first"
            case Wait() | Stop():
                self.connections = 0
            case Watch() if isinstance(event, Subscribed):
                self.live_since_s, self.was_live = event.at_s, True

    @precondition(lambda self: isinstance(self.action, Stop))
    @rule()
    def start(self) -> None:
        self.failures, self.was_live, self.live_since_s = 0, False, None
        self.tell(Start(self.now_s))
        assert isinstance(self.action, Connect)

    @precondition(lambda self: isinstance(self.action, Connect))
    @rule(needs_login=st.booleans())
    def connected(self, needs_login: bool) -> None:
        self.connections += 1
        if needs_login:
            self.tell(Connected(self.now_s))
            assert isinstance(self.action, Authenticate)
        else:
            self.tell(Authenticated(self.now_s))
            assert isinstance(self.action, Subscribe)

    @precondition(lambda self: isinstance(self.action, Authenticate))
    @rule()
    def logged_in(self) -> None:
        self.tell(Authenticated(self.now_s))
        assert isinstance(self.action, Subscribe)

    @precondition(lambda self: isinstance(self.action, Subscribe))
    @rule()
    def subscribed(self) -> None:
        self.tell(Subscribed(self.now_s))
        assert isinstance(self.action, Watch)

    @precondition(lambda self: isinstance(self.action, Watch))
    @rule()
    def quiet(self) -> None:
        self.tell(WentQuiet(self.now_s))
        assert isinstance(self.action, Probe)

    @precondition(lambda self: isinstance(self.action, Probe))
    @rule()
    def answered(self) -> None:
        self.tell(Answered(self.now_s))
        assert isinstance(self.action, Watch)

    @precondition(lambda self: self.machine.state in CAN_BE_LOST)
    @rule(loss=LOSSES)
    def lost(self, loss: Loss) -> None:
        fault = classify(loss)
        if self.live_since_s is not None and self.now_s - self.live_since_s >= POLICY.healthy_s:
            self.failures = 0
        self.live_since_s = None
        self.tell(Lost(self.now_s, loss))
        if not self.was_live or self.failures >= (POLICY.max_attempts or 0):
            assert isinstance(self.action, Stop)
            return
        assert isinstance(self.action, Wait)
        self.check_wait(fault, loss, self.action.delay_s)
        self.failures += 1

    def check_wait(self, fault: Fault, loss: Loss, delay_s: float) -> None:
        bound_s = 0.0 if self.failures == 0 else min(POLICY.cap_s, 0.5 * 2 ** (self.failures - 1))
        match fault:
            case Fault.ORDINARY:
                assert 0 <= delay_s <= bound_s
            case Fault.SLOW_DOWN:
                assert delay_s >= POLICY.slow_down_s
            case Fault.BUSY:
                assert POLICY.busy_s <= delay_s <= 2 * POLICY.busy_s + bound_s
            case Fault.THROTTLED:
                least_s = POLICY.throttled_s if loss.retry_after_s is None else loss.retry_after_s
                assert least_s <= delay_s <= least_s + POLICY.cap_s
            case Fault.REFUSED:
                assert delay_s >= max(POLICY.refused_s, loss.retry_after_s or 0.0)

    @precondition(lambda self: isinstance(self.action, Wait))
    @rule()
    def retry(self) -> None:
        self.tell(RetryDue(self.now_s))
        assert isinstance(self.action, Connect)

    @precondition(lambda self: self.machine.state is not SessionState.CLOSED)
    @rule()
    def close(self) -> None:
        self.tell(Close(self.now_s))
        assert isinstance(self.action, Stop)

    @rule(kind=st.sampled_from(INPUTS))
    def late_input_changes_nothing(self, kind: type[Input]) -> None:
        if (self.machine.state, kind) in TRANSITIONS:
            return
        before = self.machine.state
        step = self.machine.handle(kind(self.now_s))  # type: ignore[call-arg]
        assert step.action is None
        assert self.machine.state is before

    @rule(seconds=st.floats(0, 30))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @invariant()
    def closed_means_nothing_to_do(self) -> None:
        assert isinstance(self.action, Stop) == (self.machine.state is SessionState.CLOSED)

    @invariant()
    def at_most_one_connection(self) -> None:
        assert self.connections <= 1


TestLifecycle = LifecycleMachine.TestCase


def test_every_state_can_be_left_and_reached() -> None:
    left = {state for state, _ in TRANSITIONS} | CAN_BE_LOST
    reached = {state for state, _ in TRANSITIONS.values()} | {SessionState.BACKING_OFF}
    assert left == reached == set(SessionState)


def test_every_open_state_can_be_closed() -> None:
    closable = {state for state, kind in TRANSITIONS if kind is Close}
    assert closable == set(SessionState) - {SessionState.CLOSED}
