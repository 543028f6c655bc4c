"""Do the REST tables hold together? Endpoints, limits, errors, and answers read by them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec

from cexnet.http.answers import Answer
from cexnet.http.classify import ErrorClass, ErrorTable, TableErrors
from cexnet.http.endpoint import Call, Endpoint, Priority
from cexnet.http.intents import TableRequests
from cexnet.http.limits import LimitScope, ScopedLimiter
from cexnet.http.strategies import RestStrategySet
from cexnet.testing.case import Case, shown
from cexnet_core.errors import CexnetError, ExchangeUnavailable, StrategyError

_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")
_CLASSES: tuple[str, ...] = get_args(ErrorClass)


def wrong_endpoints(case: Case) -> Iterator[str]:
    """Each row can be sent, is metered by scopes that exist, and orders are marked as what they are."""
    rest = case.rest()
    try:
        rest.validate()
    except StrategyError as error:
        yield str(error)
    assert case.exchange.rest is not None
    url = urlsplit(case.exchange.rest.url)
    if url.scheme != "https" or not url.hostname or url.path not in ("", "/") or url.query:
        yield f"Rest.url is {case.exchange.rest.url!r}: give the origin, https://host, without a path"
    again = case.rest()
    if again.limits is rest.limits or again.auth is rest.auth:
        yield "two managers would share strategies of one set: make new ones at each call"
    if not isinstance(rest.request, TableRequests):
        return
    scopes = {scope.name: scope for scope in _scopes(rest)}
    taken: dict[tuple[str, str], str] = {}
    names: set[str] = set()
    for row in rest.request.endpoints:
        where = f"endpoint {row.name!r} ({row.label})"
        if row.name in names:
            yield f"{where}: another row has that name"
        names.add(row.name)
        pattern = (row.method, re.sub(r"\{\w+\}", "{}", row.path))
        if pattern in taken:
            yield f"{where}: row {taken[pattern]!r} has the same method and path"
        taken[pattern] = row.name
        yield from _wrong_row(where, row, scopes)
    for name in rest.request.default_scopes:
        if scopes and name not in scopes:
            yield f"default_scopes names {name!r}, the table of limits has {', '.join(scopes)}"
    for intent, call in case.intents(rest).items():
        # What weigh= says of a real request, the snapshot of a whole book above all.
        most = [scopes[n].limit for n in call.endpoint.scopes if n in scopes and scopes[n].counts == "weight"]
        if call.weight < 1 or call.weight > min(most, default=call.weight):
            where = f"{intent} ({call.endpoint.label})"
            yield f"{where} weighs {call.weight}: from 1 to what its limits ever allow"
    yield from _wrong_orders(case, rest)


def _wrong_row(where: str, row: Endpoint, scopes: dict[str, LimitScope]) -> Iterator[str]:
    if row.method not in _METHODS:
        yield f"{where}: method {row.method!r} is none of {', '.join(_METHODS)}"
    if not row.path.startswith("/") or "?" in row.path or "#" in row.path or row.path.endswith("/"):
        yield f"{where}: a path starts with a slash, ends without one, and has no query: that is params"
    if row.weight < 1:
        yield f"{where}: weight {row.weight}: at least 1"
    if scopes and not row.scopes:
        yield f"{where}: is charged to no limit: name its scopes, of {', '.join(scopes)}"
    for name in row.scopes:
        scope = scopes.get(name)
        if scope is None:
            yield f"{where}: scope {name!r} is not in the table of limits: {', '.join(scopes) or 'empty'}"
        elif scope.counts == "weight" and row.weight > scope.limit:
            yield f"{where}: weighs {row.weight}, more than the {scope.limit} that {name!r} ever allows"
        elif scope.by == "account" and not row.signed:
            yield f"{where}: is charged to {name!r}, which is by account, but is not signed"


def _wrong_orders(case: Case, rest: RestStrategySet) -> Iterator[str]:
    calls = case.intents(rest)
    place, cancel, query = (calls.get(name) for name in ("place_order", "cancel_order", "query_order"))
    if place is not None:
        where = f"place_order ({place.endpoint.label})"
        if place.idempotent:
            yield f"{where}: is marked idempotent: sent again, it would trade again; idempotent=False"
        if not place.endpoint.signed:
            yield f"{where}: is not signed: signed=True"
        if place.priority is not Priority.PLACE:
            yield f"{where}: waits in the lane {place.priority.name}: priority=Priority.PLACE"
        if place.endpoint.method == "GET":
            yield f"{where}: is a GET, which proxies may repeat"
    if cancel is not None and cancel.priority is not Priority.CANCEL:
        where = f"cancel_order ({cancel.endpoint.label})"
        yield f"{where}: waits in the lane {cancel.priority.name}: priority=Priority.CANCEL"
    if query is not None and not query.idempotent:
        where = f"query_order ({query.endpoint.label})"
        yield f"{where}: is not idempotent, so that no failed query is repeated: idempotent=True"
    if place is not None and (query is None or cancel is None):
        yield "orders can be placed, and not cancelled or not queried: resolve_unknown() needs query_order"


def wrong_limits(case: Case) -> Iterator[str]:
    """Each scope makes sense, is used, and is named where the exchange's codes are about it."""
    rest = case.rest()
    scopes = _scopes(rest)
    if isinstance(rest.limits, ScopedLimiter) and not scopes:
        yield "the table of limits is empty: without limits the exchange bans the address"
    for scope in scopes:
        where = f"limit {scope.name!r}"
        if scope.limit < 1 or scope.window_s <= 0:
            yield f"{where}: {scope.limit} in {scope.window_s} s: both must be above 0"
            continue
        if not 0 <= scope.guard_s < scope.window_s:
            yield f"{where}: guard_s={scope.guard_s} is not within its window of {scope.window_s} s"
            continue
        for field, allowed in (
            ("shape", ("fixed", "rolling", "token")),
            ("by", ("ip", "account")),
            ("per", ("all", "endpoint", "symbol")),
            ("counts", ("weight", "calls")),
        ):
            if getattr(scope, field) not in allowed:
                yield f"{where}: {field}={getattr(scope, field)!r}: choose one of {', '.join(allowed)}"
        if scope.used_header and scope.remaining_header:
            yield f"{where}: used_header and remaining_header: the exchange sends one of them"
    if isinstance(rest.request, TableRequests):
        charged = {name for row in rest.request.endpoints for name in row.scopes}
        charged |= set(rest.request.default_scopes)
        for scope in scopes:
            if scope.name not in charged:
                yield f"limit {scope.name!r}: no endpoint is charged to it"
    if isinstance(rest.limits, ScopedLimiter):
        known = {scope.name for scope in scopes}
        for code, named in rest.limits.code_scopes.items():
            for name in sorted(set(named) - known):
                yield f"code_scopes[{code!r}] names {name!r}, which is not in the table of limits"
            table = _table(rest)
            if table is not None and table.look_up(code, "") not in ("rate", "ban"):
                yield f"code_scopes[{code!r}]: the table of errors does not list that code under 'rate'"


