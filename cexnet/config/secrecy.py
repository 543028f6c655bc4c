"""What of a configuration may be shown: no credentials, and no login or query of a URL."""

from __future__ import annotations

import re
from typing import Any

from cexnet.config.layers import Path

_MASK = "****"
# Nothing of these tables is shown: a secret may stand under a wrong key.
_CONFIDENTIAL = frozenset({"credentials", "proxy"})
# Nothing connects to a URL with a login or a query, but somebody may look at what is wrong with it.
_LOGIN = re.compile(r"(^|//)[^/?#]*@")
_QUERY = re.compile(r"[?#].*", re.DOTALL)
_ARGUMENT = re.compile(r"[^?&#]+")


def is_public(path: Path) -> bool:
    """Whether the value at ``path`` may be shown."""
    return _CONFIDENTIAL.isdisjoint(path)


def shown(path: Path, value: Any) -> Any:
    """``value`` as it may be shown to whoever asks what is at ``path``."""
    if value is None or is_public(path):
        return _public(value, any(str(key).endswith("_url") for key in path))
    return _MASK


def _public(value: Any, is_url: bool) -> Any:
    if isinstance(value, str):
        return _without_secrets(value) if is_url or "://" in value else value
    if isinstance(value, list | tuple):
        return [_public(each, is_url) for each in value]
    return value


def _without_secrets(url: str) -> str:
    """The names of a query stay, its values and a login do not."""
    masked = _LOGIN.sub(rf"\g<1>{_MASK}@", url)
    return _QUERY.sub(lambda query: _ARGUMENT.sub(_masked, query[0]), masked)


def _masked(argument: re.Match[str]) -> str:
    name, equals, _ = argument[0].partition("=")
    return f"{name}={_MASK}" if equals else _MASK
