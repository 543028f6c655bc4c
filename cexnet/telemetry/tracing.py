"""The send line as OpenTelemetry spans: one a call, below it one a try, with events for the stages.

Needs the extra ``otel`` (``pip install cexnet[otel]``), and whoever runs the process sets an
SDK up; without one the spans go nowhere. Names follow the semantic conventions for HTTP client
spans, but for two things. ``url.full`` is left out: it would hold the query and with it the
signature. And nothing is put into the request's headers: an exchange is no part of our trace.
"""

from __future__ import annotations

import asyncio
import re
from importlib.metadata import version

try:
    from opentelemetry.context import Context
    from opentelemetry.trace import (
        Span,
        SpanKind,
        Status,
        StatusCode,
        Tracer,
        TracerProvider,
        get_tracer,
        set_span_in_context,
    )
    from opentelemetry.util.types import AttributeValue
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error}: pip install 'cexnet[otel]'", name=error.name) from None

from cexnet.http.trace import Stage, TracedCall
from cexnet_core.clock import now_ns, ticks_ns

# What the semantic conventions call known methods, of those that an exchange may use.
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"))
# An exchange's error code, and too short for anything that a confused server might quote.
_CODE = re.compile(r"-?\w{1,40}")


class OpenTelemetryTracer:
    """A ``CallTracer`` for ``RestManager(trace=...)`` and ``TransportFactory(trace=...)``.

    ::

        TransportFactory(config, trace=OpenTelemetryTracer())

    ``provider`` is the process's own unless given. A call's span is a child of the span that
    is current where the call is made.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer("cexnet", version("cexnet"), provider)

    def begin(self, call: TracedCall) -> _CallSpan:
        """See CallTracer."""
        return _CallSpan(self._tracer, call)


class _CallSpan:
    """The span of a call as a whole, whatever number of requests it took."""

    def __init__(self, tracer: Tracer, call: TracedCall) -> None:
        self._tracer = tracer
        self._call = call
        attributes: dict[str, AttributeValue] = {"cexnet.manager": call.manager}
        if call.client_order_id:
            attributes["cexnet.client_order_id"] = call.client_order_id
        name = f"{call.manager} {call.method} {call.path}"
        self._span = tracer.start_span(name, kind=SpanKind.INTERNAL, attributes=attributes)
        self._context = set_span_in_context(self._span)

    def begin_try(self, number: int) -> _TrySpan:
        """See CallTrace."""
        return _TrySpan(self._tracer, self._call, number, self._context)

    def end(self, tries: int, error: BaseException | None) -> None:
        """See CallTrace."""
        self._span.set_attribute("cexnet.tries", tries)
        _end(self._span, error)


class _TrySpan:
    """The span of one request on the wire, or of one that did not get there."""

    def __init__(self, tracer: Tracer, call: TracedCall, number: int, context: Context) -> None:
        self._wall_minus_ticks_ns = now_ns() - ticks_ns()
        known = call.method in _METHODS
        attributes: dict[str, AttributeValue] = {
            "http.request.method": call.method if known else "_OTHER",
            "server.address": call.host,
            "server.port": call.port,
            "url.scheme": call.scheme,
            "url.template": call.path,
        }
        if not known:
            attributes["http.request.method_original"] = call.method
        if number > 1:
            attributes["http.request.resend_count"] = number - 1
        name = f"{call.method if known else 'HTTP'} {call.path}"
        self._span = tracer.start_span(name, context, SpanKind.CLIENT, attributes)

    def stage(self, name: Stage, began_ns: int, ended_ns: int) -> None:
        """See TryTrace."""
        duration = {"cexnet.duration_ns": ended_ns - began_ns}
        self._span.add_event(f"cexnet.{name}", duration, ended_ns + self._wall_minus_ticks_ns)

    def end(self, status: int, error: BaseException | None) -> None:
        """See TryTrace."""
        if status:
            self._span.set_attribute("http.response.status_code", status)
        _end(self._span, error)


def _end(span: Span, error: BaseException | None) -> None:
    """End ``span``. Of an error there are its class and its codes, never its words."""
    if isinstance(error, asyncio.CancelledError):
        span.set_attribute("cexnet.cancelled", True)  # the loser of a hedge, or the caller's wish
    elif error is not None:
        span.set_attribute("error.type", type(error).__qualname__)
        outcome: str | None = getattr(error, "outcome", None)
        if outcome is not None:
            span.set_attribute("cexnet.outcome", outcome)
        code: str = getattr(error, "exchange_code", "")
        if _CODE.fullmatch(code):
            span.set_attribute("cexnet.exchange_code", code)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
