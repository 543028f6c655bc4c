"""What losses mean and how long the waits are."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet.websocket.reconnect import Backoff, Fault, Loss, ReconnectPolicy, classify
from cexnet_core.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ConnectionClosed,
    HandshakeError,
    ProtocolError,
    RateLimited,
)


@pytest.mark.parametrize(
    "error, fault",
    [
        (ConnectError("refused"), Fault.ORDINARY),
        (ConnectionClosed("reset", code=1006), Fault.ORDINARY),
        (ConnectionClosed("away", code=1001), Fault.ORDINARY),
        (ConnectionClosed("policy", code=1008), Fault.SLOW_DOWN),
        (ConnectionClosed("restart", code=1012), Fault.BUSY),
        (ProtocolError("bad frame", code=1002), Fault.ORDINARY),
        (HandshakeError("no", status=401), Fault.REFUSED),
        (HandshakeError("no", status=403), Fault.REFUSED),
        (HandshakeError("ban", status=418), Fault.THROTTLED),
        (HandshakeError("slow", status=429), Fault.THROTTLED),
        (HandshakeError("down", status=503), Fault.THROTTLED),
        (HandshakeError("broken", status=502), Fault.BUSY),
        (HandshakeError("hung up", status=0), Fault.ORDINARY),
        (AuthenticationError("bad key"), Fault.REFUSED),
    ],
)
def test_losses_are_told_apart(error: Exception, fault: Fault) -> None:
    assert classify(Loss.of(error)) is fault


def test_a_loss_keeps_what_the_peer_said() -> None:
    closed = Loss.of(ConnectionClosed("x", code=1008, reason="too many requests"))
    assert (closed.code, closed.reason, closed.status) == (1008, "too many requests", 0)
    refused = Loss.of(HandshakeError("x", status=429, retry_after_s=7.0))
    assert (refused.code, refused.status, refused.retry_after_s) == (0, 429, 7.0)


def test_first_attempt_at_once_then_a_spread() -> None:
    backoff = Backoff(ReconnectPolicy(base_s=1.0, cap_s=4.0), Random(3))
    waits = [backoff.next_s(Fault.ORDINARY) for _ in range(200)]
    assert waits[0] == 0.0
    assert all(wait is not None and wait <= 4.0 for wait in waits)
    assert len(set(waits)) == len(waits)
    backoff.healthy()
    assert backoff.next_s(Fault.ORDINARY) == 0.0


def test_two_clients_with_other_seeds_come_back_apart() -> None:
    first, second = (Backoff(ReconnectPolicy(), Random(seed)) for seed in (1, 2))
    pairs = [(first.next_s(Fault.ORDINARY), second.next_s(Fault.ORDINARY)) for _ in range(20)]
    assert all(a != b for a, b in pairs[1:])


@given(st.floats(0, 3600), st.integers(0, 50))
def test_retry_after_is_honoured(retry_after_s: float, failures: int) -> None:
    backoff = Backoff(ReconnectPolicy(), Random(1))
    for _ in range(failures):
        backoff.next_s(Fault.ORDINARY)
    wait_s = backoff.next_s(Fault.THROTTLED, retry_after_s)
    assert wait_s is not None
    assert wait_s >= retry_after_s


def test_a_limit_that_was_met_before_the_connection_says_how_long_to_wait() -> None:
    loss = Loss.of(RateLimited("too many listen keys", outcome="rejected", retry_after_s=7.0))
    assert (classify(loss), loss.retry_after_s) == (Fault.THROTTLED, 7.0)


def test_refusals_do_not_hammer() -> None:
    backoff = Backoff(ReconnectPolicy(refused_s=60.0, refused_cap_s=600.0), Random(1))
    waits = [backoff.next_s(Fault.REFUSED) or 0.0 for _ in range(8)]
    leasts = [60, 120, 240, 480, 600, 600, 600, 600]
    assert all(wait >= least for wait, least in zip(waits, leasts, strict=True))


def test_attempts_are_bounded_when_asked() -> None:
    backoff = Backoff(ReconnectPolicy(max_attempts=3), Random(1))
    assert [backoff.next_s(Fault.ORDINARY) is None for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize("wrong", [{"base_s": 60.0}, {"healthy_s": -1.0}, {"max_attempts": 0}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="ReconnectPolicy"):
        ReconnectPolicy(**wrong)  # type: ignore[arg-type]
