"""Query strings against urllib, the slow and obvious oracle."""

from __future__ import annotations

import enum
import json
import traceback
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cexnet_core.errors import ConfigurationError
from cexnet_core.params import Params
from cexnet_core.query import encode, encode_pairs, escape, pairs, plain
from cexnet_core.secret import Secret

# A lone surrogate has no UTF-8 form; it has a test of its own.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
PAIRS = st.lists(st.tuples(TEXT.filter(bool), TEXT))


class Side(enum.StrEnum):
    BUY = "BUY"


class Level(enum.IntEnum):
    TOP = 1


@given(TEXT)
@example("".join(map(chr, range(256))))
@example("１２３４５６ 😀 é")
def test_escape_is_urllibs_quote(text: str) -> None:
    assert escape(text) == quote(text, safe="-._~")


@given(PAIRS)
def test_encode_is_urllibs_urlencode(params: list[tuple[str, str]]) -> None:
    text = encode(params)
    assert text == urlencode(params, quote_via=quote, safe="-._~")
    assert text.isascii()
    assert parse_qsl(text, keep_blank_values=True) == params


@given(PAIRS)
def test_a_mapping_is_read_in_its_own_order(params: list[tuple[str, str]]) -> None:
    unique = dict(params)
    assert encode(unique) == encode(list(unique.items()))
    assert pairs(unique) == list(unique.items())


@given(PAIRS)
def test_plain_escapes_nothing(params: list[tuple[str, str]]) -> None:
    assert plain(params) == "&".join(f"{name}={value}" for name, value in params)


@given(st.dictionaries(TEXT.filter(bool), st.lists(TEXT)))
def test_repeated_lists_are_urllibs_doseq(params: dict[str, list[str]]) -> None:
    assert encode(params) == urlencode(params, doseq=True, quote_via=quote, safe="-._~")


@given(st.lists(st.one_of(TEXT, st.integers(), st.booleans(), st.none())))
def test_json_lists_read_back(values: list[Any]) -> None:
    ((_, text),) = pairs([("x", values)], "json")
    assert json.loads(text) == values
    assert text == json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def test_comma_lists() -> None:
    assert encode([("ids", ["a", 1, None, True])], "comma") == "ids=a%2C1%2Ctrue"
    assert encode([("ids", ())], "comma") == "ids="


def test_values_as_text_none_left_out_empty_kept_order_kept() -> None:
    params: Params = [
        ("z", "1"),
        ("a", 2),
        ("none", None),
        ("flag", True),
        ("off", False),
        ("empty", ""),
        ("side", Side.BUY),
        ("level", Level.TOP),
        ("key", Secret("s/1")),
        ("z", "again"),
    ]
    assert encode(params) == "z=1&a=2&flag=true&off=false&empty=&side=BUY&level=1&key=s%2F1&z=again"


@pytest.mark.parametrize("params", [(), [], {}, [("a", None)], {"a": []}])
def test_nothing_to_say_is_the_empty_text(params: Params) -> None:
    assert encode(params) == ""


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e-7)
@example(1e22)
@example(5e-324)
@example(0.1 + 0.2)
def test_floats_read_back_and_have_no_exponent(value: float) -> None:
    ((_, text),) = pairs([("price", value)])
    assert float(text) == value
    assert set(text) <= set("-.0123456789")
    assert Decimal(text) == Decimal(repr(value)), "no more digits than the shortest form has"


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**60), max_value=10**60))
@example(Decimal("1E+5"))
@example(Decimal("1.500E-9"))
def test_decimals_keep_every_digit_and_have_no_exponent(value: Decimal) -> None:
    ((_, text),) = pairs([("price", value)])
    assert Decimal(text) == value
    assert set(text) <= set("-.0123456789")
    assert text == format(value, "f")


@given(st.integers())
def test_integers(value: int) -> None:
    assert pairs([("n", value)]) == [("n", str(value))]


@pytest.mark.parametrize("value", [b"x", object(), {"a": 1}, [["nested"]], 1j])
@pytest.mark.parametrize("arrays", ["repeat", "comma", "json"])
def test_other_types_are_refused_by_name(value: Any, arrays: Any) -> None:
    with pytest.raises(ConfigurationError, match="'price'"):
        encode([("price", value)], arrays)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("nan"), Decimal("-inf")])
def test_numbers_that_are_none_are_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"'price' is .*finite"):
        encode([("price", value)])


@pytest.mark.parametrize("name", ["", 1, None, b"a"])
def test_names_are_text(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="name"):
        encode([(name, "x")])


def test_an_unknown_rule_for_lists_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="repeat, comma or json"):
        encode([("a", "b")], "php")  # type: ignore[arg-type]


@pytest.mark.parametrize("encode_it", [escape, lambda text: encode([("a", text)])])
def test_half_a_character_is_refused(encode_it: Any) -> None:
    with pytest.raises(ConfigurationError, match="surrogate"):
        encode_it("a\ud800b")


def test_pairs_may_be_reordered_before_they_are_encoded() -> None:
    given_pairs = pairs([("b", "2"), ("a", "ä")])
    assert encode_pairs(sorted(given_pairs)) == "a=%C3%A4&b=2"
    assert encode_pairs(iter(given_pairs)) == "b=2&a=%C3%A4"  # type: ignore[arg-type]


def test_a_long_query() -> None:
    params = [(f"name{i}", "ä b" * 50) for i in range(500)]
    assert encode(params) == urlencode(params, quote_via=quote)


def test_a_secret_that_is_no_text_is_refused_and_not_shown() -> None:
    secret = Secret(b"\xff\xfes3cret")
    for value in (secret, [secret]):
        with pytest.raises(ConfigurationError, match="must be UTF-8") as caught:
            pairs({"code": value})
        shown = "".join(traceback.TracebackException.from_exception(caught.value).format())
        assert "s3cret" not in shown + repr(caught.value.__context__)
