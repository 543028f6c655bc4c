"""Keep ``.venv`` and the compiled core up to date: ``prepare.py demo|test|bench``.

Standard library only: it runs on the bare Python before anything is installed.
Each step leaves a stamp, the hash of what it depends on, and is skipped while
that hash stays the same. Exit code 2 means that the machine lacks something;
the last lines then say what to install.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
VENV = REPO / ".venv"
RIVALS = VENV / "rivals"
STAMPS = VENV / "cexnet-stamps"
PYTHON = VENV / "bin" / "python"
PIP_INSTALL = (PYTHON, "-m", "pip", "install", "-qq", "--disable-pip-version-check")

# What each command needs besides the build and run-time requirements.
EXTRAS = {
    "demo": ("cli", "metrics", "recording"),
    "test": ("cli", "recording"),
    "bench": ("cli", "recording"),
}
GROUPS = {"demo": (), "test": ("test", "lint", "docs", "bench"), "bench": ("test", "bench")}


class MachineLacks(Exception):
    """Something that we cannot install ourselves is missing; the text says what to do."""


def say(text: str) -> None:
    """Tell the person at the terminal what is going on."""
    print(f"cexnet: {text}", flush=True)


def digest(*parts: str | bytes | Path) -> str:
    """Hash of texts and of files' contents."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            total.update(part.relative_to(REPO).as_posix().encode() + b"\0" + part.read_bytes())
        else:
            total.update(part.encode() if isinstance(part, str) else part)
        total.update(b"\0")
    return total.hexdigest()


def is_done(step: str, stamp: str) -> bool:
    """Whether the step was done for exactly this input."""
    path = STAMPS / step
    return path.exists() and path.read_text() == stamp


def mark_done(step: str, stamp: str) -> None:
    """Remember that the step was done for this input."""
    STAMPS.mkdir(exist_ok=True)
    (STAMPS / step).write_text(stamp)


def system_packages() -> str:
    """The command that installs a compiler and Python's headers on this system."""
    if sys.platform == "darwin":
        return "xcode-select --install"
    os_release = {}
    if sys.platform == "linux" and Path("/etc/os-release").exists():
        os_release = platform.freedesktop_os_release()
    family = f"{os_release.get('ID', '')} {os_release.get('ID_LIKE', '')}".split()
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    commands = {
        "debian": f"apt-get install g++ {python}-dev {python}-venv",
        "fedora": f"dnf install gcc-c++ {python}-devel",
        "rhel": f"dnf install gcc-c++ {python}-devel",
        "suse": f"zypper install gcc-c++ {python}-devel",
        "alpine": "apk add build-base python3-dev linux-headers",
        "arch": "pacman -S gcc python",
    }
    for name in family:
        if name in commands:
            return commands[name]
    return "; ".join(f"{name}: {command}" for name, command in commands.items())


def find_compiler(variable: str, fallbacks: tuple[str, ...]) -> str | None:
    """The compiler command that the build will use, or ``None``."""
    for command in (os.environ.get(variable), sysconfig.get_config_var(variable), *fallbacks):
        if command and shutil.which(shlex.split(command)[0]):
            return str(command)
    return None


def check_machine() -> None:
    """Raise :class:`MachineLacks` unless this machine can build, and point CC and CXX at compilers."""
    missing = []
    for variable, fallbacks, what in (
        ("CC", ("cc", "gcc", "clang"), "a C compiler"),
        ("CXX", ("c++", "g++", "clang++"), "a C++17 compiler"),
    ):
        command = find_compiler(variable, fallbacks)
        if command is None:
            missing.append(what)
        elif command != sysconfig.get_config_var(variable):
            os.environ[variable] = command
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.append(f"Python's C headers ({Path(sysconfig.get_path('include'), 'Python.h')})")
    if importlib.util.find_spec("ensurepip") is None:
        missing.append("Python's venv module (ensurepip)")
    if missing:
        raise MachineLacks(
            f"cannot build: {', '.join(missing)} not found for {sys.executable}.\n"
            f"Install with: {system_packages()}\n"
            "Another Python can be named with PYTHON=..., another compiler with CC=... and CXX=..."
        )


def create_venv() -> None:
    """Create ``.venv``, afresh when it belongs to another Python."""
    stamp = digest(sys.version, sys.base_prefix)
    if is_done("venv", stamp) and PYTHON.exists():
        return
    say(f"creating .venv with Python {platform.python_version()} ({sys.executable})")
    shutil.rmtree(VENV, ignore_errors=True)
    # When it runs on the very .venv that it just removed, the interpreter under it is still there.
    base = getattr(sys, "_base_executable", None) or sys.executable
    subprocess.run([base, "-m", "venv", VENV], check=True)
    mark_done("venv", stamp)


