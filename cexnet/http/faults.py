"""The one shape in which a failed exchange of bytes leaves the session."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

FaultKind = Literal["connect", "tls", "closed", "reset", "malformed", "too_large", "deadline"]


class TransportFault(Exception):
    """No usable HTTP response. Internal: classification turns it into a public error.

    ``sent`` is False only when certainly no byte of the request was written.
    ``status`` and ``headers`` are the response's when at least its head arrived, else 0 and none.
    """

    def __init__(
        self,
        kind: FaultKind,
        detail: str,
        *,
        sent: bool,
        status: int = 0,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(detail)
        self.kind: FaultKind = kind
        self.detail = detail
        self.sent = sent
        self.status = status
        self.headers = headers
