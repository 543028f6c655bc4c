"""Spans of the send line: what each ending looks like, and that nothing secret is in any."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the SDK of OpenTelemetry is for tests only")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import url_attributes as incubating
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
    url_attributes,
)
from opentelemetry.trace import SpanKind, StatusCode

from cexnet import Config, ExchangeConfig, TransportFactory
from cexnet.http.hedge import HedgePolicy
from cexnet.http.line import Line
from cexnet.http.manager import RestManager
from cexnet.http.meters import METERS
from cexnet.http.trace import CallTrace, TracedCall, TryTrace
from cexnet.telemetry.tracing import OpenTelemetryTracer
from cexnet_core.errors import InsufficientFunds, OutcomeUnknown, RequestNotSent
from cexnet_core.hotlog import process_log
from cexnet_core.secret import Secret
from tests.http.accounts import API_KEY, API_SECRET, LIMIT_BUY
from tests.http.client import PLACED, TIME, manager
from tests.http.peer import Peer, Step, drop, hang, reply

STAGES = ["cexnet.limit_wait", "cexnet.sign", "cexnet.pool_wait", "cexnet.first_byte", "cexnet.body"]


class Traces:
    """An SDK that keeps every span that ended."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = OpenTelemetryTracer(self.provider)

    @property
    def calls(self) -> list[ReadableSpan]:
        return [span for span in self._kept.get_finished_spans() if span.kind is SpanKind.INTERNAL]

    @property
    def tries(self) -> list[ReadableSpan]:
        return [span for span in self._kept.get_finished_spans() if span.kind is SpanKind.CLIENT]

    def everything(self) -> str:
        """All that an exporter would send."""
        return "\n".join(span.to_json() for span in self._kept.get_finished_spans())


@pytest.fixture
def traces() -> Iterator[Traces]:
    METERS.forget()
    found = Traces()
    yield found
    found.provider.shutdown()
    METERS.forget()


@asynccontextmanager
async def traced(traces: Traces, *steps: Step, **options: Any) -> AsyncIterator[tuple[Peer, RestManager]]:
    async with Peer(*steps) as peer, manager(peer, trace=traces.tracer, **options) as rest:
        yield peer, rest


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_success_is_a_call_and_a_try_with_its_stages(traces: Traces) -> None:
    async with traced(traces, reply(PLACED)) as (peer, rest):
        await rest.query_order("BTCUSDT", order_id="7")
        port = int(peer.url.rsplit(":", 1)[1])
    (call,), (one,) = traces.calls, traces.tries
    assert (call.name, one.name) == ("binance GET /api/v3/order", "GET /api/v3/order")
    assert attributes(call) == {"cexnet.manager": "binance", "cexnet.tries": 1}
    assert attributes(one) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": port,
        "url.scheme": "http",
        "url.template": "/api/v3/order",
    }
    assert one.parent is not None
    assert call.context is not None
    assert one.parent.span_id == call.context.span_id
    assert {call.status.status_code, one.status.status_code} == {StatusCode.UNSET}
    assert [event.name for event in one.events] == STAGES
    ended = [event.timestamp for event in one.events]
    assert ended == sorted(ended)
    durations = [dict(event.attributes or {})["cexnet.duration_ns"] for event in one.events]
    assert all(isinstance(ns, int) and ns >= 0 for ns in durations)
    assert durations[STAGES.index("cexnet.first_byte")] > 0


async def test_a_retry_is_a_second_try_of_the_same_call(traces: Traces) -> None:
    async with traced(traces, reply({"code": -1, "msg": "busy"}, status=503), reply(TIME)) as (_, rest):
        await rest.server_time_ms()
    (call,), (first, second) = traces.calls, traces.tries
    assert attributes(call)["cexnet.tries"] == 2
    assert call.status.status_code is StatusCode.UNSET
    assert attributes(first)["error.type"] == "ExchangeUnavailable"
    assert attributes(first)["http.response.status_code"] == 503
    assert first.status.status_code is StatusCode.ERROR
    assert "http.request.resend_count" not in attributes(first)
    assert attributes(second)["http.request.resend_count"] == 1
    assert "error.type" not in attributes(second)


