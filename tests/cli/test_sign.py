"""``cexnet sign`` as a user types it, and that a real request carries the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cexnet.exchanges import binance_rest, gateio_rest, mexc_rest
from cexnet.exchanges.signing import NAMES
from cexnet.http.manager import RestManager
from tests.http.accounts import API_KEY, API_SECRET, CREDENTIALS
from tests.http.peer import Peer, reply

ORDER = ["symbol=LTCBTC", "side=BUY", "type=LIMIT", "timeInForce=GTC", "quantity=1", "price=0.1"]
KEYS = {"CEXNET_API_KEY": API_KEY, "CEXNET_API_SECRET": API_SECRET}


def cexnet(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("CEXNET_")}
    return subprocess.run(
        [sys.executable, "-m", "cexnet", "sign", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**clean, **environment},
    )


def signed(*arguments: str, **environment: str) -> dict[str, Any]:
    done = cexnet(*arguments, "--json", **(environment or KEYS))
    assert done.returncode == 0, done.stderr
    request: dict[str, Any] = json.loads(done.stdout)
    return request


def params(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("--param", pair)]


def test_binances_own_example() -> None:
    # binance/binance-spot-api-docs, rest-api.md: "SIGNED endpoint examples".
    place = ("--exchange", "binance", "--method", "POST", "--path", "/api/v3/order")
    assert signed(*place, *params(*ORDER), "--timestamp-ms", "1499827319559") == {
        "exchange": "binance",
        "method": "POST",
        "url": "https://api.binance.com/api/v3/order?symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC"
        "&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
        "&signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
        "headers": {"X-MBX-APIKEY": API_KEY},
        "body": "",
    }


def test_without_json_it_reads_like_a_request() -> None:
    done = cexnet(
        *("--exchange", "gateio", "--method", "post", "--path", "/api/v4/spot/orders"),
        *("--body", '{"a":1}', "--timestamp-ms", "1541993715000"),
        CEXNET_GATEIO_API_KEY="key",
        CEXNET_GATEIO_API_SECRET="secret",
        **KEYS,
    )
    assert done.returncode == 0, done.stderr
    first, *headers, empty, body = done.stdout.splitlines()
    assert first == "POST https://api.gateio.ws/api/v4/spot/orders"
    assert "KEY: key" in headers, "an exchange's own variables go first"
    assert [line.split(":")[0] for line in headers] == ["Content-Type", "KEY", "Timestamp", "SIGN"]
    assert (empty, body) == ("", '{"a":1}')


def test_values_may_hold_anything_and_be_empty() -> None:
    request = signed(
        *("--exchange", "mexc", "--method", "GET", "--path", "/api/v3/order", "--timestamp-ms", "1"),
        *params("q=a b&c=d", "empty=", "-dash=-1", 'symbols=["A","B"]', "twice=1", "twice=2"),
    )
    query = request["url"].partition("?")[2]
    assert query.startswith(
        "q=a%20b%26c%3Dd&empty=&-dash=-1&symbols=%5B%22A%22%2C%22B%22%5D&twice=1&twice=2&recvWindow=5000"
        "&timestamp=1&signature="
    )


def test_the_help_names_every_exchange_and_variable() -> None:
    shown = " ".join(cexnet("--help").stdout.replace("│", " ").split())
    for word in (*NAMES, "CEXNET_API_KEY", "CEXNET_API_SECRET", "CEXNET_PASSPHRASE", "NAME_FILE"):
        assert word in shown


def test_a_mounted_secret_and_the_other_options(tmp_path: Path) -> None:
    mounted = tmp_path / "secret"
    mounted.write_text("AMANDASECRECT\n")
    request = signed(
        *("--exchange", "deribit", "--method", "GET", "--timestamp-ms", "1576074319000"),
        *("--path", "/api/v2/private/get_account_summary", "--param", "currency=BTC"),
        *("--nonce", "1iqt2wls", "--base-url", "https://test.deribit.com/"),
        CEXNET_API_KEY="AMANDA",
        CEXNET_API_SECRET_FILE=str(mounted),
    )
    assert request["url"].startswith("https://test.deribit.com/api/v2/private/get_account_summary?")
    assert request["headers"]["Authorization"].endswith(
        "sig=9bfbc51a2bc372d72cc396cf1a213dc78d42eb74cb7dc272351833ad0de276ab"
    )


@pytest.mark.parametrize(
    "arguments, environment, words",
    [
        (["--exchange", "nasdaq"], KEYS, "cannot sign for 'nasdaq': choose one of binance"),
        (["--exchange", "binance"], {}, "set CEXNET_API_KEY or CEXNET_API_KEY_FILE"),
        (["--exchange", "okx"], KEYS, "credentials.passphrase is missing"),
        (["--exchange", "binance", "--param", "x"], KEYS, "--param 'x' must be NAME=VALUE"),
        (["--exchange", "binance", "--path", "/a?b=c"], KEYS, "must start with a slash and hold no query"),
        (["--exchange", "binance", "--path", "/a b"], KEYS, "the path must be percent-encoded"),
        (["--exchange", "okx"], {**KEYS, "CEXNET_PASSPHRASE": "a\nb"}, "header 'OK-ACCESS-PASSPHRASE'"),
        (["--exchange", "binance", "--body", "\udcff"], KEYS, "--body is not text in UTF-8"),
        (["--exchange", "htx", "--timestamp-ms", "253402300800000"], KEYS, "is not a time from 1970 to 9999"),
        (["--exchange", "binance", "--base-url", "ftp://h"], KEYS, "'ftp://h' is not an origin"),
    ],
)
def test_a_foreseen_failure_is_one_sentence(
    arguments: list[str], environment: dict[str, str], words: str
) -> None:
    path = [] if "--path" in arguments else ["--path", "/p"]
    done = cexnet(*arguments, "--method", "GET", *path, **environment)
    assert done.returncode == 2
    assert words in done.stderr
    assert API_SECRET not in done.stdout + done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "name, module", [("binance", binance_rest), ("gateio", gateio_rest), ("mexc", mexc_rest)]
)
async def test_a_real_request_carries_the_same(name: str, module: Any) -> None:
    body = b'{"a":[1,2]}'
    given: list[tuple[str, str]] = [("q", "ä b"), ("empty", ""), ("n", "1")]
    async with Peer(reply({})) as peer:
        strategies = module.rest_strategies(credentials=CREDENTIALS)
        async with RestManager(strategies, base_url=peer.url) as rest:
            await rest.post("/unlisted", params=given, body=body, signed=True)
    (seen,) = peer.seen
    stamp_ms = seen.query.get("timestamp") or f"{seen.headers['timestamp']}000"
    request = signed(
        *("--exchange", name, "--method", "POST", "--path", "/unlisted", "--body", body.decode()),
        *params(*(f"{key}={value}" for key, value in given)),
        *("--timestamp-ms", stamp_ms, "--base-url", peer.url),
    )
    assert request["url"] == peer.url + seen.target
    assert request["body"].encode() == seen.body
    assert {
        header.lower(): text for header, text in request["headers"].items()
    }.items() <= seen.headers.items()
