"""``import cexnet``: every public name is there, and costs nothing until it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import cexnet


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_it_imports_nothing_but_the_exceptions() -> None:
    heavy = run(
        "import sys, cexnet\n"
        "print(sorted(name for name in sys.modules if name.startswith('cexnet')))\n"
        "print([name for name in ('asyncio', 'aiohttp', 'picows', 'msgspec') if name in sys.modules])"
    )
    assert heavy == "['cexnet', 'cexnet_core', 'cexnet_core.errors']\n[]\n"


def test_every_public_name_is_there() -> None:
    for name in cexnet.__all__:
        assert getattr(cexnet, name).__name__ == name
    assert {*cexnet.__all__, "__version__"} <= set(dir(cexnet))
    assert cexnet.__version__


def test_a_star_import_brings_them_all() -> None:
    assert (
        run(
            "import cexnet\nnames = {}\nexec('from cexnet import *', names)\n"
            "print(set(cexnet.__all__) - set(names), names['Trade'].__name__)"
        )
        == "set() Trade\n"
    )


@pytest.mark.parametrize("module", ["config", "http", "types", "websocket"])
def test_packages_that_names_come_from_are_attributes(module: str) -> None:
    assert run(f"import cexnet; print(cexnet.{module}.__name__)") == f"cexnet.{module}\n"


def test_an_unknown_name_is_refused_as_usual() -> None:
    with pytest.raises(AttributeError, match="module 'cexnet' has no attribute 'Nonsense'"):
        getattr(cexnet, "Nonsense")  # noqa: B009
    with pytest.raises(ImportError, match="Nonsense"):
        from cexnet import Nonsense  # type: ignore[attr-defined]  # noqa: F401
