"""Configuration: who wins, what is refused and in which words, what is shown."""

from __future__ import annotations

import re
import ssl
import tomllib
from importlib.resources import files
from pathlib import Path
from traceback import TracebackException

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from cexnet.config import (
    Config,
    ExchangeConfig,
    LogConfig,
    NetworkConfig,
    WebSocketConfig,
    as_toml,
    config_from_dict,
    load,
    load_config,
    rows,
)
from cexnet.config.layers import Layer, merge
from cexnet.credentials import Credentials, Secret
from cexnet.http.hedge import HedgePolicy
from cexnet_core.errors import ConfigurationError

TEXT = """
[websocket]
redundancy = 2
[websocket.reconnect]
base_s = 0.1
[rest]
deadline_s = 9.0
[exchange.binance]
rest_url = "https://testnet.example"
[exchange.binance.websocket]
whole_books = true
[exchange.binance.credentials]
api_key = "visible-key"
api_secret = "hidden-secret"
[env.production.rest]
deadline_s = 3.0
"""


_SUBSCRIBED = "[exchange.binance]\nsubscriptions = "


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "engine.toml"
    path.write_text(TEXT)
    return path


def test_each_layer_wins_over_the_one_below(path: Path) -> None:
    def deadline_s(environ: dict[str, str], **options: object) -> float:
        return load(path, environ=environ, **options).config.rest.deadline_s  # type: ignore[arg-type]

    variable = {"CEXNET__REST__DEADLINE_S": "2.5"}
    assert load(None, environ={}).config.rest.deadline_s == 10.0
    assert deadline_s({}) == 9.0
    assert deadline_s({}, env="production") == 3.0
    assert deadline_s({"CEXNET_ENV": "production"}) == 3.0
    assert deadline_s(variable, env="production") == 2.5
    assert deadline_s(variable, env="production", overrides={"rest": {"deadline_s": 1}}) == 1.0


def test_an_exchange_names_only_what_differs(path: Path) -> None:
    config = load_config(path)
    binance, other = config.websocket_of("binance"), config.websocket_of("gateio")
    assert (binance.whole_books, binance.redundancy, binance.reconnect.base_s) == (True, 2, 0.1)
    assert (other.whole_books, other.redundancy) == (False, 2)
    assert config.rest_of("binance") is config.rest


def test_environment_reaches_credentials_of_digits() -> None:
    environ = {
        "CEXNET__EXCHANGE__GATEIO__CREDENTIALS__API_KEY": "12345",
        "CEXNET__EXCHANGE__GATEIO__CREDENTIALS__API_SECRET": "67890",
    }
    credentials = load(None, environ=environ).config.of("gateio").credentials
    assert credentials is not None
    assert credentials.api_key == "12345"
    assert credentials.api_secret == Secret("67890")


