"""Runs scripts, each in a process of its own, on a machine whose network is loopback alone.

As a program it imports cexnet once and forks for each script that standard input names, one JSON
object a line; ``BlockRunner`` is the other side of that. Importing anew would take most of the time.
"""

from __future__ import annotations

import importlib
import ipaddress
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

DEADLINE_S = 60


class BlockRunner:
    """``with BlockRunner() as runner``: ``runner.run(...)`` gives exit status and output of a script."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def run(self, source: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
        """Run ``source`` in ``folder``; standard output and error are one text."""
        output = folder / "output"
        script = {"source": source, "folder": str(folder), "environment": environment, "output": str(output)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(script) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return status, output.read_text()


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


def become(script: dict[str, Any]) -> None:
    """In the forked child: be the process that the script would have had."""
    signal.alarm(DEADLINE_S)
    os.chdir(script["folder"])
    os.environ.clear()
    os.environ.update(script["environment"])
    output = os.open(script["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(ours, theirs)


def serve() -> str:
    """Fork for each script; in the child, the script's source, and "" when there are no more."""
    for line in sys.stdin:
        script = json.loads(line)
        child = os.fork()
        if child == 0:
            become(script)
            return str(script["source"])
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    return ""


if __name__ == "__main__":
    importlib.import_module("cexnet.simulator")  # and with it all of cexnet; it starts no thread
    sys.addaudithook(refuse_the_network)
    exec(compile(serve(), "<block>", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own document
