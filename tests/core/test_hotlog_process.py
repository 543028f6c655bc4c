"""The hot logger at the ends of a process: interpreter exit, and fork."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# From 3.12 on Python warns of a fork where there are threads, which is what is tested here.
NO_FORK_WARNING = ("-W", "ignore::DeprecationWarning")


def run(program: str) -> subprocess.CompletedProcess[str]:
    head = "import logging, os, sys, threading\nfrom cexnet_core.hotlog import HotLog, process_log\n"
    head += "logging.basicConfig(format='%(message)s', stream=sys.stdout)\n"
    head += "TICK = process_log.template('app', logging.WARNING, 'tick %d')\n"
    return subprocess.run(
        [sys.executable, *NO_FORK_WARNING, "-c", head + program],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_what_waits_is_written_at_interpreter_exit() -> None:
    done = run("for number in range(5000): TICK.log(number)")
    assert done.stdout.split("\n") == [*(f"tick {number}" for number in range(5000)), ""]
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_logged_while_the_interpreter_ends_is_written_too() -> None:
    # Registered before the log's own function, so called after it.
    done = run("import atexit; atexit.register(lambda: TICK.log(2)); TICK.log(1)")
    assert (done.stdout, done.stderr) == ("tick 1\ntick 2\n", "")


def test_the_first_record_of_all_may_come_while_the_interpreter_ends() -> None:
    done = run("import atexit; atexit.register(lambda: [TICK.log(number) for number in range(3)])")
    assert (done.stdout, done.stderr) == ("tick 0\ntick 1\ntick 2\n", "")


def test_an_uncaught_exception_loses_nothing() -> None:
    done = run("TICK.log(1)\nraise SystemExit(3)")
    assert (done.stdout, done.returncode) == ("tick 1\n", 3)


def test_threads_that_still_log_do_not_hold_up_the_exit() -> None:
    program = """
import time
def produce(thread):
    for number in range(10_000_000):
        THREAD.log(thread, number)
        if number % 500 == 0: time.sleep(0.001)
THREAD = process_log.template('app', logging.WARNING, '%d %d')
started = [threading.Thread(target=produce, args=(index,), daemon=True) for index in range(3)]
for thread in started: thread.start()
while process_log.written < 1000: time.sleep(0.001)
"""
    done = run(program)
    assert (done.returncode, done.stderr) == (0, "")
    seen: dict[str, int] = {}
    records = [line.split() for line in done.stdout.splitlines() if "lost" not in line]
    assert len(records) >= 1000
    for thread, number in records:
        assert int(number) > seen.get(thread, -1)
        seen[thread] = int(number)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_logs_by_itself_and_repeats_nothing() -> None:
    program = """
process_log.flush()
lazy = HotLog(poll_s=60)
LATER = lazy.template('app', logging.WARNING, 'parent %d')
for number in range(3): LATER.log(number)
child = os.fork()
if child == 0:
    TICK.log(7)
    LATER.log(8)
    assert lazy.flush() and process_log.close()
    sys.stdout.flush()
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
lazy.close()
"""
    done = run(program)
    assert done.stderr == ""
    assert sorted(done.stdout.split("\n")) == ["", "parent 0", "parent 1", "parent 2", "parent 8", "tick 7"]
