"""Faults of subscriptions and their acknowledgements."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from cexnet.simulator import Simulator
from tests.simulator.peers import ask, dial, receive, until
from tests.simulator.test_mexc import read_fields

STREAM = "btcusdt@bookTicker"
SUBSCRIBE = {"method": "SUBSCRIBE", "params": [STREAM], "id": 1}
ACK = {"result": None, "id": 1}
TEN = [f"{symbol}@{kind}" for symbol in ("btcusdt", "ethusdt")
       for kind in ("trade", "aggTrade", "bookTicker", "depth", "depth@100ms")]  # fmt: skip


def is_data(message: Any) -> bool:
    return "u" in message


async def test_an_acknowledgement_can_come_late_and_data_does_not_wait_for_it() -> None:
    async with (
        Simulator("binance", rate_per_s=1000, faults=["ack-late:delay=0.3"]) as sim,
        dial(sim.ws_url + "/ws") as client,
    ):
        await client.send(json.dumps(SUBSCRIBE))
        assert is_data(json.loads(await receive(client)))
        assert await until(client, lambda message: not is_data(message)) == ACK
        assert sim.stats.faults == {"ack-late": 1}


async def test_an_acknowledgement_can_come_twice() -> None:
    async with (
        Simulator("binance", faults=["ack-twice"]) as sim,
        dial(sim.ws_url + "/ws") as client,
    ):
        assert await ask(client, SUBSCRIBE) == ACK
        assert await until(client, lambda message: not is_data(message)) == ACK
        assert sim.stats.faults == {"ack-twice": 1}
        unsubscribe = {**SUBSCRIBE, "method": "UNSUBSCRIBE", "id": 2}
        await client.send(json.dumps(unsubscribe))
        assert (await until(client, lambda message: not is_data(message)))["id"] == 2
        assert await ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 3}) == {"result": [], "id": 3}


async def test_an_acknowledgement_may_be_all_there_is() -> None:
    async with (
        Simulator("binance", faults=[f"ack-only:topic={STREAM}"]) as sim,
        dial(sim.ws_url + "/ws") as client,
    ):
        other = {"method": "SUBSCRIBE", "params": ["ethusdt@bookTicker"], "id": 2}
        assert await ask(client, SUBSCRIBE) == ACK
        assert (await ask(client, other))["id"] == 2
        for _ in range(20):
            assert json.loads(await receive(client))["s"] == "ETHUSDT"
        assert sim.stats.withheld["ticker"]
        await client.send(json.dumps(SUBSCRIBE))
        assert await until(client, lambda message: message.get("s") == "BTCUSDT")
        assert sim.stats.faults == {"ack-only": 1}


async def test_one_topic_of_ten_is_refused_by_binance() -> None:
    async with (
        Simulator("binance", rate_per_s=0, faults=["refuse-topic:topic=ethusdt@trade,times=2"]) as sim,
        dial(sim.ws_url + "/ws") as client,
    ):
        refused = await ask(client, {**SUBSCRIBE, "params": TEN})
        assert refused == {"error": {"code": 2, "msg": "Invalid request: invalid stream"}, "id": 1}
        fine = [stream for stream in TEN if stream != "ethusdt@trade"]
        assert await ask(client, {**SUBSCRIBE, "params": fine}) == ACK
        assert "error" in await ask(client, {**SUBSCRIBE, "params": ["ethusdt@trade"]})
        assert (await ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 2}))["result"] == fine
        assert sim.stats.faults == {"refuse-topic": 2}
        assert await ask(client, {**SUBSCRIBE, "params": ["ethusdt@trade"]}) == ACK


async def test_one_topic_of_ten_is_refused_by_mexc_and_the_others_are_not() -> None:
    kinds = ("deals", "depth", "bookTicker")
    ten = [f"spot@public.aggre.{kind}.v3.api.pb@100ms@{symbol}"
           for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT") for kind in kinds]  # fmt: skip
    ten.append("spot@public.kline.v3.api.pb@BTCUSDT@Min1")
    async with (
        Simulator("mexc", rate_per_s=0, faults=[f"refuse-topic:topic={ten[4]}"]) as sim,
        dial(sim.ws_url + "/ws") as client,
    ):
        ack = await ask(client, {"method": "SUBSCRIPTION", "params": ten})
        assert ack["msg"] == ",".join(ten[:4] + ten[5:])
        refusal = json.loads(await receive(client))
        assert ten[4] in refusal["msg"]
        assert "Not Subscribed" in refusal["msg"]
        assert sim.stats.faults == {"refuse-topic": 1}
        assert (await ask(client, {"method": "SUBSCRIPTION", "params": [ten[4]]}))["msg"] == ten[4]


@pytest.mark.parametrize("topic", ["", "spot.trades:ETH_USDT"])
async def test_one_topic_is_refused_by_gate_in_its_own_words(topic: str) -> None:
    async with (
        Simulator("gateio", rate_per_s=0, faults=[f"refuse-topic:topic={topic}"]) as sim,
        dial(sim.ws_url + "/ws/v4/") as client,
    ):
        request = {"time": int(time.time()), "channel": "spot.trades", "event": "subscribe", "id": 7}
        if topic:
            fine = await ask(client, {**request, "payload": ["BTC_USDT"]})
            assert fine["error"] is None
            fine = await ask(client, {**request, "channel": "spot.book_ticker", "payload": ["ETH_USDT"]})
            assert fine["error"] is None
        refused = await ask(client, {**request, "payload": ["ETH_USDT"]})
        assert refused["error"] == {"code": 2, "message": "unknown currency pair ETH_USDT"}
        assert (refused["id"], refused["payload"]) == (7, ["ETH_USDT"])
        assert (await ask(client, {**request, "payload": ["ETH_USDT"]}))["error"] is None


async def test_one_topic_is_refused_by_okx() -> None:
    args = [{"channel": "trades", "instId": pair} for pair in ("BTC-USDT", "ETH-USDT")]
    async with (
        Simulator("okx", rate_per_s=0, faults=["refuse-topic:topic=ETH-USDT"]) as sim,
        dial(sim.ws_url + "/ws/v5/public") as client,
    ):
        fine = await ask(client, {"op": "subscribe", "args": args})
        assert fine["arg"] == args[0]
        refused = json.loads(await receive(client))
        assert refused["code"] == "60018"
        assert "ETH-USDT" in refused["msg"]


async def test_what_is_no_subscription_is_left_alone() -> None:
    faults = ["ack-twice:times=always", "ack-late:times=always", "refuse-topic:times=always"]
    async with (
        Simulator("binance", rate_per_s=0, faults=faults) as sim,
        dial(sim.ws_url + "/ws") as client,
    ):
        assert (await ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 1}))["result"] == []
        assert (await ask(client, '"subscribe": no JSON'))["error"]["code"] == 3
        assert "refuse-topic" not in sim.stats.faults


async def test_acknowledging_only_works_for_binary_streams_too() -> None:
    channel = "spot@public.aggre.bookTicker.v3.api.pb@10ms@BTCUSDT"
    async with Simulator("mexc", faults=["ack-only"]) as sim, dial(sim.ws_url + "/ws") as client:
        request = {"method": "SUBSCRIPTION", "params": [channel]}
        assert (await ask(client, request))["msg"] == channel
        await client.send(json.dumps(request))
        while isinstance(message := await receive(client), str):
            pass
        assert read_fields(message)[1] == [channel.encode()]
