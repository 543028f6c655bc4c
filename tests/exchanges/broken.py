"""The template exchange, changed in one place: what the tests of the suite make their mistakes with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from cexnet.exchanges.exchange import Rest
from cexnet.http.classify import TableErrors
from cexnet.http.endpoint import Endpoint, WireRequest
from cexnet.http.limits import LimitScope, ScopedLimiter
from cexnet.http.strategies import RestStrategySet
from cexnet.testing import Sample
from cexnet.websocket.strategies import MessageParser, WebSocketStrategySet
from cexnet_core.schema import Field, Message

Attributes = dict[str, Any]


@dataclass(frozen=True)
class Template:
    """The template's module, and its suite."""

    acme: ModuleType
    suite: Any

    def public(self, change: Callable[[WebSocketStrategySet], object]) -> Attributes:
        """An exchange whose stream strategies were changed."""

        def make(base_url: str | None = None) -> WebSocketStrategySet:
            made: WebSocketStrategySet = self.acme.websocket_strategies(base_url)
            change(made)
            return made

        return self.exchange(websocket_strategies=make)

    def exchange(self, **changes: Any) -> Attributes:
        """An exchange of which something else was changed."""
        return {"exchange": replace(self.acme.EXCHANGE, **changes)}

    def topics(self, **members: Any) -> Attributes:
        """An exchange whose subscription strategy has other members."""
        kind = type("AcmeTopics", (self.acme.AcmeTopics,), members)
        return self.public(lambda made: setattr(made, "subscription", kind()))

    def messages(self, event: str, change: Callable[[Message], Message]) -> Attributes:
        """An exchange whose messages of ``event`` were changed."""
        json = tuple(change(one) if one.event == event else one for one in self.acme.SCHEMA.json)
        schema = replace(self.acme.SCHEMA, json=json)
        return self.public(lambda made: setattr(made, "parser", MessageParser(schema)))

    def rest(self, change: Callable[[RestStrategySet], RestStrategySet]) -> Attributes:
        """An exchange whose REST strategies were changed."""

        def make(*, credentials: Any) -> RestStrategySet:
            return change(self.acme.rest_strategies(credentials=credentials))

        return self.exchange(rest=Rest(self.acme.REST_URL, make))

    def rows(self, name: str, **changes: Any) -> Attributes:
        """An exchange with one row of its table changed."""
        rows = [replace(row, **changes) if row.name == name else row for row in self.acme.ENDPOINTS]
        return self.table(rows)

    def table(self, rows: Sequence[Endpoint]) -> Attributes:
        """An exchange with other rows."""
        requests = self.acme.AcmeRequests(rows, default_scopes=("weight",))
        return self.rest(lambda made: replace(made, request=requests))

    def limits(self, *scopes: LimitScope, **options: Any) -> Attributes:
        """An exchange with other limits."""
        return self.rest(lambda made: replace(made, limits=ScopedLimiter(scopes, **options)))

    def errors(self, **changes: Any) -> Attributes:
        """An exchange with another table of errors."""
        table = replace(self.acme.ERRORS, **changes)
        return self.rest(lambda made: replace(made, exceptions=TableErrors(table)))

    def requests(self, **members: Any) -> Attributes:
        """An exchange whose request strategy has other members."""
        kind = type("AcmeRequests", (self.acme.AcmeRequests,), members)
        made = kind(self.acme.ENDPOINTS, default_scopes=("weight",))
        return self.rest(lambda rest: replace(rest, request=made))

    def wires(self, change: Callable[[WireRequest], WireRequest]) -> Attributes:
        """An exchange whose signed requests were changed."""
        signed = self.acme.AcmeSignature.signed
        return self.auth(signed=lambda self, call, sign, now_ns: change(signed(self, call, sign, now_ns)))

    def auth(self, **members: Any) -> Attributes:
        """An exchange whose signing strategy has other members."""
        kind = type("AcmeSignature", (self.acme.AcmeSignature,), members)

        def make(*, credentials: Any) -> RestStrategySet:
            return replace(self.acme.rest_strategies(credentials=credentials), auth=kind(credentials))

        return self.exchange(rest=Rest(self.acme.REST_URL, make))

    def with_fields(self, event: str, *fields: Field) -> Attributes:
        """An exchange that reads fields of ``event`` otherwise."""
        changed = {field.into: field for field in fields}
        return self.messages(
            event, lambda one: replace(one, fields=tuple(changed.get(f.into, f) for f in one.fields))
        )

    def sample(self, index: int, **changes: Any) -> Attributes:
        """A suite with one sample, whose subscription was changed."""
        sample = self.suite.samples[index]
        return {"samples": (Sample(replace(sample.subscription, **changes), sample.payload, *sample.events),)}


Mistake = tuple[str, str, Callable[[Template], Attributes]]
"""Part of the name of the test that must fail, a pattern of its words, and what is wrong."""
