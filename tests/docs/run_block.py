"""Runs the script on standard input as ``__main__``, on a machine whose network is loopback alone."""

from __future__ import annotations

import ipaddress
import sys
from typing import Any


def refuse_the_network(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: a program of the documents may not reach a real exchange from a test."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    try:
        allowed = host is None or ipaddress.ip_address(host).is_loopback
    except ValueError:
        allowed = host in ("localhost", b"localhost")
    if not allowed:
        raise OSError(f"{host} is not this machine: a block of the documents must be led to the simulator")


source = sys.stdin.read()
sys.addaudithook(refuse_the_network)
exec(compile(source, "<block>", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own document
