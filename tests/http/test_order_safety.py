"""Never a doubled order, never a leaked permit, never a shown secret."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from cexnet.http.limits import ScopedLimiter
from cexnet.http.manager import RestManager
from cexnet_core.errors import (
    CexnetError,
    ClockSkewError,
    ExchangeUnavailable,
    OutcomeUnknown,
    RateLimited,
    RequestError,
)
from tests.http.accounts import API_KEY, API_SECRET, LIMIT_BUY
from tests.http.client import PLACED, TIME, manager
from tests.http.peer import Peer, Seen, Step, cut, drop, hang, head, raw, reply, reset

BROKEN: dict[str, Step] = {
    "closed without a word": drop(),
    "reset without a word": reset(),
    "reset in the head": reset(b"HTTP/1.1 200 OK\r\nContent-"),
    "reset in the body": reset(head(200, {"Content-Length": "100"}) + b'{"ord'),
    "body cut short": cut(b'{"orderId": 1', 500),
    "truncated JSON": reply(body=b'{"orderId": 1'),
    "empty body": reply(body=b""),
    "HTML with status 200": reply(body=b"<html>maintenance</html>", content_type="text/html"),
    "HTML with status 503": reply(body=b"<html></html>", status=503, content_type="text/html"),
    "not HTTP": raw(b"SSH-2.0-OpenSSH\r\n\r\n", close=True),
    "JSON of another shape": reply([1, 2, 3]),
    "JSON nested absurdly": reply(body=b'{"orderId":' * 100_000),
    "502 and nothing": reply(status=502, body=b""),
    "an unknown order status": reply({**PLACED, "status": "PONDERING"}),
    "a side that is none": reply({**PLACED, "side": "HOLD"}),
}


@pytest.mark.parametrize("step", BROKEN.values(), ids=list(BROKEN))
async def test_an_order_without_a_clear_answer_is_unknown_and_sent_once(step: Step) -> None:
    async with Peer(step) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown) as caught:
            await rest.place_order(LIMIT_BUY)
        error = caught.value
        assert error.outcome == "unknown"
        assert error.client_order_id == peer.seen[0].query["newClientOrderId"]
        assert len(peer.seen) == 1
        assert rest.counters.errors == 1


@pytest.mark.parametrize("step", BROKEN.values(), ids=list(BROKEN))
async def test_a_cancel_without_a_clear_answer_is_sent_once(step: Step) -> None:
    async with Peer(step) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown):
            await rest.cancel_order("BTCUSDT", order_id="7")
        assert [seen.method for seen in peer.seen] == ["DELETE"]


@pytest.mark.parametrize("step", BROKEN.values(), ids=list(BROKEN))
async def test_a_read_is_tried_again_through_the_whole_line(step: Step) -> None:
    async with Peer(step, reply(PLACED)) as peer, manager(peer) as rest:
        order = await rest.query_order("BTCUSDT", order_id="7")
        assert order.order_id == "7"
        assert len(peer.seen) == 2
        assert rest.counters.retries == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
async def test_the_reuse_race_never_doubles_anything(method: str) -> None:
    """The server closes a kept-alive connection in the moment we reuse it."""
    async with Peer(reply({}), drop()) as peer, manager(peer) as rest:
        await rest.ping()
        with pytest.raises(OutcomeUnknown):
            await rest.request(method, "/api/v3/other", idempotent=False)
        assert [seen.method for seen in peer.seen] == ["GET", method]
        assert peer.seen[1].connection == peer.seen[0].connection


async def test_the_reuse_race_of_a_read_passes_the_limiter_again() -> None:
    async with Peer(reply({}), drop(), reply(TIME)) as peer, manager(peer) as rest:
        await rest.ping()
        assert await rest.server_time_ms() == TIME["serverTime"]
        assert (rest.counters.tries, len(peer.seen)) == (3, 3)


@pytest.mark.parametrize("noticed", [False, True], ids=["unnoticed", "noticed"])
async def test_an_order_is_not_lost_to_a_connection_that_died_while_idle(noticed: bool) -> None:
    last = raw(head(200, {"Content-Length": "2"}) + b"{}", close=True)
    async with Peer(last, reply(PLACED)) as peer, manager(peer) as rest:
        await rest.ping()
        while peer.open:
            await asyncio.sleep(0)
        for _ in range(5 if noticed else 0):
            await asyncio.sleep(0)
        assert (await rest.place_order(LIMIT_BUY)).order_id == "7"
        assert (peer.connections, len(peer.seen), rest.counters.retries) == (2, 2, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_orders_under_random_faults_are_sent_at_most_once_each(seed: int) -> None:
    """Whatever happens on the wire, an order is answered, refused or known to be unknown."""
    draw = random.Random(seed)
    faults = [*BROKEN.values(), reply({"code": -1013, "msg": "filter"}, status=400)]
    steps = [draw.choice([reply(PLACED), reply(PLACED), *faults]) for _ in range(300)]
    ended: list[object] = []

    async def worker(rest: RestManager) -> None:
        for _ in range(12):
            try:
                ended.append(await rest.place_order(LIMIT_BUY))
            except RequestError as error:
                ended.append(error.outcome)

    async with Peer(*steps) as peer, manager(peer, connections=4) as rest:
        await asyncio.gather(*[worker(rest) for _ in range(8)])
        ids = [seen.query["newClientOrderId"] for seen in peer.seen]
        assert len(ended) == 96
        assert len(ids) == len(set(ids)) <= 96
        assert len(ids) + ended.count("not_sent") >= 96
        assert used(rest) == len(ids)


def used(rest: RestManager) -> int:
    """How many order slots of 10 s are taken."""
    limits = rest.strategies.limits
    assert isinstance(limits, ScopedLimiter)
    return 100 - limits.remaining["orders_10s"]


async def test_cancelling_at_every_step_leaks_nothing() -> None:
    """Cancel after 0, 1, 2, ... turns of the loop until the call gets through."""
    leaked = []
    for turns in range(200):
        async with Peer(reply(PLACED)) as peer:
            async with manager(peer, connections=1) as rest:
                task = asyncio.create_task(rest.place_order(LIMIT_BUY))
                for _ in range(turns):
                    await asyncio.sleep(0)
                finished = task.done()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                if rest.counters.tries and used(rest) != (rest.session.requests_sent > 0):
                    leaked.append(turns)
                # The only connection of the pool must be free again.
                assert (await rest.place_order(LIMIT_BUY)).order_id == "7"
            if finished:
                break
    else:
        pytest.fail("the call never finished")
    assert leaked == []
    assert turns > 3


async def test_nothing_secret_is_ever_shown(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    for step in [*BROKEN.values(), reply({"code": -2015, "msg": "no"}, status=401)]:
        async with Peer(step) as peer, manager(peer) as rest:
            try:
                await rest.place_order(LIMIT_BUY)
            except CexnetError as error:
                logging.getLogger("app").exception("it failed")
                shown += [repr(error), str(error), str(vars(error)), repr(error.__cause__)]
            shown += [repr(rest), repr(rest.strategies), repr(rest.counters)]
            signature = peer.seen[0].query["signature"]
            text = "".join(shown) + caplog.text + "".join(capsys.readouterr())
            for secret in (API_SECRET, API_KEY, signature):
                assert secret not in text


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("noticed", [True, False], ids=["noticed by the loop", "still in the socket"])
async def test_a_stray_answer_on_an_idle_connection_is_not_taken_for_ours(status: int, noticed: bool) -> None:
    """A doubled order, if believed: a stray refusal makes the caller place again."""
    idle, stray_sent = asyncio.Event(), asyncio.Event()

    async def speak_twice(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await reply(TIME)(seen, writer)
        await idle.wait()
        await reply({**PLACED, "orderId": 666, "code": -2010, "msg": "stray"}, status=status)(seen, writer)
        stray_sent.set()

    async with Peer(speak_twice, reply(PLACED)) as peer, manager(peer) as rest:
        await rest.server_time_ms()
        idle.set()
        await stray_sent.wait()
        if noticed:
            for _ in range(5):
                await asyncio.sleep(0)
        order = await rest.place_order(LIMIT_BUY)
        assert order.order_id == "7"
        assert [seen.connection for seen in peer.seen] == [1, 2]


async def test_an_answer_about_another_order_settles_nothing() -> None:
    async with Peer(reply({**PLACED, "clientOrderId": "somebody-elses"})) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown, match="somebody-elses"):
            await rest.place_order(LIMIT_BUY)
        assert len(peer.seen) == 1


@pytest.mark.parametrize("asked", [{"client_order_id": "mine"}, {"order_id": "8"}], ids=str)
async def test_an_answer_about_another_order_is_no_cancel_and_no_status(asked: dict[str, str]) -> None:
    other = reply({**PLACED, "origClientOrderId": "another", "clientOrderId": "c1", "status": "CANCELED"})
    async with Peer(other) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown, match="the answer is about order"):
            await rest.cancel_order("BTCUSDT", **asked)
        assert len(peer.seen) == 1
        with pytest.raises(ExchangeUnavailable, match="the answer is about order"):
            await rest.query_order("BTCUSDT", **asked)


@pytest.mark.parametrize("used", ["9" * 20, "9" * 5000, "-1", "many"])
async def test_a_broken_usage_header_does_not_hide_the_order(used: str) -> None:
    headers = {"X-MBX-ORDER-COUNT-10S": used, "X-MBX-USED-WEIGHT-1M": used}
    async with Peer(reply(PLACED, headers=headers)) as peer, manager(peer) as rest:
        assert (await rest.place_order(LIMIT_BUY)).order_id == "7"


@pytest.mark.parametrize("after", ["999999999999", "9" * 400])
async def test_a_broken_retry_after_is_still_a_throttle(after: str) -> None:
    refusal = reply({"code": -1015, "msg": "slow"}, status=429, headers={"Retry-After": after})
    async with Peer(refusal) as peer, manager(peer) as rest:
        with pytest.raises(RateLimited):
            await rest.place_order(LIMIT_BUY)


@pytest.mark.parametrize("status", [101, 304])
async def test_a_status_that_says_nothing_of_execution_is_unknown(status: int) -> None:
    async with Peer(raw(head(status, {}), close=True)) as peer, manager(peer) as rest:
        with pytest.raises(OutcomeUnknown):
            await rest.place_order(LIMIT_BUY)
        assert len(peer.seen) == 1


async def test_close_tells_every_waiting_order_what_became_of_it() -> None:
    async with Peer(hang()) as peer, manager(peer, connections=1, deadline_s=30.0) as rest:
        orders = [asyncio.create_task(rest.place_order(LIMIT_BUY)) for _ in range(3)]
        await peer.arrived.wait()
        await rest.close()
        outcomes = await asyncio.gather(*orders, return_exceptions=True)
        assert all(isinstance(outcome, RequestError) for outcome in outcomes), outcomes
        assert sorted(error.outcome for error in outcomes if isinstance(error, RequestError)) == [
            "not_sent",
            "not_sent",
            "unknown",
        ]


@pytest.mark.parametrize(
    "time",
    [reply(status=503, body=b""), reply({"serverTime": 10**350}), reply({"serverTime": -1})],
    ids=["unavailable", "beyond all time", "before it"],
)
async def test_a_resync_that_fails_leaves_the_clock_refusal_as_the_outcome(time: Step) -> None:
    skewed = reply({"code": -1021, "msg": "Timestamp for this request is outside"}, status=400)
    async with Peer(skewed, time) as peer, manager(peer, deadline_s=1.0) as rest:
        with pytest.raises(ClockSkewError) as caught:
            await rest.place_order(LIMIT_BUY)
        assert caught.value.outcome == "rejected"
        assert caught.value.client_order_id
