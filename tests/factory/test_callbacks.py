"""What is called inline must not be a coroutine function: refused where it is given, by name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cexnet.config import ConfigWatch
from cexnet.factory import TransportFactory
from cexnet.recording import Recorder
from cexnet.telemetry import Monitor
from cexnet_core.errors import ConfigurationError


async def too_late(*news: object) -> None:
    raise AssertionError("never runs")


class Pager:
    async def __call__(self, news: object) -> None:
        raise AssertionError("never runs")


TAKERS: list[tuple[str, Callable[..., object]]] = [
    ("on_state", functools.partial(TransportFactory().websocket, "binance")),
    ("on_topic", functools.partial(TransportFactory().websocket, "binance")),
    ("on_breaker", functools.partial(TransportFactory().rest, "binance")),
    ("on_alert", Monitor),
    ("on_change", functools.partial(ConfigWatch, "cexnet.toml", TransportFactory())),
    ("on_error", functools.partial(ConfigWatch, "cexnet.toml", TransportFactory())),
    ("on_error", functools.partial(Recorder, Path("a.mcap"), "binance")),
]


@pytest.mark.parametrize("callback", [too_late, Pager(), functools.partial(too_late, 1), Pager().__call__])
@pytest.mark.parametrize(("name", "make"), TAKERS)
def test_a_coroutine_function_is_refused(
    name: str, make: Callable[..., object], callback: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=f"{name} is called inline, and .* is a coroutine function"):
        make(**{name: callback})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "make"), TAKERS)
def test_what_cannot_be_called_is_refused(
    name: str, make: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=f"{name} is 7: give a callable"):
        make(**{name: 7})
