"""What went wrong, by table: exchange code first, then HTTP status, then transport fault.

The rule that matters most: a request that is not idempotent and may have reached the
exchange ends in OutcomeUnknown unless the exchange said something that settles it. An
HTTP 5xx does not settle it, whatever its body says, unless the code's own row does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import msgspec

from cexnet.http.answers import Answer
from cexnet.http.endpoint import Call
from cexnet.http.faults import TransportFault
from cexnet.http.strategies import ExceptionHandlerStrategy
from cexnet_core.clock import now_ns
from cexnet_core.errors import (
    AuthenticationError,
    Banned,
    CexnetError,
    ClockSkewError,
    DeadlineExceeded,
    DuplicateOrder,
    ExchangeError,
    ExchangeUnavailable,
    InsufficientFunds,
    InvalidRequest,
    OrderFinished,
    OrderNotFound,
    OutcomeUnknown,
    RateLimited,
    RequestError,
    RequestNotSent,
)

ErrorClass = Literal[
    "auth",
    "clock",
    "rate",
    "ban",
    "invalid",
    "funds",
    "not_found",
    "terminal",
    "duplicate",
    "retry",
    "unknown",
]

_REFUSALS: dict[ErrorClass, type[ExchangeError]] = {
    "auth": AuthenticationError,
    "clock": ClockSkewError,
    "rate": RateLimited,
    "ban": Banned,
    "invalid": InvalidRequest,
    "funds": InsufficientFunds,
    "not_found": OrderNotFound,
    "terminal": OrderFinished,
    "duplicate": DuplicateOrder,
    "retry": ExchangeUnavailable,
}
# Surely not executed, and nothing about the request itself is wrong.
_RETRYABLE: frozenset[ErrorClass] = frozenset({"clock", "rate", "retry"})

_STATUSES: dict[int, ErrorClass] = {401: "auth", 408: "unknown", 418: "ban", 429: "rate"}
_EXCERPT = 200
# More is no code and no sentence, and whoever logs or masks 16 MB of it stops the loop for seconds.
_LONGEST_CODE = 100
_LONGEST_MESSAGE = 2000
_DECIMAL = re.compile(r"\d{1,12}(\.\d{1,9})?").fullmatch


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """One exchange's refusals.

    ``codes`` maps an exchange code to a class, ``ranges`` inclusive integer ranges and
    ``prefixes`` the start of a code. ``texts`` lists (code, part of the message, class)
    for codes that only the message tells apart, and is looked at first.
    ``order_unknown`` holds the codes that mean ``unknown`` on a request that is not
    idempotent, whatever ``codes`` says. ``statuses`` gives the class of an HTTP status
    that came without a known code, before the general rule for it. ``ok_codes`` are
    values of the code field that mean success. ``reset_header`` names the header with
    the epoch second at which a throttle ends.
    """

    code_field: str
    message_field: str
    codes: Mapping[str, ErrorClass]
    texts: tuple[tuple[str, str, ErrorClass], ...] = ()
    ranges: tuple[tuple[int, int, ErrorClass], ...] = ()
    prefixes: tuple[tuple[str, ErrorClass], ...] = ()
    order_unknown: frozenset[str] = frozenset()
    statuses: Mapping[int, ErrorClass] = field(default_factory=dict)
    ok_codes: frozenset[str] = frozenset()
    reset_header: str = ""

    def look_up(self, code: str, message: str) -> ErrorClass | None:
        """The class of ``code``, or ``None`` when the table does not list it."""
        for listed, part, kind in self.texts:
            if code == listed and part.lower() in message.lower():
                return kind
        if code in self.codes:
            return self.codes[code]
        if self.ranges and code.removeprefix("-").isdecimal():
            number = int(code)
            for low, high, kind in self.ranges:
                if low <= number <= high:
                    return kind
        for prefix, kind in self.prefixes:
            if code.startswith(prefix):
                return kind
        return None


class TableErrors(ExceptionHandlerStrategy):
    """Classification by an ErrorTable."""

    def __init__(self, table: ErrorTable) -> None:
        self.table = table

    def refusal(self, call: Call[Any], answer: Answer) -> RequestError | None:
        """See ExceptionHandlerStrategy. A success may carry an error body (MEXC does)."""
        table = self.table
        status = answer.status
        if 200 <= status < 300 and status not in table.statuses:
            if table.ok_codes and _starts_like_error(answer.body, table.code_field):
                code, message = self._envelope(answer.body)
                if code and code not in table.ok_codes:
                    return self._error(call, answer, code, message)
            return None
        code, message = self._envelope(answer.body)
        return self._error(call, answer, code, message)

    def unreadable(self, call: Call[Any], answer: Answer, reason: str) -> RequestError:
        """See ExceptionHandlerStrategy."""
        return self._undecided(
            call,
            f"HTTP {answer.status} with a body that cannot be read ({reason[:_LONGEST_MESSAGE]}; content type"
            f" {answer.headers.get('Content-Type', 'not given')!r}): {_excerpt(answer.body)}",
            status=answer.status,
        )

    def fault(self, call: Call[Any], fault: TransportFault) -> CexnetError:
        """See ExceptionHandlerStrategy."""
        label = call.endpoint.label
        if not fault.sent:
            if fault.kind == "deadline":
                return DeadlineExceeded(
                    f"{label}: the deadline passed while waiting for a connection; nothing was"
                    " sent. Check the network, or allow a longer deadline",
                    outcome="not_sent",
                    endpoint=label,
                    client_order_id=call.client_order_id,
                )
            return RequestNotSent(
                f"{label}: no connection ({fault.detail}); nothing was sent."
                " Check the address, DNS, firewall and proxy",
                outcome="not_sent",
                # A refused certificate stays refused.
                retryable=fault.kind != "tls",
                endpoint=label,
                client_order_id=call.client_order_id,
            )
        if 400 <= fault.status < 500 and fault.status != 408:
            # The head of the answer is a refusal already; only its explanation is lost.
            lost = Answer(fault.status, fault.headers, b"", 0, 0, 0, 0)
            return self._error(call, lost, "", f"(body lost: {fault.detail})")
        if fault.kind == "deadline" and call.idempotent:
            return DeadlineExceeded(
                f"{label}: no answer before the deadline. Allow a longer one, or look at the"
                " exchange's status page",
                outcome="unknown",
                endpoint=label,
                client_order_id=call.client_order_id,
            )
        return self._undecided(
            call,
            f"the exchange of bytes failed ({fault.detail})",
            status=fault.status,
            retryable=fault.kind != "too_large",
        )

    def _envelope(self, body: bytes) -> tuple[str, str]:
        """Code and message of an error body; empty text where it is no such body."""
        try:
            envelope = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return "", _excerpt(body)
        if not isinstance(envelope, dict):
            return "", _excerpt(body)
        code = envelope.get(self.table.code_field)
        message = envelope.get(self.table.message_field)
        if not isinstance(code, str | int) or isinstance(code, bool) or len(str(code)) > _LONGEST_CODE:
            return "", _excerpt(body)
        return str(code), message[:_LONGEST_MESSAGE] if isinstance(message, str) else ""

    def _class_of(self, call: Call[Any], status: int, code: str, message: str) -> ErrorClass | None:
        table = self.table
        kind = table.look_up(code, message) if code else None
        if not call.idempotent:
            if code in table.order_unknown:
                return "unknown"
            if status >= 500 and kind != "retry":
                return "unknown"
            if status < 200 or status == 304:
                return "unknown"  # neither a success nor a refusal
        if status == 418:
            return "ban"
        if kind is not None:
            return kind
        kind = table.statuses.get(status) or _STATUSES.get(status)
        if kind is None and status >= 500:
            kind = "unknown"
        return kind

    def _error(self, call: Call[Any], answer: Answer, code: str, message: str) -> RequestError:
        status = answer.status
        kind = self._class_of(call, status, code, message)
        said = f"HTTP {status}" + (f", code {code}" if code else "") + f": {message or '(no text)'}"
        if 300 <= status < 400 and status != 304:
            said += " (a redirect, which is never followed: put the exchange's own address into base_url)"
        if kind == "unknown":
            return self._undecided(call, said, status=status, code=code, message=message)
        label = call.endpoint.label
        return (_REFUSALS[kind] if kind else ExchangeError)(
            f"{label} was refused: {said}",
            outcome="rejected",
            retryable=kind in _RETRYABLE,
            retry_after_s=self._retry_after_s(answer.headers),
            status=status,
            exchange_code=code,
            exchange_message=message,
            endpoint=label,
            client_order_id=call.client_order_id,
        )

    def _retry_after_s(self, headers: Mapping[str, str]) -> float | None:
        """Seconds to wait by Retry-After (RFC 9110 section 10.2.3) or the reset header.

        A moment, in either header, is one of the exchange's clock.
        """
        told = headers.get("Retry-After", "")
        after = _seconds(told)
        if after is not None:
            return after
        until = _epoch_s(told)
        if until is None and self.table.reset_header:
            until = _seconds(headers.get(self.table.reset_header, ""))
        return None if until is None else max(0.0, until - _server_s(headers))

    def _undecided(
        self,
        call: Call[Any],
        said: str,
        *,
        status: int,
        code: str = "",
        message: str = "",
        retryable: bool = True,
    ) -> RequestError:
        """Nothing tells whether it was executed: fatal for an order, harmless for a read."""
        label = call.endpoint.label
        if call.idempotent:
            return ExchangeUnavailable(
                f"{label} brought no result: {said}",
                outcome="unknown",
                retryable=retryable,
                status=status,
                exchange_code=code,
                exchange_message=message,
                endpoint=label,
                client_order_id=call.client_order_id,
            )
        return OutcomeUnknown(
            f"{label} may or may not have been executed: {said}. Query the order"
            f" {call.client_order_id or '(no client order id)'} before acting",
            outcome="unknown",
            status=status,
            exchange_code=code,
            exchange_message=message,
            endpoint=label,
            client_order_id=call.client_order_id,
        )


def _starts_like_error(body: bytes, code_field: str) -> bool:
    """Whether ``code_field`` is near the front: cheap enough to ask of every success."""
    return f'"{code_field}"'.encode() in body[:64]


def _seconds(text: str) -> float | None:
    return float(text) if _DECIMAL(text) else None


def _epoch_s(date: str) -> float | None:
    """An HTTP date in epoch seconds; ``None`` for what is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _server_s(headers: Mapping[str, str]) -> float:
    """The exchange's clock as it answered, epoch seconds; ours where it does not say."""
    told = _epoch_s(headers.get("Date", ""))
    return now_ns() / 1e9 if told is None else told


def _excerpt(body: bytes) -> str:
    """The start of a body that is not an error envelope, printable."""
    text = body[:_EXCERPT].decode("utf-8", "backslashreplace")
    return repr(text) if body else "(empty body)"
