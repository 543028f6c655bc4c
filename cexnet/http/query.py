"""Query strings in the caller's order, escaped once, signed and sent as the same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from cexnet.http.endpoint import Params
from cexnet_core.errors import ConfigurationError

# RFC 3986 section 2.3: these never need escaping. quote() writes %XX in upper case,
# which MEXC demands of signed text.
_UNRESERVED = re.compile(r"[0-9A-Za-z\-._~]*").fullmatch


def escape(text: str) -> str:
    """Percent-encode everything but the unreserved characters, as UTF-8."""
    return text if _UNRESERVED(text) else quote(text, safe="-._~")


def pairs(params: Params) -> Iterator[tuple[str, str]]:
    """The parameters as text, in the order given; those that are ``None`` are left out.

    Raises ConfigurationError for a float: its shortest text may be ``1e-05``, which
    no exchange reads as an amount.
    """
    for name, value in params.items() if isinstance(params, Mapping) else params:
        if value is None:
            continue
        if isinstance(value, bool):
            yield name, "true" if value else "false"
        elif isinstance(value, str | int):
            yield name, str(value)
        else:
            raise ConfigurationError(
                f"parameter {name!r} is a {type(value).__name__}: give text, int or bool"
                " (decimals as text, so that nothing is rounded)"
            )


def encode(params: Params) -> str:
    """``name=value`` joined by ``&``, percent-encoded."""
    return "&".join([f"{escape(name)}={escape(value)}" for name, value in pairs(params)])


def plain(params: Params) -> str:
    """``name=value`` joined by ``&`` without escaping, for exchanges that sign that form."""
    return "&".join([f"{name}={value}" for name, value in pairs(params)])
