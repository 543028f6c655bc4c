"""Each check of ``cexnet.testing`` finds its fault, in words that name it; without one it passes."""

from __future__ import annotations

import re
import subprocess
import sys
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cexnet.exchanges import get_exchange
from cexnet.testing import ExchangeSuite
from tests.exchanges.acme import on_the_path
from tests.exchanges.broken import Attributes, Template
from tests.exchanges.broken_rest import ORDERS, TABLES
from tests.exchanges.broken_streams import STREAMS

MISTAKES = (*STREAMS, *TABLES, *ORDERS)
TESTS = [name for name in dir(ExchangeSuite) if name.startswith("test_")]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    with on_the_path(tmp_path_factory.mktemp("acme")) as (module, tests):
        yield Template(module, tests.TestAcme)


@pytest.mark.parametrize("name", TESTS)
def test_without_a_mistake_it_passes(template: Template, name: str) -> None:
    getattr(template.suite(), name)()


@pytest.mark.parametrize(
    "part, words, mistake", MISTAKES, ids=[f"{part}: {words[:40]}" for part, words, _ in MISTAKES]
)
def test_a_mistake_is_named(
    template: Template, part: str, words: str, mistake: Callable[[Template], Attributes]
) -> None:
    (name,) = [each for each in TESTS if part in each]
    broken = type("TestBroken", (template.suite,), mistake(template))
    with pytest.raises(AssertionError) as caught:
        getattr(broken(), name)()
    text = str(caught.value)
    assert re.search(words, text, re.DOTALL), text
    assert re.match(r"ac\w+: (a problem|\d+ problems) with .*\n  1\. ", text), "a heading and numbers"


def test_every_check_has_a_mistake_that_it_catches() -> None:
    assert {each for each in TESTS if not any(part in each for part, _, _ in MISTAKES)} == set()


def test_an_exchange_without_rest_skips_what_is_about_it() -> None:
    class Streams(ExchangeSuite):
        exchange = get_exchange("okx")

    for name in ("test_endpoints", "test_orders_are_never_sent_twice", "test_signatures"):
        with pytest.raises(unittest.SkipTest, match="okx has no REST tables"):
            getattr(Streams(), name)()


def test_what_the_tables_leave_out_is_skipped(template: Template) -> None:
    inherited = template.acme.TableRequests
    names = ("place_order", "cancel_order", "query_order", "depth", "server_time")
    public_only = template.requests(**{name: getattr(inherited, name) for name in names})
    suite = type("PublicOnly", (template.suite,), public_only)()
    for name in ("test_client_order_ids", "test_orders_are_never_sent_twice"):
        with pytest.raises(unittest.SkipTest, match="acme takes no orders here"):
            getattr(suite, name)()
    suite.test_endpoints()


def test_it_runs_under_unittest(template: Template) -> None:
    case = type("Case", (template.suite, unittest.TestCase), {})
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert (result.testsRun, result.errors, result.failures) == (len(TESTS), [], [])


def test_a_suite_that_names_no_exchange_is_told_so() -> None:
    with pytest.raises(AssertionError, match=r"ExchangeSuite\.exchange is None: name the Exchange"):
        ExchangeSuite().test_limits()


def test_it_needs_no_pytest() -> None:
    code = "import sys, cexnet.testing; assert not [m for m in sys.modules if m.startswith('pytest')]"
    path = [entry for entry in sys.path if entry]
    subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"],
        check=True,
        cwd=Path(__file__).parent,
        timeout=60,
    )