@pytest.mark.parametrize(
    "text, words",
    [
        ("[rest]\ndeadline_s = 'soon'", "rest.deadline_s = 'soon'"),
        ("[rest]\ndeadline_s = '5'", "expected `float`"),
        ("[rest]\ndeadline_s = 0", "> 0"),
        ("[rest]\ndeadlin_s = 1", "did you mean deadline_s?"),
        ("[websocket.reconnect]\nbas_s = 1", "websocket.reconnect.bas_s"),
        ("[websocket.reconnect]\nbase_s = -1", "websocket.reconnect = {'base_s': -1} ("),
        ("[exchange.okx.rest.breaker]\nprobes = 0", "exchange.okx.rest.breaker = {'probes': 0} ("),
        (
            "[websocket.liveness]\ncheck_s = 0\n[rest]\ndeadline_s = 'x'",
            "websocket.liveness = {'check_s': 0} (",
        ),
        ("[env.test.rest.hedging]\nshare = 2", "[env.test]): HedgePolicy"),
        ("[log]\nlevel = 'loud'", "choose one of debug, info, warning, error"),
        ("[targets]\nremedies = ['prob']", "targets.remedies[0] = 'prob'"),
        (_SUBSCRIBED + "[{channel = 'ticks', symbol = 'A'}]", "subscriptions[0].channel = 'ticks'"),
        (_SUBSCRIBED + "[{channel = 'ticks', symbol = 'A'}]", "choose one of trades, book_ticker"),
        (_SUBSCRIBED + "[{channel = 'trades'}]", "exchange.binance.subscriptions[0] ("),
        (_SUBSCRIBED + "[{channel = 'trades', symb = 'A'}]", "did you mean symbol?"),
        ("[exchang.binance]", "did you mean exchange?"),
        ("exchange = 5", "table of tables"),
        ("[exchange]\nbinance = 5", "exchange.binance"),
        ("[network]\nclient_key = 'x'", "client_certificate"),
        ("[env]\nproduction = 5", "[env.production]"),
        ("[env.test.rest]\nconnections = 'x'", "[env.test]"),
        ("[rest", "is not TOML"),
        ("rest = " + "[" * 100_000, "is not TOML: maximum recursion depth"),
        ("[rest]\nconnections = " + "9" * 5_000, "is not TOML: Exceeds the limit"),
    ],
)
def test_what_is_wrong_is_said_with_key_and_source(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        load_config(path)


def test_a_missing_file_and_an_unknown_environment(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ConfigurationError, match="does not exist"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigurationError, match=r"no \[env.staging\]: choose one of production"):
        load_config(path, env="staging")


@pytest.mark.parametrize("wrong", ["api_key = 'k\u00e9y'", "api_key = ''"])
def test_wrong_credentials_are_those_of_an_exchange_and_not_shown(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f"[exchange.gateio.credentials]\n{wrong}\napi_secret = 's3cret'")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert f"exchange.gateio.credentials ({path}): " in str(caught.value)
    assert "k\u00e9y" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_login_in_a_url_is_not_repeated_wherever_it_stands() -> None:
    for wrong in (
        {"exchange": {"gateio": {"rest_url": ["https://me:s3cret@host"]}}},
        {"exchange": {"gateio": {"websocket_url": {"url": "wss://host?key=s3cret"}}}},
        {"rest": {"deadline_s": "https://me:s3cret@host"}},
    ):
        with pytest.raises(ConfigurationError) as caught:
            config_from_dict(wrong)
        assert "s3cret" not in str(caught.value)


def test_no_repr_shows_what_a_url_hides() -> None:
    url = "wss://me:s3cret@host/ws?token=s3cret"
    config = Config(exchange={"binance": ExchangeConfig(websocket_url=url, rest_url=url)})
    assert "s3cret" not in repr(config)
    assert repr(ExchangeConfig(rest_url="https://host")).count("'https://host'") == 1


@pytest.mark.parametrize(
    "proxy",
    ["http://u:s3cret@[host", "http://u:s3cret@host:99999", "ftp://u:s3cret@host:21", "localhost:3128", ""],
)
def test_a_proxy_that_is_no_url_is_refused(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="proxy must be a URL like") as caught:
        config_from_dict({"network": {"proxy": proxy}})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("address", ["nope", "192.0.2.7:0", ""])
def test_a_local_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match=f"local_address is '{address}': give an IP address"):
        config_from_dict({"network": {"local_address": address}})


def test_a_credential_may_be_kept_in_another_place_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("of production\n")
    path = tmp_path / "engine.toml"
    path.write_text(
        f"""
[exchange.binance.credentials]
api_key = "k"
api_secret = {{ env = "CEXNET_TEST_SECRET" }}
[env.production.exchange.binance.credentials]
api_secret = {{ file = {str(tmp_path / "secret")!r} }}
"""
    )
    monkeypatch.setenv("CEXNET_TEST_SECRET", "of a desk")
    for env, secret in ((None, b"of a desk"), ("production", b"of production")):
        credentials = load_config(path, env=env).exchange["binance"].credentials
        assert credentials is not None
        assert credentials.api_secret.reveal() == secret


