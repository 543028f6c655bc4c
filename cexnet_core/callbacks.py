"""Callbacks that are called inline: nobody would await what a coroutine function returns."""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import Any

from cexnet_core.errors import ConfigurationError


def require_plain(name: str, callback: Any) -> None:
    """Raise ConfigurationError naming ``name`` unless ``callback`` is None or can be called inline."""
    if callback is None:
        return
    if not callable(callback):
        raise ConfigurationError(f"{name} is {callback!r}: give a callable that takes one argument")
    if iscoroutinefunction(callback) or iscoroutinefunction(type(callback).__call__):
        raise ConfigurationError(
            f"{name} is called inline, and {callback!r} is a coroutine function, which would never run:"
            " give a plain function that starts the coroutine"
        )
