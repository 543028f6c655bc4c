"""Nothing that a program may print of the REST line shows a secret, failures included.

Each case is a request to a peer on loopback; whatever comes out of it is turned into text
in every way that a program would, with the locals of every frame, and searched.
"""

from __future__ import annotations

import asyncio
import io
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich.traceback import Traceback

from cexnet.credentials import Credentials, Secret
from cexnet.exchanges import binance_rest, gateio_rest, mexc_rest
from cexnet.http.connector import ConnectionOptions
from cexnet.http.limits import ScopedLimiter
from cexnet.http.manager import RestManager
from cexnet.http.retry import FullJitterRetry
from cexnet.http.secrecy import sealed, sealed_call
from cexnet_core.errors import (
    CexnetError,
    ConfigurationError,
    DeadlineExceeded,
    ExchangeError,
    ExchangeUnavailable,
    OutcomeUnknown,
)
from tests.http.accounts import LIMIT_BUY
from tests.http.peer import Peer, Seen, Step, cut, hang, head, raw, reply, reset

API_KEY = "K3y" + "k" * 40 + "Zz"
API_SECRET = "S3c" + "s" * 40 + "Zz"
LISTEN_KEY = "L1s" + "l" * 60 + "Zz"
SEED = bytes(range(7, 39))
MODULES = {"binance": binance_rest, "gateio": gateio_rest, "mexc": mexc_rest}


def echo(status: int, *, envelope: bool = False) -> Step:
    """A proxy or an exchange that quotes the whole request in its refusal."""

    async def step(seen: Seen, writer: asyncio.StreamWriter) -> None:
        said = f"cannot serve {seen.method} {seen.target} {seen.headers} {seen.body!r}"
        text = said.replace("\\", "").replace('"', "'")
        body = (
            f'{{"code":-1102,"label":"X","msg":"{text}","message":"{text}"}}' if envelope else f"<html>{said}"
        )
        await reply(status=status, body=body.encode(), content_type="text/html")(seen, writer)

    return step


def listen_key(declared: int | None = None, status: int = 200) -> Step:
    body = f'{{"listenKey":"{LISTEN_KEY}"'.encode()
    return cut(body, declared) if declared else reply(body=body, status=status)


FAULTS: dict[str, Step] = {
    "refused by the exchange": reply({"code": -2010, "label": "X", "msg": "no"}, status=400),
    "wrong signature": reply({"code": -1022, "label": "INVALID_SIGNATURE", "msg": "bad"}, status=401),
    "throttled": reply({}, status=429, headers={"Retry-After": "100"}),
    "banned": reply({}, status=418, headers={"Retry-After": "100"}),
    "quoted in a page": echo(403),
    "quoted in an envelope": echo(400, envelope=True),
    "quoted with a 5xx": echo(502),
    "quoted as a success": echo(200),
    "an empty success": reply(body=b""),
    "listen key cut short": listen_key(declared=500),
    "listen key malformed": listen_key(),
    "listen key in a refusal": listen_key(status=400),
    "reset": reset(),
    "reset in the body": reset(head(200, {"Content-Length": "50"}) + b'{"a'),
    "not HTTP": raw(b"what?\r\n\r\n", close=True),
    "no answer": hang(),
    "half an answer": hang(head(200, {"Content-Length": "50"}) + b'{"a'),
    "redirected": reply({}, status=302, headers={"Location": "http://127.0.0.1:9/x?secret=1"}),
    "too large": reply(body=b"[" + b" " * 5000 + b"]"),
}
KINDS: dict[str, Callable[[RestManager], Any]] = {
    "place": lambda rest: rest.place_order(LIMIT_BUY),
    "cancel": lambda rest: rest.cancel_order("BTCUSDT", order_id="7"),
    "query": lambda rest: rest.query_order("BTCUSDT", order_id="7"),
    "depth": lambda rest: rest.depth("BTCUSDT"),
    "create listen key": lambda rest: rest.create_listen_key(),
    "keep listen key": lambda rest: rest.keep_listen_key(Secret(LISTEN_KEY)),
    # Under names that nothing is masked by.
    "param": lambda rest: rest.put("/any", params=[("code", Secret(LISTEN_KEY))], signed=True),
    "list": lambda rest: rest.put("/any", params=[("codes", ["a", Secret(LISTEN_KEY)])], signed=True),
    "body": lambda rest: rest.post(
        "/any", body={"code": [Secret(LISTEN_KEY)]}, signed=True, idempotent=False
    ),
}


