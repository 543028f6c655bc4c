"""What managers keep of their slowest records, as a report shows it."""

from __future__ import annotations

from collections.abc import Iterable

from cexnet.http.slow import SlowCall
from cexnet.telemetry.report_data import Slow
from cexnet_core.slow import SlowMessage


def slowest_of_each_read(messages: Iterable[SlowMessage]) -> list[SlowMessage]:
    """Messages that came in one read are late together: the slowest stands for them."""
    worst: dict[tuple[int, int], SlowMessage] = {}
    for message in messages:
        read = (message.connection_id, message.received_ts_ns)
        if read not in worst or message.total_ns > worst[read].total_ns:
            worst[read] = message
    return list(worst.values())


def slow_message(manager: str, message: SlowMessage, at_s: float, cause: str) -> Slow:
    """A message of the receive line; ``cause`` is what else happened meanwhile."""
    timed = (
        ("wait for those read with it", message.waited_ns),
        ("decode", message.decoded_ns),
        ("dispatch", message.dispatched_ns),
        ("handle", message.handled_ns),
    )
    stages = tuple((name, ns) for name, ns in timed if ns is not None)
    held = "waited for another connection" if message.was_held else ""
    note = "; ".join(filter(None, (held, cause)))
    return Slow(at_s, manager, "receive", f"{message.kind} {message.symbol}", message.total_ns, stages, note)


def slow_call(manager: str, call: SlowCall, at_s: float, cause: str) -> Slow:
    """A REST call with all its tries."""
    timed = (
        ("limit wait", call.limit_wait_ns),
        ("sign", call.sign_ns),
        ("pool wait", call.pool_wait_ns),
        ("first byte", call.first_byte_ns),
    )
    stages = tuple((name, ns) for name, ns in timed if ns is not None)
    tries = f"{call.tries} tries" if call.tries > 1 else ""
    note = "; ".join(filter(None, (call.error, tries, cause)))
    return Slow(at_s, manager, "REST", call.endpoint, call.total_ns, stages, note)