def wrong_errors(case: Case) -> Iterator[str]:
    """The table's codes become errors of the tree, as stated; so do the samples."""
    rest = case.rest()
    read = _read(rest)
    table = _table(rest)
    if table is not None:
        yield from _wrong_table(table)
        for code, kind in table.codes.items():
            body = msgspec.json.encode({table.code_field: code, table.message_field: "no words"})
            error = rest.exceptions.refusal(read, _answer(400, body))
            found = table.look_up(code, "no words")
            if error is None:
                yield f"errors: code {code!r} ({kind}) with HTTP 400 is taken for a success"
            elif found != kind and not any(listed == code for listed, _, _ in table.texts):
                yield f"errors: code {code!r} is {kind!r} in codes, looked up it is {found!r}"
    if not case.errors:
        yield "there are no error samples: add ErrorSample(status, body, error) to errors"
    place = case.intents(rest).get("place_order")
    if place is not None:
        yield from _wrong_for_orders(case, rest, place)
    for number, sample in enumerate(case.errors):
        where = f"errors[{number}], HTTP {sample.status} {shown(sample.body)}"
        call = place if sample.order else read
        if call is None:
            yield f"{where}: is the answer to an order, and place_order is not offered"
            continue
        error = rest.exceptions.refusal(call, _answer(sample.status, sample.body, sample.headers))
        if type(error) is not sample.error:
            got = "a success" if error is None else type(error).__name__
            yield f"{where}: is {got}, expected {sample.error.__name__}"
        elif error is not None and error.retry_after_s != sample.retry_after_s:
            yield f"{where}: retry_after_s is {error.retry_after_s}, expected {sample.retry_after_s}"


