"""Compact JSON, as exchanges send it."""

from __future__ import annotations

import json
from typing import Any

from cexnet.websocket.strategies import ControlRequest

MS = 1_000_000


def wire(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def asked(request: ControlRequest) -> Any:
    """The message of ``request``."""
    return json.loads(request.payload)
