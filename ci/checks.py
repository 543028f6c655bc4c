"""Run every check of the project, in ``.venv``: ``checks.py [--list | NAME...]``.

Cheap checks first, the whole test suite last, so that the closing line is
pytest's. A failed check does not stop the others; the exit code is 1 if any failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
CODE = ("cexnet", "cexnet_core", "tests", "benchmarks", "examples", "ci", "setup.py")
ALLOWLIST = ("--allowlist", "ci/stubtest_allowlist.txt", "--ignore-unused-allowlist")
# Most tests wait for sockets and timers: one process more than there are processors.
IN_PARALLEL = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")
SHELL_SCRIPTS = ("ci/lib.sh", "ci/demo", "ci/test", "ci/bench", ".ci/run")


@dataclass(frozen=True, slots=True)
class Check:
    """One check: a command that exits 0 when all is well. ``shows`` what ``--list`` says."""

    name: str
    shows: str
    command: Sequence[str]


def tool(name: str, *arguments: str) -> list[str]:
    """A command line of a tool in ``.venv``."""
    return [str(BIN / name), *arguments]


def script(name: str, *arguments: str) -> list[str]:
    """A command line of one of our own checks."""
    return [sys.executable, f"ci/{name}.py", *arguments]


def compiled_modules() -> list[str]:
    """Names of the extension modules of the core."""
    return [f"cexnet_core.{path.stem}" for path in sorted((REPO / "cexnet_core").glob("*.pyx"))]


CHECKS = (
    Check("ruff", "Python style and common mistakes", tool("ruff", "check", *CODE)),
    Check("format", "Python formatting", tool("ruff", "format", "--check", *CODE)),
    Check("spelling", "codespell", tool("codespell", *CODE, "docs", "README.md", "CHANGELOG.md")),
    Check("shell", "shellcheck of our scripts", tool("shellcheck", "--external-sources", *SHELL_SCRIPTS)),
    Check("cython", "cython-lint", tool("cython-lint", "cexnet_core", "examples")),
    Check("imports", "imports point down the floors, no cycle", script("check_imports")),
    Check("length", "no file over 450 lines", script("check_length")),
    Check("hot", "hot functions are free of Python", script("check_hot")),
    Check("types", "mypy --strict on cexnet", tool("mypy", "-p", "cexnet")),
    Check(
        "stubs",
        "the .pyi files agree with the compiled modules",
        tool("stubtest", "--concise", "--ignore-disjoint-bases", *ALLOWLIST, *compiled_modules()),
    ),
    Check("docs", "documents and API reference build", tool("mkdocs", "build", "--strict", "--quiet")),
    Check("requirements", "installed packages agree", tool("pip", "check", "--disable-pip-version-check")),
    Check("sanitizers", "the core's tests under ASan and UBSan", script("check_sanitizers")),
    Check("benchmarks", "each benchmark runs", [sys.executable, "benchmarks/run.py", "--quick"]),
    Check("wheel", "the built wheel in an empty environment", script("check_wheel")),
    Check("tests", "every test", [sys.executable, "-m", "pytest", *IN_PARALLEL]),
)


def run(check: Check) -> bool:
    """Run one check in the open; whether it passed."""
    print(f"\ncexnet: check {check.name}: {check.shows}", flush=True)
    started = time.monotonic()
    # cython-lint runs pycodestyle by name; mkdocs' theme advertises its successor.
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "PATH": path, "NO_MKDOCS_2_WARNING": "1"}
    passed = subprocess.run(check.command, cwd=REPO, env=environment).returncode == 0
    if not passed or check.name != "tests":
        seconds = time.monotonic() - started
        print(f"cexnet: {check.name} {'passed' if passed else 'FAILED'} in {seconds:.1f} s", flush=True)
    return passed


def main() -> int:
    """Run the named checks, or all."""
    names = sys.argv[1:]
    if names == ["--list"]:
        print("\n".join(f"{check.name:14}{check.shows}" for check in CHECKS))
        return 0
    unknown = set(names) - {check.name for check in CHECKS}
    if unknown:
        listed = ", ".join(sorted(unknown))
        print(f"cexnet: no check named {listed}; ci/test --list names them", file=sys.stderr)
        return 2
    failed = [check.name for check in CHECKS if (not names or check.name in names) and not run(check)]
    if failed:
        print(f"\ncexnet: failed: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
