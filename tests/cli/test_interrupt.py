"""Ctrl-C at any moment: while Python still imports, while names are looked up, and twice."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("signals of Unix", allow_module_level=True)

# `python -m cexnet ARGUMENTS`; Ctrl-C comes when the module that is named first is imported.
INTERRUPTED_WHEN_IMPORTING = """
import os, runpy, signal, sys
awaited, *sys.argv[1:] = sys.argv[1:]
def interrupt(event, arguments):
    if event == "import" and arguments[0] == awaited:
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(interrupt)
runpy.run_module("cexnet", run_name="__main__", alter_sys=True)
"""

# The same with a name server that never answers.
NO_NAME_SERVER = """
import runpy, socket, sys, threading
ask = socket.getaddrinfo
def asked(host, port, family=0, type=0, proto=0, flags=0):
    if flags & socket.AI_NUMERICHOST:
        return ask(host, port, family, type, proto, flags)
    print("asked", flush=True)
    threading.Event().wait()
socket.getaddrinfo = asked
runpy.run_module("cexnet", run_name="__main__", alter_sys=True)
"""

TWICE = """
import asyncio, signal
from cexnet.cli.running import run_until_told

async def work():
    try:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0)
        print("in good order")

run_until_told(work())
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "module", ["cyclopts", "cexnet.cli.app", "cexnet.factory", "aiohttp", "picows", "cexnet_core.decode"]
)
@pytest.mark.parametrize("command", ["demo", "doctor"])
def test_ctrl_c_while_python_imports_ends_without_a_traceback(module: str, command: str) -> None:
    done = run(INTERRUPTED_WHEN_IMPORTING, module, command)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_nothing_heavy_is_imported_before_ctrl_c_is_seen_to() -> None:
    done = run("import sys, cexnet.cli; print('asyncio' in sys.modules, 'cyclopts' in sys.modules)")
    assert done.stdout == "False False\n"


@pytest.mark.parametrize(
    "arguments", [("watch", "binance"), ("record", "binance", "--out", "{tmp}/a.mcap"), ("top", "a.test:1")]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_name_server_that_does_not_answer_is_not_waited_for(
    tmp_path: object, arguments: tuple[str, ...], number: signal.Signals
) -> None:
    words = [each.format(tmp=tmp_path) for each in arguments]
    with subprocess.Popen(
        [sys.executable, "-c", NO_NAME_SERVER, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "asked\n"
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in err


def test_a_second_ctrl_c_does_not_disturb_the_first() -> None:
    done = run(TWICE)
    assert (done.returncode, done.stdout, done.stderr) == (130, "in good order\n", "")
