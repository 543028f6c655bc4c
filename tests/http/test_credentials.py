from __future__ import annotations

import copy
import pickle

import pytest

from cexnet.credentials import Credentials, Secret
from cexnet_core.errors import ConfigurationError


def test_a_secret_shows_nowhere_but_when_revealed() -> None:
    secret = Secret("hunter2")
    credentials = Credentials("abcdefghij", secret)
    shown = f"{secret!r} {secret} {credentials!r} {credentials} {[secret]} {vars(Secret)}"
    assert "hunter2" not in shown
    assert "abcdefghij" not in shown
    assert secret.reveal() == b"hunter2"


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, hash])
def test_a_secret_leaves_no_copies(take: object) -> None:
    with pytest.raises(TypeError):
        take(Secret("hunter2"))  # type: ignore[operator]


def test_equality() -> None:
    assert Secret("a") == Secret(b"a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_wrong_values_are_named() -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        Secret("")
    with pytest.raises(ConfigurationError, match="Secret"):
        Credentials("key", "plain text")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="api_key"):
        Credentials("key\r\nX: 1", Secret("s"))