def _wrong_for_orders(case: Case, rest: RestStrategySet, place: Call[Any]) -> Iterator[str]:
    """After ``retry`` an engine places the order again: each row of it needs a sample that says so.

    And without ``not_found`` the fate of one that never arrived stays unknown.
    """
    table = _table(rest)
    if table is None:
        return
    proven: set[object] = set()
    for sample in case.errors:
        if sample.order and sample.error is ExchangeUnavailable:
            refusal = rest.exceptions.refusal(place, _answer(sample.status, sample.body, sample.headers))
            proven |= {sample.status, refusal.exchange_code if refusal is not None else ""}
    if "not_found" not in {kind for _, kind in _rows(table)}:
        yield "errors: nothing is 'not_found': resolve_unknown() could never tell that none arrived"
    says = "is 'retry', surely not executed"
    add = "add ErrorSample(..., ExchangeUnavailable, order=True), from the exchange's documents"
    for code, kind in table.codes.items():
        if kind == "retry" and code not in table.order_unknown | proven:
            yield f"errors: code {code!r} {says}, and no sample of an order has it: {add}"
    for status, kind in table.statuses.items():
        # From 500 on an order without a known code is unknown all the same.
        if kind == "retry" and status < 500 and status not in proven:
            yield f"errors: HTTP {status} {says}, and no sample of an order has it: {add}"
    for low, high, kind in table.ranges:
        if kind == "retry":
            yield f"errors: the range {low}..{high} {says}: list such codes one by one"
    for start, kind in table.prefixes:
        if kind == "retry":
            yield f"errors: the prefix {start!r} {says}: list such codes one by one"


def _rows(table: ErrorTable) -> list[tuple[str, object]]:
    """Where each row of a table stands, and its class."""
    rows: list[tuple[str, object]] = [(f"codes[{code!r}]", kind) for code, kind in table.codes.items()]
    rows += [(f"texts {code!r} {part!r}", kind) for code, part, kind in table.texts]
    rows += [(f"ranges {low}..{high}", kind) for low, high, kind in table.ranges]
    rows += [(f"prefixes {start!r}", kind) for start, kind in table.prefixes]
    rows += [(f"statuses[{status}]", kind) for status, kind in table.statuses.items()]
    return rows


def _wrong_table(table: ErrorTable) -> Iterator[str]:
    for where, kind in _rows(table):
        if kind not in _CLASSES:
            yield f"errors: {where} is {kind!r}: choose one of {', '.join(_CLASSES)}"
    listed: tuple[object, ...] = (*table.codes, *table.order_unknown, *table.ok_codes)
    for code in listed:
        if not isinstance(code, str):
            yield f"errors: code {code!r} must be text, also where the exchange sends a number"
    for both in table.ok_codes & table.codes.keys():
        yield f"errors: code {both!r} is a success in ok_codes and {table.codes[both]!r} in codes"
    for low, high, _ in table.ranges:
        if low > high:
            yield f"errors: the range {low}..{high} is empty: the lower number comes first"
    if not table.code_field or not table.message_field:
        yield "errors: code_field and message_field name where a refusal has its code and its words"


def wrong_reading(case: Case) -> Iterator[str]:
    """Answers of success are read as their samples state."""
    rest = case.rest()
    sampled = {"ping", *(sample.intent for sample in case.answers)}
    for intent, call in case.intents(rest).items():
        if intent not in sampled:
            yield f"{intent} ({call.endpoint.label}) has no sample: add an AnswerSample to answers"
    for number, sample in enumerate(case.answers):
        where = f"answers[{number}], {sample.intent} {shown(sample.body)}"
        call = getattr(rest.request, sample.intent)(*sample.arguments)
        refusal = rest.exceptions.refusal(call, _answer(200, sample.body))
        if refusal is not None:
            yield f"{where}: is taken for a refusal: {refusal}"
            continue
        try:
            result = call.parse(sample.body)
        except (msgspec.MsgspecError, ValueError, KeyError, CexnetError) as error:
            yield f"{where}: cannot be read: {type(error).__name__}: {error}"
            continue
        if result != sample.result:
            yield f"{where}\n     is read as {result!r}\n     expected   {sample.result!r}"


def _scopes(rest: RestStrategySet) -> tuple[LimitScope, ...]:
    return rest.limits.scopes if isinstance(rest.limits, ScopedLimiter) else ()


def _table(rest: RestStrategySet) -> ErrorTable | None:
    return rest.exceptions.table if isinstance(rest.exceptions, TableErrors) else None


def _read(rest: RestStrategySet) -> Call[Any]:
    """A request that may be repeated."""
    return Call(Endpoint("read", "GET", "/read"), "/read", bytes)


def _answer(status: int, body: bytes, headers: Any = ()) -> Answer:
    return Answer(status, dict(headers), body, 0, 0, 0, 0)
