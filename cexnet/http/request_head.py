"""The bytes of a request: one head and its body, in a single write.

aiohttp makes a request object, a header map and a writer for each; an order that is signed
already needs none of them.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping

from yarl import URL

from cexnet.http.endpoint import WireRequest
from cexnet_core.errors import ConfigurationError

# They say by their length that there is no body; the others say it by silence (RFC 9110 section 8.6).
_EXPECT_A_BODY = frozenset(("POST", "PUT", "PATCH", "DELETE"))


def origin_of(base_url: str) -> URL:
    """``base_url`` read. Raises ConfigurationError when it is not ``http(s)://host[:port]``."""
    try:
        url = URL(base_url)
        usable = url.scheme in ("http", "https") and bool(url.host)
        usable = usable and url.path in ("", "/") and not (url.query_string or url.fragment or url.user)
        (url.raw_host or "").encode("idna")  # as the resolver does
    except ValueError:
        usable = False
    if not usable:
        # What stands before an @ may be a password, and a query may hold a token.
        shown = re.split(r"[?#]", base_url)[0].rpartition("@")[2]
        raise ConfigurationError(
            f"base_url {shown!r} is not an origin: give http(s)://host[:port] without a path"
        )
    return url


class RequestWriter:
    """Writes requests to one origin; ``proxy`` is the one that plain HTTP is sent through, if any."""

    def __init__(self, origin: URL, user_agent: str, proxy: URL | None) -> None:
        self._before = ""
        fixed = {
            "Host": origin.host_port_subcomponent or "",
            "User-Agent": user_agent,
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
        }
        if proxy is not None and origin.scheme == "http":
            # A proxy is told the whole address, and who asks (RFC 9112 section 3.2.2).
            self._before = str(origin.origin())
            if proxy.user is not None:
                login = f"{proxy.user}:{proxy.password or ''}".encode()
                fixed["Proxy-Authorization"] = f"Basic {b64encode(login).decode()}"
        self._fixed = fixed
        self._fixed_names = frozenset(name.lower() for name in fixed)
        self._fixed_text = _lines(fixed)

    def write(self, wire: WireRequest) -> bytes:
        """``wire`` as it leaves us; its own headers replace ours of the same name.

        Raises ConfigurationError, which repeats none of it, for a method, path or header
        that would end its line or is not of the form that HTTP asks for.
        """
        target, headers, body = wire.target, wire.headers, wire.body
        if not (target.isascii() and target.isprintable()) or " " in target or not wire.method.isalpha():
            raise ConfigurationError(
                "a request's method or path holds a character that HTTP does not allow there:"
                " the path must be percent-encoded (cexnet_core.query.escape)"
            )
        fixed = self._fixed_text
        if not self._fixed_names.isdisjoint([name.lower() for name in headers]):
            own = {name.lower() for name in headers}
            fixed = _lines({name: text for name, text in self._fixed.items() if name.lower() not in own})
        size = f"Content-Length: {len(body)}\r\n" if body or wire.method in _EXPECT_A_BODY else ""
        head = f"{wire.method} {self._before}{target} HTTP/1.1\r\n{fixed}{_lines(headers)}{size}\r\n"
        return head.encode() + body if body else head.encode()


def _lines(headers: Mapping[str, str]) -> str:
    text = ""
    for name, value in headers.items():
        if not (name.isprintable() and value.isprintable()):
            raise ConfigurationError(
                f"the request's header {name!r} holds a line break or another control character:"
                " look for one at the end of the API key or passphrase"
            )
        text += f"{name}: {value}\r\n"
    return text
