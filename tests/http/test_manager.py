"""The whole line against a raw server on loopback, faults included."""

from __future__ import annotations

import asyncio
import gzip
import hmac
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from cexnet.http.endpoint import Call, Endpoint
from cexnet.http.manager import RestManager
from cexnet_core.errors import (
    Banned,
    CircuitOpen,
    ClockSkewError,
    ConfigurationError,
    DeadlineExceeded,
    DuplicateOrder,
    ExchangeError,
    ExchangeUnavailable,
    OutcomeUnknown,
    RateLimited,
    RequestError,
    RequestNotSent,
)
from tests.http.accounts import API_SECRET, LIMIT_BUY
from tests.http.client import PLACED, TIME, manager, strategies
from tests.http.peer import Peer, Seen, Step, hang, head, raw, reply, reset


async def test_reads_are_decoded_and_timed() -> None:
    async with Peer(reply(TIME, headers={"X-Thing": "1"})) as peer, manager(peer) as rest:
        assert await rest.server_time_ms() == 1_700_000_000_000
        response = await rest.get("/api/v3/time", params={"a": 1})
        assert response.data == TIME
        assert response.headers["x-thing"] == "1"
        assert (response.status, response.tries) == (200, 1)
        stages = response.timings
        assert 0 < stages.first_byte_ns <= stages.total_ns
        assert rest.latency.total.count == rest.latency.sign.count == 2
        assert (rest.counters.requests, rest.counters.errors, rest.counters.retries) == (2, 0, 0)
        assert peer.seen[1].target == "/api/v3/time?a=1"
        assert "x-mbx-apikey" not in peer.seen[1].headers


async def test_a_type_decodes_the_answer() -> None:
    class Time(msgspec.Struct):
        serverTime: int

    async with Peer(reply(TIME)) as peer, manager(peer) as rest:
        response = await rest.request("GET", "/api/v3/time", type=Time)
        assert response.data.serverTime == 1_700_000_000_000
        with pytest.raises(ExchangeUnavailable, match="cannot be read"):
            await rest.request("GET", "/api/v3/time", type=list[int])


async def test_the_signed_bytes_are_the_sent_bytes() -> None:
    params = {"a b": "ü/+&=", "q": "%41~'()*!", "json": '["A","B"]', "plain": "x-._"}
    async with Peer(reply({})) as peer, manager(peer) as rest:
        await rest.get("/api/v3/account", params=params)
        await rest.put("/api/v3/other", params=params)
    query, _, signature = peer.seen[0].target.partition("?")[2].rpartition("&signature=")
    assert hmac.new(API_SECRET.encode(), query.encode(), "sha256").hexdigest() == signature
    assert {name: peer.seen[0].query[name] for name in params} == params
    assert peer.seen[1].query == params


async def test_connections_are_reused_and_prewarmed() -> None:
    async with Peer(reply({})) as peer, manager(peer) as rest:
        for _ in range(20):
            await rest.ping()
        assert peer.connections == rest.session.sockets_opened == 1
        await rest.prewarm(5)
        assert peer.connections <= 5
        assert rest.session.requests_sent == len(peer.seen) == 25


async def test_prewarming_in_vain_raises_the_pings_error() -> None:
    async with Peer(reply({})) as peer:
        url = peer.url
    async with RestManager(strategies(), base_url=url) as rest:
        with pytest.raises(RequestNotSent):
            await rest.prewarm(3)


async def test_no_cookie_no_redirect() -> None:
    away = reply({}, status=302, headers={"Location": "http://127.0.0.1:1/x", "Set-Cookie": "a=b"})
    async with Peer(away, reply({})) as peer, manager(peer) as rest:
        with pytest.raises(ExchangeError, match="302"):
            await rest.get("/api/v3/account")
        await rest.ping()
        assert "cookie" not in peer.seen[1].headers


async def test_compressed_answers() -> None:
    body = gzip.compress(b'{"serverTime": 5}')
    step = reply(body=body, headers={"Content-Encoding": "gzip"})
    async with Peer(step) as peer, manager(peer) as rest:
        assert await rest.server_time_ms() == 5