async def test_a_refusal_tells_class_code_and_outcome_without_words(traces: Traces) -> None:
    poor = reply({"code": -2010, "msg": "Account has insufficient balance"}, status=400)
    async with traced(traces, poor) as (_, rest):
        with pytest.raises(InsufficientFunds):
            await rest.place_order(LIMIT_BUY)
    for span in (*traces.calls, *traces.tries):
        told = attributes(span)
        assert told["error.type"] == "InsufficientFunds"
        assert told["cexnet.outcome"] == "rejected"
        assert told["cexnet.exchange_code"] == "-2010"
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description is None
    assert "insufficient balance" not in traces.everything()


async def test_an_unknown_outcome_can_be_found_by_its_order(traces: Traces) -> None:
    async with traced(traces, drop()) as (_, rest):
        with pytest.raises(OutcomeUnknown) as caught:
            await rest.place_order(LIMIT_BUY)
    (call,), (one,) = traces.calls, traces.tries
    assert attributes(call)["cexnet.outcome"] == attributes(one)["cexnet.outcome"] == "unknown"
    assert attributes(call)["cexnet.client_order_id"] == caught.value.client_order_id != ""
    assert "http.response.status_code" not in attributes(one)
    assert [event.name for event in one.events] == STAGES[:2]


async def test_what_was_never_sent_is_told_too(traces: Traces) -> None:
    async with traced(traces, reply(TIME)) as (_, rest):
        await rest.close()
        with pytest.raises(RequestNotSent):
            await rest.ping()
    (one,) = traces.tries
    assert attributes(one)["cexnet.outcome"] == "not_sent"
    assert not one.events


async def test_the_callers_own_span_is_the_parent(traces: Traces) -> None:
    async with traced(traces, reply(TIME), clock_every_s=3600.0) as (peer, rest):
        with traces.provider.get_tracer("engine").start_as_current_span("rebalance") as own:
            await rest.server_time_ms()
        await peer_saw(peer, 4)  # the clock was measured by a task of its own
    (mine,) = [span for span in traces.calls if span.parent is not None]
    assert mine.parent is not None
    assert mine.parent.span_id == own.get_span_context().span_id
    measurements = [span for span in traces.calls if span.parent is None]
    assert len(measurements) >= 2
    assert "traceparent" not in {name.lower() for seen in peer.seen for name in seen.headers}


async def peer_saw(peer: Peer, requests: int) -> None:
    async with asyncio.timeout(20):
        while len(peer.seen) < requests:
            await asyncio.sleep(0.001)


