"""Every name that the Grafana dashboard asks for is in a scrape."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="the extra `metrics` is not installed")

from cexnet.telemetry.stream_families import STREAM_FAMILIES
from tests.telemetry.engine import running_engine

PATH = Path(__file__).resolve().parents[2] / "docs" / "grafana" / "cexnet.json"
SERIES = re.compile(r"\b(cexnet_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")
SHOWN = re.compile(r"\{\{(\w+)\}\}")
# What an engine shows only once something has gone wrong: their labels are in the table.
RARE = {f"{family.name}_total": set(family.labels) for family in STREAM_FAMILIES if "cause" in family.labels}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    if not PATH.exists():
        pytest.skip("the documents are not part of an installed wheel")
    found: dict[str, Any] = json.loads(PATH.read_text())
    return found


def targets(dashboard: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target


async def test_every_expression_finds_its_series(dashboard: dict[str, Any]) -> None:
    async with running_engine() as engine:
        families = await engine.scrape()
    labels_of: dict[str, set[str]] = {name: set(labels) for name, labels in RARE.items()}
    values_of: dict[tuple[str, str], set[str]] = {}
    for family in families:
        for sample in family.samples:
            labels_of.setdefault(sample.name, set()).update(sample.labels)
            for label, text in sample.labels.items():
                values_of.setdefault((sample.name, label), set()).add(text)
    asked: set[str] = set()
    for title, target in targets(dashboard):
        known: set[str] = set()
        for name, matchers in SERIES.findall(target["expr"]):
            assert name in labels_of, f"{title}: nothing is called {name}"
            asked.add(name)
            known |= labels_of[name]
            for label, how, text in MATCHER.findall(matchers):
                assert label in labels_of[name], f"{title}: {name} has no label {label}"
                if how == "=":
                    assert text in values_of[name, label], f"{title}: no {name} has {label}={text}"
        grouped = {each.strip() for names in GROUPED.findall(target["expr"]) for each in names.split(",")}
        assert grouped <= known, f"{title}: grouped by {grouped - known}, which is no label"
        shown = set(SHOWN.findall(target["legendFormat"]))
        assert shown <= (grouped or known), f"{title}: the legend shows {shown - (grouped or known)}"
    assert len(asked) > 50


async def test_every_variable_and_source_is_defined(dashboard: dict[str, Any]) -> None:
    async with running_engine() as engine:
        names = {sample.name for family in await engine.scrape() for sample in family.samples}
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    for name in ("stream", "rest"):
        metric = re.match(r"label_values\((\w+), manager\)", variables[name]["query"]["query"])
        assert metric is not None
        assert metric[1] in names
    for title, target in targets(dashboard):
        assert target["datasource"]["uid"] == "${datasource}", title
        used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
        assert used <= variables.keys(), f"{title} uses {used - variables.keys()}"


def test_panels_have_a_place_and_words_of_their_own(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} lies upon another panel"
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["type"] == "row" or panel["description"].endswith("."), panel["title"]


def test_the_expressions_are_balanced(dashboard: dict[str, Any]) -> None:
    for title, target in targets(dashboard):
        expression = re.sub(r'"[^"]*"', "", target["expr"])
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), title
