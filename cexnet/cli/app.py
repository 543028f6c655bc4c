"""The command line put together, and what its failures look like."""

from __future__ import annotations

import os
import sys

from cyclopts import App, CycloptsError, Group
from rich.console import Console

from cexnet import __version__
from cexnet.cli import interrupt
from cexnet.cli.commands import files, live, machine, settings
from cexnet_core.errors import CexnetError

app = App(
    name="cexnet",
    version=__version__,
    help="Networking core of a crypto trading engine: market data and orders, compiled.\n\n"
    "Begin with `cexnet demo`: it needs no network, no keys and no configuration. "
    "`cexnet COMMAND --help` explains each command.",
)

_LIVE = Group("Run", sort_key=1)
_MACHINE = Group("Measure", sort_key=2)
_FILES = Group("Recordings and captures", sort_key=3)
_SETTINGS = Group("Set up", sort_key=4)

for group, commands in (
    (_LIVE, (live.demo, live.watch, live.top, live.simulate)),
    (_MACHINE, (machine.report, machine.bench, machine.doctor)),
    (_FILES, (files.record, files.replay, files.convert, files.decode)),
    (_SETTINGS, (settings.sign,)),
):
    for command in commands:
        app.command(command, group=group)
settings.config.group = (_SETTINGS,)
app.command(settings.config)


def run() -> None:
    """Parse the command line and run; every foreseen failure is one sentence and exit code 2."""
    interrupt.is_raised()
    try:
        app(exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        _fail(str(error))
    except CexnetError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        raise SystemExit(interrupt.EXIT_CODE) from None
    except BrokenPipeError:
        # Whoever read our output has seen enough, as in `cexnet ... | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _fail(sentence: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"cexnet: {sentence}", markup=False)
    sys.exit(2)
