"""A value that never prints: API secrets, passphrases, listen keys."""

from __future__ import annotations

import hmac
from typing import Any, NoReturn

from cexnet_core.errors import ConfigurationError

_MASK = "****"


class Secret:
    """Bytes that never print.

    ``reveal()`` and ``text()`` are the only ways to the value. ``repr``, ``str`` and ``format`` show a
    mask, comparison takes constant time; hashing, pickling, copying and encoding are
    refused with TypeError. As the value of a request parameter it goes on the wire as
    it is, and is masked in whatever the exchange says in return.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        """Hold ``value``; raises ConfigurationError when it is empty, not text or bytes, or has no UTF-8."""
        if not isinstance(value, str | bytes):
            raise ConfigurationError(f"a secret must be text or bytes, not {type(value).__name__}")
        if not value:
            raise ConfigurationError("a secret is empty: give the value that the exchange issued")
        try:
            self._value = value.encode() if isinstance(value, str) else value
            return
        except UnicodeEncodeError:
            pass  # it holds the value: it must not be the cause of ours
        raise ConfigurationError("a secret holds half of a character (a lone surrogate): it is no text")

    def reveal(self) -> bytes:
        """The value itself. Call it where a signer is built and nowhere else."""
        return self._value

    def text(self) -> str:
        """The value as text. Raises ConfigurationError, which does not hold it, when it is no UTF-8."""
        try:
            return self._value.decode()
        except UnicodeDecodeError:
            pass  # its words and its arguments are the value: it must not be the cause of ours
        raise ConfigurationError("a secret that is sent or shown to an exchange must be UTF-8 text")

    def __repr__(self) -> str:
        return f"Secret({_MASK})"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("a Secret is not hashable: a hash table would keep it alive")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied")
