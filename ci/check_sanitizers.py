"""Build the core with AddressSanitizer and UndefinedBehaviorSanitizer and run its tests on it.

The debug build lives in ``build/debug``, apart from the release build in the
source tree, and is compiled again only where sources changed. Python itself is
not instrumented, so the sanitizer's library is loaded before it, CPython's own
allocator is switched off (every object then is a malloc that ASan watches), and
leak detection is off (CPython frees little at exit).
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

from elsewhere import REPO, run, tests_elsewhere

BUILD = REPO / "build" / "debug"
TESTS = ("tests/core",)


def runtime_libraries() -> list[str]:
    """The shared libraries to load before Python: ASan's, and the C++ one that it hooks into."""
    compiler = os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "c++"
    asan = subprocess.run(
        [*shlex.split(compiler), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    stdcxx = subprocess.run(
        [*shlex.split(compiler), "-print-file-name=libstdc++.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for library in (asan, stdcxx):
        if not Path(library).is_absolute():
            raise SystemExit(
                f"cexnet: {compiler} has no {library}; install GCC with its sanitizer library, "
                "or name another compiler: CXX=g++"
            )
    return [str(Path(library).resolve()) for library in (asan, stdcxx)]


def main() -> None:
    """Build, then test."""
    print("building the core with sanitizers", flush=True)
    run(
        [sys.executable, "setup.py", "build", "--build-base", BUILD],
        env=os.environ | {"CEXNET_BUILD": "debug", "CEXNET_ONLY": ""},
        quiet=True,
    )
    built = next(BUILD.glob(f"lib.*{sys.implementation.cache_tag}*"))
    environment = os.environ | {
        "PYTHONPATH": str(built),
        "LD_PRELOAD": " ".join(runtime_libraries()),
        "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "CEXNET_TEST_BUILD": "debug",
    }
    with tests_elsewhere() as folder:
        run([sys.executable, "-m", "pytest", "-q", "-m", "not slow", *TESTS], cwd=folder, env=environment)


if __name__ == "__main__":
    main()
