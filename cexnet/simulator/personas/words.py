"""How the exchanges word what any endpoint may answer, and what stands before them.

Sources: binance-spot-api-docs, rest-api.md "HTTP Return Codes" and errors.md; Gate API v4
docs, "Error Handling"; mexcdevelop/apidocs (spot v3), "Error Code". Each class below is
one exchange's; the wording of the gateways in front of them is nobody's in particular.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

from aiohttp import web

from cexnet.simulator.personas.base import compact

_PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1><p>{1}</p></body></html>"


def json_answer(status: int, body: Any, headers: dict[str, str] | None = None) -> web.Response:
    """An HTTP answer with a compact JSON body."""
    return web.Response(status=status, text=compact(body), headers=headers, content_type="application/json")


def page(status: int, title: str, text: str) -> web.Response:
    """An HTML page, as gateways and firewalls answer."""
    return web.Response(status=status, text=_PAGE.format(title, text), content_type="text/html")


class RestWords:
    """An exchange's refusals that have nothing to do with what was asked.

    This one is for exchanges without orders. ``server_ms`` is the exchange's clock.
    ``place_request`` is method and path of a new order, "" where there are none; ``errors``
    are the bodies of HTTP 5xx answers, all of which leave open whether it was executed.
    """

    place_request: ClassVar[str] = ""
    errors: ClassVar[dict[int, Any]] = {}

    def __init__(self, server_ms: Callable[[], int]) -> None:
        self._server_ms = server_ms

    def throttled(self, reset_s: float) -> web.Response:
        """Too many requests; ``reset_s`` is seconds until there is room again."""
        body = {"code": 429, "msg": "Too many requests"}
        return json_answer(429, body, {"Retry-After": _whole(reset_s)})

    def banned(self, reset_s: float) -> web.Response:
        """Banned for another ``reset_s`` seconds."""
        body = {"code": 418, "msg": "Banned for too many requests"}
        return json_answer(418, body, {"Retry-After": _whole(reset_s)})

    def forbidden(self) -> web.Response:
        """Turned away by the web application firewall."""
        return page(403, "403 Forbidden", "The request was blocked.")

    def failed(self, status: int) -> web.Response:
        """An HTTP 5xx in the exchange's own envelope, or else the gateway's page."""
        if status in self.errors:
            return json_answer(status, self.errors[status])
        return page(status, f"HTTP {status}", "The upstream server did not answer as it should.")

    def maintenance(self, status: int) -> web.Response:
        """A page for people, where programs expected JSON."""
        return page(status, "We will be back soon", "The system is under maintenance.")

    def duplicate(self) -> web.Response:
        """A new order's client id is taken."""
        raise NotImplementedError


class BinanceWords(RestWords):
    """Binance spot."""

    place_request = "POST /api/v3/order"
    errors: ClassVar[dict[int, Any]] = {
        500: {"code": -1000, "msg": "An unknown error occurred while processing the request."},
        502: {
            "code": -1006,
            "msg": "An unexpected response was received from the message bus. Execution status unknown.",
        },
        503: {"code": -1000, "msg": "Unknown error, please check your request or try again later."},
        504: {
            "code": -1007,
            "msg": "Timeout waiting for response from backend server. Send status unknown; "
            "execution status unknown.",
        },
    }

    def __init__(self, server_ms: Callable[[], int], weight_limit: int) -> None:
        super().__init__(server_ms)
        self._weight_limit = weight_limit

    def throttled(self, reset_s: float) -> web.Response:
        """See :class:`RestWords`."""
        text = (
            f"Too much request weight used; current limit is {self._weight_limit} request weight "
            "per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        )
        return json_answer(429, {"code": -1003, "msg": text}, {"Retry-After": _whole(reset_s)})

    def banned(self, reset_s: float) -> web.Response:
        """See :class:`RestWords`."""
        until_ms = self._server_ms() + int(reset_s * 1000)
        text = (
            f"Way too much request weight used; IP banned until {until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans."
        )
        return json_answer(418, {"code": -1003, "msg": text}, {"Retry-After": _whole(reset_s)})

    def duplicate(self) -> web.Response:
        """See :class:`RestWords`."""
        return json_answer(400, {"code": -2010, "msg": "Duplicate order sent."})


class GateWords(RestWords):
    """Gate.io, which documents no ban: status 418 is what others use."""

    place_request = "POST /api/v4/spot/orders"
    errors: ClassVar[dict[int, Any]] = {
        500: {"label": "INTERNAL", "message": "Internal server error"},
        503: {"label": "SERVER_ERROR", "message": "Server error"},
        504: {"label": "SERVER_TIMEOUT", "message": "Server timeout"},
    }

    def throttled(self, reset_s: float) -> web.Response:
        """See :class:`RestWords`. When there is room again is an epoch second here."""
        answer = self._refused(429, "Request Rate Limit Exceeded", reset_s)
        answer.headers["X-Gate-RateLimit-Requests-Remain"] = "0"
        return answer

    def banned(self, reset_s: float) -> web.Response:
        """See :class:`RestWords`."""
        return self._refused(418, "Request Rate Limit Exceeded, banned", reset_s)

    def duplicate(self) -> web.Response:
        """See :class:`RestWords`."""
        body = {"label": "REPEATED_CREATION", "message": "Order with the same text was already created"}
        return json_answer(400, body)

    def _refused(self, status: int, text: str, reset_s: float) -> web.Response:
        at_s = int(self._server_ms() / 1000 + reset_s) + 1
        headers = {"X-Gate-RateLimit-Reset-Timestamp": str(at_s)}
        return json_answer(status, {"label": "TOO_MANY_REQUESTS", "message": text}, headers)


class MexcWords(RestWords):
    """MEXC spot."""

    place_request = "POST /api/v3/order"
    errors: ClassVar[dict[int, Any]] = {
        500: {"code": 500, "msg": "Internal error"},
        503: {"code": 503, "msg": "Service not available, please try again"},
        504: {"code": 504, "msg": "Gateway Time-out"},
    }

    def banned(self, reset_s: float) -> web.Response:
        """See :class:`RestWords`."""
        body = {"code": 429, "msg": "Too many requests"}
        return json_answer(418, body, {"Retry-After": _whole(reset_s)})

    def duplicate(self) -> web.Response:
        """See :class:`RestWords`."""
        return json_answer(400, {"code": 603, "msg": "Repeated request"})


def _whole(seconds: float) -> str:
    """Whole seconds, surely enough of them, as ``Retry-After`` gives them."""
    return str(max(1, math.ceil(seconds)))
