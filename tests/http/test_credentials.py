"""Secrets that do not show, and every place that they may come from."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cexnet import ExchangeConfig, load_config
from cexnet.credentials import Credentials, Secret, secret_from
from cexnet_core.errors import ConfigurationError
from cexnet_core.query import encode

CREDENTIALS = Credentials("abcdefghij", Secret("hunter2"), Secret("the-passphrase"), Secret("the-password"))


def test_a_secret_shows_nowhere_but_when_revealed() -> None:
    secret = CREDENTIALS.api_secret
    settings = ExchangeConfig(credentials=CREDENTIALS)
    shown = f"{secret!r} {secret} {secret:>20} {CREDENTIALS!r} {CREDENTIALS} {[secret]} {settings!r}"
    shown += "%s %r" % (secret, secret)  # noqa: UP031 - what logging does
    for hidden in ("hunter2", "abcdefghij", "abcd", "the-passphrase", "the-password"):
        assert hidden not in shown
    assert secret.reveal() == b"hunter2"


@pytest.mark.parametrize(
    "take",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        hash,
        lambda secret: pickle.dumps(Credentials("key", secret)),
        lambda secret: dataclasses.asdict(Credentials("key", secret)),
        msgspec.json.encode,
        msgspec.msgpack.encode,
        lambda secret: msgspec.json.encode(Credentials("key", secret)),
        lambda secret: msgspec.json.encode(ExchangeConfig(credentials=Credentials("key", secret))),
    ],
)
def test_a_secret_leaves_no_copies(take: Any) -> None:
    with pytest.raises(TypeError) as caught:
        take(Secret("hunter2"))
    assert "hunter2" not in str(caught.value)


def test_an_encoder_told_to_use_text_gets_the_mask() -> None:
    assert msgspec.json.encode([Secret("hunter2")], enc_hook=str) == b'["****"]'


def test_equality() -> None:
    assert Secret("a") == Secret(b"a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_wrong_values_are_named() -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        Secret("")
    with pytest.raises(ConfigurationError, match="text or bytes, not int"):
        Secret(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="half of a character") as caught:
        Secret("hunter\udcff2")  # as os.environ gives a byte that is no UTF-8
    assert caught.value.__context__ is None, "a UnicodeEncodeError would hold the secret"
    for field in ("api_secret", "passphrase", "key_password"):
        values: dict[str, Any] = {"api_secret": Secret("s"), field: "plain text"}
        with pytest.raises(ConfigurationError, match=f"credentials.{field} must be a Secret"):
            Credentials("key", **values)
    with pytest.raises(ConfigurationError, match="api_key"):
        Credentials("key\r\nX: 1", Secret("s"))


def test_a_secret_is_a_parameter_like_any_other() -> None:
    assert encode({"listenKey": Secret("a/b")}) == "listenKey=a%2Fb"


def test_from_the_environment(tmp_path: Path) -> None:
    mounted = tmp_path / "secret"
    mounted.write_text("from a file\n")
    found = Credentials.from_environment(
        "X",
        {"X_API_KEY": "key", "X_API_SECRET_FILE": str(mounted), "X_PASSPHRASE": "p", "Y_KEY_PASSWORD": "no"},
    )
    assert found == Credentials("key", Secret("from a file"), Secret("p"))


@pytest.mark.parametrize(
    "environment, words",
    [
        ({}, "set X_API_KEY or X_API_KEY_FILE"),
        ({"X_API_KEY": "key"}, "set X_API_SECRET or X_API_SECRET_FILE"),
        ({"X_API_KEY": "key", "X_API_SECRET": ""}, "X_API_SECRET is empty"),
        ({"X_API_KEY": "key", "X_API_SECRET": "a", "X_API_SECRET_FILE": "b"}, "both X_API_SECRET and"),
        (
            {"X_API_KEY": "key", "X_API_SECRET_FILE": "/nowhere/x"},
            "X_API_SECRET_FILE: cannot read /nowhere/x",
        ),
    ],
)
def test_an_environment_that_lacks_something_is_told_what(environment: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Credentials.from_environment("X", environment)


def keyring(monkeypatch: pytest.MonkeyPatch, entries: dict[tuple[str, str], str]) -> type[Exception]:
    """A stand-in for the keyring package, which is an extra."""

    class KeyringError(Exception):
        pass

    def get_password(service: str, user: str) -> str | None:
        if service == "locked":
            raise KeyringError("the keyring is locked")
        return entries.get((service, user))

    package, errors = types.ModuleType("keyring"), types.ModuleType("keyring.errors")
    package.get_password = get_password  # type: ignore[attr-defined]
    errors.KeyringError = KeyringError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", package)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return KeyringError


def test_from_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "key")
    keyring(monkeypatch, {("cexnet", "okx"): "from the keyring"})
    mounted = tmp_path / "secret"
    mounted.write_bytes(b"from a file\r\n")
    written = tmp_path / "cexnet.toml"
    written.write_text(
        f"""
        [exchange.okx.credentials]
        api_key = {{ env = "THE_KEY" }}
        api_secret = {{ file = "{mounted}" }}
        passphrase = {{ keyring = "cexnet", user = "okx" }}
        key_password = "in the open"
        """
    )
    found = load_config(written).of("okx").credentials
    assert found == Credentials(
        "key", Secret("from a file"), Secret("from the keyring"), Secret("in the open")
    )


@pytest.mark.parametrize(
    "source, words",
    [
        ({"env": "NO_SUCH_VARIABLE"}, "the environment has no NO_SUCH_VARIABLE"),
        ({"file": "/nowhere/x"}, "cannot read /nowhere/x: No such file"),
        ({"keyring": "cexnet", "user": "nobody"}, "nothing for 'nobody' of 'cexnet'"),
        ({"keyring": "locked", "user": "x"}, "the keyring is locked"),
        ({"keyring": "cexnet"}, "must be text"),
        ({"env": "A", "file": "b"}, "must be text"),
    ],
)
def test_a_source_that_yields_nothing_is_named(
    source: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring(monkeypatch, {})
    with pytest.raises(ConfigurationError, match=f"credentials.api_secret.*{words}"):
        secret_from(source, "credentials.api_secret")


def test_without_the_keyring_extra_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cexnet\[keyring\]'"):
        secret_from({"keyring": "cexnet", "user": "x"}, "credentials.api_secret")


def test_a_wrong_file_is_refused_without_a_frame_that_holds_it(tmp_path: Path) -> None:
    written = tmp_path / "cexnet.toml"
    for text in (
        '[exchange.binance.credentials]\napi_key = "hunter2"\n',
        '[exchange.binance.credentials]\napi_key = "hunter2"\napi_key = "hunter3"\n',
    ):
        written.write_text(text)
        with pytest.raises(ConfigurationError) as caught:
            load_config(written)
        assert "hunter" not in str(caught.value)
        assert caught.value.__context__ is None