def test_a_traceback_with_its_locals_shows_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CEXNET_TEST_API_KEY", "k\u00e9y")
    monkeypatch.setenv("CEXNET_TEST_API_SECRET", "s3cret")
    for attempt in (
        lambda: load_config(tmp_path / "none.toml", rest={"deadline_s": "s3cret"}),
        lambda: Credentials.from_environment("CEXNET_TEST"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            attempt()
        told = TracebackException.from_exception(caught.value, capture_locals=True)
        frames = [frame for frame in told.stack if "tests" not in Path(frame.filename).parts]
        assert frames
        assert "s3cret" not in str([frame.locals for frame in frames])


def test_a_path_that_none_can_be_is_a_configuration_error() -> None:
    tree = {"exchange": {"binance": {"credentials": {"api_key": "k", "api_secret": {"file": "a\0b"}}}}}
    with pytest.raises(ConfigurationError, match="cannot read"):
        config_from_dict(tree)
    with pytest.raises(ConfigurationError, match="for TLS"):
        NetworkConfig(ca_file="a\0b").ssl_context()


def test_what_is_no_tree_is_said_to_be_none() -> None:
    with pytest.raises(ConfigurationError, match="expected a dict of tables, got NoneType"):
        config_from_dict(None)  # type: ignore[arg-type]


def test_a_key_that_is_no_text_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigurationError, match=r"rest\.1 \(keyword\) is not known"):
        load_config(rest={1: 2})


@pytest.mark.parametrize("value", ["5", "true", "[1]"])
def test_no_secret_in_a_refusal(tmp_path: Path, value: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(f"[exchange.binance.credentials]\napi_key = 'k3y'\napi_secret = {value}\npin = 'p1n'")
    with pytest.raises(ConfigurationError) as caught:
        load_config(path)
    assert "k3y" not in str(caught.value)
    assert "p1n" not in str(caught.value)


def test_rows_name_sources_and_mask_secrets(path: Path) -> None:
    shown = {row.key: row for row in rows(load(path, env="production", environ={}))}
    assert shown["rest.deadline_s"].source == f"{path} [env.production]"
    assert shown["websocket.redundancy"].source == str(path)
    assert shown["rest.connections"].source == "default"
    assert shown["exchange.binance.websocket.reconnect.base_s"].source == str(path)
    text = "\n".join(map(str, shown.values()))
    assert "visible-key" not in text
    assert "hidden-secret" not in text


def test_rows_show_no_login_of_a_url() -> None:
    login = "engine:hunter2"
    own = {"rest_url": f"https://{login}@host:1", "websocket_url": "wss://host/x@y"}
    shown = {row.key: row.value for row in rows(load(None, overrides={"exchange": {"okx": own}}))}
    assert shown["exchange.okx.rest_url"] == "https://****@host:1"
    assert shown["exchange.okx.websocket_url"] == own["websocket_url"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://host/ws?token=s3cret", "wss://host/ws?token=****"),
        ("wss://host/ws?a=s3cret&b=s3cret=&s3cret#s3cret", "wss://host/ws?a=****&b=****&****#****"),
        ("https://s3cret:s3cret@host?token=s3@cret", "https://****@host?token=****"),
        ("host?s3cret", "host?****"),
        ("s3cret@host", "****@host"),
    ],
)
def test_rows_show_nothing_of_a_url_that_may_be_secret(url: str, shown: str) -> None:
    own = {"rest_url": url, "websocket_url": url, "private_websocket_url": url}
    found = {row.key: row.value for row in rows(load(None, overrides={"exchange": {"okx": own}}))}
    assert [found[f"exchange.okx.{key}"] for key in own] == [shown] * 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "not set"),
        (True, "true"),
        (False, "false"),
        (1.5, "1.5"),
        (7, "7"),
        ('a "quoted" text', r'"a \"quoted\" text"'),
        (["probe", "roll"], '["probe", "roll"]'),
        ([{"channel": "trades", "symbol": "X", "bound": None}], '[{ channel = "trades", symbol = "X" }]'),
    ],
)
def test_values_are_shown_as_a_file_says_them(value: object, text: str) -> None:
    assert as_toml(value) == text


