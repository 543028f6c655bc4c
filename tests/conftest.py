"""What every test shares: the captures' folder, Hypothesis profiles, and which build is under test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cexnet_core import build_info
from cexnet_core.hotlog import process_log

ROOT = Path(__file__).resolve().parent.parent

# No deadlines: a slow machine is no failure. The sanitizers make everything ten times slower.
settings.register_profile("release", deadline=None)
settings.register_profile(
    "debug", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("debug" if build_info.MODE == "debug" else "release")


def home(package: str) -> Path:
    """The folder that a package would be imported from, without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise pytest.UsageError(f"{package} cannot be found; ci/test builds and installs it")
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def pytest_report_header() -> str:
    """Say which copy of cexnet is tested."""
    return f"cexnet: {build_info.MODE} build in {home('cexnet_core')}"


def pytest_configure() -> None:
    """Hear Ctrl-C; refuse to test another copy than the one that ``CEXNET_TEST_BUILD`` asks for."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So do a shell's background jobs, and then whatever a test starts would ignore it too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = os.environ.get("CEXNET_TEST_BUILD")
    if wanted is None:
        return
    homes = [home(package) for package in ("cexnet", "cexnet_core")]
    if any(ROOT in folder.parents for folder in homes):
        raise pytest.UsageError(f"the source tree is under test, not the {wanted}: {homes}")
    if wanted == "debug" and build_info.MODE != "debug":
        raise pytest.UsageError(f"a {build_info.MODE} build is under test, not the debug build")
    if wanted == "wheel" and any("site-packages" not in folder.parts for folder in homes):
        raise pytest.UsageError(f"cexnet was not imported from an installed wheel: {homes}")


@pytest.fixture(autouse=True)
def logged_in_its_own_test() -> Iterator[None]:
    """Records of the hot log are written before the next test begins."""
    yield
    process_log.flush()


@pytest.fixture(scope="session")
def captures() -> Path:
    """Folder of recorded exchange traffic; skips where it is absent."""
    folder = Path(os.environ.get("CEXNET_CAPTURES", ""))
    if "CEXNET_CAPTURES" not in os.environ or not folder.is_dir():
        pytest.skip("no recorded traffic: CEXNET_CAPTURES names no folder")
    return folder