def requirements(command: str) -> list[str]:
    """Everything pip has to install for the command, from pyproject.toml alone."""
    with (REPO / "pyproject.toml").open("rb") as file:
        config = tomllib.load(file)
    project = config["project"]
    wanted = [*config["build-system"]["requires"], *project["dependencies"]]
    for extra in EXTRAS[command]:
        wanted += project["optional-dependencies"][extra]
    for group in GROUPS[command]:
        wanted += config["dependency-groups"][group]
    return wanted


def install_requirements(command: str) -> None:
    """Install the command's requirements into ``.venv``."""
    wanted = requirements(command)
    stamp = digest(*wanted)
    if is_done(f"requirements-{command}", stamp):
        return
    say(f"installing {len(wanted)} requirements of ci/{command} with pip")
    if subprocess.run([*PIP_INSTALL, *wanted]).returncode != 0:
        raise MachineLacks(
            "pip could not install the requirements; its own words are above.\n"
            "Without a network, give it a mirror or a folder of wheels: PIP_INDEX_URL=... or "
            "PIP_NO_INDEX=1 PIP_FIND_LINKS=/folder"
        )
    mark_done(f"requirements-{command}", stamp)


def install_rivals() -> None:
    """Put what only the benchmarks measure into a folder of its own; they can do without."""
    with (REPO / "pyproject.toml").open("rb") as file:
        wanted = tomllib.load(file)["dependency-groups"]["rivals"]
    stamp = digest(*wanted)
    if is_done("rivals", stamp):
        return
    say(f"installing {', '.join(wanted)} beside .venv's packages, to measure against")
    shutil.rmtree(RIVALS, ignore_errors=True)
    if subprocess.run([*PIP_INSTALL, "--target", RIVALS, *wanted]).returncode != 0:
        say("pip could not install them; the benchmarks leave them out")
        return
    mark_done("rivals", stamp)


def install_editable() -> None:
    """Make ``cexnet`` and its command importable from the source tree, without compiling."""
    stamp = digest(REPO / "pyproject.toml")
    if is_done("editable", stamp):
        return
    say("installing cexnet into .venv, editable")
    subprocess.run(
        [*PIP_INSTALL, "--no-build-isolation", "--no-deps", "--editable", REPO],
        check=True,
        # Left to itself it would compile everything in a folder of its own; build_core does it in build/.
        env=os.environ | {"CEXNET_ONLY": "nothing"},
    )
    mark_done("editable", stamp)


def core_sources() -> list[Path]:
    """The files that the compiled core depends on."""
    core = REPO / "cexnet_core"
    return sorted(path for end in ("pyx", "pxd", "hpp", "cpp", "h") for path in core.rglob(f"*.{end}"))


def build_core() -> None:
    """Compile what changed in ``cexnet_core``, in place."""
    recipe = digest(REPO / "setup.py", REPO / "pyproject.toml", sys.version)
    stamp = digest(recipe, *core_sources())
    modules = [path for path in core_sources() if path.suffix == ".pyx"]
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    built = all(path.with_name(path.stem + suffix).exists() for path in modules)
    if built and is_done("core", stamp):
        return
    if not is_done("recipe", recipe):
        # Flags are no file that a compiler's dependency check would see.
        shutil.rmtree(REPO / "build", ignore_errors=True)
    say(f"compiling the core: {len(modules)} modules, a few minutes the first time")
    (REPO / "build").mkdir(exist_ok=True)
    log_path = REPO / "build" / "build.log"
    started = time.monotonic()
    with log_path.open("w") as log:
        build = subprocess.Popen(
            [PYTHON, "setup.py", "build_ext", "--inplace"],
            cwd=REPO,
            env=os.environ | {"CEXNET_BUILD": "release", "CEXNET_ONLY": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert build.stdout is not None
        try:
            for line in build.stdout:
                log.write(line)
                if line.startswith("building "):
                    say(f"  {line.split(chr(39))[1]}")
        finally:
            if sys.exc_info()[0] is not None:
                build.terminate()  # or it would go on compiling after a Ctrl-C
            failed = build.wait() != 0
    if failed:
        print("".join(log_path.read_text().splitlines(keepends=True)[-60:]))
        raise MachineLacks(f"the core did not compile; the end of {log_path} is above.")
    say(f"compiled in {time.monotonic() - started:.0f} s")
    mark_done("recipe", recipe)
    mark_done("core", stamp)


def main() -> int:
    """Bring everything up to date for one command."""
    command = sys.argv[1]
    try:
        check_machine()
        create_venv()
        install_requirements(command)
        if command == "bench":
            install_rivals()
        install_editable()
        build_core()
    except MachineLacks as lack:
        for line in str(lack).splitlines():
            say(line)
        return 2
    except KeyboardInterrupt:
        say("interrupted; the next run goes on where this one stopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