def test_what_is_shown_can_be_put_in_a_file() -> None:
    whole = [row for row in rows(load(None)) if row.value is not None]
    again = tomllib.loads("\n".join(f"{row.key} = {as_toml(row.value)}" for row in whole))
    assert config_from_dict(again) == Config()


def test_the_example_holds_the_defaults() -> None:
    """Every commented value of the example is a key of the tree; most show the default."""
    text = files("cexnet.config").joinpath("example.toml").read_text(encoding="utf-8")
    assert config_from_dict({}) == Config()
    live = re.sub(r"(?m)^# (?=\w+ = |\[|\]|    \{)", "", text)
    assert live.count("=") > 20
    tree = tomllib.loads(live)
    overlays = tree.pop("env")
    assert set(overlays) == {"production"}
    config = config_from_dict(tree)
    assert config.websocket.liveness == Config().websocket.liveness
    assert config.websocket.reconnect.base_s == Config().websocket.reconnect.base_s
    assert config.rest.breaker == Config().rest.breaker
    assert config.rest.hedging == HedgePolicy()
    assert structs.replace(config.rest, hedging=None, clock_every_s=None) == Config().rest
    assert config.log == LogConfig(level="info")
    assert structs.replace(config.targets, queue_wait_ms=None) == Config().targets
    assert config.websocket.queue == Config().websocket.queue
    assert [each.sheddable for each in config.of("binance").subscriptions] == [False, True]


def test_python_values_are_checked_too() -> None:
    with pytest.raises(ConfigurationError, match="ExchangeConfig"):
        Config(exchange={"binance": {"rest_url": "x"}})  # type: ignore[dict-item]
    config = Config(exchange={"mexc": ExchangeConfig(websocket=WebSocketConfig(redundancy=3))})
    assert config.websocket_of("mexc").redundancy == 3


def test_tls_files(tmp_path: Path) -> None:
    assert Config().network.ssl_context() is None
    missing = config_from_dict({"network": {"ca_file": str(tmp_path / "ca.pem")}})
    with pytest.raises(ConfigurationError, match=r"ca\.pem"):
        missing.network.ssl_context()
    known = ssl.get_default_verify_paths().cafile
    if known is not None:
        context = config_from_dict({"network": {"ca_file": known}}).network.ssl_context()
        assert context is not None
        assert context.verify_mode is ssl.CERT_REQUIRED


TREES = st.recursive(
    st.integers(0, 3),
    lambda below: st.dictionaries(st.sampled_from("abc"), below, min_size=1, max_size=3),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


def overlaid(lower: object, upper: object) -> object:
    """The slow, obvious merge."""
    if not isinstance(lower, dict) or not isinstance(upper, dict):
        return upper
    return {
        key: overlaid(lower[key], upper[key])
        if key in lower and key in upper
        else (upper if key in upper else lower)[key]
        for key in {**lower, **upper}
    }


@given(st.lists(TREES, min_size=1, max_size=4))
def test_merge_is_key_by_key(trees: list[dict[str, object]]) -> None:
    merged = merge([Layer(str(number), tree) for number, tree in enumerate(trees)])
    wanted: object = {}
    for tree in trees:
        wanted = overlaid(wanted, tree)
    assert merged.tree == wanted
    for path, source in merged.sources.items():
        value: object = trees[int(source)]
        final: object = merged.tree
        for key in path:
            assert isinstance(value, dict)
            assert isinstance(final, dict)
            value, final = value[key], final[key]
        assert value == final
