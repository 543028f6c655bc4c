"""The rules of ``promtool check metrics``, as far as they can be read off an exposition."""

from __future__ import annotations

import re
from collections.abc import Iterable

from prometheus_client.metrics_core import Metric

NOT_BASE_UNITS = (
    *("minutes", "hours", "days", "weeks", "fahrenheit", "kelvins", "inches", "yards", "miles", "bits"),
    *("calories", "pounds", "ounces"),
)
BASE_UNITS = ("seconds", "bytes", "amperes", "celsius", "grams", "joules", "kelvin", "meters", "volts")
PREFIXES = (
    *("pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega"),
    *("mibi", "giga", "gibi", "tera", "tebi", "peta", "pebi"),
)
ABBREVIATED = ("s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d")
TYPES = ("counter", "gauge", "histogram", "summary")
NOT_BASE = {*NOT_BASE_UNITS, *(prefix + unit for prefix in PREFIXES for unit in BASE_UNITS)}


def lint(families: Iterable[Metric]) -> list[str]:
    """One line a broken rule. Counters are named without ``_total``, as the client's parser does."""
    found: list[str] = []
    names: set[str] = set()
    for family in families:
        name, words = family.name, family.name.split("_")
        labels = {label for sample in family.samples for label in sample.labels}
        rules = {
            "has no help text": not family.documentation,
            "is defined twice": name in names,
            "has a colon": ":" in name,
            "is not in snake_case": not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name),
            "has a label that is not in snake_case": not all(
                re.fullmatch(r"[a-z]+(_[a-z]+)*", label) for label in labels
            ),
            "names its type": bool(set(words) & set(TYPES)),
            "abbreviates a unit": bool(set(words) & set(ABBREVIATED)),
            "is not in base units": bool(set(words) & NOT_BASE),
            "ends in _total and is no counter": family.type != "counter" and words[-1] == "total",
            "ends as only a histogram's series may": words[-1] in ("bucket", "count", "sum"),
            "has a label le or quantile": family.type != "histogram" and bool(labels & {"le", "quantile"}),
        }
        found += [f"{name} {rule}" for rule, broken in rules.items() if broken]
        names.add(name)
    return found
