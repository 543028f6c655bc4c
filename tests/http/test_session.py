"""The pool: reuse, warm connections, ways through proxies, TLS, bounds and redirects."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from pathlib import Path
from typing import Any

import pytest

from cexnet.exchanges import binance_rest
from cexnet.exchanges.binance_rest import BinanceRequests
from cexnet.http.connector import ConnectionOptions, tls_context
from cexnet.http.endpoint import Call
from cexnet.http.manager import RestManager
from cexnet.http.meters import MeterRegistry
from cexnet_core.errors import (
    Banned,
    ConfigurationError,
    ExchangeError,
    ExchangeUnavailable,
    OutcomeUnknown,
    RequestNotSent,
)
from tests.http.accounts import LIMIT_BUY
from tests.http.client import PLACED, TIME, manager, strategies
from tests.http.leaks import sockets, tasks, until
from tests.http.peer import Peer, Seen, head, raw, reply
from tests.websocket.certificates import identity, self_signed
from tests.websocket.proxies import http_proxy, socks4_proxy, socks5_proxy

MIB = 2**20


async def test_ten_thousand_requests_reuse_their_connections_and_leave_no_socket() -> None:
    async with Peer(reply(TIME)) as peer:
        before = sockets()
        async with RestManager(
            binance_rest.rest_strategies(limits=()), base_url=peer.url, connections=16, deadline_s=120.0
        ) as rest:

            async def worker() -> None:
                for _ in range(625):
                    await rest.server_time_ms()

            await asyncio.gather(*[worker() for _ in range(16)])
            usage = rest.session.usage
            assert usage.requests == len(peer.seen) == 10_000
            assert usage.sockets == peer.connections <= 16
            assert usage.reuse >= 0.99
        await until(lambda: not peer.open, "the server sees every connection closed")
        await until(lambda: sockets() <= before, "no more sockets than before")


async def test_prewarmed_connections_serve_as_many_requests_at_once() -> None:
    gate = asyncio.Event()

    async def hold(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        await reply(TIME)(seen, writer)

    async with Peer(reply({}), reply({}), reply({}), reply({}), hold) as peer, manager(peer) as rest:
        await rest.prewarm(4)
        assert (peer.connections, rest.session.usage.sockets) == (4, 4)
        requests = [asyncio.create_task(rest.server_time_ms()) for _ in range(4)]
        await until(lambda: len(peer.seen) == 8, "all four have been sent")
        gate.set()
        await asyncio.gather(*requests)
        assert {seen.connection for seen in peer.seen[4:]} == {1, 2, 3, 4}
        assert rest.session.usage.reuse == 0.5


async def test_connections_are_kept_warm_until_told_otherwise() -> None:
    async with Peer(reply({})) as peer, manager(peer) as rest:
        before = tasks()
        await rest.keep_warm(2, every_s=0.001)
        await until(lambda: len(peer.seen) >= 10, "pings go out again and again")
        assert peer.connections == 2
        await rest.keep_warm(1, every_s=3600.0)
        await rest.keep_warm(0)
        assert {task for task in tasks() - before if "warm" in task.get_name()} == set()
        for connections, every_s in ((-1, 1.0), (1, 0.0), (1, float("nan"))):
            with pytest.raises(ConfigurationError):
                await rest.keep_warm(connections, every_s=every_s)
        await rest.keep_warm(1)
        await asyncio.gather(rest.keep_warm(1), rest.keep_warm(1))
    assert {task for task in tasks() if "warm" in task.get_name()} == set()
    with pytest.raises(ConfigurationError, match="is closed"):
        await rest.keep_warm(1)
    assert {task for task in tasks() if "warm" in task.get_name()} == set()


async def test_close_ends_warmth_whose_pings_wait_for_a_ban() -> None:
    ban = reply({"code": -1003, "msg": "banned"}, status=418, headers={"Retry-After": "20"})
    # The other's breakers know nothing of the ban: its pings stand in the limiter's line.
    meters = MeterRegistry()
    async with Peer(ban) as peer, manager(peer, meters=meters) as banned:
        with pytest.raises(Banned):
            await banned.ping()
        other = manager(peer, meters=meters, deadline_s=60.0)
        await other.keep_warm(3)
        await until(lambda: sum(other.limits().waiting.values()) == 3, "the pings wait")
        async with asyncio.timeout(5.0):
            await other.close()
    assert {task for task in tasks() if "warm" in task.get_name()} == set()


async def test_warmth_survives_a_server_that_is_down(caplog: pytest.LogCaptureFixture) -> None:
    down = reply(status=503, body=b"")
    async with Peer(*[down] * 9, reply({})) as peer, manager(peer) as rest:
        await rest.keep_warm(1, every_s=0.001)
        await until(lambda: len(peer.seen) > 15, "pings go on after failures")
        assert "not kept warm" in caplog.text


async def test_warmth_survives_a_strategy_that_is_broken(caplog: pytest.LogCaptureFixture) -> None:
    asked = 0

    class Broken(BinanceRequests):
        def ping(self) -> Call[None]:
            nonlocal asked
            asked += 1
            raise LookupError("no such row")

    async with Peer(reply({})) as peer, manager(peer) as rest:
        rest.swap(request=Broken(binance_rest.ENDPOINTS, default_scopes=()))
        await rest.keep_warm(1, every_s=0.001)
        await until(lambda: asked > 3, "pings go on after failures")
        assert "no such row" in caplog.text


@pytest.mark.parametrize("proxy", [socks5_proxy, socks4_proxy], ids=["socks5", "socks4"])
async def test_through_a_socks_proxy(proxy: Any) -> None:
    async with (
        Peer(reply(PLACED)) as peer,
        proxy() as (url, seen),
        manager(peer, options=ConnectionOptions(proxy=url)) as rest,
    ):
        for _ in range(3):
            assert (await rest.place_order(LIMIT_BUY)).order_id == "7"
        assert seen == [peer.url.removeprefix("http://")]
        assert rest.session.usage.sockets == 1
        assert rest.session.way == url


@pytest.mark.parametrize("proxy", [http_proxy, socks5_proxy], ids=["CONNECT", "socks5"])
async def test_tls_through_a_proxy_with_an_authority_of_our_own(proxy: Any) -> None:
    server, client = self_signed("localhost")
    async with Peer(reply(TIME), tls=server) as peer, proxy() as (url, seen):
        options = ConnectionOptions(proxy=url, ssl_context=client)
        async with manager(peer, options=options) as rest:
            assert await rest.server_time_ms() == TIME["serverTime"]
            assert len(seen) == 1
            assert {budget.scope.name: budget.remaining for budget in rest.limits().budgets} == {
                "ip_weight": 5999,
                "ip_requests": 60_999,
            }
        async with manager(peer, options=ConnectionOptions(proxy=url)) as rest:
            with pytest.raises(RequestNotSent, match="certificate"):
                await rest.place_order(LIMIT_BUY)
        assert len(peer.seen) == 1


async def test_a_proxy_that_refuses_has_sent_nothing() -> None:
    server, client = self_signed("localhost")
    async with Peer(reply(PLACED), tls=server) as peer:
        async with http_proxy(status=407) as (url, _), socks5_proxy(reply=2) as (socks, _):
            for proxy, said in ((url, "the proxy answered 407"), (socks, "SOCKS proxy did not connect us")):
                options = ConnectionOptions(proxy=proxy, ssl_context=client)
                async with manager(peer, options=options) as rest:
                    with pytest.raises(RequestNotSent, match=said) as caught:
                        await rest.place_order(LIMIT_BUY)
                    assert caught.value.outcome == "not_sent"
        assert peer.seen == []


async def test_a_login_to_the_proxy_is_shown_to_nobody_else() -> None:
    async with Peer(reply(TIME)) as peer, socks5_proxy(login=b"desk:s3cret") as (url, seen):
        options = ConnectionOptions(proxy=url.replace("//", "//desk:s3cret@"))
        async with manager(peer, options=options) as rest:
            await rest.ping()
            assert len(seen) == 1
            assert "s3cret" not in repr(options) + repr(rest) + rest.session.way
        wrong = ConnectionOptions(proxy=url.replace("//", "//desk:0ther@"))
        async with manager(peer, options=wrong) as rest:
            with pytest.raises(RequestNotSent) as caught:
                await rest.ping()
            assert "0ther" not in repr(caught.value)


@pytest.mark.parametrize("proxy", ["ftp://h:1", "socks5://", "s3cret", "http://h:99999999"])
def test_what_is_no_proxy_url(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="not a proxy URL") as caught:
        ConnectionOptions(proxy=proxy)
    assert "s3cret" not in str(caught.value)


async def test_our_own_address() -> None:
    async with Peer(reply({})) as peer:
        async with manager(peer, options=ConnectionOptions(local_address=("127.0.0.1", 0))) as rest:
            await rest.ping()
        assert peer.seen[0].address == rest.session.way == "127.0.0.1"
        async with manager(peer, options=ConnectionOptions(local_address=("192.0.2.1", 0))) as rest:
            with pytest.raises(RequestNotSent):
                await rest.ping()


async def test_a_client_certificate_and_an_authority_from_files(tmp_path: Path) -> None:
    ours = identity("desk")
    server, _ = self_signed("localhost", trusted_client=ours)
    own = identity("localhost")
    own.load_into(server)
    authority, certificate, key = (tmp_path / name for name in ("ca.pem", "crt.pem", "key.pem"))
    authority.write_text(own.certificate)
    certificate.write_text(ours.certificate)
    key.write_text(ours.key)
    context = tls_context(ca_file=str(authority), client_certificate=str(certificate), client_key=str(key))
    async with Peer(reply({}), tls=server) as peer:
        async with manager(peer, options=ConnectionOptions(ssl_context=context)) as rest:
            await rest.ping()
            assert len(peer.seen) == 1
        stranger = ConnectionOptions(ssl_context=tls_context(ca_file=str(authority)))
        async with manager(peer, options=stranger) as rest:
            with pytest.raises((RequestNotSent, ExchangeUnavailable)):
                await rest.ping()
        assert len(peer.seen) == 1
    for wrong in (
        {"ca_file": str(tmp_path / "none.pem")},
        {"ca_file": str(key)},
        {"client_certificate": str(authority)},
        {"client_key": str(key)},
    ):
        with pytest.raises(ConfigurationError):
            tls_context(**wrong)


@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate", "chunked"])
async def test_a_body_is_bounded_however_it_is_packed(coding: str) -> None:
    body = bytes(64 * MIB)
    fields = {"Content-Encoding": coding}
    if coding == "identity":
        fields = {}
    elif coding == "gzip":
        body = gzip.compress(body)
    elif coding == "deflate":
        body = zlib.compress(body)
    else:
        fields = {"Transfer-Encoding": "chunked"}
        body = b"100000\r\n" + bytes(MIB) + b"\r\n"
        body = body * 8
    if coding != "chunked":
        fields["Content-Length"] = str(len(body))
    async with (
        Peer(raw(head(200, fields) + body), reply(PLACED)) as peer,
        manager(peer, max_body_bytes=MIB, connections=1) as rest,
    ):
        with pytest.raises(OutcomeUnknown, match="exceeds 1048576 bytes"):
            await rest.place_order(LIMIT_BUY)
        # What is left of that body is not taken for the next answer.
        assert (await rest.place_order(LIMIT_BUY)).order_id == "7"
        assert peer.connections == 2


@pytest.mark.parametrize("body", [b"", b" " * 200_000 + b"{}"], ids=["empty", "larger than one read"])
async def test_a_body_within_the_bound_is_read_whole(body: bytes) -> None:
    async with Peer(reply(body=body)) as peer, manager(peer) as rest:
        response = await rest.request("GET", "/api/v3/ping", type=None) if body else None
        assert response is None or response.data == {}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_redirect_is_an_error_and_goes_nowhere(status: int, method: str) -> None:
    async with Peer(reply({})) as elsewhere:
        moved = reply(status=status, body=b"", headers={"Location": elsewhere.url + "/api/v3/order"})
        async with Peer(moved) as peer, manager(peer) as rest:
            with pytest.raises(ExchangeError, match="redirect, which is never followed"):
                await rest.request(method, "/api/v3/other", idempotent=False)
            assert len(peer.seen) == 1
        assert elsewhere.connections == 0


async def test_strategies_that_count_for_one_host_do_not_serve_another() -> None:
    shared = strategies()
    async with Peer(reply({})) as peer, RestManager(shared, base_url=peer.url) as rest:
        await rest.ping()
        with pytest.raises(ConfigurationError, match="another host"):
            RestManager(shared, base_url="http://a.example")
