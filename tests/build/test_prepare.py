"""On a machine that lacks something, the commands say what to install and exit with 2."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHELL_TOOLS = ("bash", "env", "dirname", "head", "cat", "uname")

pytestmark = pytest.mark.skipif(not (ROOT / "ci" / "demo").exists(), reason="needs the source tree")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone without `.venv`, in a folder with a space in its name."""
    folder = tmp_path / "a clone"
    shutil.copytree(ROOT / "ci", folder / "ci")
    for name in ("pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, folder)
    (folder / "cexnet_core").mkdir()
    return folder


@pytest.fixture
def empty_path(tmp_path: Path) -> Path:
    """A PATH with a shell and nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in SHELL_TOOLS:
        found = shutil.which(name)
        assert found, f"this test needs {name}"
        (folder / name).symlink_to(found)
    return folder


def add_python(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def demo(checkout: Path, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "ci" / "demo", "--json"],
        env={"PATH": str(path), "HOME": str(path), **environment},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=100,
        stdin=subprocess.DEVNULL,
    )


def test_no_python(checkout: Path, empty_path: Path) -> None:
    result = demo(checkout, empty_path)
    assert result.returncode == 2
    assert "no Python 3.11 or newer" in result.stderr
    assert "apt-get install python3" in result.stderr
    assert result.stdout == ""


def test_python_too_old(checkout: Path, empty_path: Path) -> None:
    add_python(empty_path, "python3", 'case "$1" in --version) echo "Python 3.8.1";; *) exit 1;; esac')
    result = demo(checkout, empty_path)
    assert result.returncode == 2
    assert "python3 (Python 3.8.1)" in result.stderr


def test_a_named_python_is_not_replaced_by_another(checkout: Path, empty_path: Path) -> None:
    add_python(empty_path, "python3", f'exec "{sys.executable}" "$@"')
    result = demo(checkout, empty_path, PYTHON="/nowhere/python3")
    assert result.returncode == 2
    assert "PYTHON=/nowhere/python3 is not a Python 3.11" in result.stderr


def test_no_compiler(checkout: Path, empty_path: Path) -> None:
    add_python(empty_path, "python3", f'exec "{sys.executable}" "$@"')
    result = demo(checkout, empty_path)
    assert result.returncode == 2
    assert "a C compiler, a C++17 compiler not found" in result.stderr
    assert "Install with: " in result.stderr
    assert result.stdout == ""
    assert not (checkout / ".venv").exists()


def test_no_headers(checkout: Path, empty_path: Path, tmp_path: Path) -> None:
    for name in ("cc", "c++"):
        add_python(empty_path, name, "exit 0")
    hide = f"import sysconfig; sysconfig.get_path = lambda name: {str(tmp_path)!r}"
    (tmp_path / "sitecustomize.py").write_text(hide)
    add_python(empty_path, "python3", f'exec "{sys.executable}" "$@"')
    result = demo(checkout, empty_path, PYTHONPATH=str(tmp_path))
    assert result.returncode == 2
    assert "Python's C headers" in result.stderr


def test_no_network(checkout: Path, empty_path: Path) -> None:
    for name in ("cc", "c++"):
        add_python(empty_path, name, "exit 0")
    add_python(empty_path, "python3", f'exec "{sys.executable}" "$@"')
    offline = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
        "PIP_TIMEOUT": "1",
    }
    result = demo(checkout, empty_path, **offline)
    assert result.returncode == 2
    assert "pip could not install" in result.stderr
    assert "PIP_FIND_LINKS" in result.stderr
    assert result.stdout == ""
