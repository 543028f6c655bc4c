"""What every test here has: limits of its own, and for the transport's, each event loop there is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest

from cexnet.http.meters import METERS

_OF_THE_TRANSPORT = ("test_wire", "test_session", "test_cancellation", "test_conversation", "test_ending")


@pytest.fixture(autouse=True)
def _fresh_meters() -> Iterator[None]:
    """Managers of one test share nothing with those of another: a port may come round again."""
    METERS.forget()
    yield
    METERS.forget()


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The transport speaks to the loop's own protocols, which differ between loops."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.stem in _OF_THE_TRANSPORT and find_spec("uvloop"):
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories
