"""What a request's parameters may be; ``cexnet_core.query`` writes them as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal, TypeAlias

from cexnet_core.secret import Secret

Scalar: TypeAlias = str | int | bool | float | Decimal | Secret | None
ParamValue: TypeAlias = Scalar | Sequence[Scalar]
Params: TypeAlias = Mapping[str, ParamValue] | Sequence[tuple[str, ParamValue]]

# How an exchange writes a list: name=a&name=b, name=a,b or name=["a","b"].
Arrays: TypeAlias = Literal["repeat", "comma", "json"]
