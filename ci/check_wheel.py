"""Build the source distribution, the wheel from it, and test the wheel where the sources are absent.

The wheel is built from the sdist, so a file that the sdist lacks is a failure
here. It is installed into an empty environment: first with its run-time
requirements alone, where ``import cexnet`` must work and the ``cexnet`` command
must say what is missing; then with the command line and the test tools, where
the tests run in a folder that holds nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

from checks import IN_PARALLEL
from elsewhere import REPO, run, tests_elsewhere

WORK = REPO / "build" / "wheel"
PYTHON = WORK / "venv" / "bin" / "python"
TESTS = ("tests/core", "tests/websocket", "tests/build/test_user_extension.py")
SHIPPED = (".py", ".pyi", ".pxd", ".hpp", ".h", "py.typed")


def shipped_sources() -> set[str]:
    """Every file of the two packages that a user needs."""
    return {
        path.relative_to(REPO).as_posix()
        for package in ("cexnet", "cexnet_core")
        for path in (REPO / package).rglob("*")
        if path.name.endswith(SHIPPED)
    }


def check_contents(wheel: Path, sdist: Path) -> None:
    """Stop unless wheel and sdist hold everything that they must and no generated C."""
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    modules = {path.stem for path in (REPO / "cexnet_core").glob("*.pyx")}
    extensions = {name.split("/")[1].partition(".")[0] for name in in_wheel if name.endswith((".so", ".pyd"))}
    core = REPO / "cexnet_core"
    compiled = {
        path.relative_to(REPO).as_posix() for path in (*core.glob("*.pyx"), *core.glob("kernel/*.cpp"))
    }
    problems = [
        *(f"the wheel lacks {name}" for name in sorted(shipped_sources() - in_wheel)),
        *(f"the wheel lacks the extension {name}" for name in sorted(modules - extensions)),
        *(f"the sdist lacks {name}" for name in sorted((shipped_sources() | compiled) - in_sdist)),
        *(
            f"generated: {name}"
            for name in sorted(in_wheel | in_sdist)
            if name.endswith((".c", ".html")) or name.startswith("build/")
        ),
    ]
    if problems:
        raise SystemExit("\n".join(problems))
    megabytes = wheel.stat().st_size / 1e6
    print(f"{wheel.name}: {megabytes:.1f} MB, {len(modules)} extensions, every .pxd and .pyi")


def build() -> tuple[Path, Path]:
    """The sdist, and the wheel built from it."""
    shutil.rmtree(WORK, ignore_errors=True)
    # The tools are in .venv, pinned as in [build-system]: no second download.
    print("building the sdist, and the wheel from it", flush=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", WORK, REPO]
    run(command, env=clean_environment(), quiet=True)
    return next(WORK.glob("*.whl")), next(WORK.glob("*.tar.gz"))


def clean_environment() -> dict[str, str]:
    """The environment without what could make the source tree importable or change the build."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return environment | {"CEXNET_BUILD": "release", "CEXNET_ONLY": ""}


def install(*requirements: str) -> None:
    """Install into the empty environment."""
    run([PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *requirements])


def check_base_install(folder: Path) -> None:
    """Stop unless the package works without its extras and its command names the missing one."""
    run([PYTHON, "-c", "import cexnet, cexnet_core"], cwd=folder)
    command = subprocess.run(
        [PYTHON.with_name("cexnet"), "--help"],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if command.returncode != 2 or "cexnet[cli]" not in command.stderr or "Traceback" in command.stderr:
        raise SystemExit(
            "without its `cli` extra the cexnet command must exit with 2 and name cexnet[cli]; "
            f"it exited with {command.returncode}:\n{command.stderr}"
        )


def main() -> None:
    """Build, look inside, install, test."""
    wheel, sdist = build()
    check_contents(wheel, sdist)
    run([sys.executable, "-m", "venv", WORK / "venv"])
    install(str(wheel))
    with (REPO / "pyproject.toml").open("rb") as file:
        config = tomllib.load(file)
    with tests_elsewhere() as folder:
        check_base_install(folder)
        install(f"{wheel}[cli]", *config["dependency-groups"]["test"], *config["build-system"]["requires"])
        environment = clean_environment() | {"CEXNET_TEST_BUILD": "wheel"}
        tests = [name for name in TESTS if (folder / name).exists()]
        command = [PYTHON, "-m", "pytest", "-q", "-m", "not slow", *IN_PARALLEL, *tests]
        run(command, cwd=folder, env=environment)


if __name__ == "__main__":
    main()
