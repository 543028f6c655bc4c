"""A folder with the tests but without the sources, so that only a built copy can be imported."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


@contextmanager
def tests_elsewhere() -> Iterator[Path]:
    """A temporary folder that holds ``tests`` and pytest's configuration, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="cexnet-tests-") as name:
        folder = Path(name)
        shutil.copytree(REPO / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(REPO / "pyproject.toml", folder)
        yield folder


def run(
    command: Sequence[str | Path], *, cwd: Path = REPO, env: dict[str, str] | None = None, quiet: bool = False
) -> None:
    """Run a command; :class:`SystemExit` with its exit code when it fails.

    ``quiet`` shows what it said only then.
    """
    said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True} if quiet else {}
    result = subprocess.run(command, cwd=cwd, env=env, **said)
    if result.returncode != 0:
        print(result.stdout or "", end="")
        raise SystemExit(result.returncode)
