"""The listen key of a private stream: got, kept, replaced when it has ended, given back."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from cexnet.credentials import Secret
from cexnet.factory import TransportFactory
from cexnet.simulator.faults import Fault
from cexnet.simulator.personas.mexc import MexcPersona, MexcSession
from cexnet.websocket import SessionState
from cexnet.websocket.listen_key import ListenKey
from cexnet_core.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectError,
    ExchangeError,
    ExchangeUnavailable,
    InvalidRequest,
)
from tests.websocket.account import ACCOUNT, Desk, config, desk
from tests.websocket.peer import PATIENCE_S

HOUR_S = 3600.0


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def account(clock: Clock) -> AsyncIterator[Desk]:
    async with desk("mexc", clock_s=clock) as made:
        yield made


def live_keys(account: Desk) -> list[str]:
    persona = account.sim.persona
    assert isinstance(persona, MexcPersona)
    return persona.listen_keys.live()


def renew_every(account: Desk, interval_s: float) -> None:
    connection = account.stream.strategies.connection
    assert connection.renewal is not None
    assert connection.renewal.interval_s == 1800.0
    connection.renewal = replace(connection.renewal, interval_s=interval_s)


async def came_back(account: Desk) -> None:
    await account.log.until(lambda: account.log.states.count(SessionState.LIVE) == 2)


async def test_one_key_is_made_and_given_back(account: Desk) -> None:
    await account.listen()
    assert len(live_keys(account)) == 1
    await account.stream.close()
    assert live_keys(account) == []
    await account.stream.close()


async def test_the_factory_gives_the_key_back_before_it_closes_rest(account: Desk) -> None:
    async with TransportFactory(config(account.sim, "mexc")) as factory:
        stream = factory.websocket("mexc", scope="private")
        await stream.initialize(ACCOUNT, account.log.on_event)
        assert len(live_keys(account)) == 1
    assert live_keys(account) == []
    assert stream.metrics().strategy_errors == 0


async def test_a_key_that_is_still_good_is_used_again(account: Desk) -> None:
    await account.listen()
    before = live_keys(account)
    account.sim.inject(Fault("close", code=1001, times=1))
    await came_back(account)
    assert live_keys(account) == before


async def test_a_key_that_expired_is_made_anew_at_reconnect(account: Desk, clock: Clock) -> None:
    await account.listen()
    before = live_keys(account)
    clock.now_s += HOUR_S  # the exchange closes the connection with the key
    await came_back(account)
    assert len(live_keys(account)) == 1
    assert live_keys(account) != before
    await account.place("after")
    await account.hear("after")
    assert account.states() == [("t-after", "new")]


async def test_renewals_keep_the_key_alive(account: Desk, clock: Clock) -> None:
    renew_every(account, 0.02)
    await account.listen()
    (before,) = live_keys(account)
    persona = account.sim.persona
    assert isinstance(persona, MexcPersona)
    for _ in range(4):
        clock.now_s += HOUR_S * 0.4
        async with asyncio.timeout(PATIENCE_S):
            while persona.listen_keys._ends_s[before] < clock.now_s + HOUR_S:
                await asyncio.sleep(0.01)
    assert live_keys(account) == [before]
    assert account.log.losses == []


async def test_a_renewal_that_fails_is_counted_and_the_stream_goes_on(account: Desk) -> None:
    await account.listen()
    connection = account.stream.strategies.connection
    await account.stream.close()
    failures = 0

    async def fail() -> None:
        nonlocal failures
        failures += 1
        raise ExchangeUnavailable("busy", outcome="not_sent")

    renew_every(account, 0.02)
    assert connection.renewal is not None
    connection.renewal = replace(connection.renewal, renew=fail)
    await account.listen()
    async with asyncio.timeout(PATIENCE_S):
        while failures < 3:
            await asyncio.sleep(0.01)
    assert account.stream.live
    assert account.stream.metrics().strategy_errors >= 2
    await account.place("after")
    await account.hear("after")


async def test_a_renewal_that_finds_the_key_gone_connects_anew(
    account: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the exchange leaves the connection open, and silent, for ever."""
    renew_every(account, 0.05)
    monkeypatch.setattr(MexcSession, "lapsed", lambda session: "")
    await account.listen()
    persona = account.sim.persona
    assert isinstance(persona, MexcPersona)
    (before,) = persona.listen_keys.live()
    persona.listen_keys.close(before)
    await came_back(account)
    assert len(live_keys(account)) == 1
    assert live_keys(account) != [before]
    await account.place("after")
    await account.hear("after")


