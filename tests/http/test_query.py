from __future__ import annotations

from decimal import Decimal
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet.http.endpoint import Param
from cexnet.http.query import encode, escape, plain
from cexnet_core.errors import ConfigurationError


def test_order_kept_none_left_out_and_values_as_text() -> None:
    params: list[Param] = [
        ("z", "1"),
        ("a", 2),
        ("none", None),
        ("flag", True),
        ("off", False),
        ("empty", ""),
    ]
    assert encode(params) == "z=1&a=2&flag=true&off=false&empty="
    assert plain(dict(params)) == "z=1&a=2&flag=true&off=false&empty="


def test_repeated_names_are_kept() -> None:
    assert encode([("s", "a"), ("s", "b")]) == "s=a&s=b"


def test_escapes_are_upper_case_utf8() -> None:
    assert escape("a b+c/é~._-") == "a%20b%2Bc%2F%C3%A9~._-"
    assert encode([("symbols", '["A","B"]')]) == "symbols=%5B%22A%22%2C%22B%22%5D"


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_decodes_to_what_was_given(params: list[tuple[str, str]]) -> None:
    text = encode(params)
    assert text.isascii()
    assert parse_qsl(text, keep_blank_values=True) == params


@pytest.mark.parametrize("value", [0.1, Decimal("1"), b"x", ["a"]])
def test_other_types_are_refused_by_name(value: object) -> None:
    with pytest.raises(ConfigurationError, match="'price'"):
        encode([("price", value)])  # type: ignore[list-item]
