"""Are requests signed as the exchange wants, only where they must be, and does nothing of it show?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from cexnet.credentials import Credentials, Secret
from cexnet.http.endpoint import Call, Endpoint, WireRequest
from cexnet.http.intents import TableRequests, build_call
from cexnet.http.strategies import RestStrategySet
from cexnet.testing.asked import questions
from cexnet.testing.case import Case
from cexnet_core.errors import AuthenticationError, CexnetError, ConfigurationError

_AT_NS = 1_700_000_000_000_000_000
_PRIVATE_KEY = b"-----BEGIN"


def wrong_signatures(case: Case) -> Iterator[str]:
    """Known answers come out, what needs no signature has none, and without a key nothing is signed."""
    rest = case.rest()
    signed = [call for call in _calls(case, rest) if call.endpoint.signed]
    if signed and not case.signatures:
        yield (
            f"{signed[0].endpoint.label} is signed, and there is no SignatureVector: add one to signatures,"
            " from the exchange's documents or another client"
        )
    for number, vector in enumerate(case.signatures):
        made = case.rest(credentials=vector.credentials)
        call = build_call(
            made.request,
            vector.method,
            vector.path,
            bytes,
            params=vector.params,
            body=vector.body,
            signed=True,
        )
        wire = made.auth.sign(call, vector.at_ms * 1_000_000)
        where = f"signatures[{number}] ({vector.method} {vector.path})"
        if wire.target != vector.target:
            yield f"{where}: sends  {wire.target}\n     expected {vector.target}"
        for name, value in vector.headers.items():
            if wire.headers.get(name) != value:
                yield f"{where}: header {name} is {wire.headers.get(name)!r}, expected {value!r}"
    stranger = case.rest(signed=False)
    for call in _calls(case, rest):
        label = call.endpoint.label
        try:
            wire = stranger.auth.sign(call, _AT_NS)
        except CexnetError as error:
            if not call.endpoint.signed:
                yield f"{label}: needs no signature, and without credentials it raises {error!r}"
            elif not isinstance(error, AuthenticationError) or error.outcome != "not_sent":
                yield f"{label}: without credentials raises {error!r}: raise no_credentials(call)"
            continue
        if call.endpoint.signed:
            yield f"{label}: must be signed, and is sent without credentials: raise no_credentials(call)"
        elif wire != rest.auth.sign(call, _AT_NS):
            yield f"{label}: needs no signature, and carries one or a key when there are credentials"
    yield from _uncovered(case, rest)
    if rest.auth.validity_s <= 0:
        yield f"validity_s is {rest.auth.validity_s}: how long the exchange accepts what was signed, in s"


def _uncovered(case: Case, rest: RestStrategySet) -> Iterator[str]:
    """What may be changed on the way without the signature telling."""
    seen: set[tuple[str, str]] = set()
    for one, other in _twins(case, rest):
        label = one.endpoint.label
        for what, twin, later_ns in (("", other, 0), ("time", one, 1_000_000_000)):
            first = rest.auth.sign(one, _AT_NS)
            if first != rest.auth.sign(one, _AT_NS):
                continue  # something random is in each
            second = rest.auth.sign(twin, _AT_NS + later_ns)
            if _without(_text(first), first.hidden) == _without(_text(second), second.hidden):
                continue
            part = what or ("body" if first.body != second.body else "query")
            if set(first.hidden) == set(second.hidden) and (label, part) not in seen:
                seen.add((label, part))
                yield f"{label}: with another {part} the signature is the same: it must cover what is sent"


def _twins(case: Case, rest: RestStrategySet) -> Iterator[tuple[Call[Any], Call[Any]]]:
    """Signed calls of the same endpoint that differ in what they ask for."""
    if isinstance(rest.request, TableRequests):
        for row in rest.request.endpoints:
            if row.signed and row.method in ("GET", "DELETE"):
                yield _call_of(row), _call_of(row, "c")
    for _, _, ask, ask_else in questions(case, rest):
        try:
            one, other = ask(), ask_else()
        except ConfigurationError:
            continue
        if one.endpoint.signed and other.endpoint.signed:
            yield one, other


def shown_secrets(case: Case) -> Iterator[str]:
    """No key, secret, passphrase or signature is in a repr; those on the wire are named as hidden."""
    made: dict[str, object] = {"Exchange": case.exchange}
    for kind, streams in case.streams().items():
        made[f"{kind} strategies"] = streams
        made[f"{kind} connection strategy"] = streams.connection
        made[f"{kind} subscription strategy"] = streams.subscription
        if (login := streams.connection.login(1)) is not None:
            made[f"{kind} login"] = login
    wires: list[tuple[Call[Any], WireRequest]] = []
    if case.exchange.rest is not None:
        rest = case.rest()
        made |= {"REST strategies": rest, "AuthStrategy": rest.auth, "RequestStrategy": rest.request}
        wires = [(call, rest.auth.sign(call, _AT_NS)) for call in _calls(case, rest) if call.endpoint.signed]
    secrets = _secrets(case.credentials)
    for name, one in made.items():
        for what in _found(secrets, (repr(one), str(one))):
            yield f"repr of {name} ({type(one).__name__}) shows the {what}: use Secret, or field(repr=False)"
    for call, wire in wires:
        label = call.endpoint.label
        for what in _found({**secrets, "signature": _longest(wire.hidden)}, (repr(wire), repr(call))):
            yield f"{label}: repr of {type(wire).__name__} shows the {what}"
        rest_of_it = _without(_text(wire), wire.hidden)
        for what in _found(secrets, (rest_of_it,)):
            yield f"{label}: sends the {what}, and WireRequest.hidden does not name it: errors may quote it"
        if _signature_shows(case, call, wire, rest_of_it):
            yield f"{label}: WireRequest.hidden does not name the signature: errors may quote it"


def _signature_shows(case: Case, call: Call[Any], wire: WireRequest, rest_of_it: str) -> bool:
    """Whether what is not hidden still depends on the secret (and on nothing that is random)."""
    again = case.rest().auth.sign(call, _AT_NS)
    other = _another_secret(case.credentials)
    if other is None or _text(again) != _text(wire):
        return False
    elsewise = case.rest(credentials=other).auth.sign(call, _AT_NS)
    return _without(_text(elsewise), elsewise.hidden) != rest_of_it


def _another_secret(credentials: Credentials) -> Credentials | None:
    """The same key with a secret that differs in its first letter; ``None`` for a private key."""
    secret = credentials.api_secret.reveal()
    if secret.lstrip().startswith(_PRIVATE_KEY):
        return None
    return replace(credentials, api_secret=Secret((b"2" if secret[:1] == b"1" else b"1") + secret[1:]))


def _calls(case: Case, rest: RestStrategySet) -> Iterator[Call[Any]]:
    """A call of every endpoint of the table, and of every intent."""
    if isinstance(rest.request, TableRequests):
        for row in rest.request.endpoints:
            yield _call_of(row)
    yield from case.intents(rest).values()


def _call_of(row: Endpoint, value: str = "b") -> Call[Any]:
    path = "/".join("7" if part.startswith("{") else part for part in row.path.split("/"))
    return Call(row, path, bytes, params=[("a", value)])


def _secrets(credentials: Credentials) -> dict[str, str]:
    found = {"API key": credentials.api_key, "API secret": credentials.api_secret.reveal().decode("latin-1")}
    if credentials.passphrase is not None:
        found["passphrase"] = credentials.passphrase.reveal().decode("latin-1")
    return found


def _found(secrets: dict[str, str], texts: Sequence[str]) -> Iterator[str]:
    for what, secret in secrets.items():
        if secret and any(secret in text for text in texts):
            yield what


def _longest(hidden: Iterable[str]) -> str:
    return max(hidden, key=len, default="")


def _text(wire: WireRequest) -> str:
    headers = "".join(f"\n{name}: {value}" for name, value in wire.headers.items())
    return f"{wire.target}{headers}\n{wire.body.decode('latin-1')}"


def _without(text: str, hidden: Iterable[str]) -> str:
    for part in sorted(filter(None, hidden), key=len, reverse=True):
        text = text.replace(part, "****")
    return text
