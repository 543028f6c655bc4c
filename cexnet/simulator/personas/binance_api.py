"""Binance spot's WebSocket API (``/ws-api/v3``): sessions, user data streams, orders.

Source: binance-spot-api-docs, web-socket-api.md. Of its methods those about the account and
its orders; any other is refused as unknown.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cexnet.simulator.account import Refused
from cexnet.simulator.personas.base import Session, compact, now_ms
from cexnet.simulator.personas.binance_formats import Answer, bad
from cexnet.simulator.personas.binance_rest import REFUSALS
from cexnet.simulator.personas.binance_user import wrapped

if TYPE_CHECKING:
    from cexnet.simulator.personas.binance import BinancePersona

_NO_LIMIT = 6000  # messages a second: this API meters weight, not messages
_MOST_SUBSCRIPTIONS = 1000
_REVOKED = (-2015, "Invalid API-key, IP, or permissions for action.")
_Params = dict[str, str]


class BinanceApiSession(Session):
    """One connection to the WebSocket API, logged on or not."""

    persona: BinancePersona

    def __init__(self, persona: BinancePersona) -> None:
        super().__init__(persona)
        self.client_messages_per_s = _NO_LIMIT
        self._connected_ms = now_ms()
        self._authorized_ms: int | None = None
        self._next_subscription = 0
        self._used_weight = 0
        rest = persona.rest
        self._methods: dict[str, tuple[int, Callable[[_Params], Any]]] = {
            "ping": (1, lambda params: {}),
            "time": (1, lambda params: {"serverTime": persona.sim.server_ms()}),
            "session.logon": (2, self._log_on),
            "session.status": (2, lambda params: self._status()),
            "session.logout": (2, self._log_out),
            "session.subscriptions": (2, self._list),
            "userDataStream.subscribe": (2, self._subscribe),
            "userDataStream.subscribe.signature": (2, self._subscribe_signed),
            "userDataStream.unsubscribe": (2, self._unsubscribe),
            "order.place": (1, self._signed(rest.place)),
            "order.cancel": (1, self._signed(rest.cancel)),
            "order.status": (4, self._signed(rest.query)),
            "order.test": (1, self._signed(rest.test)),
            "openOrders.status": (6, self._signed(rest.open_orders)),
            "openOrders.cancelAll": (1, self._signed(rest.cancel_all)),
            "account.status": (20, self._signed(rest.account)),
        }

    def announce_end(self) -> None:
        """``serverShutdown``, as this API carries it."""
        self.connection.send_text(compact({"event": {"e": "serverShutdown", "E": now_ms()}}))

    def revoke(self) -> None:
        """End the streams and the session: the key is no longer good."""
        for number in self._numbers():
            event = {"e": "eventStreamTerminated", "E": now_ms()}
            self.connection.send_text(wrapped(number, event))
            self._end(number)
        if self._authorized_ms is not None:
            self._authorized_ms = None
            self._refuse(None, 401, *_REVOKED)

    def on_message(self, payload: bytes) -> None:
        """Answer one request."""
        try:
            request = json.loads(payload)
        except ValueError:
            self._refuse(None, 400, -1000, "Invalid JSON.")
            return
        identity = request.get("id") if isinstance(request, dict) else None
        method = request.get("method") if isinstance(request, dict) else None
        known = self._methods.get(method) if isinstance(method, str) else None
        given = request.get("params") or {} if isinstance(request, dict) else None
        if known is None:
            self._refuse(identity, 400, -1128, "Unknown method.")
        elif not isinstance(given, dict):
            self._refuse(identity, 400, -1128, "Parameter 'params' must be an object.")
        else:
            params = {name: _text(value) for name, value in given.items()}
            self._answer(identity, *known, params)

    def _answer(self, identity: Any, weight: int, call: Callable[[_Params], Any], params: _Params) -> None:
        verdict = self.persona.rest.weight.take(self.connection.peer, weight)
        self._used_weight = verdict.used
        try:
            if verdict.state != "ok":
                self.persona.sim.stats.rate_limited += 1
                raise Answer(418 if verdict.state == "banned" else 429, -1003, "Too many requests queued.")
            self._reply({"id": identity, "status": 200, "result": call(params)})
        except Refused as refusal:
            self._refuse(identity, 400, *REFUSALS[refusal.reason])
        except Answer as answer:
            self._refuse(identity, answer.status, answer.code, answer.text)

    def _log_on(self, params: _Params) -> Any:
        self.persona.auth.check(params.get("apiKey", ""), params, _payload(params), hmac_too=False)
        self._authorized_ms = now_ms()
        return self._status()

    def _log_out(self, params: _Params) -> Any:
        self._authorized_ms = None
        return self._status()

    def _status(self) -> Any:
        return {
            "apiKey": self.persona.sim.api_key if self._authorized_ms is not None else None,
            "authorizedSince": self._authorized_ms,
            "connectedSince": self._connected_ms,
            "returnRateLimits": True,
            "serverTime": self.persona.sim.server_ms(),
            "userDataStream": bool(self.topics),
        }

    def _signed(self, call: Callable[[_Params], Any]) -> Callable[[_Params], Any]:
        def checked(params: _Params) -> Any:
            self._check(params)
            return call(params)

        return checked

    def _check(self, params: _Params) -> None:
        if self._authorized_ms is not None and "apiKey" not in params:
            self.persona.auth.check_time(params)
        else:
            self.persona.auth.check(params.get("apiKey", ""), params, _payload(params))

    def _subscribe(self, params: _Params) -> Any:
        if self._authorized_ms is None:
            raise Answer(401, -2015, "The session is not logged on; call session.logon first.")
        return self._begin()

    def _subscribe_signed(self, params: _Params) -> Any:
        self.persona.auth.check(params.get("apiKey", ""), params, _payload(params))
        return self._begin()

    def _begin(self) -> Any:
        if len(self.topics) >= _MOST_SUBSCRIPTIONS:
            raise bad(-1128, "Too many user data stream subscriptions.")
        number = self._next_subscription
        self._next_subscription += 1
        self.listen_private(str(number), self.persona.user_streams.topic(number))
        return {"subscriptionId": number}

    def _unsubscribe(self, params: _Params) -> Any:
        named = params.get("subscriptionId")
        if named is not None and named not in self.topics:
            raise bad(-1128, "There is no such subscription.")
        for number in [int(named)] if named is not None else self._numbers():
            self._end(number)
        return {}

    def _list(self, params: _Params) -> Any:
        return [{"subscriptionId": number} for number in self._numbers()]

    def _numbers(self) -> list[int]:
        return [int(name) for name in self.topics]

    def _end(self, number: int) -> None:
        self.unlisten(str(number), self.persona.user_streams.topic(number))

    def _refuse(self, identity: Any, status: int, code: int, text: str) -> None:
        self.persona.sim.stats.refusals += 1
        self._reply({"id": identity, "status": status, "error": {"code": code, "msg": text}})

    def _reply(self, answer: dict[str, Any]) -> None:
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
        limits = [{**limit, "limit": 6000, "count": self._used_weight}]
        self.connection.send_text(compact({**answer, "rateLimits": limits}))


def _payload(params: _Params) -> str:
    """The text that is signed: every parameter but the signature, by name."""
    return "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
