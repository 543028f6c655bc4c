"""What leaves the REST line carries no key, no signature and no listen key.

Two ways lead out. An exception's traceback keeps the frames that it passed, and the
transport's hold the signed URL and the headers, a decoder's the answer with its listen
key: ``sealed`` and ``sealed_call`` drop them. And an exchange or a proxy may quote the
request in its refusal: ``masked`` blots that out.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar
from urllib.parse import unquote

from cexnet.http.endpoint import Call, WireRequest
from cexnet_core.errors import RequestError
from cexnet_core.forget import drop_frames
from cexnet_core.query import escape
from cexnet_core.secret import Secret

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R", bound=RequestError)

_MASK = "****"
# A quotation may have been cut anywhere: so much of a long secret betrays the rest of it.
_ENOUGH = 12
# Names under which exchanges return or are sent what nobody else may read.
_FIELDS = re.compile(
    r"""\b((?:listen_?key|(?:access_|refresh_)?token|signature|sign|api_?key|(?:api_?)?secret(?:_?key)?"""
    r"""|passphrase|authorization)["']?\s*[:=]\s*["']?(?:(?:basic|bearer)\s+)?)[^"'&\s,}]{6,}""",
    re.IGNORECASE,
)


async def sealed(sending: Awaitable[T]) -> T:
    """Await ``sending``; what it raises, a cancellation too, comes without the frames below.

    It comes without what caused it as well: the transport's own exceptions quote the URL
    and the headers. Classification has their kind in words.
    """
    handled = sys.exception()
    try:
        return await sending
    except BaseException as error:
        error.__traceback__ = error.__cause__ = None
        error.__context__ = handled
        raise


def sealed_call(work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Call ``work``; what it raises comes without the frames below."""
    handled = sys.exception()
    try:
        return work(*given, **named)
    except BaseException as error:
        drop_frames(error, handled)
        raise


def masked(error: R, call: Call[Any], wire: WireRequest) -> R:
    """``error`` with every secret of the request blotted out of its words."""
    hidden = [*wire.hidden, *_secrets_in(call)]
    error.exchange_message = _blot(error.exchange_message, hidden)
    if isinstance(error.exchange_code, str):  # a strategy of another package may have left a number
        error.exchange_code = _blot(error.exchange_code, hidden)  # it is told in traces, too
    error.args = tuple(_blot(each, hidden) if isinstance(each, str) else each for each in error.args)
    return error


def _secrets_in(call: Call[Any]) -> list[str]:
    params = call.params.values() if hasattr(call.params, "values") else [value for _, value in call.params]
    alone = [each for value in params for each in (value if isinstance(value, list | tuple) else (value,))]
    return [*call.hidden, *(value.text() for value in alone if isinstance(value, Secret))]


def _blot(text: str, hidden: list[str]) -> str:
    for each in hidden:
        # As it was sent, as a server decodes it, and as it would be escaped again.
        for form in {each, unquote(each), escape(each)} - {""}:
            whole = re.escape(form[:_ENOUGH])
            text = re.sub(whole + r"[\w%+/=.~-]*" if len(form) > _ENOUGH else whole, _MASK, text)
    return _FIELDS.sub(r"\1" + _MASK, text)
