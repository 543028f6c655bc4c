"""REST faults, as a client that is not ours sees them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from cexnet.simulator import Simulator
from tests.simulator.rest_client import Wire, ids, line, order, send, send_with

TIMES = {"binance": "/api/v3/time", "gateio": "/api/v4/spot/time", "mexc": "/api/v3/time"}
THROTTLED = {
    "binance": -1003, "gateio": "TOO_MANY_REQUESTS", "mexc": 429,
}  # fmt: skip
BROKEN = {
    "binance": {500: -1000, 502: -1006, 503: -1000, 504: -1007},
    "gateio": {500: "INTERNAL", 503: "SERVER_ERROR", 504: "SERVER_TIMEOUT"},
    "mexc": {500: 500, 503: 503, 504: 504},
}
SKEWED = {"binance": -1021, "gateio": "REQUEST_EXPIRED", "mexc": 700003}


@pytest.fixture(params=["binance", "gateio", "mexc"])
async def sim(request: pytest.FixtureRequest) -> AsyncIterator[Simulator]:
    async with Simulator(request.param, rate_per_s=0) as simulator:
        yield simulator


def code(sim: Simulator, body: dict[str, object]) -> object:
    return body["label" if sim.persona.name == "gateio" else "code"]


def clock(sim: Simulator) -> Wire:
    return Wire("GET", TIMES[sim.persona.name], {}, "")


async def test_without_a_fault_an_order_is_accepted_once(sim: Simulator) -> None:
    said = await send(sim, order(sim, "t-one"))
    assert said.status in (200, 201)
    assert ids(sim) == ["t-one"]
    assert sim.stats.faults == {}


async def test_throttled_without_being_executed(sim: Simulator) -> None:
    sim.inject("rest-throttle:retry_after=7")
    now_s = time.time()
    said = await send(sim, order(sim, "t-one"))
    assert (said.status, code(sim, said.json)) == (429, THROTTLED[sim.persona.name])
    if sim.persona.name == "gateio":
        assert now_s + 6 < int(said.headers["X-Gate-RateLimit-Reset-Timestamp"]) < time.time() + 10
    else:
        assert said.headers["Retry-After"] == "7"
    assert ids(sim) == []
    assert (await send(sim, order(sim, "t-one"))).status < 300
    assert sim.stats.faults == {"rest-throttle": 1}


async def test_banned_until_lifted(sim: Simulator) -> None:
    sim.inject("rest-ban:request=POST")
    assert (await send(sim, clock(sim))).status == 200
    said = await send(sim, order(sim, "t-one"))
    assert (said.status, code(sim, said.json)) == (418, THROTTLED[sim.persona.name])
    if sim.persona.name != "gateio":
        assert int(said.headers["Retry-After"]) >= 120
    assert (await send(sim, clock(sim))).status == 418
    await sim.lift("rest-ban")
    assert (await send(sim, order(sim, "t-one"))).status < 300
    assert (ids(sim), sim.stats.faults) == (["t-one"], {"rest-ban": 1})


async def test_a_ban_ends_by_itself(sim: Simulator) -> None:
    sim.inject("rest-ban:for=0.2")
    assert (await send(sim, clock(sim))).status == 418
    while (await send(sim, clock(sim))).status == 418:
        await asyncio.sleep(0.02)
    assert sim.stats.faults == {"rest-ban": 1}


async def test_the_firewall_answers_403_in_html(sim: Simulator) -> None:
    sim.inject("rest-forbidden")
    said = await send(sim, order(sim, "t-one"))
    assert (said.status, said.headers["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert ids(sim) == []


@pytest.mark.parametrize("executed", ["no", "yes"])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
async def test_a_server_error_before_or_after_executing(sim: Simulator, status: int, executed: str) -> None:
    sim.inject(f"rest-error:status={status},executed={executed}")
    said = await send(sim, order(sim, "t-one"))
    assert said.status == status
    worded = BROKEN[sim.persona.name].get(status)
    if worded is not None:
        assert code(sim, said.json) == worded
    else:
        assert said.body.startswith(b"<!DOCTYPE html>")
    assert ids(sim) == (["t-one"] if executed == "yes" else [])


@pytest.mark.parametrize("executed", ["no", "yes"])
async def test_a_maintenance_page(sim: Simulator, executed: str) -> None:
    sim.inject(f"rest-maintenance:executed={executed}")
    said = await send(sim, order(sim, "t-one"))
    assert (said.status, said.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
    assert b"maintenance" in said.body
    assert ids(sim) == (["t-one"] if executed == "yes" else [])


async def test_a_duplicate_that_was_accepted_reads_like_a_true_one(sim: Simulator) -> None:
    sim.inject("rest-duplicate")
    assert (await send(sim, clock(sim))).status == 200  # no order, no occasion
    said = await send(sim, order(sim, "t-one"))
    assert ids(sim) == ["t-one"]
    true = await send(sim, order(sim, "t-one"))
    assert (said.status, said.body) == (true.status, true.body)
    assert said.status == 400
    assert ids(sim) == ["t-one"]


async def test_a_refusal_stays_what_it_is_when_a_duplicate_was_due(sim: Simulator) -> None:
    sim.inject("rest-duplicate")
    wire = order(sim, "t-one", offset_ms=-3_600_000)
    assert code(sim, (await send(sim, wire)).json) == SKEWED[sim.persona.name]
    assert ids(sim) == []


async def test_a_slow_answer_comes_when_the_order_is_long_in_the_book(sim: Simulator) -> None:
    sim.inject("rest-slow:request=POST,delay=3600")
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(send(sim, order(sim, "t-one")))
        while not ids(sim):
            await asyncio.sleep(0)
        assert (await send(sim, clock(sim))).status == 200
        assert not slow.done()
        await sim.lift("rest-slow")
    assert slow.result().status < 300


async def test_a_slow_answer_comes_by_itself(sim: Simulator) -> None:
    sim.inject("rest-slow:delay=0.2")
    began_s = time.monotonic()
    assert (await send(sim, order(sim, "t-one"))).status < 300
    assert time.monotonic() - began_s >= 0.2


@pytest.mark.parametrize("executed", ["no", "yes"])
@pytest.mark.parametrize("name", ["rest-lost", "rest-reset"])
async def test_no_answer_but_the_end_of_the_connection(sim: Simulator, name: str, executed: str) -> None:
    sim.inject(f"{name}:executed={executed}")
    async with line(sim) as client:
        client.write(order(sim, "t-one"))
        assert await client.end() == (b"", name == "rest-reset")
    assert ids(sim) == (["t-one"] if executed == "yes" else [])
    assert sim.stats.faults == {name: 1}


@pytest.mark.parametrize("name", ["rest-reset-body", "rest-reset-half"])
async def test_a_reset_within_the_answer(sim: Simulator, name: str) -> None:
    sim.inject(name)
    async with line(sim) as client:
        client.write(order(sim, "t-one"))
        got, was_reset = await client.end()
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 20")
    size = int(dict(row.split(b": ", 1) for row in head.split(b"\r\n")[1:])[b"Content-Length"])
    assert len(body) == (0 if name == "rest-reset-body" else size // 2)
    assert was_reset
    assert ids(sim) == ["t-one"]


async def test_a_reused_connection_is_closed_as_the_next_request_comes_in(sim: Simulator) -> None:
    sim.inject("rest-stale:request=POST")
    async with line(sim) as client:
        assert (await client.ask(order(sim, "t-one"))).status < 300  # a fresh connection is no occasion
        client.write(order(sim, "t-two"))
        assert (await client.end())[0] == b""
    assert ids(sim) == ["t-one"]
    assert sim.stats.faults == {"rest-stale": 1}


async def test_a_connection_is_closed_after_its_answer_without_notice(sim: Simulator) -> None:
    sim.inject("rest-hang-up")
    async with line(sim) as client:
        said = await client.ask(order(sim, "t-one"))
        assert said.status < 300
        assert said.json
        assert "Connection" not in said.headers
        assert (await client.end())[0] == b""
    assert ids(sim) == ["t-one"]


async def test_the_next_request_can_cross_the_servers_close(sim: Simulator) -> None:
    """The race as it happens: both sides are in good faith, and the second order is never read."""
    sim.inject("rest-hang-up:delay=3600")
    async with line(sim) as client:
        assert (await client.ask(order(sim, "t-one"))).status < 300
        client.write(order(sim, "t-two"))
        await sim.lift("rest-hang-up")
        assert (await client.end())[0] == b""
    assert ids(sim) == ["t-one"]


async def test_json_cut_in_half(sim: Simulator) -> None:
    sim.inject("rest-truncated")
    said = await send(sim, order(sim, "t-one"))
    assert said.status < 300
    assert said.body.startswith(b"{")
    with pytest.raises(ValueError, match="line 1"):
        assert said.json
    assert ids(sim) == ["t-one"]


async def test_a_wrong_content_type(sim: Simulator) -> None:
    sim.inject("rest-mislabelled")
    said = await send(sim, order(sim, "t-one"))
    assert said.headers["Content-Type"].startswith("text/html")
    assert said.json
    assert ids(sim) == ["t-one"]


async def test_an_empty_body(sim: Simulator) -> None:
    sim.inject("rest-empty")
    said = await send(sim, order(sim, "t-one"))
    assert said.status < 300
    assert said.body == b""
    assert ids(sim) == ["t-one"]


async def test_a_skewed_clock_shows_and_judges(sim: Simulator) -> None:
    sim.inject("skew:skew=90")
    shown = (await send(sim, clock(sim))).json
    ahead_s = (shown.get("serverTime") or shown.get("server_time")) / 1000 - time.time()
    assert 80 < ahead_s < 91
    dated = parsedate_to_datetime((await send(sim, clock(sim))).headers["Date"])
    assert dated.timestamp() > time.time() + 60
    refused = await send(sim, order(sim, "t-one"))
    assert code(sim, refused.json) == SKEWED[sim.persona.name]
    assert (await send(sim, order(sim, "t-one", offset_ms=90_000))).status < 300
    await sim.lift("skew")
    refused = await send(sim, order(sim, "t-two", offset_ms=90_000))
    assert code(sim, refused.json) == SKEWED[sim.persona.name]
    assert ids(sim) == ["t-one"]


async def test_a_clock_behind_for_a_while(sim: Simulator) -> None:
    sim.inject("skew:skew=-90,for=0.3,request=POST")
    refused = await send(sim, order(sim, "t-one"))
    assert code(sim, refused.json) == SKEWED[sim.persona.name]
    while (await send(sim, order(sim, "t-one"))).status >= 400:
        await asyncio.sleep(0.02)
    assert ids(sim) == ["t-one"]


async def test_only_the_requests_that_are_meant(sim: Simulator) -> None:
    sim.inject(f"rest-error:request={sim.persona.words.place_request},after=1,connection=2")
    async with aiohttp.ClientSession() as first, aiohttp.ClientSession() as second:
        assert (await send_with(first, sim, clock(sim))).status == 200
        assert (await send_with(second, sim, order(sim, "t-a"))).status < 300  # lets one pass
        assert (await send_with(second, sim, clock(sim))).status == 200
        assert (await send_with(first, sim, order(sim, "t-b"))).status < 300
        assert (await send_with(second, sim, order(sim, "t-c"))).status == 500
        assert (await send_with(second, sim, order(sim, "t-c"))).status < 300
    assert sim.stats.faults == {"rest-error": 1}


async def test_the_same_seed_strikes_the_same_requests() -> None:
    async def struck(seed: int) -> list[int]:
        faults = ["rest-error:p=0.2,times=always", "rest-empty:p=0.2,times=always"]
        async with (
            Simulator("binance", rate_per_s=0, faults=faults, fault_seed=seed) as sim,
            line(sim) as client,
        ):
            said = [await client.ask(clock(sim)) for _ in range(60)]
            assert sim.stats.faults.total() > 5
            return [one.status if one.body else 0 for one in said]

    assert await struck(5) == await struck(5)
    assert await struck(5) != await struck(6)


async def test_a_fault_strikes_an_unknown_path_too(sim: Simulator) -> None:
    sim.inject("rest-empty:after=1")
    assert (await send(sim, Wire("GET", "/nowhere", {}, ""))).status == 404
    said = await send(sim, Wire("GET", "/nowhere", {}, ""))
    assert (said.status, said.body) == (404, b"")


async def test_closing_does_not_wait_for_answers_that_are_held_back() -> None:
    async with Simulator("binance", rate_per_s=0, faults=["rest-slow:delay=3600"]) as sim:
        slow = asyncio.create_task(send(sim, order(sim, "one")))
        while not ids(sim):
            await asyncio.sleep(0)
    await asyncio.wait([slow])
    assert sim.stats.faults == {"rest-slow": 1}


async def test_limits_can_be_scaled_and_tell_so() -> None:
    async with Simulator("binance", rate_per_s=0, limit_scale=0.01) as sim, line(sim) as client:
        info = (await client.ask(Wire("GET", "/api/v3/exchangeInfo", {}, ""))).json
        assert [row["limit"] for row in info["rateLimits"]] == [60, 1, 2000, 610]
        said = [await client.ask(clock(sim)) for _ in range(60)]
        refused = [one for one in said if one.status == 429]
        assert refused
        assert "60 request weight" in refused[0].json["msg"]
        assert 0 < int(refused[0].headers["Retry-After"]) <= 60
        assert all(int(one.headers["X-MBX-USED-WEIGHT-1M"]) <= 60 for one in said)
    assert math.isclose(sim.limit_scale, 0.01)