async def test_a_cancelled_call_is_no_error(traces: Traces) -> None:
    async with traced(traces, hang()) as (peer, rest):
        asking = asyncio.create_task(rest.ping())
        await peer_saw(peer, 1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    for span in (*traces.calls, *traces.tries):
        assert attributes(span)["cexnet.cancelled"] is True
        assert span.status.status_code is StatusCode.UNSET


async def test_a_hedge_is_a_try_of_the_same_call(traces: Traces) -> None:
    policy = HedgePolicy(minimum_reads=5, share=1.0)
    async with traced(traces, reply(TIME), hedging=policy) as (peer, rest):
        for _ in range(5):
            await rest.server_time_ms()
        peer.steps = [hang(), reply(TIME)]
        await rest.server_time_ms()
    call = traces.calls[-1]
    assert call.context is not None
    of_it = [
        span
        for span in traces.tries
        if span.parent is not None and span.parent.span_id == call.context.span_id
    ]
    assert attributes(call)["cexnet.tries"] == 1
    assert len(of_it) == 2
    assert [attributes(span).get("cexnet.cancelled", False) for span in of_it].count(True) == 1


async def test_no_span_holds_a_secret(traces: Traces) -> None:
    listen_key = Secret("pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1")
    signatures: list[str] = []
    quoting = reply({"code": -1022, "msg": "Signature for this request is not valid"}, status=400)
    steps = (reply(PLACED), quoting, drop(), reply({"listenKey": listen_key.reveal().decode()}), reply({}))
    async with traced(traces, *steps) as (peer, rest):
        for _ in range(3):
            await asyncio.gather(rest.place_order(LIMIT_BUY), return_exceptions=True)
        await rest.post("/api/v3/userDataStream")
        await rest.put("/api/v3/userDataStream", params={"listenKey": listen_key})
        for seen in peer.seen:
            sent = seen.query | dict(pair.split("=", 1) for pair in seen.body.decode().split("&") if pair)
            signatures += [sent["signature"]] if "signature" in sent else []
    told = traces.everything()
    assert len(signatures) == 3
    assert len(traces.calls) == 5
    for secret in (API_KEY, API_SECRET, listen_key.reveal().decode(), *signatures):
        assert secret not in told
    assert "signature=" not in told
    assert "?" not in told


def test_names_are_those_of_the_semantic_conventions(traces: Traces) -> None:
    assert error_attributes.ERROR_TYPE == "error.type"
    assert http_attributes.HTTP_REQUEST_METHOD == "http.request.method"
    assert http_attributes.HTTP_REQUEST_METHOD_ORIGINAL == "http.request.method_original"
    assert http_attributes.HTTP_REQUEST_RESEND_COUNT == "http.request.resend_count"
    assert http_attributes.HTTP_RESPONSE_STATUS_CODE == "http.response.status_code"
    assert server_attributes.SERVER_ADDRESS == "server.address"
    assert server_attributes.SERVER_PORT == "server.port"
    assert url_attributes.URL_SCHEME == "url.scheme"
    assert incubating.URL_TEMPLATE == "url.template"
    odd = TracedCall("m", "PURGE", "/x", "https", "h", 443, "")
    traces.tracer.begin(odd).begin_try(1).end(0, None)
    (one,) = traces.tries
    assert one.name == "HTTP /x"
    assert attributes(one)["http.request.method"] == "_OTHER"
    assert attributes(one)["http.request.method_original"] == "PURGE"


async def test_the_factory_hands_its_tracer_on(traces: Traces) -> None:
    async with Peer(reply(TIME)) as peer:
        config = Config(exchange={"binance": ExchangeConfig(rest_url=peer.url)})
        async with TransportFactory(config, trace=traces.tracer) as factory:
            await factory.rest("binance").ping()
    assert len(traces.calls) == len(traces.tries) == 1


class Broken:
    """A tracer that fails where it is told to."""

    def __init__(self, where: str) -> None:
        self.where = where

    def _maybe(self, here: str) -> None:
        if here == self.where:
            raise ZeroDivisionError(here)

    def begin(self, call: TracedCall) -> CallTrace:
        self._maybe("begin")
        return BrokenCall(self)


class BrokenCall:
    def __init__(self, owner: Broken) -> None:
        self.owner = owner

    def begin_try(self, number: int) -> TryTrace:
        self.owner._maybe("begin_try")
        return BrokenTry(self.owner)

    def end(self, tries: int, error: BaseException | None) -> None:
        self.owner._maybe("end")


class BrokenTry:
    def __init__(self, owner: Broken) -> None:
        self.owner = owner

    def stage(self, name: str, began_ns: int, ended_ns: int) -> None:
        self.owner._maybe("stage")

    def end(self, status: int, error: BaseException | None) -> None:
        self.owner._maybe("end_try")


@pytest.mark.parametrize("where", ["begin", "begin_try", "stage", "end_try", "end"])
async def test_a_tracer_that_fails_harms_no_request(where: str, caplog: pytest.LogCaptureFixture) -> None:
    process_log.flush()
    async with Peer(reply(PLACED)) as peer, manager(peer, trace=Broken(where)) as rest:
        placed = await rest.place_order(LIMIT_BUY)
        assert placed.order_id == "7"
        assert len(peer.seen) == 1
    assert process_log.flush()
    assert "a tracer failed in" in caplog.text
    assert f"ZeroDivisionError: {where}" in caplog.text


async def test_without_a_tracer_the_line_is_the_plain_one() -> None:
    async with Peer(reply(TIME)) as peer, manager(peer) as rest:
        await rest.ping()
        assert type(rest._line) is Line


def test_nothing_of_opentelemetry_is_imported_when_it_is_off() -> None:
    program = """
import sys
import cexnet, cexnet.cli, cexnet.telemetry
from cexnet import TransportFactory
TransportFactory().rest("binance")
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
