"""What a RestManager measures of its calls over all variants: rates, recent stages, slow calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cexnet.http.answers import Timings
from cexnet.http.endpoint import Call
from cexnet.http.slow import SlowCall, SlowCalls
from cexnet_core.clock import now_ns, ticks_ns
from cexnet_core.errors import CexnetError
from cexnet_core.meter import Meter, MetricsPolicy, Stages


class Measuring:
    """Is told how each call of one manager ended. ``read`` gives calls and stages of all variants.

    Every call that ends lets the meter's time pass: no task is needed for that.
    """

    def __init__(self, policy: MetricsPolicy, read: Callable[[], tuple[int, Stages]]) -> None:
        self._slow = SlowCalls(policy.slowest)
        self.meter: Meter[SlowCall] = Meter(policy, read, self._slow.drain)

    def succeeded(self, variant: str, call: Call[Any], timings: Timings, tries: int, ended_ns: int) -> None:
        """A call ended well, at ``ended_ns`` of ``ticks_ns``."""
        if ended_ns >= self.meter.due_ns:
            self.meter.advance(ended_ns)
        if timings.total_ns > self._slow.threshold_ns:
            self._slow.add(
                SlowCall(
                    now_ns(),
                    call.endpoint.label,
                    call.client_order_id,
                    variant,
                    tries,
                    timings.total_ns,
                    timings.limit_wait_ns,
                    timings.sign_ns,
                    timings.pool_wait_ns,
                    timings.first_byte_ns,
                )
            )

    def failed(self, variant: str, call: Call[Any], error: CexnetError, tries: int, started_ns: int) -> None:
        """A call that began at ``started_ns`` of ``ticks_ns`` ended with ``error``."""
        ended_ns = ticks_ns()
        self.meter.advance(ended_ns)
        total_ns = ended_ns - started_ns
        if total_ns > self._slow.threshold_ns:
            label, order_id = call.endpoint.label, call.client_order_id
            error_name = type(error).__name__
            self._slow.add(SlowCall(now_ns(), label, order_id, variant, tries, total_ns, error=error_name))
