"""The ``cexnet`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the console script; needs the ``cli`` extra."""
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
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    run()
