"""Faults that hit one message on its way out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from cexnet.simulator import Simulator
from tests.simulator.peers import Replica, call, dial, receive
from tests.simulator.raw import frame, head, pieces, raw_client

DEPTH = "/ws/btcusdt@depth@100ms"
TICKERS = "/ws/btcusdt@bookTicker"


async def depth_updates(sim: Simulator, count: int) -> list[Any]:
    async with dial(sim.ws_url + DEPTH) as client:
        return [json.loads(await receive(client)) for _ in range(count)]


def breaks(updates: Sequence[Any]) -> list[int]:
    """Where an update does not follow on the one before it."""
    return [at for at in range(1, len(updates)) if updates[at]["U"] != updates[at - 1]["u"] + 1]


async def test_gap_leaves_out_every_third_update() -> None:
    async with Simulator("binance", rate_per_s=None, faults=["gap:after=3,times=2"]) as sim:
        assert breaks(await depth_updates(sim, 12)) == [3, 6]
        assert sim.stats.faults == {"gap": 2}
        assert sim.stats.withheld == {"depth": 2}


async def test_duplicate_sends_an_update_twice() -> None:
    async with Simulator("binance", rate_per_s=None, faults=["duplicate:after=2"]) as sim:
        updates = await depth_updates(sim, 6)
        assert updates[2] == updates[3]
        assert breaks(updates[:3] + updates[4:]) == []


async def test_reorder_swaps_two_updates() -> None:
    async with Simulator("binance", rate_per_s=None, faults=["reorder:after=2"]) as sim:
        updates = await depth_updates(sim, 6)
        updates[2], updates[3] = updates[3], updates[2]
        assert breaks(updates) == []
        assert sim.stats.faults == {"reorder": 1}


async def test_reorder_twice_in_a_row_loses_nothing() -> None:
    async with Simulator("binance", rate_per_s=None, faults=["reorder:times=3"]) as sim:
        updates = await depth_updates(sim, 8)
        assert breaks(sorted(updates, key=lambda update: int(update["u"]))) == []
        assert breaks(updates)


async def test_a_fault_can_single_out_a_topic() -> None:
    streams = "btcusdt@depth@100ms/ethusdt@depth@100ms"
    async with (
        Simulator("binance", rate_per_s=None, faults=["gap:topic=ethusdt,times=2"]) as sim,
        dial(sim.ws_url + "/stream?streams=" + streams) as client,
    ):
        seen: dict[str, list[Any]] = {"BTCUSDT": [], "ETHUSDT": []}
        for _ in range(12):
            update = json.loads(await receive(client))["data"]
            seen[update["s"]].append(update)
        assert breaks(seen["BTCUSDT"]) == []
        assert breaks(seen["ETHUSDT"]) == []  # the first two were left out, before the first seen
        assert sim.stats.withheld == {"depth": 2}


async def test_a_book_recovers_from_a_gap_by_the_snapshot() -> None:
    async with Simulator("binance", faults=["gap:after=2"]) as sim, dial(sim.ws_url + DEPTH) as client:
        last, kept = 0, []
        while True:
            update = json.loads(await receive(client))
            if last and update["U"] != last + 1:
                break
            last = update["u"]
        _, snapshot, _ = await call("GET", sim.rest_url + "/api/v3/depth?symbol=BTCUSDT&limit=5000")
        assert snapshot["lastUpdateId"] >= update["u"]
        book, at = Replica(snapshot["bids"], snapshot["asks"]), snapshot["lastUpdateId"]
        while len(kept) < 3:
            update = json.loads(await receive(client))
            if update["u"] > at:
                assert update["U"] <= at + 1
                book.apply(update["b"], update["a"])
                at = update["u"]
                kept.append(update)
        _, after, _ = await call("GET", sim.rest_url + "/api/v3/depth?symbol=BTCUSDT&limit=5000")
        while at < after["lastUpdateId"]:
            update = json.loads(await receive(client))
            book.apply(update["b"], update["a"])
            at = update["u"]
        if at == after["lastUpdateId"]:
            assert book.bids == dict(map(tuple, after["bids"]))
            assert book.asks == dict(map(tuple, after["asks"]))


async def test_the_same_seed_strikes_at_the_same_messages() -> None:
    async def struck(seed: int) -> list[int]:
        fault = "gap:p=0.3,times=always"
        async with Simulator("binance", rate_per_s=None, faults=[fault], fault_seed=seed) as sim:
            updates = await depth_updates(sim, 40)
            return breaks(updates)

    once, again, other = await struck(7), await struck(7), await struck(8)
    assert once == again != other


async def test_reset_cuts_a_frame_in_two() -> None:
    async with Simulator("binance", rate_per_s=500, faults=["reset:after=5"]) as sim:
        async with raw_client(sim, TICKERS) as (reader, _):
            await head(reader)
            for _ in range(5):
                await frame(reader)
            with pytest.raises(ConnectionResetError):
                await frame(reader)
        async with dial(sim.ws_url + TICKERS) as second:
            for _ in range(20):
                await receive(second)
        assert sim.stats.faults == {"reset": 1}


async def test_reset_can_hit_every_connection() -> None:
    async with Simulator("binance", rate_per_s=None, faults=["reset:after=3,times=always"]) as sim:
        for number in range(1, 6):
            async with dial(sim.ws_url + TICKERS) as client:
                for _ in range(3):
                    await receive(client)
                with pytest.raises(ConnectionClosed) as closed:
                    await receive(client)
                assert closed.value.rcvd is None
            assert sim.stats.faults == {"reset": number}


async def test_oversize_sends_a_message_larger_than_any_limit() -> None:
    async with Simulator("binance", rate_per_s=500, faults=["oversize:after=2"]) as sim:
        async with raw_client(sim, TICKERS) as (reader, _):
            await head(reader)
            for _ in range(2):
                await frame(reader)
            first, payload = await frame(reader)
            assert (first, len(payload)) == (0x81, 16 * 2**20 + 1)
            json.loads((await frame(reader))[1])  # and the stream goes on
        assert sim.stats.faults == {"oversize": 1}
        assert sim.stats.slow_closed == 0


async def test_a_client_that_refuses_the_oversize_frame_ends_it() -> None:
    async with Simulator("binance", faults=["oversize:size=2000000"]) as sim:
        async with dial(sim.ws_url + TICKERS) as client:  # accepts 1 MiB
            with pytest.raises(ConnectionClosed) as closed:
                await receive(client)
            assert closed.value.sent is not None
            assert closed.value.sent.code == 1009
        async with dial(sim.ws_url + TICKERS) as second:
            await receive(second)


async def test_bad_utf8_comes_in_a_text_frame() -> None:
    async with Simulator("binance", faults=["bad-utf8"]) as sim, dial(sim.ws_url + TICKERS) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await receive(client)
        assert closed.value.sent is not None
        assert closed.value.sent.code == 1007
        assert sim.stats.faults == {"bad-utf8": 1}


async def test_drip_sends_a_message_byte_by_byte() -> None:
    async with (
        Simulator("binance", rate_per_s=None, faults=["drip"]) as sim,
        pieces(sim, DEPTH) as reads,
    ):
        assert (await anext(reads)).endswith(b"\r\n\r\n")
        data = b""
        for _ in range(50):
            data += (piece := await anext(reads))
            assert len(piece) < 10  # one each, unless the machine stumbled
        assert data[4:].startswith(b'{"e":"depthUpdate"')


@pytest.mark.parametrize("rate_per_s", [500.0, None])
async def test_drip_keeps_the_order(rate_per_s: float | None) -> None:
    fault = "drip:after=1,times=2,delay=0"
    async with Simulator("binance", rate_per_s=rate_per_s, faults=[fault]) as sim:
        assert breaks(await depth_updates(sim, 6)) == []
        assert sim.stats.faults == {"drip": 2}


async def test_every_update_that_does_not_arrive_is_counted() -> None:
    faults = [f"{name}:p=0.1,times=always" for name in ("gap", "duplicate", "reorder")]
    async with Simulator("binance", ["BTCUSDT"], rate_per_s=None, faults=faults) as sim:
        updates = await depth_updates(sim, 300)
        sent, kept_back = sim.stats.messages["depth"], sim.stats.withheld["depth"]
        doubled = len(updates) - len({update["u"] for update in updates})
    assert doubled <= sim.stats.faults["duplicate"]
    assert kept_back == sim.stats.faults["gap"]
    in_order = sorted({update["u"]: update for update in updates}.values(), key=lambda u: int(u["u"]))
    assert 0 < len(breaks(in_order)) <= kept_back
    assert len(in_order) + len(breaks(in_order)) <= sent


async def test_a_fault_can_wait_for_its_time() -> None:
    faults = ["gap:after=0.2s", "duplicate:after=3600s"]
    async with Simulator("binance", rate_per_s=None, faults=faults) as sim:
        async with dial(sim.ws_url + DEPTH) as client:
            updates = [json.loads(await receive(client)) for _ in range(2)]
            while not breaks(updates[-2:]):
                updates.append(json.loads(await receive(client)))
        assert sim.stats.faults == {"gap": 1}
