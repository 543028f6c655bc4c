"""Objects made past their constructor, by ``T.__new__(T)``: they raise or answer, and never crash."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import cexnet_core

# In a process of its own: what is tested for is a crash. Methods that wait for something get no chance to.
TOUCH = """
import contextlib, importlib, sys
made = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
try:
    it = made.__new__(made)
except TypeError:
    sys.exit()
names = [name for name in dir(it) if not name.startswith("_")]
for name in [*names, "__len__", "__iter__", "__repr__", "__str__", "__hash__", "__bool__", "__copy__"]:
    print(name, flush=True)
    with contextlib.suppress(Exception):
        found = getattr(it, name)
        if callable(found):
            found()
print("alive")
"""


def extension_types() -> list[tuple[str, str]]:
    found = []
    for module in pkgutil.iter_modules(cexnet_core.__path__):
        loaded = importlib.import_module(f"cexnet_core.{module.name}")
        if str(loaded.__file__).endswith(".py"):
            continue
        found += [
            (loaded.__name__, name)
            for name, value in vars(loaded).items()
            if isinstance(value, type) and value.__module__ == loaded.__name__
        ]
    return sorted(found)


@pytest.mark.parametrize(("module", "name"), extension_types())
def test_what_is_made_past_its_constructor_does_not_crash(module: str, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TOUCH, module, name], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{name}.{done.stdout.split()[-1:]}: {done.returncode} {done.stderr}"
