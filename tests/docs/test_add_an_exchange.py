"""docs/add-an-exchange.md prints the template's files whole, quotes the suite, and its engine runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cexnet import Config, Credentials, ExchangeConfig, OrderNotFound, Secret
from tests.docs.test_code_blocks import ROOT
from tests.exchanges.acme import API_KEY, API_SECRET, TEMPLATE, acme_server, on_the_path
from tests.exchanges.broken import Template

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def document() -> str:
    path = ROOT / "docs" / "add-an-exchange.md"
    if not path.exists():
        pytest.skip("the documents are not part of an installed wheel")
    return path.read_text()


def fences(language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(document()) if kind == language]


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_it_prints_the_files_whole_and_in_order() -> None:
    *pieces, engine = fences("python")
    files = [(TEMPLATE / name).read_text() for name in ("cexnet_acme.py", "test_cexnet_acme.py")]
    assert lines("".join(pieces)) == lines("".join(files))
    assert "async def engine" in engine
    (project,) = fences("toml")
    assert project == (TEMPLATE / "pyproject.toml").read_text()


async def test_its_engine_runs(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(fences("python")[-1], "docs/add-an-exchange.md", "exec"), names)  # noqa: S102 - our own document
    events: list[Any] = []
    with on_the_path(tmp_path):
        async with acme_server() as (exchange, host):
            keys = Credentials(API_KEY, Secret(API_SECRET))
            own = ExchangeConfig(websocket_url=f"ws://{host}", rest_url=f"http://{host}", credentials=keys)
            with pytest.raises(OrderNotFound):
                await names["engine"](Config(exchange={"acme": own}), events.append)
        assert exchange.refused == 0


def test_the_quoted_failure_is_the_suites(tmp_path: Path) -> None:
    (quoted,) = [body for body in fences("") if body.startswith("acme: ")]
    with on_the_path(tmp_path) as (module, tests):
        template = Template(module, tests.TestAcme)
        rows = {**template.rows("depth", scopes=("weights",))}
        broken = type("TestBroken", (tests.TestAcme,), rows)
        with pytest.raises(AssertionError) as caught:
            broken().test_endpoints()
        assert str(caught.value).splitlines()[1] == quoted.splitlines()[1]
        broken = type("TestBroken", (tests.TestAcme,), template.rows("place", idempotent=True))
        with pytest.raises(AssertionError) as caught:
            broken().test_endpoints()
        assert str(caught.value).splitlines()[1].replace("1.", "2.") == quoted.splitlines()[2]


def test_the_table_lists_every_test() -> None:
    from cexnet.testing import ExchangeSuite

    listed = re.findall(r"^\| `(test_\w+)` \|", document(), re.MULTILINE)
    assert listed == [name for name in vars(ExchangeSuite) if name.startswith("test_")]
