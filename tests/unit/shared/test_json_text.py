"""What JSON is taken in, and that it is read back unchanged by every reader."""

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from shared.contract.json_text import (
    MAX_JSON_DEPTH,
    MAX_JSON_VALUES,
    JsonSyntaxError,
    JsonTextError,
    check_json_size,
    read_json,
)

_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _ANY_TEXT | st.integers(-(2**63) - 2, 2**64 + 2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


def _nested(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


@given(_ANY_JSON, st.integers(0, 130))
def test_what_is_taken_reads_back_equal_by_every_reader(value: Any, depth: int) -> None:
    try:
        taken = read_json("[" * depth + to_json(value).decode() + "]" * depth)
    except JsonTextError:
        return
    stored = to_json({"a": [{"content": taken}]})  # as a record wraps it
    assert from_json(stored) == orjson.loads(stored) == {"a": [{"content": taken}]}
    assert orjson.loads(orjson.dumps(taken)) == taken


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400 + ".0", "-" + "1" * 310 + ".5"]
)
def test_numbers_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(JsonTextError):
        read_json(f'{{"a": [{text}]}}')


@pytest.mark.parametrize("text", [str(2**64), str(-(2**63) - 1), "1" + "0" * 5_000], ids=["large", "small", "vast"])
def test_integers_beyond_64_bits_are_refused(text: str) -> None:
    with pytest.raises(JsonTextError, match="64 bits"):
        read_json(text)


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 0])
def test_integers_of_64_bits_are_taken(number: int) -> None:
    assert read_json(str(number)) == number
    assert math.isfinite(read_json("1.7976931348623157e308"))


@pytest.mark.parametrize("depth", [MAX_JSON_DEPTH + 1, 201, 254, 1_000, 400_000])
@pytest.mark.parametrize("shape", ["[", '{"a":'])
def test_deep_json_is_refused_before_it_is_parsed(depth: int, shape: str) -> None:
    with pytest.raises(JsonTextError, match="100 levels"):
        read_json(shape * depth)


def test_json_of_the_greatest_depth_is_taken() -> None:
    assert from_json(to_json(read_json(_nested(MAX_JSON_DEPTH)))) == read_json(_nested(MAX_JSON_DEPTH))


def test_too_many_values_are_refused_however_flat() -> None:
    with pytest.raises(JsonTextError, match="20000 values"):
        read_json("[" + "0," * MAX_JSON_VALUES + "0]")
    with pytest.raises(JsonTextError, match="20000 values"):
        read_json("[" + "[]," * MAX_JSON_VALUES + "0]")


def test_brackets_and_commas_in_texts_do_not_count() -> None:
    text = '["' + '[{,\\"\\\\' * 40_000 + '"]'
    assert len(read_json(text)[0]) == 5 * 40_000


@pytest.mark.parametrize(
    "text", ['"' + '\\"' * 500_000, '{"a' * 300_000, '"\\' * 500_000, "[,{" * 300_000], ids=["a", "b", "c", "d"]
)
def test_an_unclosed_text_is_scanned_once(text: str) -> None:
    with pytest.raises((JsonTextError, JsonSyntaxError)):
        read_json("[" * (MAX_JSON_DEPTH + 1) + text)


def test_bytes_that_are_no_utf8_are_no_json() -> None:
    with pytest.raises(JsonSyntaxError):
        read_json(b'"\xff"')


@pytest.mark.parametrize("text", ['{"a": "\\ud800"}', '{"\\uDFFF": 1}', '["\\udc00\\ud800"]'])
def test_half_characters_are_refused(text: str) -> None:
    with pytest.raises(JsonSyntaxError, match="half a character"):
        read_json(text)


def test_a_character_in_two_escapes_is_taken() -> None:
    assert read_json('"\\ud83c\\udf75"') == "\N{TEACUP WITHOUT HANDLE}"


def test_a_small_body_is_only_counted() -> None:
    check_json_size('{"task": "make tea"}')


@pytest.mark.parametrize("text", ['{"a":1,"a":1}', '{"b":[{"a":1,"\\u0061":2}]}', '{"a":{"x":1},"a":1e5}'])
def test_a_name_that_stands_twice_is_refused_where_names_must_be_unique(text: str) -> None:
    with pytest.raises(JsonTextError, match="a name twice"):
        read_json(text, unique_names=True)
    assert read_json(text) == orjson.loads(text)


def test_unique_names_change_nothing_else() -> None:
    text = '{"a":[{"b":1},{"b":2}],"c":{"a":1e5}}'
    assert read_json(text, unique_names=True) == orjson.loads(text)