async def test_rest_that_is_away_costs_attempts_and_no_more(account: Desk) -> None:
    connection = account.stream.strategies.connection
    await account.listen()
    ensure = connection.prepare
    failures = 0

    async def prepare() -> None:
        nonlocal failures
        failures += 1
        if failures <= 3:
            raise ConnectError("REST is away")
        await ensure()

    connection.prepare = prepare  # type: ignore[method-assign]
    account.sim.inject(Fault("close", code=1001, times=1))
    await came_back(account)
    assert failures == 4
    await account.place("after")
    await account.hear("after")


async def test_rest_has_the_three_requests(account: Desk) -> None:
    key = await account.rest.create_listen_key()
    assert live_keys(account) == [key.reveal().decode()]
    await account.rest.keep_listen_key(key)
    await account.rest.close_listen_key(key)
    assert live_keys(account) == []
    with pytest.raises(ExchangeError, match="listen key does not exist"):
        await account.rest.keep_listen_key(key)


@pytest.mark.parametrize("name", ["binance", "gateio"])
async def test_other_exchanges_have_no_listen_keys(name: str) -> None:
    async with desk(name) as other:
        with pytest.raises(ConfigurationError, match="no listen keys"):
            await other.rest.create_listen_key()


class Exchange:
    """Listen keys as a list, and whatever is to go wrong."""

    def __init__(self) -> None:
        self.made = 0
        self.known: set[str] = set()
        self.trouble: Exception | None = None

    async def create(self) -> Secret:
        await asyncio.sleep(0)
        self._fail()
        self.made += 1
        self.known.add(f"key-{self.made}")
        return Secret(f"key-{self.made}")

    async def keep(self, key: Secret) -> None:
        await asyncio.sleep(0)
        self._fail()
        if key.reveal().decode() not in self.known:
            raise InvalidRequest("no such key", outcome="rejected")

    async def close(self, key: Secret) -> None:
        await self.keep(key)
        self.known.discard(key.reveal().decode())

    def _fail(self) -> None:
        if self.trouble is not None:
            raise self.trouble

    def listen_key(self) -> ListenKey:
        return ListenKey(self.create, self.keep, self.close)


async def test_many_who_want_a_key_at_once_get_one() -> None:
    exchange = Exchange()
    key = exchange.listen_key()
    await asyncio.gather(*(key.ensure() for _ in range(5)))
    assert (exchange.made, key.reveal()) == (1, "key-1")
    assert "key-1" not in f"{key!r} {key}"
    await key.close()
    assert (exchange.known, key.reveal()) == (set(), "")
    await key.renew()
    assert exchange.made == 1


async def test_only_a_refusal_of_the_key_itself_ends_it() -> None:
    exchange = Exchange()
    key = exchange.listen_key()
    await key.ensure()
    exchange.trouble = ExchangeUnavailable("busy", outcome="not_sent")
    with pytest.raises(ExchangeUnavailable):
        await key.ensure()
    with pytest.raises(ExchangeUnavailable):
        await key.renew()
    with pytest.raises(ExchangeUnavailable):
        await key.close()
    exchange.trouble = None
    assert exchange.made == 1


async def test_a_key_that_ended_says_so_once_and_is_replaced() -> None:
    exchange = Exchange()
    key = exchange.listen_key()
    await key.ensure()
    exchange.known.clear()
    with pytest.raises(AuthenticationError, match="has ended"):
        await key.renew()
    await key.renew()
    await key.ensure()
    assert key.reveal() == "key-2"
    exchange.known.clear()
    await key.close()  # it has ended already: that is what was wanted


def through_a_dead_proxy(account: Desk) -> None:
    connection = account.stream.strategies.connection
    connection.network = replace(connection.network, proxy="http://user:proxy-password@127.0.0.1:9")


async def test_a_connection_that_fails_shows_neither_key_nor_password(account: Desk) -> None:
    through_a_dead_proxy(account)
    with pytest.raises(ConnectError, match=r"nothing listens at 127\.0\.0\.1:9") as caught:
        await account.listen()
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(told.format())
    assert "in open" in text, "the way to the connection is shown"
    for secret in ("listenKey=", "proxy-password"):
        assert secret not in text
