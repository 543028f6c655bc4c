"""Who may listen to an account: credentials, refusals, logins that end, and secrets that stay."""

from __future__ import annotations

import logging

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cexnet.config import Config, config_from_dict
from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import get_exchange
from cexnet.factory import TransportFactory
from cexnet.simulator.faults import Fault
from cexnet.types import Channel, Subscription
from cexnet.websocket import LivenessPolicy, ReconnectPolicy, SessionState, WebSocketManager
from cexnet_core.errors import AuthenticationError, ConfigurationError, SubscriptionError
from tests.websocket.account import EXCHANGES, desk

REFUSALS = {
    "binance": "Signature for this request is not valid",
    "gateio": "signature mismatch",
    "mexc": "700002|[Ss]ignature",
}
PATIENT = ReconnectPolicy(base_s=0.02, cap_s=0.2, refused_s=3600.0, refused_cap_s=3600.0)


@pytest.mark.parametrize("name", EXCHANGES)
async def test_no_credentials_no_private_stream(name: str) -> None:
    async with TransportFactory(Config()) as factory:
        with pytest.raises(ConfigurationError, match=f"private streams of {name} need credentials"):
            factory.websocket(name, scope="private")


async def test_other_exchanges_say_that_they_have_none() -> None:
    tree = {"okx": {"credentials": {"api_key": "k", "api_secret": "s"}}}
    async with TransportFactory(config_from_dict({"exchange": tree})) as factory:
        with pytest.raises(ConfigurationError, match="only of binance, gateio, mexc"):
            factory.websocket("okx", scope="private")
        with pytest.raises(ConfigurationError, match="one connection carries them"):
            factory.websocket("okx", scope="private", redundancy=2)
        with pytest.raises(ConfigurationError, match="choose public or private"):
            factory.websocket("okx", scope="secret")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["binance", "binance_usdm", "gateio", "mexc", "okx"])
async def test_public_streams_have_no_account(name: str) -> None:
    async with WebSocketManager(get_exchange(name).websocket_strategies(None)) as manager:
        with pytest.raises(ConfigurationError, match='scope="private"'):
            await manager.initialize([Subscription(Channel.FILLS)], print)


@pytest.mark.parametrize("name", EXCHANGES)
async def test_a_wrong_secret_is_refused_in_the_exchanges_words(name: str) -> None:
    async with desk(name, secret="not-the-secret") as account:
        with pytest.raises(AuthenticationError, match=REFUSALS[name]) as caught:
            await account.listen()
        assert caught.value.outcome == "rejected"
        assert not account.stream.live
        # One attempt, at Gate.io with a signature a channel: no login is tried again by itself.
        assert account.sim.stats.signature_failures == (3 if name == "gateio" else 1)


@pytest.mark.parametrize("name", EXCHANGES)
async def test_a_wrong_key_is_refused_too(name: str) -> None:
    async with desk(name, key="somebody-else") as account:
        with pytest.raises(AuthenticationError):
            await account.listen()


@pytest.mark.parametrize("name", EXCHANGES)
async def test_after_a_reset_it_logs_in_again_and_goes_on(name: str) -> None:
    async with desk(name) as account:
        await account.listen()
        await account.place("before")
        await account.hear("before")
        account.sim.inject(Fault("reset", times=1))
        await account.place("lost")  # the reset cuts the frame that tells of it
        await account.log.until(lambda: len(account.log.losses) == 1)
        await account.log.until(lambda: account.log.states[-1] is SessionState.LIVE)
        await account.place("after")
        await account.hear("after")
        await account.log.until(lambda: len(account.balances) == 2)
        assert account.states() == [("t-before", "new"), ("t-after", "new")]
        assert account.log.states.count(SessionState.LIVE) == 2
        assert account.stream.metrics().reconnects == 1
        assert account.log.reports == []


@pytest.mark.parametrize("name", EXCHANGES)
async def test_a_login_that_expires_in_mid_stream_is_made_anew(name: str) -> None:
    async with desk(name) as account:
        await account.listen()
        await account.place("before")
        await account.hear("before")
        account.sim.inject(Fault("auth-expiry", times=1))
        await account.log.until(lambda: len(account.log.losses) == 1)
        await account.log.until(lambda: account.log.states[-1] is SessionState.LIVE)
        await account.place("after")
        await account.hear("after")
        await account.log.until(lambda: len(account.balances) == 2)
        assert account.states() == [("t-before", "new"), ("t-after", "new")]
        assert len(account.log.losses) == 1


