"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Symbols = Annotated[
    list[str] | None,
    Parameter(consume_multiple=True, negative="", help="Symbols in the exchange's own spelling."),
]
Faults = Annotated[list[str] | None, Parameter(negative="")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]
FOR_EVER_S = 10 * 365 * 86_400.0
