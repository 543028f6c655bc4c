"""The ``cexnet`` command.

Nothing heavy is imported before ``main`` has seen to Ctrl-C.
"""

from __future__ import annotations

import sys

from cexnet.cli import interrupt


def main() -> None:
    """Entry point of the console script; needs the ``cli`` extra."""
    interrupt.ends_at_once()
    try:
        from cexnet.cli.app import run
    except ModuleNotFoundError as error:
        if error.name not in ("cyclopts", "rich"):
            raise
        print(
            f"cexnet: the command line needs {error.name}: pip install 'cexnet[cli]'",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    try:
        run()
    finally:
        interrupt.ends_at_once()  # nothing is left but the interpreter's own end
