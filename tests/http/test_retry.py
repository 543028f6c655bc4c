from __future__ import annotations

import pytest

from cexnet.http.endpoint import Call, Endpoint
from cexnet.http.retry import FullJitterRetry
from cexnet_core.errors import (
    Banned,
    CexnetError,
    ConfigurationError,
    DeadlineExceeded,
    ExchangeUnavailable,
    OutcomeUnknown,
    RateLimited,
    RequestNotSent,
)

READ = Call(Endpoint("r", "GET", "/r"), "/r", bytes)
ORDER = Call(Endpoint("o", "POST", "/o"), "/o", bytes, idempotent=False)
UNAVAILABLE = ExchangeUnavailable("busy", retryable=True)


def longest(**options: float) -> FullJitterRetry:
    return FullJitterRetry(uniform=lambda low, high: high, **options)  # type: ignore[arg-type]


def test_pauses_double_up_to_the_cap() -> None:
    retry = longest(tries=9, base_s=1.0, cap_s=5.0)
    assert [retry.pause_s(READ, UNAVAILABLE, n, 99.0) for n in range(1, 6)] == [1, 2, 4, 5, 5]


def test_jitter_is_full() -> None:
    asked: list[float] = []
    retry = FullJitterRetry(uniform=lambda low, high: asked.append(low) or 0.0)  # type: ignore[func-returns-value]
    assert retry.pause_s(READ, UNAVAILABLE, 1, 9.0) == 0.0
    assert asked == [0.0]


def test_the_number_of_tries_ends_it() -> None:
    assert longest(tries=3).pause_s(READ, UNAVAILABLE, 3, 99.0) is None


def test_a_pause_beyond_the_deadline_ends_it() -> None:
    assert longest(base_s=1.0).pause_s(READ, UNAVAILABLE, 1, 1.0) is None


def test_retry_after_is_waited_out_first() -> None:
    error = RateLimited("slow down", retryable=True, retry_after_s=3.0)
    assert longest(base_s=1.0).pause_s(READ, error, 1, 10.0) == 4.0
    assert longest(base_s=1.0).pause_s(READ, error, 1, 3.5) is None


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("?", outcome="unknown"),
        OutcomeUnknown("?", outcome="unknown", retryable=True),
        UNAVAILABLE,
        RateLimited("slow down", retryable=True),
    ],
)
def test_an_order_is_never_repeated_once_it_left(error: CexnetError) -> None:
    assert longest().pause_s(ORDER, error, 1, 99.0) is None


def test_an_order_that_was_not_sent_is() -> None:
    error = RequestNotSent("refused", outcome="not_sent", retryable=True)
    assert longest().pause_s(ORDER, error, 1, 99.0) is not None


@pytest.mark.parametrize(
    "error",
    [DeadlineExceeded("late"), Banned("out", retryable=True), ExchangeUnavailable("no")],
)
def test_what_is_not_retryable(error: CexnetError) -> None:
    assert longest().pause_s(READ, error, 1, 99.0) is None


@pytest.mark.parametrize("options", [{"tries": 0}, {"base_s": 0.0}, {"base_s": 2.0, "cap_s": 1.0}])
def test_nonsense_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        longest(**options)