@pytest.mark.parametrize(
    "name, topic, strikes",
    [("gateio", "!all", 4), ("mexc", "spot@private.account", 2)],  # Gate.io: orders and fills, twice
)
async def test_a_channel_that_is_refused_for_a_while_is_not_given_up(
    name: str, topic: str, strikes: int
) -> None:
    async with desk(name) as account:
        await account.listen()
        account.sim.inject(Fault("refuse-topic", topic=topic, times=strikes))
        account.sim.inject(Fault("close", code=1001, times=1))
        await account.log.until(lambda: len(account.log.losses) == 3)
        await account.log.until(lambda: account.log.states[-1] is SessionState.LIVE)
        assert [type(change.error) for change in account.log.losses[1:]] == [SubscriptionError] * 2
        await account.place("after")
        await account.hear("after")
        await account.log.until(lambda: len(account.balances) == 1)


@pytest.mark.parametrize("name", EXCHANGES)
async def test_a_key_that_is_withdrawn_is_not_hammered(name: str) -> None:
    async with desk(name) as account:
        account.stream.strategies.connection.reconnect = PATIENT
        await account.listen()
        account.sim.api_secret = "another-secret"
        account.sim.inject(Fault("close", code=1001, times=1))
        await account.log.until(lambda: len(account.log.losses) == 2)
        refused = account.log.losses[-1]
        assert isinstance(refused.error, AuthenticationError)
        assert refused.delay_s is not None
        assert refused.delay_s >= PATIENT.refused_s
        assert refused.state is SessionState.BACKING_OFF
        assert not account.log.reports  # every topic is still wanted


@pytest.mark.parametrize("name", EXCHANGES)
async def test_no_secret_is_written_anywhere(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[str] = []
    async with desk(name) as account:
        await account.listen()
        await account.place("one")
        await account.hear("one")
        account.sim.inject(Fault("auth-expiry", times=1))
        await account.log.until(lambda: account.log.states.count(SessionState.LIVE) == 2)
        account.sim.api_secret = "another-secret"
        account.sim.inject(Fault("close", code=1001, times=1))
        await account.log.until(lambda: len(account.log.losses) >= 3)
        connection = account.stream.strategies.connection
        shown += [repr(value) for value in vars(connection).values()]
        shown += [repr(connection.endpoint(["orders"])), repr(account.stream.metrics())]
        shown += [f"{change!r} {change.error!r}" for change in account.log.changes]
        keys = _listen_keys(account.sim)
    text = "\n".join([*shown, caplog.text, *(record.getMessage() for record in caplog.records)])
    for secret in ("simulator-secret", *keys):
        assert secret not in text


def _listen_keys(sim: object) -> list[str]:
    persona = sim.persona  # type: ignore[attr-defined]
    return list(persona.listen_keys._ends_s) if hasattr(persona, "listen_keys") else []


def test_credentials_do_not_print() -> None:
    assert "hidden" not in repr(Credentials("key-of-mine", Secret("hidden")))


@pytest.mark.parametrize("name", EXCHANGES)
async def test_a_peer_that_dies_while_the_account_rests_is_noticed(name: str) -> None:
    async with desk(name) as account:
        account.stream.strategies.connection.liveness = LivenessPolicy(
            check_s=0.05, quiet_floor_s=0.1, probe_deadline_s=1.0, expects_data=False
        )
        await account.listen()
        await account.log.until(lambda: account.log.states.count(SessionState.STALE) >= 3)
        assert account.log.losses == []  # it was probed, and answered
        account.sim.inject(Fault("half-open", times=1))
        await account.log.until(lambda: len(account.log.losses) == 1)
        assert account.log.losses[0].reason == "half-open"
        await account.log.until(lambda: account.stream.metrics().reconnects == 1)
        await account.place("after")
        await account.hear("after")


async def test_a_private_key_logs_in_too() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    async with desk("binance", secret=secret, public_key=public) as account:
        await account.listen()
        await account.place("mine")
        await account.hear("mine")
        assert account.sim.stats.signature_failures == 0