def credentials(kind: str) -> Credentials:
    if kind == "hmac":
        return Credentials(API_KEY, Secret(API_SECRET))
    key = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Credentials(API_KEY, Secret(pem))


def manager(module: ModuleType, url: str, kind: str = "hmac", **options: Any) -> RestManager:
    strategies = module.rest_strategies(credentials=credentials(kind))
    rest = RestManager(strategies, base_url=url, max_body_bytes=4000, **options)
    rest.swap(retry=FullJitterRetry(uniform=lambda low, high: 0.0))
    return rest


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that any logger says at DEBUG, with the locals of every frame it logs."""
    written = io.StringIO()

    class WithLocals(logging.Formatter):
        def formatException(self, ei: Any) -> str:
            return everything_about(ei[1])

    handler = logging.StreamHandler(written)
    handler.setFormatter(WithLocals("%(name)s %(levelname)s %(message)s %(args)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def everything_about(error: BaseException) -> str:
    """``error`` as programs print it: with causes, contexts, notes and locals, plain and rich."""
    shown = []
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        each = pending.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        shown += traceback.TracebackException.from_exception(each, capture_locals=True).format()
        shown.append(f"{each} {each!r} {each.args!r} {vars(each)!r}")
        # What rich would print, short of colouring the source lines, which takes long.
        rich = Traceback.extract(
            type(each),
            each,
            each.__traceback__,
            show_locals=True,
            locals_max_length=1000,
            locals_max_string=100_000,
            locals_hide_dunder=False,
        )
        frames = [frame for stack in rich.stacks for frame in stack.frames]
        shown += [node.render() for frame in frames for node in (frame.locals or {}).values()]
        pending += [each.__cause__, each.__context__]
        pending += getattr(each, "exceptions", ())
    return "\n".join(shown)


def secrets_of(peer: Peer) -> set[str]:
    """What must not be seen: what we were given, and the signatures that arrived."""
    pem = credentials("ed25519").api_secret.reveal().decode()
    found = {API_KEY, API_SECRET, LISTEN_KEY, pem.split("\n")[1], repr(SEED)}
    for seen in peer.seen:
        raw_signature = seen.target.rpartition("signature=")[2] if "signature=" in seen.target else ""
        found |= {seen.query.get("signature", ""), raw_signature, seen.headers.get("sign", "")}
    return found - {""}


def assert_silent(text: str, hidden: set[str]) -> None:
    for secret in hidden:
        # A piece of it would do as well: a page may be quoted in part.
        for piece in (secret, secret[:16], secret[-16:]):
            assert piece not in text, f"{piece!r} is in {text[max(0, text.find(piece) - 300) :][:700]}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_no_failure_shows_a_secret(fault: str, kind: str, log: io.StringIO) -> None:
    asyncio.get_running_loop().set_debug(True)
    # Every fault meets every kind of request once; the exchanges take turns.
    turn = (list(FAULTS).index(fault) + list(KINDS).index(kind)) % len(MODULES)
    name = "mexc" if kind.endswith("listen key") else list(MODULES)[turn]
    async with Peer(FAULTS[fault]) as peer:
        rest = manager(MODULES[name], peer.url, deadline_s=1.0 if "answer" in fault else 5.0)
        async with rest:
            text = ""
            try:
                response = await KINDS[kind](rest)
            except CexnetError as error:
                text = everything_about(error)
            else:
                text = "" if kind == "param" else repr(response)
            text += f"{rest!r} {rest.metrics()!r} {rest.counters!r} {rest.strategies!r} {rest.session!r}"
        assert_silent(text + log.getvalue(), secrets_of(peer))
        assert peer.seen


@pytest.mark.parametrize("fault", ["quoted in a page", "quoted in an envelope", "reset", "no answer"])
async def test_no_failure_shows_a_private_keys_signature(fault: str, log: io.StringIO) -> None:
    async with (
        Peer(FAULTS[fault]) as peer,
        manager(binance_rest, peer.url, "ed25519", deadline_s=1.0 if "answer" in fault else 5.0) as rest,
    ):
        with pytest.raises(CexnetError) as caught:
            await rest.place_order(LIMIT_BUY)
        text = everything_about(caught.value) + log.getvalue()
        hidden = secrets_of(peer)
        assert any(len(each) == 88 for each in hidden), "the signature in base64 is looked for too"
        assert_silent(text, hidden)


async def test_no_cancellation_shows_a_secret(log: io.StringIO) -> None:
    async with Peer(hang()) as peer, manager(binance_rest, peer.url) as rest:
        asked = asyncio.create_task(rest.place_order(LIMIT_BUY))
        await peer.arrived.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await asked
        text = everything_about(caught.value) + repr(asked) + log.getvalue()
        assert_silent(text, secrets_of(peer))
        peer.arrived.clear()
        try:
            async with asyncio.timeout(None) as limit:
                asking = asyncio.create_task(peer.arrived.wait())
                asking.add_done_callback(lambda done: limit.reschedule(0.0))
                await rest.place_order(LIMIT_BUY)
        except TimeoutError as error:
            assert_silent(everything_about(error), secrets_of(peer))
        else:
            pytest.fail("the time limit did not strike")


async def test_what_fails_before_anything_is_sent_shows_nothing(log: io.StringIO) -> None:
    async with manager(binance_rest, "http://127.0.0.1:9") as rest:
        with pytest.raises(CexnetError) as caught:
            await rest.place_order(LIMIT_BUY)
        text = everything_about(caught.value)
    async with Peer(reply({})) as peer, manager(binance_rest, peer.url) as rest:
        rest.swap(limits=ScopedLimiter([replace(scope, limit=1) for scope in binance_rest.LIMITS]))
        await rest.get("/unlisted", signed=True)
        with pytest.raises(DeadlineExceeded) as late:
            await rest.place_order(LIMIT_BUY, deadline_s=0.05)
        text += everything_about(late.value) + repr(rest.metrics())
        await rest.close()
        with pytest.raises(CexnetError) as caught:
            await rest.place_order(LIMIT_BUY)
        text += everything_about(caught.value)
    async with RestManager(binance_rest.rest_strategies(), base_url="http://127.0.0.1:9") as rest:
        with pytest.raises(CexnetError) as caught:
            await rest.place_order(LIMIT_BUY)
        text += everything_about(caught.value)
    assert_silent(text + log.getvalue(), {API_KEY, API_SECRET})


async def test_what_is_masked_leaves_the_rest_readable() -> None:
    async with Peer(echo(403)) as peer, manager(binance_rest, peer.url) as rest:
        with pytest.raises(
            CexnetError, match=r"HTTP 403: '<html>cannot serve POST /api/v3/order\?symbol=BTC"
        ):
            await rest.place_order(LIMIT_BUY)
    short = reply({"code": -9999, "msg": "key L1s is too short"}, status=400)
    async with Peer(short) as peer, manager(binance_rest, peer.url) as rest:
        with pytest.raises(CexnetError, match="key L1s is too short") as caught:
            await rest.get("/x", params={"listenKey": Secret(LISTEN_KEY)})
    assert caught.value.exchange_message == "key L1s is too short"  # type: ignore[attr-defined]


async def test_the_login_to_a_proxy_that_quotes_it_is_masked(log: io.StringIO) -> None:
    async def quote(seen: Seen, writer: asyncio.StreamWriter) -> None:
        said = f"<html>Proxy-Authorization: {seen.headers['proxy-authorization']}"
        await reply(status=502, body=said.encode())(seen, writer)

    async with Peer(quote) as proxy:
        options = ConnectionOptions(proxy=proxy.url.replace("//", f"//desk:{API_SECRET}@"))
        async with manager(binance_rest, "http://exchange.invalid", options=options) as rest:
            with pytest.raises(ExchangeUnavailable, match="Proxy-Authorization") as caught:
                await rest.server_time_ms()
            text = everything_about(caught.value) + log.getvalue()
    login = proxy.seen[0].headers["proxy-authorization"].removeprefix("Basic ")
    assert_silent(text, {login, API_SECRET})


@pytest.mark.parametrize("name", ["secretKey", "api_secret", "access_token", "apiKey", "passphrase"])
async def test_a_key_that_an_unreadable_answer_issues_is_masked(name: str) -> None:
    issued = reply(body=f'{{"{name}":"{API_SECRET}","id":1'.encode())
    async with Peer(issued) as peer, manager(binance_rest, peer.url) as rest:
        with pytest.raises(OutcomeUnknown, match=f"{name}.*id") as caught:
            await rest.post("/api/v3/subAccountApi", signed=True)
    assert_silent(everything_about(caught.value), {API_SECRET})


async def test_the_cause_of_an_unreadable_answer_is_kept_in_words() -> None:
    async with Peer(reply(body=b'{"lastUpdateId":')) as peer, manager(binance_rest, peer.url) as rest:
        rest.swap(retry=FullJitterRetry(tries=1))
        with pytest.raises(ExchangeUnavailable) as caught:
            await rest.depth("BTCUSDT")
    assert "truncated" in str(caught.value.__cause__)


def test_sealing_leaves_the_callers_own_error_whole() -> None:
    def fail() -> None:
        raise ValueError("inner")

    def frames(error: BaseException) -> list[str]:
        return [frame.name for frame in traceback.extract_tb(error.__traceback__)]

    def handle() -> None:
        try:
            raise KeyError("outer")
        except KeyError:
            sealed_call(fail)

    with pytest.raises(ValueError, match="inner") as caught:
        handle()
    outer = caught.value.__context__
    assert isinstance(outer, KeyError)
    assert frames(outer) == ["handle"]
    assert frames(caught.value)[-1] == "handle", "and the frame that failed is gone"


async def test_sealing_passes_results_and_errors_through() -> None:
    async def works() -> int:
        return 7

    async def fails() -> int:
        raise OutcomeUnknown("x")

    assert await sealed(works()) == 7
    with pytest.raises(OutcomeUnknown, match="x"):
        await sealed(fails())


@pytest.mark.parametrize(
    "url",
    ["https://desk:s3cret@h/x", "https://h?token=s3cret", "https://h?token=a@s3cret", "https://h#s3cret"],
)
def test_an_address_that_is_refused_shows_no_secret(url: str) -> None:
    with pytest.raises(ConfigurationError, match="not an origin") as caught:
        RestManager(binance_rest.rest_strategies(), base_url=url)
    assert "s3cret" not in str(caught.value)


async def test_a_key_in_the_place_of_an_error_code_is_masked() -> None:
    key = "Sh0rtK3y"
    credentials = Credentials(key, Secret(API_SECRET))
    strategies = binance_rest.rest_strategies(credentials=credentials)
    async with (
        Peer(reply({"code": key, "msg": "who is this"}, status=400)) as peer,
        RestManager(strategies, base_url=peer.url, name="binance") as rest,
    ):
        with pytest.raises(ExchangeError) as caught:
            await rest.get("/x", signed=True)
    assert key not in caught.value.exchange_code + str(caught.value)


async def test_a_code_that_is_a_number_hides_no_refusal() -> None:
    class Numbers(type(binance_rest.rest_strategies().exceptions)):  # type: ignore[misc]
        def refusal(self, *given: Any) -> Any:
            error = super().refusal(*given)
            error.exchange_code = int(error.exchange_code)
            return error

    strategies = binance_rest.rest_strategies(credentials=Credentials("key", Secret(API_SECRET)))
    strategies.exceptions.__class__ = Numbers
    async with (
        Peer(reply({"code": -1121, "msg": "Invalid symbol."}, status=400)) as peer,
        RestManager(strategies, base_url=peer.url, name="binance") as rest,
    ):
        with pytest.raises(ExchangeError) as caught:
            await rest.place_order(LIMIT_BUY)
    assert caught.value.exchange_code == -1121
    assert "Invalid symbol" in str(caught.value)
