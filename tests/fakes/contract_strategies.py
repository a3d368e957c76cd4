"""Hypothesis strategies for the models of the contract, made from their fields."""

from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(0, 2**53),
    float: st.floats(0, 1e9),
    bool: st.booleans(),
    NoneType: st.none(),
    JsonValue: JSON,
}
ModelT = TypeVar("ModelT", bound=BaseModel)


def instances(model: type[ModelT]) -> st.SearchStrategy[ModelT]:
    """Return values of a model, each field drawn from its annotation."""
    fields = {name: _values(field.annotation) for name, field in model.model_fields.items()}
    return st.builds(model, **fields)


def _values(annotation: Any) -> st.SearchStrategy[Any]:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return st.one_of(*(_values(each) for each in arguments))
    if origin is tuple:
        return st.lists(_values(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT, _values(arguments[1]), max_size=2)
    if issubclass(annotation, StrEnum):
        return st.sampled_from(list(annotation))
    return instances(annotation)
