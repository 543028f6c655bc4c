"""Managers of one test share nothing with those of another: a port may come round again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cexnet.http.meters import METERS


@pytest.fixture(autouse=True)
def _fresh_meters() -> Iterator[None]:
    METERS.forget()
    yield
    METERS.forget()
