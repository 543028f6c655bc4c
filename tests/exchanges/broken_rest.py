"""Mistakes in REST tables, signatures and orders, and the words that tell of each."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from msgspec import json, structs

from cexnet.exchanges.exchange import Rest
from cexnet.http.answers import Answer
from cexnet.http.classify import TableErrors
from cexnet.http.endpoint import Call, Priority, WireRequest
from cexnet.http.intents import ClientOrderIds
from cexnet.http.limits import LimitScope
from cexnet_core import errors as e
from tests.exchanges.broken import Attributes, Mistake, Template


class Optimist(TableErrors):
    """Takes an HTTP 500 for a refusal."""

    def refusal(self, call: Call[Any], answer: Answer) -> e.RequestError | None:
        return e.ExchangeUnavailable("no") if answer.status == 500 else super().refusal(call, answer)


def optimist(t: Template) -> Attributes:
    return t.rest(lambda made: replace(made, exceptions=Optimist(t.acme.ERRORS)))


def one_for_all(t: Template) -> Attributes:
    made = t.acme.rest_strategies(credentials=None)
    return t.exchange(rest=Rest(t.acme.REST_URL, lambda *, credentials: made))


def with_code(t: Template, code: Any, kind: Any) -> Attributes:
    return t.errors(codes={**t.acme.ERRORS.codes, code: kind})


def limit(t: Template, **changes: Any) -> Attributes:
    return t.limits(replace(t.acme.LIMITS[0], **changes), t.acme.LIMITS[1])


def anonymous(self: Any, order: Any) -> Call[Any]:
    return self.intent("place", bytes, client_order_id=self.ids.resolve(order.client_order_id))  # type: ignore[no-any-return]


def strict(self: Any, order: Any) -> Call[Any]:
    raise e.ConfigurationError(f"client order id {order.client_order_id!r} is not valid here")


def unmarked(self: Any, call: Call[Any], now_ns: int) -> WireRequest:
    return WireRequest(call.endpoint.method, call.path, {"X-Acme-Key": self._key})


def always(t: Template, *, name: str, value: str) -> Attributes:
    """Places orders of which one thing is always the same."""

    def place_order(self: Any, order: Any) -> Call[Any]:
        call = t.acme.AcmeRequests.place_order(self, order)
        body = json.encode({**json.decode(call.body), name: value})
        return self.intent("place", bytes, body=body, client_order_id=call.client_order_id)  # type: ignore[no-any-return]

    return t.requests(place_order=place_order)


def covering(t: Template, **changes: Any) -> Attributes:
    """Signs something else than what is sent."""

    def signed(self: Any, call: Call[Any], sign: Any, now_ns: int) -> WireRequest:
        wire = t.acme.AcmeSignature.signed(self, call, sign, now_ns)
        text = {"time": wire.headers["X-Acme-Time"], "target": wire.target, "body": call.body, **changes}
        signature = sign(f"{text['time']}{wire.method}{text['target']}".encode() + text["body"])
        headers = {**wire.headers, "X-Acme-Sign": signature}
        return structs.replace(wire, headers=headers, hidden=(self._key, signature))

    return t.auth(signed=signed)


TABLES: tuple[Mistake, ...] = (
    (
        "endpoints",
        r"endpoint 'depth' \(GET /v1/book\): scope 'weights' is not in the table of limits: weight, orders",
        lambda t: t.rows("depth", scopes=("weights",)),
    ),
    (
        "endpoints",
        "marked idempotent: sent again, it would trade again",
        lambda t: t.rows("place", idempotent=True),
    ),
    ("endpoints", "place_order .*: is not signed", lambda t: t.rows("place", signed=False)),
    (
        "endpoints",
        "waits in the lane QUERY: priority=Priority.PLACE",
        lambda t: t.rows("place", priority=Priority.QUERY),
    ),
    (
        "endpoints",
        "waits in the lane QUERY: priority=Priority.CANCEL",
        lambda t: t.rows("cancel", priority=Priority.QUERY),
    ),
    ("endpoints", "query_order .*: is not idempotent", lambda t: t.rows("query", idempotent=False)),
    ("endpoints", "place_order .*: is a GET", lambda t: t.rows("place", method="GET", path="/v1/new")),
    ("endpoints", "a path starts with a slash", lambda t: t.rows("time", path="v1/time")),
    ("endpoints", "is charged to no limit", lambda t: t.rows("time", scopes=())),
    ("endpoints", "method 'FETCH' is none of GET", lambda t: t.rows("time", method="FETCH")),
    ("endpoints", "weight 0: at least 1", lambda t: t.rows("time", weight=0)),
    ("endpoints", "weighs 5000, more than the 1200", lambda t: t.rows("depth", weight=5000)),
    (
        "endpoints",
        r"depth \(GET /v1/book\) weighs 5000: from 1 to what its limits ever allow",
        lambda t: t.rows("depth", weigh=lambda params: 10 * int(params["levels"])),
    ),
    (
        "endpoints",
        "ConfigurationError: client order id '' is not valid here.* ended the check",
        lambda t: t.requests(place_order=strict),
    ),
    (
        "endpoints",
        "row 'time' has the same method and path",
        lambda t: t.rows("depth", path="/v1/time"),
    ),
    ("endpoints", "another row has that name", lambda t: t.table([*t.acme.ENDPOINTS, t.acme.ENDPOINTS[0]])),
    ("endpoints", "by account, but is not signed", lambda t: t.rows("depth", scopes=("orders",))),
    (
        "endpoints",
        "Rest.url is 'https://api.acme.example/v1': give the origin",
        lambda t: t.exchange(rest=Rest("https://api.acme.example/v1", t.acme.rest_strategies)),
    ),
    ("endpoints", "two managers would share strategies of one set", one_for_all),
    (
        "endpoints",
        r"not queried: resolve_unknown\(\) needs query_order",
        lambda t: t.requests(query_order=t.acme.TableRequests.query_order),
    ),
    (
        "limits",
        "limit 'spare': no endpoint is charged to it",
        lambda t: t.limits(*t.acme.LIMITS, LimitScope("spare", 5, 1)),
    ),
    ("limits", "limit 'weight': 0 in 60 s: both must be above 0", lambda t: limit(t, limit=0)),
    ("limits", "guard_s=90 is not within its window of 60 s", lambda t: limit(t, guard_s=90)),
    ("limits", "by='acct': choose one of ip, account", lambda t: limit(t, by="acct")),
    ("limits", "the exchange sends one of them", lambda t: limit(t, remaining_header="X-Left")),
    (
        "limits",
        r"code_scopes\['slow_down'\] names 'ordres', which is not in the table",
        lambda t: t.limits(*t.acme.LIMITS, code_scopes={"slow_down": ("ordres",)}),
    ),
    (
        "limits",
        r"code_scopes\['no_funds'\]: the table of errors does not list that code under 'rate'",
        lambda t: t.limits(*t.acme.LIMITS, code_scopes={"no_funds": ("orders",)}),
    ),
    ("limits", "the table of limits is empty", lambda t: t.limits()),
    (
        "test_errors",
        r"codes\['bad_key'\] is 'autz': choose one of auth, clock",
        lambda t: with_code(t, "bad_key", "autz"),
    ),
    (
        "test_errors",
        r"errors\[0\].*is AuthenticationError, expected InsufficientFunds",
        lambda t: with_code(t, "no_funds", "auth"),
    ),
    ("test_errors", "code 400 must be text", lambda t: with_code(t, 400, "invalid")),
    (
        "test_errors",
        "'no_funds' is a success in ok_codes and 'funds' in codes",
        lambda t: t.errors(ok_codes=frozenset({"no_funds"})),
    ),
    ("test_errors", r"the range 9\.\.1 is empty", lambda t: t.errors(ranges=((9, 1, "auth"),))),
    ("test_errors", "name where a refusal has its code", lambda t: t.errors(message_field="")),
    (
        "test_errors",
        "HTTP 500 oops: is OutcomeUnknown, expected InvalidRequest",
        lambda t: {"errors": (replace(t.suite.errors[-1], error=e.InvalidRequest),)},
    ),
    (
        "test_errors",
        r"retry_after_s is 3\.0, expected 5\.0",
        lambda t: {"errors": (replace(t.suite.errors[1], retry_after_s=5.0),)},
    ),
    (
        "test_errors",
        r"code 'internal' is 'retry', surely not executed, and no sample of an order has it: add ErrorSample",
        lambda t: with_code(t, "internal", "retry"),
    ),
    (
        "test_errors",
        r"nothing is 'not_found': resolve_unknown\(\) could never tell",
        lambda t: with_code(t, "no_such_order", "invalid"),
    ),
    ("test_errors", "HTTP 409 is 'retry', surely not executed", lambda t: t.errors(statuses={409: "retry"})),
    (
        "test_errors",
        r"the range 1\.\.9 is 'retry', surely not executed: list such codes one by one",
        lambda t: t.errors(ranges=((1, 9, "retry"),)),
    ),
    (
        "test_errors",
        "the prefix 'in' is 'retry', surely not executed: list such codes one by one",
        lambda t: t.errors(prefixes=(("in", "retry"),)),
    ),
    ("test_errors", "there are no error samples", lambda t: {"errors": ()}),
    ("test_errors", "HTTP 500 oops: is ExchangeUnavailable, expected OutcomeUnknown", optimist),
    (
        "answers_are_read",
        r"depth \(GET /v1/book\) has no sample: add an AnswerSample",
        lambda t: {"answers": t.suite.answers[:1]},
    ),
    (
        "answers_are_read",
        "cannot be read: ValidationError: .*required field `ms`",
        lambda t: {"answers": (replace(t.suite.answers[0], body=b"{}"),)},
    ),
    (
        "answers_are_read",
        r"is read as 1700000000123\n +expected +1700000000123000000",
        lambda t: t.requests(server_time=lambda self: self.intent("time", lambda b: t.acme._time(b).ms)),
    ),
)

ORDERS: tuple[Mistake, ...] = (
    *(
        (
            "asked_for_is_sent",
            f"place_order .*: another {what} makes no difference to what is sent: /v1/orders.*cx",
            partial(always, name=name, value=value),
        )
        for what, name, value in (
            ("side", "side", "buy"),
            ("quantity", "qty", "1"),
            ("price", "px", "10"),
            ("time in force", "tif", "gtc"),
            ("symbol", "market", "BTC-USD"),
        )
    ),
    (
        "asked_for_is_sent",
        "cancel_order .*: another order id makes.*cancel_order .*: another client order id makes",
        lambda t: t.requests(cancel_order=lambda self, symbol, *ids: self._by_id("cancel", symbol, "", "")),
    ),
    (
        "asked_for_is_sent",
        r"depth \(GET /v1/book\): another symbol makes no difference",
        lambda t: t.requests(depth=lambda self, symbol, n: t.acme.AcmeRequests.depth(self, "BTC-USD", n)),
    ),
    (
        "signatures",
        "DELETE /v1/orders: with another query the signature is the same: it must cover what is sent",
        lambda t: {**covering(t, target="/v1/orders"), "signatures": t.suite.signatures[1:]},
    ),
    (
        "signatures",
        "POST /v1/orders: with another body the signature is the same",
        lambda t: {**covering(t, body=b""), "signatures": t.suite.signatures[:1]},
    ),
    (
        "signatures",
        "GET /v1/orders: with another time the signature is the same",
        lambda t: covering(t, time="1700000000000"),
    ),
    ("signatures", "is signed, and there is no SignatureVector", lambda t: {"signatures": ()}),
    (
        "signatures",
        "header X-Acme-Sign is '2188.*', expected '00'",
        lambda t: {"signatures": (replace(t.suite.signatures[0], headers={"X-Acme-Sign": "00"}),)},
    ),
    (
        "signatures",
        r"sends  /v1/orders\?market=BTC-USD&id=7&x=1\n +expected /v1/orders\?market=BTC-USD&id=7\n",
        lambda t: t.wires(lambda wire: structs.replace(wire, target=wire.target + "&x=1")),
    ),
    (
        "signatures",
        r"is sent without credentials: raise no_credentials\(call\)",
        lambda t: t.auth(sign=unmarked),
    ),
    ("signatures", "needs no signature, and carries one or a key", lambda t: t.auth(sign=unmarked)),
    ("signatures", "validity_s is 0: how long", lambda t: t.auth(validity_s=0)),
    (
        "secrets",
        "sends the API key, and WireRequest.hidden does not name it",
        lambda t: t.wires(lambda wire: structs.replace(wire, hidden=wire.hidden[1:])),
    ),
    (
        "secrets",
        "WireRequest.hidden does not name the signature",
        lambda t: t.wires(lambda wire: structs.replace(wire, hidden=wire.hidden[:1])),
    ),
    (
        "secrets",
        r"repr of AuthStrategy \(AcmeSignature\) shows the API key",
        lambda t: t.auth(__repr__=lambda self: f"signs as {self._key}"),
    ),
    (
        "order_ids",
        r"we mint 'cx\w{24}' \(26 characters\), which the rule forbids: at most 20",
        lambda t: t.requests(ids=ClientOrderIds("cx", "[a-z0-9]{1,20}", "at most 20")),
    ),
    (
        "order_ids",
        r"lets 'x+' \(300 characters\) pass: state charset and length",
        lambda t: t.requests(ids=ClientOrderIds("cx", "[a-z0-9]+", "any")),
    ),
    ("order_ids", "is not in what is sent", lambda t: t.requests(place_order=anonymous)),
    (
        "order_ids",
        "a new order has no client order id",
        lambda t: t.requests(place_order=lambda self, order: self.intent("place", bytes)),
    ),
    (
        "order_ids",
        "of 50 client order ids only 1 differ",
        lambda t: t.requests(
            place_order=lambda self, order: self.intent("place", bytes, client_order_id="same")
        ),
    ),
    (
        "never_sent_twice",
        "closed without an answer: the order was sent 3 times. Is its row idempotent=False",
        lambda t: t.rows("place", idempotent=True),
    ),
    ("never_sent_twice", "HTTP 500 without a body: place_order ExchangeUnavailable", optimist),
    (
        "never_sent_twice",
        "HTTP 408 without a body: place_order ExchangeUnavailable",
        lambda t: t.errors(statuses={408: "retry"}),
    ),
)
