"""A fault as text, as the command line takes it: ``NAME[:key=value,...]``."""

from __future__ import annotations

from typing import Any

from cexnet.simulator.faults.fault import Fault
from cexnet_core.errors import ConfigurationError

_SPELLINGS = {"p": "probability", "retry_after": "retry_after_s", "delay": "delay_s",
              "for": "lasting_s", "window": "window_s", "skew": "skew_s"}  # fmt: skip
_WHOLE = ("connection", "code", "status", "retry_after_s", "limit", "size")
_FRACTION = ("probability", "delay_s", "lasting_s", "window_s", "skew_s")
_YES_NO = {"yes": True, "no": False, "true": True, "false": False}


def parse_fault(text: str) -> Fault:
    """The fault that ``text`` names, like ``reset:after=500,times=3`` or ``close:code=1012``.

    ``after`` is a number of messages, or of seconds when it ends in ``s``; ``p``,
    ``delay``, ``for``, ``window``, ``skew`` and ``retry_after`` are short for ``probability``,
    ``delay_s``, ``lasting_s``, ``window_s``, ``skew_s`` and ``retry_after_s``; ``times=always`` has no
    end. A ``_`` in the name counts as ``-``. Raises :class:`ConfigurationError`.
    """
    name, _, listed = text.partition(":")
    options: dict[str, Any] = {}
    for pair in listed.split(",") if listed else ():
        key, found, value = pair.partition("=")
        if not found:
            raise ConfigurationError(f"fault {text!r}: {pair!r} is not of the form key=value")
        key = key.strip().replace("-", "_")
        try:
            field, read = _read(_SPELLINGS.get(key, key), value.strip())
        except (ValueError, KeyError) as error:
            raise ConfigurationError(f"fault {text!r}: {key} cannot be {value!r}") from error
        options[field] = read
    return Fault(name.strip().replace("_", "-"), **options)


def _read(field: str, value: str) -> tuple[str, Any]:
    if field == "after":
        if value.endswith("s"):
            return "after_s", float(value[:-1])
        return "after_messages", int(value)
    if field == "times":
        return field, None if value == "always" else int(value)
    if field in ("announced", "executed"):
        return field, _YES_NO[value]
    if field in _WHOLE:
        return field, int(value)
    if field in _FRACTION:
        return field, float(value)
    if field in ("topic", "reason", "request"):
        return field, value
    raise ConfigurationError(f"a fault has no option {field!r}")