@pytest.mark.parametrize("compressed", [False, True])
async def test_the_body_is_bounded_also_after_inflation(compressed: bool) -> None:
    body = b'"' + b"x" * 5_000_000 + b'"'
    step = reply(body=body)
    if compressed:
        step = reply(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    async with Peer(step) as peer, manager(peer, max_body_bytes=100_000) as rest:
        with pytest.raises(ExchangeUnavailable, match="exceeds 100000 bytes"):
            await rest.get("/api/v3/time")
        assert len(peer.seen) == 1
        with pytest.raises(OutcomeUnknown, match="exceeds"):
            await rest.place_order(LIMIT_BUY)


async def test_refused_connection_is_not_sent_and_an_order_may_be_retried() -> None:
    async with Peer(reply({})) as peer:
        url = peer.url
    async with RestManager(strategies(), base_url=url) as rest:
        with pytest.raises(RequestNotSent, match="nothing was sent") as caught:
            await rest.place_order(LIMIT_BUY)
        assert caught.value.outcome == "not_sent"
        assert rest.counters.tries == 3


async def test_an_order_is_minted_one_id_a_call_whatever_the_tries() -> None:
    skewed = reply({"code": -1021, "msg": "outside of the recvWindow"}, status=400)
    steps = [skewed, *[reply(TIME)] * 3, reply(PLACED), reply(PLACED)]
    async with Peer(*steps) as peer, manager(peer) as rest:
        await rest.place_order(LIMIT_BUY)
        await rest.place_order(LIMIT_BUY)
    posts = [seen for seen in peer.seen if seen.method == "POST"]
    ids = [seen.query["newClientOrderId"] for seen in posts]
    assert ids[0] == ids[1] != ids[2]


async def test_skew_resynchronises_once_and_signs_once_more() -> None:
    skewed = reply({"code": -1021, "msg": "outside of the recvWindow"}, status=400)
    async with Peer(skewed, *[reply(TIME)] * 3, reply(PLACED)) as peer, manager(peer) as rest:
        order = await rest.place_order(LIMIT_BUY)
        assert order.order_id == "7"
        assert rest.metrics().clock.syncs == 1
        late, fresh = peer.seen[0].query, peer.seen[-1].query
        assert abs(int(fresh["timestamp"]) - TIME["serverTime"]) < 60_000
        assert late["recvWindow"] == fresh["recvWindow"]
        assert late["signature"] != fresh["signature"]


async def test_skew_that_stays_is_the_callers() -> None:
    skewed = reply({"code": -1021, "msg": "outside of the recvWindow"}, status=400)
    async with Peer(skewed, *[reply(TIME)] * 3, skewed) as peer, manager(peer) as rest:
        with pytest.raises(ClockSkewError):
            await rest.place_order(LIMIT_BUY)
        assert [seen.method for seen in peer.seen] == ["POST", "GET", "GET", "GET", "POST"]


SKEWED = reply({"code": -1021, "msg": "outside of the recvWindow"}, status=400)


def skewed_server(behind_ms: int) -> Step:
    """A server whose clock is behind ours, and which says so."""

    async def step(seen: Seen, writer: asyncio.StreamWriter) -> None:
        now_ms = time.time_ns() // 1_000_000 - behind_ms
        if seen.path == "/api/v3/time":
            answer = reply({"serverTime": now_ms})
        else:
            in_time = abs(int(seen.query["timestamp"]) - now_ms) < 5000
            answer = reply(PLACED) if in_time else SKEWED
        await answer(seen, writer)

    return step


async def test_many_skewed_requests_resynchronise_together() -> None:
    async with Peer(skewed_server(behind_ms=3_600_000)) as peer, manager(peer) as rest:
        await asyncio.gather(*[rest.query_order("BTCUSDT", order_id="7") for _ in range(8)])
        assert rest.metrics().clock.syncs == 1
        paths = [seen.path for seen in peer.seen]
        assert paths.count("/api/v3/time") == 3
        assert abs(rest.clock.offset_ns + 3600 * 10**9) < 10**9


async def test_a_time_endpoint_that_complains_of_our_clock_does_not_lock_up() -> None:
    async with Peer(SKEWED) as peer, manager(peer) as rest:
        with pytest.raises(ClockSkewError):
            await rest.query_order("BTCUSDT", order_id="7")
        with pytest.raises(ClockSkewError):
            await rest.server_time_ms()


async def test_a_resync_is_bounded_by_the_deadline() -> None:
    async with Peer(SKEWED, hang()) as peer, manager(peer) as rest:
        with pytest.raises(ClockSkewError) as caught:
            await rest.query_order("BTCUSDT", order_id="7", deadline_s=0.1)
        assert isinstance(caught.value.__cause__, DeadlineExceeded)


async def test_a_throttled_read_waits_and_goes_on() -> None:
    slow = reply({"code": -1003, "msg": "Too many"}, status=429, headers={"Retry-After": "0"})
    async with Peer(slow, reply(TIME)) as peer, manager(peer) as rest:
        assert await rest.server_time_ms() == TIME["serverTime"]
        assert len(peer.seen) == 2


async def test_a_throttled_order_is_refused_and_others_wait() -> None:
    slow = reply({"code": -1003, "msg": "Too many"}, status=429, headers={"Retry-After": "60"})
    async with Peer(slow, reply(TIME)) as peer, manager(peer) as rest:
        with pytest.raises(RateLimited) as caught:
            await rest.place_order(LIMIT_BUY)
        assert caught.value.retry_after_s == 60
        with pytest.raises(DeadlineExceeded, match="nothing was sent"):
            await rest.ping()
        assert len(peer.seen) == 1


async def test_a_ban_stops_everything() -> None:
    ban = reply({"code": -1003, "msg": "banned"}, status=418, headers={"Retry-After": "120"})
    async with Peer(ban, reply(PLACED)) as peer, manager(peer) as rest:
        with pytest.raises(Banned):
            await rest.ping()
        for call in (rest.ping, lambda: rest.cancel_order("BTCUSDT", order_id="7")):
            with pytest.raises(CircuitOpen) as caught:
                await call()
            assert caught.value.outcome == "not_sent"
            assert 100 < (caught.value.retry_after_s or 0) <= 120
        assert len(peer.seen) == 1


@pytest.mark.parametrize(
    "rest_of_it",
    [
        lambda start: raw(start + b"{", close=True),
        lambda start: reset(start),
        lambda start: hang(start),
        lambda start: raw(start.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n") + b"no gzip"),
    ],
    ids=["end", "reset", "silence", "no gzip"],
)
@pytest.mark.parametrize(
    ("status", "refusal", "then"), [(418, Banned, CircuitOpen), (429, RateLimited, DeadlineExceeded)]
)
async def test_a_ban_or_a_throttle_whose_explanation_was_lost_is_obeyed(
    rest_of_it: Callable[[bytes], Step], status: int, refusal: type[Exception], then: type[Exception]
) -> None:
    step = rest_of_it(head(status, {"Retry-After": "60", "Content-Length": "7"}))
    async with Peer(step, reply({})) as peer, manager(peer, deadline_s=0.5) as rest:
        with pytest.raises(refusal) as caught:
            await rest.get("/api/v3/ping", idempotent=False)
        assert caught.value.retry_after_s == 60  # type: ignore[attr-defined]
        with pytest.raises(then):
            await rest.get("/api/v3/ping")
        assert len(peer.seen) == 1


async def test_a_deadline_that_is_no_number_is_refused() -> None:
    async with Peer(reply({})) as peer:
        with pytest.raises(ConfigurationError, match="deadline_s"):
            manager(peer, deadline_s=math.nan)
        async with manager(peer) as rest:
            with pytest.raises(ConfigurationError, match="deadline_s is not a number"):
                await rest.depth("BTCUSDT", deadline_s=math.nan)


async def test_an_order_that_waits_for_the_limits_in_vain_is_named() -> None:
    throttle = reply({"code": -1015, "msg": "too many"}, status=429, headers={"Retry-After": "60"})
    async with Peer(throttle) as peer, manager(peer, deadline_s=0.5) as rest:
        for kind in (RateLimited, DeadlineExceeded):
            with pytest.raises(kind) as caught:
                await rest.place_order(replace(LIMIT_BUY, client_order_id="mine"))
            assert caught.value.client_order_id == "mine"  # type: ignore[attr-defined]


async def test_deadlines() -> None:
    async with Peer(hang()) as peer, manager(peer, deadline_s=0.5) as rest:
        with pytest.raises(DeadlineExceeded):
            await rest.ping()
        with pytest.raises(OutcomeUnknown):
            await rest.place_order(LIMIT_BUY)
        with pytest.raises(DeadlineExceeded):
            await rest.get("/api/v3/time", deadline_s=0.2)
        assert len(peer.seen) == 3


@pytest.mark.parametrize("deadline_s", [0.0, -1.0])
async def test_a_deadline_that_has_passed_sends_nothing(deadline_s: float) -> None:
    async with Peer(reply(TIME)) as peer, manager(peer) as rest:
        await rest.server_time_ms()  # a warm connection writes without waiting for anything
        with pytest.raises(DeadlineExceeded):
            await rest.place_order(LIMIT_BUY, deadline_s=deadline_s)
        assert len(peer.seen) == 1


async def test_a_deadline_in_the_middle_of_the_body() -> None:
    half = hang(head(200, {"Content-Length": "100"}) + b'{"orderId"')
    async with Peer(half) as peer, manager(peer, deadline_s=0.5) as rest:
        with pytest.raises(OutcomeUnknown):
            await rest.place_order(LIMIT_BUY)


async def test_a_pool_that_stays_full_is_not_sent() -> None:
    async with Peer(hang()) as peer, manager(peer, connections=1, deadline_s=0.2) as rest:
        first = asyncio.create_task(rest.place_order(LIMIT_BUY))
        await peer.arrived.wait()
        call = Call(Endpoint("x", "POST", "/x", idempotent=False), "/x", bytes, idempotent=False)
        with pytest.raises(DeadlineExceeded, match="waiting for a connection"):
            await rest.call(call, deadline_s=0.05)
        with pytest.raises(OutcomeUnknown):
            await first
        assert len(peer.seen) == 1


async def test_a_duplicate_is_named() -> None:
    twice = reply({"code": -2010, "msg": "Duplicate order sent."}, status=400)
    async with Peer(twice) as peer, manager(peer) as rest:
        with pytest.raises(DuplicateOrder) as caught:
            await rest.place_order(replace(LIMIT_BUY, client_order_id="mine"))
        assert caught.value.client_order_id == peer.seen[0].query["newClientOrderId"] == "mine"


async def test_closing_fails_what_runs_and_leaves_no_socket() -> None:
    async with Peer(hang()) as peer:
        rest = manager(peer)
        order = asyncio.create_task(rest.place_order(LIMIT_BUY))
        read = asyncio.create_task(rest.ping())
        while len(peer.seen) < 2:
            await asyncio.sleep(0)
        await rest.close()
        await rest.close()
        with pytest.raises(OutcomeUnknown):
            await order
        with pytest.raises(RequestError):
            await read
        with pytest.raises(RequestNotSent, match="closed"):
            await rest.ping()
        assert len(peer.seen) == 2


async def test_a_bound_that_no_body_could_reach_is_refused_and_a_huge_one_works() -> None:
    packed = reply(body=gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"})
    async with Peer(packed) as peer:
        for unbounded in (sys.maxsize, sys.maxsize + 1):
            with pytest.raises(ConfigurationError, match="max_body_bytes"):
                manager(peer, max_body_bytes=unbounded)
        async with manager(peer, max_body_bytes=2**40) as rest:
            await rest.ping()


async def test_wrong_use_is_refused_before_anything_is_sent() -> None:
    async with Peer(reply({})) as peer, manager(peer) as rest:
        for path in ("api/v3/time", "/api/v3/time?a=1", "/x#y"):
            with pytest.raises(ConfigurationError, match="path"):
                await rest.get(path)
        with pytest.raises(ConfigurationError, match="order_id or client_order_id"):
            await rest.cancel_order("BTCUSDT")
        with pytest.raises(ConfigurationError, match="order_id or client_order_id"):
            await rest.query_order("BTCUSDT", order_id="1", client_order_id="a")
        with pytest.raises(ConfigurationError, match="'many'"):
            await rest.get("/api/v3/depth", params={"symbol": "BTCUSDT", "limit": "many"})
        with pytest.raises(ConfigurationError, match="more than the 6000"):
            await rest.get("/api/v3/time", weight=6001)
        assert not peer.seen
