"""API credentials, held so that they never reach a log, a repr or an exception."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any, NoReturn

from cexnet_core.errors import ConfigurationError

_MASK = "****"


class Secret:
    """Bytes that never print.

    ``reveal()`` is the only way to the value. ``repr``, ``str`` and ``format``
    show a mask, comparison takes constant time, pickling and copying are refused.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        """Hold ``value``; raises ConfigurationError when it is empty."""
        if not value:
            raise ConfigurationError("a secret is empty: give the API secret that the exchange issued")
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> bytes:
        """The value itself. Call it where a signer is built and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __str__(self) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("a Secret is not hashable: a hash table would keep it alive")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """An API key and its secret, for one account at one exchange."""

    api_key: str
    api_secret: Secret

    def __post_init__(self) -> None:
        if not isinstance(self.api_secret, Secret):
            raise ConfigurationError("credentials.api_secret must be a Secret: wrap it as Secret(value)")
        if not self.api_key or not self.api_key.isascii() or not self.api_key.isprintable():
            raise ConfigurationError("credentials.api_key must be printable ASCII text and not empty")

    def __repr__(self) -> str:
        return f"Credentials(api_key={self.api_key[:4]}{_MASK}, api_secret={_MASK})"
